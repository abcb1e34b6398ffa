//! [`StoreDoor`]: the one place where the runtime calls a store.
//!
//! Every call passes here, so every call is guarded for the kit, comes to its checkpoints, and answers an error
//! where the store panics or answers nonsense. The one exception is the listener's `next_wake`, which does not
//! run under a kit.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::catch_panic::CatchPanic;
use crate::env::{Checkpoint, Outside};
use crate::store::{
    CancelJobs, CancelStatus, ClaimJobs, ClaimedJobs, ControlStore, CountJobs, DeleteStatus, InsertJobs,
    InsertedJobs, InspectStore, JobCounts, JobPage, JobStore, ListJobs, PruneJobs, PrunedJobs, QueueFacts,
    RecoverJobs, RecoveredJobs, RenewLeases, RenewedLeases, RequeuedJobs, SettleJobs, SettledJobs,
    StoreError, StoreErrorKind, StoreOperation, StoreProfile, WakeHub,
};
use crate::{BoxFuture, Env, JobId, JobRecord, QueueName};

/// A store, and the surroundings it is called in. Cloning makes another handle.
#[derive(Clone)]
pub(crate) struct StoreDoor {
    store: Arc<dyn JobStore>,
    profile: StoreProfile,
    env: Env,
}

impl StoreDoor {
    /// A store that is polled is polled every `poll_interval`, if the program says so.
    pub(crate) fn new(store: Arc<dyn JobStore>, env: Env, poll_interval: Option<Duration>) -> Self {
        let mut profile = store.profile();
        profile.poll_interval = profile.poll_interval.map(|own| poll_interval.unwrap_or(own));
        Self { profile, store, env }
    }

    pub(crate) const fn env(&self) -> &Env {
        &self.env
    }

    pub(crate) const fn profile(&self) -> &StoreProfile {
        &self.profile
    }

    pub(crate) fn hub(&self) -> Option<&WakeHub> {
        self.store.local_hub()
    }

    /// The store as it is, for what is no call: its capabilities.
    pub(crate) fn store(&self) -> &dyn JobStore {
        &*self.store
    }

    pub(crate) async fn prepare(&self) -> Result<(), StoreError> {
        self.call(StoreOperation::Prepare, || self.store.prepare()).await
    }

    pub(crate) async fn insert(&self, request: &InsertJobs) -> Result<InsertedJobs, StoreError> {
        let reply = self.call(StoreOperation::Insert, || self.store.insert(request)).await?;
        expect_count(StoreOperation::Insert, request.jobs.len(), reply.jobs.len(), reply)
    }

    pub(crate) async fn claim(&self, request: &ClaimJobs) -> Result<ClaimedJobs, StoreError> {
        let reply = self.call(StoreOperation::Claim, || self.store.claim(request)).await?;
        expect_count(StoreOperation::Claim, request.queues.len(), reply.queues.len(), reply)
    }

    pub(crate) async fn renew(&self, request: &RenewLeases) -> Result<RenewedLeases, StoreError> {
        let reply = self.call(StoreOperation::Renew, || self.store.renew(request)).await?;
        expect_count(StoreOperation::Renew, request.leases.len(), reply.leases.len(), reply)
    }

    pub(crate) async fn settle(&self, request: &SettleJobs) -> Result<SettledJobs, StoreError> {
        let reply = self.call(StoreOperation::Settle, || self.store.settle(request)).await?;
        expect_count(StoreOperation::Settle, request.outcomes.len(), reply.jobs.len(), reply)
    }

    pub(crate) async fn recover(&self, request: &RecoverJobs) -> Result<RecoveredJobs, StoreError> {
        self.call(StoreOperation::Recover, || self.store.recover(request)).await
    }

    pub(crate) async fn cancel(&self, request: &CancelJobs) -> Result<Vec<CancelStatus>, StoreError> {
        let reply = self.call(StoreOperation::Cancel, || self.store.cancel(request)).await?;
        expect_count(StoreOperation::Cancel, request.ids.len(), reply.len(), reply)
    }

    pub(crate) async fn get(&self, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>, StoreError> {
        let reply = self.call(StoreOperation::Get, || self.store.get(ids)).await?;
        expect_count(StoreOperation::Get, ids.len(), reply.len(), reply)
    }

    pub(crate) async fn prune(&self, request: &PruneJobs) -> Result<PrunedJobs, StoreError> {
        self.call(StoreOperation::Prune, || self.store.prune(request)).await
    }

    pub(crate) async fn count(&self, request: &CountJobs) -> Result<JobCounts, StoreError> {
        let inspect = self.inspect(StoreOperation::Count)?;
        self.call(StoreOperation::Count, || inspect.count(request)).await
    }

    pub(crate) async fn list(&self, request: &ListJobs) -> Result<JobPage, StoreError> {
        let inspect = self.inspect(StoreOperation::List)?;
        self.call(StoreOperation::List, || inspect.list(request)).await
    }

    pub(crate) async fn queues(&self) -> Result<Vec<QueueFacts>, StoreError> {
        let inspect = self.inspect(StoreOperation::Queues)?;
        self.call(StoreOperation::Queues, || inspect.queues(self.env.now())).await
    }

    pub(crate) async fn delete(&self, ids: &[JobId]) -> Result<Vec<DeleteStatus>, StoreError> {
        let control = self.control(StoreOperation::Delete)?;
        let reply = self.call(StoreOperation::Delete, || control.delete(self.env.now(), ids)).await?;
        expect_count(StoreOperation::Delete, ids.len(), reply.len(), reply)
    }

    pub(crate) async fn pause(&self, queue: &QueueName) -> Result<(), StoreError> {
        let control = self.control(StoreOperation::Pause)?;
        self.call(StoreOperation::Pause, || control.pause(self.env.now(), queue)).await
    }

    pub(crate) async fn resume(&self, queue: &QueueName) -> Result<(), StoreError> {
        let control = self.control(StoreOperation::Resume)?;
        self.call(StoreOperation::Resume, || control.resume(self.env.now(), queue)).await
    }

    pub(crate) async fn requeue(&self, ids: &[JobId]) -> Result<RequeuedJobs, StoreError> {
        let control = self.control(StoreOperation::Requeue)?;
        let reply = self.call(StoreOperation::Requeue, || control.requeue(self.env.now(), ids)).await?;
        expect_count(StoreOperation::Requeue, ids.len(), reply.jobs.len(), reply)
    }

    fn inspect(&self, operation: StoreOperation) -> Result<&dyn InspectStore, StoreError> {
        self.store.inspect().ok_or_else(|| self.lacks(operation, "inspect"))
    }

    fn control(&self, operation: StoreOperation) -> Result<&dyn ControlStore, StoreError> {
        self.store.control().ok_or_else(|| self.lacks(operation, "control"))
    }

    fn lacks(&self, operation: StoreOperation, what: &str) -> StoreError {
        StoreError::new(
            operation,
            StoreErrorKind::Rejected,
            format!(
                "the {} store has no {what}: use a store whose `{what}()` is not None",
                self.profile.name
            ),
        )
    }

    /// A store that panics has failed, and may work again: a worker must outlive that, too.
    async fn call<'a, T>(
        &self,
        operation: StoreOperation,
        call: impl FnOnce() -> BoxFuture<'a, Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.env.checkpoint(|| Checkpoint::BeforeStore(operation)).await;
        let call = CatchPanic::new(call);
        let answer = self.env.outside(|| Outside::Store(operation), call).await;
        self.env.checkpoint(|| Checkpoint::AfterStore(operation)).await;
        answer.unwrap_or_else(|panic| {
            Err(StoreError::new(operation, StoreErrorKind::Other, format!("it panicked: {panic}")))
        })
    }
}

/// Refuses an answer that does not fit its request: nothing can be concluded from it, item by item.
fn expect_count<T>(
    operation: StoreOperation,
    asked: usize,
    answered: usize,
    reply: T,
) -> Result<T, StoreError> {
    if asked == answered {
        return Ok(reply);
    }
    let message = format!("it was asked about {asked} items and answered {answered}");
    Err(StoreError::new(operation, StoreErrorKind::Other, message))
}

impl fmt::Debug for StoreDoor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.store, f)
    }
}
