//! Other handles on the same data, and a store on a time of its own, with the bugs that those have.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use async_trait::async_trait;
use backgroundjobs_core::{
    CancelJobs, CancelStatus, ClaimJobs, ClaimedJobs, Clock, ControlStore, InsertJobs, InsertedJobs,
    InspectStore, JobId, JobRecord, JobState, JobStore, PruneJobs, PrunedJobs, RecoverJobs, RecoveredJobs,
    RemoteWakes, RenewLeases, RenewedLeases, SettleJobs, SettledJobs, StoreError, StoreProfile, TimeSource,
    WakeHub,
};
use backgroundjobs_testing::VirtualClock;
use parking_lot::Mutex;

use super::{Mutant, PlantedStore};

impl PlantedStore {
    /// Another handle on the same data, open.
    pub(crate) fn second_handle(&self) -> Self {
        let table = match self.mutant {
            Mutant::HandlesAreApart => Arc::new(Mutex::new(self.table.lock().clone())),
            _ => self.table.clone(),
        };
        let hub = if self.mutant == Mutant::HandlesHaveHubs { WakeHub::new() } else { self.hub.clone() };
        Self {
            table,
            hub,
            closed: AtomicBool::new(false),
            inserts_in_flight: self.inserts_in_flight.clone(),
            wakes: self.wakes.clone(),
            is_first: false,
            ..Self::new(self.mutant)
        }
    }

    /// The data, opened again.
    pub(crate) fn reopened(&self) -> Self {
        let again = Self { is_first: true, is_reopened: true, ..self.second_handle() };
        let mut table = again.table.lock();
        match self.mutant {
            Mutant::ReopenReleases => {
                for job in table.jobs.values_mut().filter(|job| job.state == JobState::Running) {
                    (job.state, job.lease) = (JobState::Waiting, None);
                }
            }
            Mutant::ReopenForgetsKeys => table.keys.clear(),
            Mutant::ReopenForgetsPauses => table.paused.clear(),
            Mutant::ReopenForgetsMetadata => table.jobs.values_mut().for_each(|job| job.metadata.clear()),
            Mutant::ReopenHoldsKeysForEver => table.keys.values_mut().for_each(|held| held.until = None),
            Mutant::ReopenForgetsCancels => {
                table.jobs.values_mut().for_each(|job| job.cancel_requested = false);
            }
            _ => {}
        }
        drop(table);
        again
    }
}

/// A store on a time of its own, and its clock.
pub(crate) fn on_own_time(mutant: Mutant) -> (impl JobStore, VirtualClock) {
    let clock = VirtualClock::new();
    (OnOwnTime { store: PlantedStore::new(mutant), clock: clock.clone() }, clock)
}

/// Puts its own time in the place of each caller's.
#[derive(Debug)]
struct OnOwnTime {
    store: PlantedStore,
    clock: VirtualClock,
}

macro_rules! retimed {
    ($($call:ident($request:ty) -> $reply:ty;)*) => {
        #[async_trait]
        impl JobStore for OnOwnTime {
            fn profile(&self) -> StoreProfile {
                self.store.profile().time(TimeSource::Own)
            }

            async fn prepare(&self) -> Result<(), StoreError> {
                self.store.prepare().await
            }

            async fn close(&self) -> Result<(), StoreError> {
                self.store.close().await
            }

            async fn get(&self, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>, StoreError> {
                self.store.get(ids).await
            }

            fn local_hub(&self) -> Option<&WakeHub> {
                self.store.local_hub()
            }

            fn remote_wakes(&self) -> Option<&dyn RemoteWakes> {
                None
            }

            fn inspect(&self) -> Option<&dyn InspectStore> {
                self.store.inspect()
            }

            fn control(&self) -> Option<&dyn ControlStore> {
                self.store.control()
            }

            $(async fn $call(&self, request: &$request) -> Result<$reply, StoreError> {
                let mut request = request.clone();
                if self.store.mutant != Mutant::OwnTimeIsTheCallers {
                    request.now = self.clock.now();
                }
                self.store.$call(&request).await
            })*
        }
    };
}

retimed! {
    insert(InsertJobs) -> InsertedJobs;
    claim(ClaimJobs) -> ClaimedJobs;
    renew(RenewLeases) -> RenewedLeases;
    settle(SettleJobs) -> SettledJobs;
    recover(RecoverJobs) -> RecoveredJobs;
    cancel(CancelJobs) -> Vec<CancelStatus>;
    prune(PruneJobs) -> PrunedJobs;
}
