//! [`FaultyStore`]: a store that fails as stores and networks do, by a seed.

mod faults;
mod log;
mod state;
mod wakes;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use backgroundjobs_core::{
    JobStore, RemoteWakes, StoreError, StoreErrorKind, StoreOperation, StoreProfile, Timestamp, WakeHub,
};

pub use self::faults::{Faults, Odds};
pub use self::log::{Fault, FaultLog, MetFault};
use self::state::State;
use self::wakes::FaultyWakes;
use crate::VirtualClock;
use crate::layer::{Exchange, LayeredStore, Seam, StoreLayer};

/// A store that fails as stores and networks do: calls that fail, replies that get lost, calls that hang,
/// partitions, clocks that are wrong, wakes that do not come. What goes wrong is said by [`Faults`] and drawn from
/// their seed: one seed, the same faults in the same order.
///
/// It stands around any store, and under a [`TestKit`](crate::TestKit) between the program and it. Every error is of
/// kind [`Unavailable`](StoreErrorKind::Unavailable), which leaves it open whether the call was done: a store that
/// keeps the [contract](JobStore) keeps it under this one, too. The kit's own looks at a store meet no faults, and the
/// kit writes down what the store did whose reply was lost, so its assertions and its
/// [ledger](crate::TestKit::ledger) know of it.
///
/// ```
/// use std::time::Duration;
/// use backgroundjobs_core::prelude::*;
/// use backgroundjobs_core::{JobState, StoreOperation};
/// use backgroundjobs_memory::prelude::*;
/// use backgroundjobs_testing::{Fault, Faults, FaultyStore, Limits, Odds, TestKit};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Serialize, Deserialize)]
/// # struct Mail { to: u32 }
/// # impl JobArgs for Mail { const KIND: &'static str = "mail"; }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let kit = TestKit::builder().seed(7).build();
/// let faults = Faults::seeded(7)
///     .everywhere(Odds::none().error(0.1).lost_reply(0.1))
///     .on(StoreOperation::Settle, Odds::none().lost_reply(0.9))
///     .on(StoreOperation::Insert, Odds::none())
///     .quiet_from(kit.now() + Duration::from_secs(60));
/// let store = FaultyStore::new(MemoryStore::new(), &kit.clock(), faults);
/// let log = store.log();
/// let builder = BackgroundJobs::builder(|options| options.use_store(store).queue("default", 1));
/// let jobs = kit.start(builder.register_fn(async |_: Mail, _: JobContext| Ok(()))).await;
/// jobs.manager().enqueue_many((0..20).map(|to| Mail { to })).await.expect("inserts do not fail");
///
/// let _ = kit.drain(Limits::new()).await;
/// kit.jobs().await.assert_enqueued::<Mail>().state(JobState::Succeeded).times(20);
/// assert!(log.count_of(StoreOperation::Settle, Fault::LostReply) > 0);
/// kit.ledger().await.assert_at_least_once();
/// kit.finish().await;
/// # }
/// ```
pub type FaultyStore = LayeredStore<FaultyLayer>;

impl LayeredStore<FaultyLayer> {
    /// Around `store`; delays, hangs and partitions are times of `clock`, a kit's
    /// [`clock()`](crate::TestKit::clock) say.
    #[must_use]
    pub fn new(store: impl JobStore, clock: &VirtualClock, faults: Faults) -> Self {
        Self::around(Arc::new(store), clock, faults)
    }

    /// Around a store that others hold too: for `options.wrap_store(..)`.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use backgroundjobs_core::prelude::*;
    /// # use backgroundjobs_memory::prelude::*;
    /// # use backgroundjobs_testing::{Faults, FaultyStore, Odds, TestKit};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # let kit = TestKit::new();
    /// # let program = BackgroundJobs::builder(|options| options.use_in_memory().producer_only());
    /// let (clock, faults) = (kit.clock(), Faults::seeded(1).everywhere(Odds::none().error(0.1)));
    /// let program = program.configure(|options| {
    ///     options.wrap_store(move |store| Arc::new(FaultyStore::around(store, &clock, faults)))
    /// });
    /// let _jobs = kit.start(program).await;
    /// # kit.finish().await;
    /// # }
    /// ```
    #[must_use]
    pub fn around(store: Arc<dyn JobStore>, clock: &VirtualClock, faults: Faults) -> Self {
        let state = Arc::new(State::new(clock.clone(), faults));
        let hub = state.faults.own_process.map(|_| WakeHub::new());
        let wakes = FaultyWakes::new(store.clone(), state.clone());
        Self::with(store, FaultyLayer { state, hub, wakes })
    }

    /// What went wrong so far.
    #[must_use]
    pub fn log(&self) -> FaultLog {
        self.layer().state.faults.log.clone()
    }
}

/// What a [`FaultyStore`] has around the store inside.
pub struct FaultyLayer {
    state: Arc<State>,
    /// Of a process of its own.
    hub: Option<WakeHub>,
    wakes: FaultyWakes,
}

impl fmt::Debug for FaultyLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyLayer").field("faults", &self.state.faults).finish_non_exhaustive()
    }
}

impl StoreLayer for FaultyLayer {
    async fn around<T: Send>(
        &self,
        operation: StoreOperation,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        if matches!(Seam::current(), Some(Seam::Looks)) {
            return call.await;
        }
        self.state.around(operation, call).await
    }

    fn done(&self, exchange: &Exchange<'_>) {
        // The reply may not come back to where the kit stands.
        if let Some(Seam::Notes(noting)) = Seam::current() {
            noting.note(exchange);
        }
    }

    fn now(&self, operation: StoreOperation, now: Timestamp) -> Timestamp {
        if matches!(Seam::current(), Some(Seam::Looks)) { now } else { self.state.skewed(operation, now) }
    }

    fn profile(&self, inner: StoreProfile) -> StoreProfile {
        match self.state.faults.own_process {
            Some(poll) => inner.poll_interval(poll),
            None => inner,
        }
    }

    fn local_hub<'a>(&'a self, inner: Option<&'a WakeHub>) -> Option<&'a WakeHub> {
        self.hub.as_ref().or(inner)
    }

    fn remote_wakes<'a>(&'a self, inner: Option<&'a dyn RemoteWakes>) -> Option<&'a dyn RemoteWakes> {
        inner.map(|_| &self.wakes as &dyn RemoteWakes)
    }
}

impl State {
    /// One call, with what is drawn for it.
    async fn around<T>(
        &self,
        operation: StoreOperation,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let cut_off = |done| {
            self.note(operation, Fault::CutOff { done });
            Err(failed(operation, Fault::CutOff { done }))
        };
        let plan = self.plan(operation);
        self.take(plan.there).await;
        match plan.fault {
            Some(fault @ (Fault::Error | Fault::Partition)) => return Err(failed(operation, fault)),
            Some(fault @ Fault::Hang { done: false }) => {
                self.take(self.faults.hang_for).await;
                return Err(failed(operation, fault));
            }
            _ if self.is_cut_off() => return cut_off(false),
            _ => {}
        }
        let reply = call.await?;
        self.take(plan.back).await;
        match plan.fault {
            Some(fault @ Fault::LostReply) => Err(failed(operation, fault)),
            Some(fault @ Fault::Hang { .. }) => {
                self.take(self.faults.hang_for).await;
                Err(failed(operation, fault))
            }
            _ if self.is_cut_off() => cut_off(true),
            _ => Ok(reply),
        }
    }
}

fn failed(operation: StoreOperation, fault: Fault) -> StoreError {
    let what = match fault {
        Fault::LostReply => "a planned fault: all was done, and the reply is lost",
        Fault::Hang { done: true } => "a planned fault: all was done, and nobody answered for too long",
        Fault::Hang { done: false } => "a planned fault: nothing was done, and nobody answered for too long",
        Fault::CutOff { done: true } => "a planned partition: all was done, and the reply is lost",
        Fault::Partition | Fault::CutOff { done: false } => "a planned partition: nothing was done",
        _ => "a planned fault: nothing was done",
    };
    StoreError::new(operation, StoreErrorKind::Unavailable, what)
}
