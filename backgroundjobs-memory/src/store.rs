//! [`MemoryStore`]: the handle. It checks that it is open, settles what time it is, takes the lock, and
//! leaves the rest to the state.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use backgroundjobs_core::{
    CancelJobs, CancelStatus, ClaimJobs, ClaimedJobs, Clock, ControlStore, InsertJobs, InsertedJobs,
    InspectStore, JobId, JobRecord, JobStore, Keep, PruneJobs, PrunedJobs, RecoverJobs, RecoveredJobs,
    RemoteWakes, RenewLeases, RenewedLeases, Retention, SettleJobs, SettledJobs, StoreError, StoreErrorKind,
    StoreOperation, StoreProfile, TimeSource, Timestamp, WakeHub, limits,
};
use parking_lot::{Mutex, MutexGuard};

use crate::state::{Prepared, State};

/// Keeps jobs in this process's memory, for as long as a handle lives.
///
/// A clone is another handle on the same jobs: give one to each manager that shares them. [`close`] closes the
/// one handle it is called on, so a manager that stops does not take the store away from the others; a clone
/// is always open, also the clone of a closed handle.
///
/// [`close`]: JobStore::close
///
/// ```
/// use backgroundjobs_core::{InsertJobs, Inserted, JobStore, Kind, NewJob, Payload, QueueName, Timestamp};
/// use backgroundjobs_memory::MemoryStore;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = MemoryStore::new();
/// let id = "01890a5d-ac96-774b-bcce-b302099a8057".parse()?;
/// let job = NewJob::new(id, Kind::new("mail")?, QueueName::default_queue(), Payload::from_args(&"masa")?);
/// let reply = store.insert(&InsertJobs::new(Timestamp::UNIX_EPOCH, vec![job])).await?;
/// assert_eq!(reply.jobs, [Inserted::New]);
/// # Ok(())
/// # }
/// ```
pub struct MemoryStore {
    shared: Arc<Shared>,
    closed: AtomicBool,
}

/// What every handle on the same jobs has in common.
struct Shared {
    state: Mutex<State>,
    hub: WakeHub,
    /// The store's own time; without it each request brings the time along.
    clock: Option<Arc<dyn Clock>>,
}

impl MemoryStore {
    /// An empty store on its callers' time ([`TimeSource::Given`]).
    #[must_use]
    pub fn new() -> Self {
        Self::empty(None)
    }

    /// An empty store on a time of its own ([`TimeSource::Own`]), as a database server has: callers whose
    /// clocks disagree still agree on what is due.
    #[must_use]
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self::empty(Some(clock))
    }

    fn empty(clock: Option<Arc<dyn Clock>>) -> Self {
        let shared = Shared { state: Mutex::new(State::default()), hub: WakeHub::new(), clock };
        Self { shared: Arc::new(shared), closed: AtomicBool::new(false) }
    }

    /// The state, for one whole call.
    pub(crate) fn state(&self, operation: StoreOperation) -> Result<MutexGuard<'_, State>, StoreError> {
        self.ensure_open(operation)?;
        Ok(self.shared.state.lock())
    }

    /// The store's time of a call whose caller's time is `given`.
    pub(crate) fn store_now(&self, given: Timestamp) -> Timestamp {
        self.shared.clock.as_ref().map_or(given, |clock| clock.now())
    }

    fn ensure_open(&self, operation: StoreOperation) -> Result<(), StoreError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(StoreError::new(operation, StoreErrorKind::Closed, "this handle was closed"));
        }
        Ok(())
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for MemoryStore {
    /// Another handle on the same jobs, open.
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), closed: AtomicBool::new(false) }
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("jobs", &self.shared.state.try_lock().map(|state| state.len()))
            .field("clock", &self.shared.clock)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl JobStore for MemoryStore {
    fn profile(&self) -> StoreProfile {
        let keep = Keep::latest(limits::MEMORY_KEEP);
        let time = if self.shared.clock.is_some() { TimeSource::Own } else { TimeSource::Given };
        StoreProfile::in_process("memory").time(time).retention(Retention {
            succeeded: keep,
            failed: keep,
            cancelled: keep,
        })
    }

    async fn prepare(&self) -> Result<(), StoreError> {
        self.ensure_open(StoreOperation::Prepare)
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.closed.store(true, Ordering::Release);
        Ok(())
    }

    async fn insert(&self, request: &InsertJobs) -> Result<InsertedJobs, StoreError> {
        let store_now = self.store_now(request.now);
        self.ensure_open(StoreOperation::Insert)?;
        let prepared = Prepared::of(request, store_now);
        self.state(StoreOperation::Insert)?.insert(request, prepared, store_now)
    }

    async fn claim(&self, request: &ClaimJobs) -> Result<ClaimedJobs, StoreError> {
        let store_now = self.store_now(request.now);
        Ok(self.state(StoreOperation::Claim)?.claim(request, store_now))
    }

    async fn renew(&self, request: &RenewLeases) -> Result<RenewedLeases, StoreError> {
        let store_now = self.store_now(request.now);
        Ok(self.state(StoreOperation::Renew)?.renew(request, store_now))
    }

    async fn settle(&self, request: &SettleJobs) -> Result<SettledJobs, StoreError> {
        let store_now = self.store_now(request.now);
        Ok(self.state(StoreOperation::Settle)?.settle(request, store_now))
    }

    async fn recover(&self, request: &RecoverJobs) -> Result<RecoveredJobs, StoreError> {
        let store_now = self.store_now(request.now);
        Ok(self.state(StoreOperation::Recover)?.recover(request, store_now))
    }

    async fn cancel(&self, request: &CancelJobs) -> Result<Vec<CancelStatus>, StoreError> {
        let store_now = self.store_now(request.now);
        Ok(self.state(StoreOperation::Cancel)?.cancel(&request.ids, store_now))
    }

    async fn get(&self, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>, StoreError> {
        Ok(self.state(StoreOperation::Get)?.records(ids))
    }

    async fn prune(&self, request: &PruneJobs) -> Result<PrunedJobs, StoreError> {
        let store_now = self.store_now(request.now);
        Ok(self.state(StoreOperation::Prune)?.prune(request, store_now))
    }

    fn local_hub(&self) -> Option<&WakeHub> {
        Some(&self.shared.hub)
    }

    fn remote_wakes(&self) -> Option<&dyn RemoteWakes> {
        None
    }

    fn inspect(&self) -> Option<&dyn InspectStore> {
        Some(self)
    }

    fn control(&self) -> Option<&dyn ControlStore> {
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use backgroundjobs_core::{BoxFuture, Inserted, Kind, NewJob, Payload, QueueName};

    use super::*;

    const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

    #[derive(Debug)]
    struct Standing(Timestamp);

    impl Clock for Standing {
        fn now(&self) -> Timestamp {
            self.0
        }

        fn sleep_until(&self, _: Timestamp) -> BoxFuture<'static, ()> {
            Box::pin(std::future::pending())
        }
    }

    fn one_job() -> InsertJobs {
        let kind = Kind::new("mail").expect("a kind");
        let id = ID.parse().expect("an id");
        let job = NewJob::new(id, kind, QueueName::default_queue(), Payload::from_store("{}"));
        InsertJobs::new(Timestamp::UNIX_EPOCH, vec![job])
    }

    #[tokio::test(flavor = "current_thread")]
    async fn closing_one_handle_leaves_the_others_open() {
        let store = MemoryStore::new();
        let other = store.clone();
        store.insert(&one_job()).await.expect("an open store");
        store.close().await.expect("closes");
        store.close().await.expect("closes again");
        for error in [
            store.prepare().await.expect_err("closed"),
            store.insert(&one_job()).await.expect_err("closed"),
            store.get(&[]).await.expect_err("closed"),
        ] {
            assert_eq!(error.kind(), StoreErrorKind::Closed);
        }
        let control = store.control().expect("it has one");
        assert!(control.pause(Timestamp::UNIX_EPOCH, &QueueName::default_queue()).await.is_err());
        for open in [&other, &store.clone()] {
            let reply = open.insert(&one_job()).await.expect("an open handle");
            assert!(matches!(reply.jobs[..], [Inserted::Existing(_)]));
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_store_with_a_clock_goes_by_it_alone() {
        let now = Timestamp::UNIX_EPOCH + std::time::Duration::from_secs(60);
        let store = MemoryStore::with_clock(Arc::new(Standing(now)));
        assert_eq!(store.profile().time, TimeSource::Own);
        assert_eq!(MemoryStore::new().profile().time, TimeSource::Given);
        let reply = store.insert(&one_job()).await.expect("stored");
        assert_eq!(reply.store_now, now);
        let record = store.get(&[ID.parse().expect("an id")]).await.expect("read").remove(0).expect("a job");
        assert_eq!((record.created_at, record.run_at), (now, now));
    }
}
