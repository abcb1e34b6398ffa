//! [`StoreLayer`]: what stands between a program and its store, written once for all that look on, delay or disturb.

mod seam;
mod store;

use std::future::Future;

use backgroundjobs_core::{
    CancelJobs, CancelStatus, ClaimJobs, ClaimedJobs, DeleteStatus, InsertJobs, InsertedJobs, JobId,
    PruneJobs, PrunedJobs, RecoverJobs, RecoveredJobs, RemoteWakes, RenewLeases, RenewedLeases, RequeuedJobs,
    SettleJobs, SettledJobs, StoreError, StoreOperation, StoreProfile, Timestamp, WakeHub,
};

pub(crate) use seam::{Noting, Seam, within};
pub use store::LayeredStore;

/// Something between a program and its store that looks on, delays or disturbs; [`LayeredStore`] puts it there.
/// Only [`around`](Self::around) has to be written; all else goes through as it is.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// # use backgroundjobs_core::prelude::*;
/// use backgroundjobs_core::{StoreError, StoreOperation};
/// # use backgroundjobs_memory::prelude::*;
/// # use backgroundjobs_testing::TestKit;
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Serialize, Deserialize)]
/// # struct Mail { to: u32 }
/// # impl JobArgs for Mail { const KIND: &'static str = "mail"; }
/// use backgroundjobs_testing::{LayeredStore, StoreLayer};
///
/// /// Counts the calls that are answered.
/// struct Count(Arc<AtomicU64>);
///
/// impl StoreLayer for Count {
///     async fn around<T: Send>(
///         &self,
///         _: StoreOperation,
///         call: impl Future<Output = Result<T, StoreError>> + Send,
///     ) -> Result<T, StoreError> {
///         let reply = call.await?;
///         self.0.fetch_add(1, Ordering::SeqCst);
///         Ok(reply)
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let (kit, calls) = (TestKit::new(), Arc::new(AtomicU64::new(0)));
/// let store = LayeredStore::with(Arc::new(MemoryStore::new()), Count(calls.clone()));
/// let program = BackgroundJobs::builder(|options| options.use_store(store));
/// let _jobs = kit.start(program.register_fn(async |_: Mail, _: JobContext| Ok(()))).await;
/// let _ = kit.settle().await;
/// assert_eq!(calls.load(Ordering::SeqCst), 3, "it was prepared, asked for jobs, and cleared of old ones");
/// # kit.finish().await;
/// # }
/// ```
pub trait StoreLayer: Send + Sync + 'static {
    /// Sees one call through: `call` is the store's own work, which begins when it is first polled. An error before
    /// it means that nothing was done; one after it, that the reply is lost. [`close`] does not come past here.
    ///
    /// [`close`]: backgroundjobs_core::JobStore::close
    fn around<T: Send>(
        &self,
        operation: StoreOperation,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> impl Future<Output = Result<T, StoreError>> + Send;

    /// The store has done this; whoever asked does not know yet, and may never.
    fn done(&self, exchange: &Exchange<'_>) {
        _ = exchange;
    }

    /// Whoever asked is answered now.
    fn answered(&self, exchange: &Exchange<'_>) {
        _ = exchange;
    }

    /// The time that a request brings along, instead of its own.
    fn now(&self, operation: StoreOperation, now: Timestamp) -> Timestamp {
        _ = operation;
        now
    }

    /// The profile, given that of the store.
    fn profile(&self, inner: StoreProfile) -> StoreProfile {
        inner
    }

    /// The hub, given that of the store.
    fn local_hub<'a>(&'a self, inner: Option<&'a WakeHub>) -> Option<&'a WakeHub> {
        inner
    }

    /// Where wakes of other processes come from, given where the store has them from.
    fn remote_wakes<'a>(&'a self, inner: Option<&'a dyn RemoteWakes>) -> Option<&'a dyn RemoteWakes> {
        inner
    }
}

/// A request that may change jobs, and the store's reply to it. A request shows the time that the store saw.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each is the method of its name")]
pub enum Exchange<'a> {
    Insert(&'a InsertJobs, &'a InsertedJobs),
    Claim(&'a ClaimJobs, &'a ClaimedJobs),
    Renew(&'a RenewLeases, &'a RenewedLeases),
    Settle(&'a SettleJobs, &'a SettledJobs),
    Recover(&'a RecoverJobs, &'a RecoveredJobs),
    Cancel(&'a CancelJobs, &'a [CancelStatus]),
    Prune(&'a PruneJobs, &'a PrunedJobs),
    Requeue(&'a [JobId], &'a RequeuedJobs),
    Delete(&'a [JobId], &'a [DeleteStatus]),
}
