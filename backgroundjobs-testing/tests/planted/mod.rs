//! A store as plain as can be, with a switch for each of the bugs that stores tend to have.
//!
//! Without a fault it keeps every clause; with one it breaks just that. It shares no code with any other
//! store, so it also says whether the checks ask for more than the contract does.

#![allow(dead_code, reason = "each test that includes this module uses a part of it")]

mod claim;
mod clear;
mod handles;
mod interrupted;
mod mutants;
mod operate;
mod settle;
mod table;
mod wakes;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use backgroundjobs_core::{
    CancelJobs, CancelStatus, ClaimJobs, ClaimedJobs, ControlStore, Env, InsertJobs, InsertedJobs,
    InspectStore, JobId, JobRecord, JobState, JobStore, LeaseStatus, Outcome, PruneJobs, PrunedJobs,
    RecoverJobs, RecoveredJobs, RemoteWakes, RenewLeases, RenewedLeases, SettleJobs, Settled, SettledJobs,
    StoreError, StoreErrorKind, StoreOperation, StoreProfile, Timestamp, WakeHub, step_aside,
};
use parking_lot::{Mutex, MutexGuard};
use table::Table;
#[allow(unused_imports, reason = "each test that includes this module uses a part of it")]
pub(crate) use {
    handles::on_own_time,
    mutants::{MUTANTS, Mutant, Planted},
};

/// A naive store in memory.
#[derive(Debug)]
pub(crate) struct PlantedStore {
    mutant: Mutant,
    table: Arc<Mutex<Table>>,
    closed: AtomicBool,
    hub: WakeHub,
    /// Nobody listens to it.
    dead_hub: WakeHub,
    claims_in_flight: AtomicUsize,
    /// Of all handles.
    inserts_in_flight: Arc<AtomicUsize>,
    env: Option<Env>,
    wakes: wakes::Wakes,
    /// What mutants leave behind.
    mark: AtomicBool,
    places: AtomicUsize,
    is_first: bool,
    is_reopened: bool,
}

/// Counts a call in flight for as long as it lives.
struct InFlight<'a>(&'a AtomicUsize);

impl<'a> InFlight<'a> {
    fn enter(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl PlantedStore {
    pub(crate) fn new(mutant: Mutant) -> Self {
        Self {
            mutant,
            table: Arc::new(Mutex::new(Table::new(mutant))),
            closed: AtomicBool::new(false),
            hub: WakeHub::new(),
            dead_hub: WakeHub::new(),
            claims_in_flight: AtomicUsize::new(0),
            inserts_in_flight: Arc::default(),
            env: None,
            wakes: wakes::Wakes::default(),
            mark: AtomicBool::new(false),
            places: AtomicUsize::new(0),
            is_first: true,
            is_reopened: false,
        }
    }

    /// With calls that take a microsecond of virtual time, so that a scheduler lets others in between.
    pub(crate) fn slow(mutant: Mutant, env: Env) -> Self {
        Self { env: Some(env), ..Self::new(mutant) }
    }

    /// Lets other tasks go first, once.
    async fn step_aside(&self) {
        if let Some(env) = &self.env {
            return env.sleep(Duration::from_micros(1)).await;
        }
        step_aside().await;
    }

    fn open(&self, operation: StoreOperation) -> Result<MutexGuard<'_, Table>, StoreError> {
        use StoreOperation as Op;
        let works_on = match self.mutant {
            Mutant::ClosedStoreGoesOn => true,
            Mutant::ClosedStoreShows => matches!(operation, Op::Count | Op::List | Op::Queues),
            Mutant::ClosedStoreObeys => {
                matches!(operation, Op::Requeue | Op::Delete | Op::Pause | Op::Resume)
            }
            _ => false,
        };
        if self.closed.load(Ordering::SeqCst) && !works_on {
            return Err(StoreError::new(operation, StoreErrorKind::Closed, "it was closed"));
        }
        Ok(self.table.lock())
    }

    /// The table, for a call at this time.
    fn open_at(
        &self,
        operation: StoreOperation,
        now: Timestamp,
    ) -> Result<MutexGuard<'_, Table>, StoreError> {
        let mut table = self.open(operation)?;
        table.hear(operation, now)?;
        Ok(table)
    }
}

#[async_trait]
impl JobStore for PlantedStore {
    fn profile(&self) -> StoreProfile {
        let profile = match self.mutant {
            Mutant::ProfileHidesThatItLasts => StoreProfile::in_process("planted"),
            _ => StoreProfile::in_process("planted").lasting(),
        };
        let changes = self.mutant == Mutant::ProfileChanges && !self.table.lock().jobs.is_empty();
        if changes { profile.poll_interval(Duration::from_secs(1)) } else { profile }
    }

    async fn prepare(&self) -> Result<(), StoreError> {
        if self.mutant == Mutant::ClosedStoreReopens {
            self.closed.store(false, Ordering::SeqCst);
        }
        if self.mutant == Mutant::PrepareLeavesHalf {
            self.prepare_in_two_steps().await?;
        }
        let mut table = self.open(StoreOperation::Prepare)?;
        let opens = self.mutant == Mutant::OpeningRecovers && self.mark();
        if self.mutant == Mutant::PrepareRecovers || opens {
            for job in table.jobs.values_mut().filter(|job| job.state == JobState::Running) {
                (job.state, job.lease, job.crashes) = (JobState::Waiting, None, job.crashes + 1);
            }
        }
        Ok(())
    }

    async fn close(&self) -> Result<(), StoreError> {
        if self.mutant == Mutant::CloseIsBelieved && !self.mark() {
            return Ok(());
        }
        if self.mutant == Mutant::CloseIsBelieved {
            self.step_aside().await;
        }
        let before = self.closed.swap(true, Ordering::SeqCst);
        self.wakes.tell();
        if before && self.mutant == Mutant::CloseOnlyOnce {
            return Err(StoreError::new(StoreOperation::Close, StoreErrorKind::Closed, "it was closed"));
        }
        Ok(())
    }

    async fn insert(&self, request: &InsertJobs) -> Result<InsertedJobs, StoreError> {
        let _in_flight = InFlight::enter(&self.inserts_in_flight);
        let jobs = match self.mutant {
            Mutant::GivenUpKeepTheirPlaces => self.insert_in_its_place(request).await?,
            Mutant::InsertForgetsBesideOthers => self.insert_alone(request).await?,
            Mutant::InsertLooksThenStores | Mutant::InsertLooksForIdsOnce => {
                self.look_then_insert(request).await?
            }
            Mutant::LapsedKeyIsLookedAtOnce if self.finds_a_lapsed_key(request) => {
                self.look_then_insert(request).await?
            }
            Mutant::InsertStoresOneByOne => self.insert_one_by_one(request).await?,
            Mutant::InsertDeadlocks => self.insert_under_locks(request).await?,
            _ => self.open_at(StoreOperation::Insert, request.now)?.insert(request)?,
        };
        Ok(InsertedJobs { store_now: request.now, jobs })
    }

    async fn claim(&self, request: &ClaimJobs) -> Result<ClaimedJobs, StoreError> {
        let _in_flight = InFlight::enter(&self.claims_in_flight);
        if self.mutant == Mutant::ClaimSelectsThenUpdates {
            let due = self.open_at(StoreOperation::Claim, request.now)?.due(request);
            self.step_aside().await;
            return Ok(self.open(StoreOperation::Claim)?.hand_out(request, due));
        }
        match self.mutant {
            Mutant::ClaimHandsOutOneByOne => self.hand_out_one_by_one(request).await?,
            Mutant::ClaimMarksFirst => self.mark_then_hand_out(request).await?,
            // Only a first claim waits, so its repeat overtakes it.
            Mutant::ClaimTrustsThatItIsFirst if !request.repeated => self.step_aside().await,
            _ => {}
        }
        let reply = self.open_at(StoreOperation::Claim, request.now)?.claim(request);
        if self.mutant == Mutant::WakeLost || self.env.is_some() {
            self.step_aside().await;
        }
        Ok(reply)
    }

    async fn renew(&self, request: &RenewLeases) -> Result<RenewedLeases, StoreError> {
        if self.mutant == Mutant::RenewMarksFirst {
            self.mark_then_renew(request).await?;
        }
        if self.mutant == Mutant::RenewLooksThenHolds {
            return self.look_then_hold(request).await;
        }
        let mut table = self.open_at(StoreOperation::Renew, request.now)?;
        let unknown = request.leases.iter().any(|lease| !table.jobs.contains_key(&lease.id));
        if unknown && self.mutant == Mutant::UnknownIdFails {
            return Err(StoreError::new(StoreOperation::Renew, StoreErrorKind::Other, "no such job"));
        }
        let mut leases = request.leases.clone();
        if self.mutant == Mutant::RenewAnswersInItsOrder {
            leases.sort_unstable();
        }
        let ends_at = if self.mutant == Mutant::RenewEndsAt999 { 999 } else { usize::MAX };
        let renew = |(index, lease)| match index < ends_at {
            true => table.renew(request, lease),
            false => LeaseStatus::Lost,
        };
        let leases = leases.into_iter().enumerate().map(renew).collect();
        Ok(RenewedLeases { store_now: request.now, leases })
    }

    async fn settle(&self, request: &SettleJobs) -> Result<SettledJobs, StoreError> {
        if self.mutant == Mutant::SettleLooksThenUpdates {
            return self.look_then_settle(request).await;
        }
        if self.mutant == Mutant::SettleRecordsFirst {
            self.record_then_settle(request).await?;
        }
        let retries = request.outcomes.iter().any(|end| matches!(end.outcome, Outcome::Retry { .. }));
        assert!(!retries || self.mutant != Mutant::RetryPanics, "attempt to add with overflow");
        let mut table = self.open_at(StoreOperation::Settle, request.now)?;
        let mut jobs = Vec::new();
        for end in &request.outcomes {
            let stops = self.mutant == Mutant::SettleStopsAtLost && jobs.contains(&Settled::Lost);
            jobs.push(if stops { Settled::Lost } else { table.settle(request.now, end) });
        }
        Ok(SettledJobs { store_now: request.now, jobs })
    }

    async fn recover(&self, request: &RecoverJobs) -> Result<RecoveredJobs, StoreError> {
        if self.mutant == Mutant::RecoverSelectsThenUpdates {
            let lost = self.open_at(StoreOperation::Recover, request.now)?.lost(request);
            self.step_aside().await;
            return Ok(self.open(StoreOperation::Recover)?.take_back(request, &lost));
        }
        if self.mutant == Mutant::RecoverCountsFirst {
            self.count_then_recover(request).await?;
        }
        let mut table = self.open_at(StoreOperation::Recover, request.now)?;
        let lost = table.lost(request);
        Ok(table.take_back(request, &lost))
    }

    async fn cancel(&self, request: &CancelJobs) -> Result<Vec<CancelStatus>, StoreError> {
        if self.mutant == Mutant::CancelLooksThenFlags {
            return self.look_then_cancel(request).await;
        }
        if self.mutant == Mutant::CancelKeepsKeyFirst {
            return self.cancel_then_drop_keys(request).await;
        }
        let mut table = self.open_at(StoreOperation::Cancel, request.now)?;
        Ok(request.ids.iter().map(|id| table.cancel(request.now, *id)).collect())
    }

    async fn get(&self, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>, StoreError> {
        if self.mutant == Mutant::LookLeavesItsLock {
            self.lock_and_look().await?;
        }
        let table = self.open(StoreOperation::Get)?;
        let crashed = |id| table.jobs.get(id).is_some_and(|job| job.crashes > 0);
        if self.mutant == Mutant::GetFailsAfterCrash && ids.iter().any(crashed) {
            let kind = StoreErrorKind::Corrupt;
            return Err(StoreError::new(StoreOperation::Get, kind, "column `failures` is null"));
        }
        let mut ids = ids.to_vec();
        if self.mutant == Mutant::GetAnswersInItsOrder {
            ids.sort_unstable();
        }
        Ok(ids.iter().map(|id| table.jobs.get(id).cloned()).collect())
    }

    async fn prune(&self, request: &PruneJobs) -> Result<PrunedJobs, StoreError> {
        if self.mutant == Mutant::PruneTakesFailuresFirst {
            self.empty_then_prune(request).await?;
        }
        if self.mutant == Mutant::PruneSelectsThenDeletes {
            return self.select_then_prune(request).await;
        }
        Ok(self.open_at(StoreOperation::Prune, request.now)?.prune(request))
    }

    fn local_hub(&self) -> Option<&WakeHub> {
        let lost = self.mutant == Mutant::WakeLost && self.claims_in_flight.load(Ordering::SeqCst) > 0;
        let hub = if lost { &self.dead_hub } else { &self.hub };
        (self.mutant != Mutant::ProfileWithoutWake).then_some(hub)
    }

    fn remote_wakes(&self) -> Option<&dyn RemoteWakes> {
        Some(self)
    }

    fn inspect(&self) -> Option<&dyn InspectStore> {
        let is_closed = self.closed.load(Ordering::SeqCst);
        let has_none = match self.mutant {
            Mutant::InspectEndsWithClose => is_closed,
            Mutant::ReopenForgetsInspect => self.is_reopened,
            _ => false,
        };
        (!has_none).then_some(self as &dyn InspectStore)
    }

    fn control(&self) -> Option<&dyn ControlStore> {
        let has_none = self.mutant == Mutant::ControlIsTheFirsts && !self.is_first;
        (!has_none).then_some(self as &dyn ControlStore)
    }
}
