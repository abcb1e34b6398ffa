//! A store whose calls go through a hand of the test's own, each operation as the test says.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use backgroundjobs_core::{
    BoxFuture, CancelJobs, CancelStatus, ClaimJobs, ClaimedJobs, ControlStore, InsertJobs, InsertedJobs,
    InspectStore, JobId, JobRecord, JobStore, PruneJobs, PrunedJobs, RecoverJobs, RecoveredJobs, RemoteWakes,
    RenewLeases, RenewedLeases, SettleJobs, SettledJobs, StoreError, StoreProfile, WakeHub,
};

/// What is wrong with a store: what is not written out goes through as it is.
#[async_trait]
pub(crate) trait Disturbance: Send + Sync + 'static {
    async fn claim(&self, store: &dyn JobStore, request: &ClaimJobs) -> Result<ClaimedJobs, StoreError> {
        store.claim(request).await
    }

    async fn renew(&self, store: &dyn JobStore, request: &RenewLeases) -> Result<RenewedLeases, StoreError> {
        store.renew(request).await
    }

    async fn settle(&self, store: &dyn JobStore, request: &SettleJobs) -> Result<SettledJobs, StoreError> {
        store.settle(request).await
    }

    async fn get(&self, store: &dyn JobStore, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>, StoreError> {
        store.get(ids).await
    }

    /// What it does before it is prepared.
    fn prepare_is_called(&self) {}

    /// What it does as soon as an insert is called, before anybody awaits it.
    fn insert_is_called(&self) {}

    /// Whether it cannot say what it has.
    fn is_blind(&self) -> bool {
        false
    }
}

pub(crate) struct DisturbedStore<D> {
    inner: Arc<dyn JobStore>,
    disturbance: D,
}

impl<D> DisturbedStore<D> {
    pub(crate) fn new(inner: impl JobStore, disturbance: D) -> Self {
        Self { inner: Arc::new(inner), disturbance }
    }
}

impl<D> fmt::Debug for DisturbedStore<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.inner, f)
    }
}

#[async_trait]
impl<D: Disturbance> JobStore for DisturbedStore<D> {
    fn profile(&self) -> StoreProfile {
        self.inner.profile()
    }
    async fn prepare(&self) -> Result<(), StoreError> {
        self.disturbance.prepare_is_called();
        self.inner.prepare().await
    }
    async fn close(&self) -> Result<(), StoreError> {
        self.inner.close().await
    }
    // Written out, not by the macro: a store may begin before it is awaited.
    fn insert<'a, 'b, 'c>(
        &'a self,
        request: &'b InsertJobs,
    ) -> BoxFuture<'c, Result<InsertedJobs, StoreError>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        self.disturbance.insert_is_called();
        self.inner.insert(request)
    }
    async fn claim(&self, request: &ClaimJobs) -> Result<ClaimedJobs, StoreError> {
        self.disturbance.claim(&*self.inner, request).await
    }
    async fn renew(&self, request: &RenewLeases) -> Result<RenewedLeases, StoreError> {
        self.disturbance.renew(&*self.inner, request).await
    }
    async fn settle(&self, request: &SettleJobs) -> Result<SettledJobs, StoreError> {
        self.disturbance.settle(&*self.inner, request).await
    }
    async fn recover(&self, request: &RecoverJobs) -> Result<RecoveredJobs, StoreError> {
        self.inner.recover(request).await
    }
    async fn cancel(&self, request: &CancelJobs) -> Result<Vec<CancelStatus>, StoreError> {
        self.inner.cancel(request).await
    }
    async fn get(&self, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>, StoreError> {
        self.disturbance.get(&*self.inner, ids).await
    }
    async fn prune(&self, request: &PruneJobs) -> Result<PrunedJobs, StoreError> {
        self.inner.prune(request).await
    }
    fn local_hub(&self) -> Option<&WakeHub> {
        self.inner.local_hub()
    }
    fn remote_wakes(&self) -> Option<&dyn RemoteWakes> {
        self.inner.remote_wakes()
    }
    fn inspect(&self) -> Option<&dyn InspectStore> {
        self.inner.inspect().filter(|_| !self.disturbance.is_blind())
    }
    fn control(&self) -> Option<&dyn ControlStore> {
        self.inner.control()
    }
}
