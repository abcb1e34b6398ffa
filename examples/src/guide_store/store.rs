use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::guide_store::{State, steps};
use backgroundjobs_core::*;
use parking_lot::{Mutex, MutexGuard};

/// What is stored. It stands for the file or the database: handles on the same data are the same store.
#[derive(Clone, Debug, Default)]
pub struct Data {
    state: Arc<Mutex<State>>,
    hub: WakeHub,
}

/// One handle on some data.
#[derive(Debug)]
pub struct GuideStore {
    data: Data,
    clock: Option<Arc<dyn Clock>>,
    closed: AtomicBool,
}

impl GuideStore {
    /// On its callers' time, or on that of a clock.
    pub fn open(data: Data, clock: Option<Arc<dyn Clock>>) -> Self {
        Self { data, clock, closed: AtomicBool::new(false) }
    }

    /// The store's time, of a request that brings its own.
    fn now(&self, given: Timestamp) -> Timestamp {
        self.clock.as_ref().map_or(given, |clock| clock.now())
    }

    /// The state, for one whole call.
    fn state(&self, operation: StoreOperation) -> Result<MutexGuard<'_, State>, StoreError> {
        if self.closed.load(Ordering::Acquire) {
            let message = "this handle was closed; open another on the same data";
            return Err(StoreError::new(operation, StoreErrorKind::Closed, message));
        }
        Ok(self.data.state.lock())
    }
}

#[async_trait]
impl JobStore for GuideStore {
    fn profile(&self) -> StoreProfile {
        let time = if self.clock.is_some() { TimeSource::Own } else { TimeSource::Given };
        // Its data is there for whoever opens it again. Of a store that loses it leave `lasting` out.
        StoreProfile::in_process("guide").time(time).lasting()
    }

    async fn prepare(&self) -> Result<(), StoreError> {
        self.state(StoreOperation::Prepare).map(drop)
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.closed.store(true, Ordering::Release);
        Ok(())
    }

    async fn insert(&self, request: &InsertJobs) -> Result<InsertedJobs, StoreError> {
        let (mut state, now) = (self.state(StoreOperation::Insert)?, self.now(request.now));
        Ok(InsertedJobs { store_now: now, jobs: state.insert(&request.jobs, now)? })
    }

    async fn get(&self, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>, StoreError> {
        let state = self.state(StoreOperation::Get)?;
        Ok(ids.iter().map(|id| state.rows.get(*id).cloned()).collect())
    }

    async fn claim(&self, request: &ClaimJobs) -> Result<ClaimedJobs, StoreError> {
        let (mut state, now) = (self.state(StoreOperation::Claim)?, self.now(request.now));
        let queues = state.claim(request, now);
        Ok(ClaimedJobs { store_now: now, queues, next_expiry: state.next_expiry() })
    }

    async fn settle(&self, request: &SettleJobs) -> Result<SettledJobs, StoreError> {
        let (mut state, now) = (self.state(StoreOperation::Settle)?, self.now(request.now));
        let mut settle = |Settlement { lease, outcome }: &Settlement| {
            let settled = state.step(lease.id, |job| steps::settle(job, lease.generation, outcome, now));
            settled.unwrap_or(Settled::Lost)
        };
        Ok(SettledJobs { store_now: now, jobs: request.outcomes.iter().map(&mut settle).collect() })
    }

    async fn cancel(&self, request: &CancelJobs) -> Result<Vec<CancelStatus>, StoreError> {
        let (mut state, now) = (self.state(StoreOperation::Cancel)?, self.now(request.now));
        let cancel = |id| state.step(id, |job| steps::cancel(job, now)).unwrap_or(CancelStatus::Unknown);
        Ok(request.ids.iter().copied().map(cancel).collect())
    }

    async fn renew(&self, request: &RenewLeases) -> Result<RenewedLeases, StoreError> {
        let (mut state, now) = (self.state(StoreOperation::Renew)?, self.now(request.now));
        let renew = |lease: &LeaseKey| {
            let until = now + request.lease;
            let held = state.step(lease.id, |job| steps::renew(job, lease.generation, until));
            held.unwrap_or(LeaseStatus::Lost)
        };
        Ok(RenewedLeases { store_now: now, leases: request.leases.iter().map(renew).collect() })
    }

    async fn recover(&self, request: &RecoverJobs) -> Result<RecoveredJobs, StoreError> {
        let (mut state, now) = (self.state(StoreOperation::Recover)?, self.now(request.now));
        let over = state.rows.leases().iter().take_while(|(until, _)| *until <= now);
        let ids: Vec<JobId> = over.take(request.limit as usize).map(|(_, id)| *id).collect();
        let recover = |id| state.step(id, |job| steps::recover(job, request.crash_backoff, now));
        let jobs = ids.into_iter().filter_map(recover).collect();
        Ok(RecoveredJobs { store_now: now, jobs, next_expiry: state.next_expiry() })
    }

    async fn prune(&self, request: &PruneJobs) -> Result<PrunedJobs, StoreError> {
        let (mut state, now) = (self.state(StoreOperation::Prune)?, self.now(request.now));
        Ok(state.prune(request, now))
    }

    fn local_hub(&self) -> Option<&WakeHub> {
        Some(&self.data.hub)
    }

    fn remote_wakes(&self) -> Option<&dyn RemoteWakes> {
        None // no other process reaches this data
    }

    fn inspect(&self) -> Option<&dyn InspectStore> {
        None // left out
    }

    fn control(&self) -> Option<&dyn ControlStore> {
        None // left out
    }
}
