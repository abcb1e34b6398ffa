//! [`LayeredStore`]: a store with a layer around it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use backgroundjobs_core::{
    CancelJobs, CancelStatus, ClaimJobs, ClaimedJobs, ControlStore, CountJobs, DeleteStatus, InsertJobs,
    InsertedJobs, InspectStore, JobCounts, JobId, JobPage, JobRecord, JobStore, ListJobs, PruneJobs,
    PrunedJobs, QueueFacts, QueueName, RecoverJobs, RecoveredJobs, RemoteWakes, RenewLeases, RenewedLeases,
    RequeuedJobs, SettleJobs, SettledJobs, StoreError, StoreOperation, StoreProfile, Timestamp, WakeHub,
};

use super::{Exchange, StoreLayer};

/// A store with a [`StoreLayer`] around it.
pub struct LayeredStore<L> {
    inner: Arc<dyn JobStore>,
    layer: L,
}

impl<L: StoreLayer> LayeredStore<L> {
    /// Puts `layer` around a store.
    #[must_use]
    pub fn with(inner: Arc<dyn JobStore>, layer: L) -> Self {
        Self { inner, layer }
    }

    /// The layer.
    pub const fn layer(&self) -> &L {
        &self.layer
    }

    fn inspect_inner(&self) -> &dyn InspectStore {
        self.inner.inspect().expect("asked only where the store inside has it")
    }

    fn control_inner(&self) -> &dyn ControlStore {
        self.inner.control().expect("asked only where the store inside has it")
    }
}

impl<L> fmt::Debug for LayeredStore<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.inner, f)
    }
}

/// The request with the time that the layer has it bring along.
macro_rules! timed {
    ($self:ident, $operation:ident, $request:ident) => {{
        let now = $self.layer.now(StoreOperation::$operation, $request.now);
        let mut request = Cow::Borrowed($request);
        if now != $request.now {
            request.to_mut().now = now;
        }
        request
    }};
}

/// A call that may change jobs.
macro_rules! exchange {
    ($self:ident, $operation:ident, $request:ident, $call:expr) => {{
        let done = async {
            let reply = $call.await?;
            $self.layer.done(&Exchange::$operation(&$request, &reply));
            Ok(reply)
        };
        let reply = $self.layer.around(StoreOperation::$operation, done).await?;
        $self.layer.answered(&Exchange::$operation(&$request, &reply));
        Ok(reply)
    }};
}

#[async_trait]
impl<L: StoreLayer> JobStore for LayeredStore<L> {
    fn profile(&self) -> StoreProfile {
        self.layer.profile(self.inner.profile())
    }

    async fn prepare(&self) -> Result<(), StoreError> {
        self.layer.around(StoreOperation::Prepare, async { self.inner.prepare().await }).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.close().await
    }

    async fn insert(&self, request: &InsertJobs) -> Result<InsertedJobs, StoreError> {
        let request = timed!(self, Insert, request);
        exchange!(self, Insert, request, self.inner.insert(&request))
    }

    async fn claim(&self, request: &ClaimJobs) -> Result<ClaimedJobs, StoreError> {
        let request = timed!(self, Claim, request);
        exchange!(self, Claim, request, self.inner.claim(&request))
    }

    async fn renew(&self, request: &RenewLeases) -> Result<RenewedLeases, StoreError> {
        let request = timed!(self, Renew, request);
        exchange!(self, Renew, request, self.inner.renew(&request))
    }

    async fn settle(&self, request: &SettleJobs) -> Result<SettledJobs, StoreError> {
        let request = timed!(self, Settle, request);
        exchange!(self, Settle, request, self.inner.settle(&request))
    }

    async fn recover(&self, request: &RecoverJobs) -> Result<RecoveredJobs, StoreError> {
        let request = timed!(self, Recover, request);
        exchange!(self, Recover, request, self.inner.recover(&request))
    }

    async fn cancel(&self, request: &CancelJobs) -> Result<Vec<CancelStatus>, StoreError> {
        let request = timed!(self, Cancel, request);
        exchange!(self, Cancel, request, self.inner.cancel(&request))
    }

    async fn get(&self, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>, StoreError> {
        self.layer.around(StoreOperation::Get, async { self.inner.get(ids).await }).await
    }

    async fn prune(&self, request: &PruneJobs) -> Result<PrunedJobs, StoreError> {
        let request = timed!(self, Prune, request);
        exchange!(self, Prune, request, self.inner.prune(&request))
    }

    fn local_hub(&self) -> Option<&WakeHub> {
        self.layer.local_hub(self.inner.local_hub())
    }

    fn remote_wakes(&self) -> Option<&dyn RemoteWakes> {
        self.layer.remote_wakes(self.inner.remote_wakes())
    }

    fn inspect(&self) -> Option<&dyn InspectStore> {
        self.inner.inspect().map(|_| self as &dyn InspectStore)
    }

    fn control(&self) -> Option<&dyn ControlStore> {
        self.inner.control().map(|_| self as &dyn ControlStore)
    }
}

#[async_trait]
impl<L: StoreLayer> InspectStore for LayeredStore<L> {
    async fn count(&self, request: &CountJobs) -> Result<JobCounts, StoreError> {
        let request = timed!(self, Count, request);
        self.layer.around(StoreOperation::Count, async { self.inspect_inner().count(&request).await }).await
    }

    async fn list(&self, request: &ListJobs) -> Result<JobPage, StoreError> {
        let request = timed!(self, List, request);
        self.layer.around(StoreOperation::List, async { self.inspect_inner().list(&request).await }).await
    }

    async fn queues(&self, now: Timestamp) -> Result<Vec<QueueFacts>, StoreError> {
        let now = self.layer.now(StoreOperation::Queues, now);
        self.layer.around(StoreOperation::Queues, async { self.inspect_inner().queues(now).await }).await
    }
}

#[async_trait]
impl<L: StoreLayer> ControlStore for LayeredStore<L> {
    async fn requeue(&self, now: Timestamp, ids: &[JobId]) -> Result<RequeuedJobs, StoreError> {
        let now = self.layer.now(StoreOperation::Requeue, now);
        exchange!(self, Requeue, ids, self.control_inner().requeue(now, ids))
    }

    async fn delete(&self, now: Timestamp, ids: &[JobId]) -> Result<Vec<DeleteStatus>, StoreError> {
        let now = self.layer.now(StoreOperation::Delete, now);
        exchange!(self, Delete, ids, self.control_inner().delete(now, ids))
    }

    async fn pause(&self, now: Timestamp, queue: &QueueName) -> Result<(), StoreError> {
        let now = self.layer.now(StoreOperation::Pause, now);
        self.layer.around(StoreOperation::Pause, async { self.control_inner().pause(now, queue).await }).await
    }

    async fn resume(&self, now: Timestamp, queue: &QueueName) -> Result<(), StoreError> {
        let now = self.layer.now(StoreOperation::Resume, now);
        self.layer
            .around(StoreOperation::Resume, async { self.control_inner().resume(now, queue).await })
            .await
    }
}
