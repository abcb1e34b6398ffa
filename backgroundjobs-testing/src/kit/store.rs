//! [`KitStore`]: what stands between a program and its store under a kit.
//!
//! It writes down what was done, takes the virtual time that the kit asks for, and fails where the program is cut
//! off. Whatever the store itself does, it does.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use backgroundjobs_core::{
    BoxFuture, CancelJobs, CancelStatus, ClaimJobs, ClaimedJobs, ControlStore, CountJobs, DeleteStatus,
    InsertJobs, InsertedJobs, InspectStore, JobCounts, JobId, JobPage, JobRecord, JobStore, ListJobs,
    PruneJobs, PrunedJobs, QueueFacts, QueueName, RecoverJobs, RecoveredJobs, RemoteWakes, RenewLeases,
    RenewedLeases, RequeuedJobs, SettleJobs, SettledJobs, StoreError, StoreOperation, StoreProfile,
    Timestamp, WakeHub,
};
use tokio::sync::OnceCell;

use super::link::Link;

/// A store as a program under a kit reaches it.
pub(crate) struct KitStore {
    inner: Arc<dyn JobStore>,
    link: Link,
    /// Set once the program has prepared it.
    prepared: Arc<OnceCell<()>>,
}

impl KitStore {
    pub(crate) fn new(inner: Arc<dyn JobStore>, link: Link, prepared: Arc<OnceCell<()>>) -> Self {
        Self { inner, link, prepared }
    }

    /// One call: there, the store's own work, and back.
    async fn call<'a, T>(
        &self,
        operation: StoreOperation,
        call: impl FnOnce() -> BoxFuture<'a, Result<T, StoreError>>,
        note: impl FnOnce(&T),
    ) -> Result<T, StoreError> {
        self.link.there(operation).await?;
        // Not before: a store may begin before it is awaited.
        let reply = call().await?;
        note(&reply);
        self.link.back(operation).await?;
        Ok(reply)
    }

    fn inspect_inner(&self) -> &dyn InspectStore {
        self.inner.inspect().expect("asked only where the store inside has it")
    }

    fn control_inner(&self) -> &dyn ControlStore {
        self.inner.control().expect("asked only where the store inside has it")
    }
}

impl fmt::Debug for KitStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.inner, f)
    }
}

#[async_trait]
impl JobStore for KitStore {
    fn profile(&self) -> StoreProfile {
        self.inner.profile()
    }

    async fn prepare(&self) -> Result<(), StoreError> {
        self.call(StoreOperation::Prepare, || self.inner.prepare(), |()| _ = self.prepared.set(())).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.close().await
    }

    async fn insert(&self, request: &InsertJobs) -> Result<InsertedJobs, StoreError> {
        let history = self.link.history();
        let note = |reply: &InsertedJobs| history.inserted(request, reply);
        let reply = self.call(StoreOperation::Insert, || self.inner.insert(request), note).await?;
        history.acknowledged(request);
        Ok(reply)
    }

    async fn claim(&self, request: &ClaimJobs) -> Result<ClaimedJobs, StoreError> {
        let note = |reply: &ClaimedJobs| self.link.history().claimed(reply, self.link.node());
        self.call(StoreOperation::Claim, || self.inner.claim(request), note).await
    }

    async fn renew(&self, request: &RenewLeases) -> Result<RenewedLeases, StoreError> {
        self.call(StoreOperation::Renew, || self.inner.renew(request), |_| ()).await
    }

    async fn settle(&self, request: &SettleJobs) -> Result<SettledJobs, StoreError> {
        let _settling = self.link.settling();
        let note = |reply: &SettledJobs| self.link.history().settled(request, reply);
        self.call(StoreOperation::Settle, || self.inner.settle(request), note).await
    }

    async fn recover(&self, request: &RecoverJobs) -> Result<RecoveredJobs, StoreError> {
        let note = |reply: &RecoveredJobs| self.link.history().recovered(reply);
        self.call(StoreOperation::Recover, || self.inner.recover(request), note).await
    }

    async fn cancel(&self, request: &CancelJobs) -> Result<Vec<CancelStatus>, StoreError> {
        let note = |reply: &Vec<CancelStatus>| self.link.history().cancelled(request, reply);
        self.call(StoreOperation::Cancel, || self.inner.cancel(request), note).await
    }

    async fn get(&self, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>, StoreError> {
        self.call(StoreOperation::Get, || self.inner.get(ids), |_| ()).await
    }

    async fn prune(&self, request: &PruneJobs) -> Result<PrunedJobs, StoreError> {
        self.call(StoreOperation::Prune, || self.inner.prune(request), |_| ()).await
    }

    fn local_hub(&self) -> Option<&WakeHub> {
        self.inner.local_hub()
    }

    fn remote_wakes(&self) -> Option<&dyn RemoteWakes> {
        self.inner.remote_wakes()
    }

    fn inspect(&self) -> Option<&dyn InspectStore> {
        self.inner.inspect().map(|_| self as &dyn InspectStore)
    }

    fn control(&self) -> Option<&dyn ControlStore> {
        self.inner.control().map(|_| self as &dyn ControlStore)
    }
}

#[async_trait]
impl InspectStore for KitStore {
    async fn count(&self, request: &CountJobs) -> Result<JobCounts, StoreError> {
        self.call(StoreOperation::Count, || self.inspect_inner().count(request), |_| ()).await
    }

    async fn list(&self, request: &ListJobs) -> Result<JobPage, StoreError> {
        self.call(StoreOperation::List, || self.inspect_inner().list(request), |_| ()).await
    }

    async fn queues(&self, now: Timestamp) -> Result<Vec<QueueFacts>, StoreError> {
        self.call(StoreOperation::Queues, || self.inspect_inner().queues(now), |_| ()).await
    }
}

#[async_trait]
impl ControlStore for KitStore {
    async fn requeue(&self, now: Timestamp, ids: &[JobId]) -> Result<RequeuedJobs, StoreError> {
        let note = |reply: &RequeuedJobs| self.link.history().requeued(ids, reply);
        self.call(StoreOperation::Requeue, || self.control_inner().requeue(now, ids), note).await
    }

    async fn delete(&self, now: Timestamp, ids: &[JobId]) -> Result<Vec<DeleteStatus>, StoreError> {
        let note = |reply: &Vec<DeleteStatus>| self.link.history().deleted(ids, reply);
        self.call(StoreOperation::Delete, || self.control_inner().delete(now, ids), note).await
    }

    async fn pause(&self, now: Timestamp, queue: &QueueName) -> Result<(), StoreError> {
        self.call(StoreOperation::Pause, || self.control_inner().pause(now, queue), |()| ()).await
    }

    async fn resume(&self, now: Timestamp, queue: &QueueName) -> Result<(), StoreError> {
        self.call(StoreOperation::Resume, || self.control_inner().resume(now, queue), |()| ()).await
    }
}
