//! A memory store whose every call is answered by a thread of its own, after 0 to 400 µs of real time.

use async_trait::async_trait;
use backgroundjobs_core::{
    CancelJobs, CancelStatus, ClaimJobs, ClaimedJobs, ControlStore, InsertJobs, InsertedJobs, InspectStore,
    JobId, JobRecord, JobStore, PruneJobs, PrunedJobs, RecoverJobs, RecoveredJobs, RemoteWakes, RenewLeases,
    RenewedLeases, SettleJobs, SettledJobs, StoreError, StoreProfile, WakeHub,
};
use backgroundjobs_memory::MemoryStore;

use super::{real_answer, some_time};

#[derive(Debug)]
pub(crate) struct RealStore(MemoryStore);

impl RealStore {
    pub(crate) fn new(store: MemoryStore) -> Self {
        Self(store)
    }
}

macro_rules! forward {
    ($($method:ident($request:ty) -> $reply:ty;)*) => {
        #[async_trait]
        impl JobStore for RealStore {
            fn profile(&self) -> StoreProfile {
                self.0.profile()
            }

            async fn prepare(&self) -> Result<(), StoreError> {
                real_answer(some_time()).await;
                self.0.prepare().await
            }

            async fn close(&self) -> Result<(), StoreError> {
                self.0.close().await
            }

            fn local_hub(&self) -> Option<&WakeHub> {
                self.0.local_hub()
            }

            fn remote_wakes(&self) -> Option<&dyn RemoteWakes> {
                None
            }

            fn inspect(&self) -> Option<&dyn InspectStore> {
                self.0.inspect()
            }

            fn control(&self) -> Option<&dyn ControlStore> {
                self.0.control()
            }

            $(async fn $method(&self, request: &$request) -> Result<$reply, StoreError> {
                real_answer(some_time()).await;
                self.0.$method(request).await
            })*
        }
    };
}

forward! {
    insert(InsertJobs) -> InsertedJobs;
    claim(ClaimJobs) -> ClaimedJobs;
    renew(RenewLeases) -> RenewedLeases;
    settle(SettleJobs) -> SettledJobs;
    recover(RecoverJobs) -> RecoveredJobs;
    cancel(CancelJobs) -> Vec<CancelStatus>;
    get([JobId]) -> Vec<Option<JobRecord>>;
    prune(PruneJobs) -> PrunedJobs;
}
