//! A store as plain as can be, with a switch for each of the bugs that stores tend to have.
//!
//! Without a fault it keeps every clause; with one it breaks just that. It shares no code with any other
//! store, so it also says whether the checks ask for more than the contract does.

#![allow(dead_code, reason = "each test that includes this module uses a part of it")]

mod operate;
mod table;

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use backgroundjobs_core::{
    CancelJobs, CancelStatus, ClaimJobs, ClaimedJobs, ControlStore, Env, InsertJobs, InsertedJobs,
    InspectStore, JobId, JobRecord, JobStore, PruneJobs, PrunedJobs, RecoverJobs, RecoveredJobs, RemoteWakes,
    RenewLeases, RenewedLeases, SettleJobs, SettledJobs, StoreError, StoreErrorKind, StoreOperation,
    StoreProfile, WakeHub,
};
use parking_lot::{Mutex, MutexGuard};
use table::Table;

/// What is wrong with a [`PlantedStore`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// A claim reads the due jobs, is interrupted, and updates them without looking again.
    ClaimSelectsThenUpdates,
    /// A repeated claim hands out more jobs.
    ClaimForgetsItsId,
    /// Jobs are handed out by time alone.
    ClaimIgnoresPriority,
    /// A limit counts for all queues together.
    ClaimSharesItsLimit,
    /// A claim does not let go of a key held until the start.
    ClaimKeepsKey,
    /// `next_due` counts jobs of paused queues.
    NextDueCountsPaused,
    /// `next_due` counts jobs of kinds the worker does not know.
    NextDueCountsForeign,
    /// `next_expiry` tells of the leases of this claim only.
    NextExpiryIsMine,
    /// An insert looks at the keys, is interrupted, and stores without looking again.
    InsertLooksThenStores,
    /// A conflict leaves the jobs before it stored.
    InsertKeepsHalfABatch,
    /// White space around args is lost.
    InsertTrimsArgs,
    /// An old claim may settle a newer one's run.
    SettleIgnoresGeneration,
    /// A settle whose job moved on is Lost when it is repeated.
    SettleForgetsRepeats,
    /// A settle counts only while the lease lasts.
    SettleNeedsALease,
    /// A retry takes the job's key again.
    RetryRetakesKey,
    /// A retry takes a flagged job back to Waiting.
    RetryForgetsCancel,
    /// Crashes are counted since the beginning, not in a row.
    CrashesAreForEver,
    /// A lease that ran out cannot be renewed.
    RenewRefusesLate,
    /// Hearing of a cancel does not hold the lease.
    RenewDropsFlagged,
    /// A recover reads the lost jobs, is interrupted, and updates them without looking again.
    RecoverSelectsThenUpdates,
    /// A recover takes a flagged job back to Waiting.
    RecoverForgetsCancel,
    /// A recover takes a job back only after the end of its lease, not at it.
    RecoverIsLate,
    /// A key held for a time lasts a microsecond too long.
    KeyEndsLate,
    /// A pruned job takes its key along.
    PruneDropsKeys,
    /// A job goes when it is just as old as allowed.
    PruneIsInclusive,
    /// The latest jobs are counted over all states.
    PruneCountsTogether,
    /// Pausing again moves the instant.
    PauseMoves,
    /// A requeued job keeps its flag.
    RequeueKeepsFlag,
    /// A page starts with the job that ended the last.
    PagesOverlap,
    /// An announcement made while a claim is in flight reaches nobody. Every clause that one call can show is
    /// kept; only a worker that waits too long shows it.
    WakeLost,
}

/// A naive store in memory.
#[derive(Debug)]
pub(crate) struct PlantedStore {
    fault: Fault,
    table: Mutex<Table>,
    closed: AtomicBool,
    hub: WakeHub,
    /// Nobody listens to it.
    dead_hub: WakeHub,
    claims_in_flight: AtomicUsize,
    env: Option<Env>,
}

/// Counts a claim in flight for as long as it lives.
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
    pub(crate) fn new(fault: Fault) -> Self {
        Self {
            fault,
            table: Mutex::new(Table::new(fault)),
            closed: AtomicBool::new(false),
            hub: WakeHub::new(),
            dead_hub: WakeHub::new(),
            claims_in_flight: AtomicUsize::new(0),
            env: None,
        }
    }

    /// With calls that take a microsecond of virtual time, so that a scheduler lets others in between.
    pub(crate) fn slow(fault: Fault, env: Env) -> Self {
        Self { env: Some(env), ..Self::new(fault) }
    }

    /// Lets other tasks go first, once.
    async fn step_aside(&self) {
        if let Some(env) = &self.env {
            return env.sleep(Duration::from_micros(1)).await;
        }
        let mut stepped = false;
        poll_fn(|task| {
            if std::mem::replace(&mut stepped, true) {
                return Poll::Ready(());
            }
            task.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    fn open(&self, operation: StoreOperation) -> Result<MutexGuard<'_, Table>, StoreError> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(StoreError::new(operation, StoreErrorKind::Closed, "it was closed"));
        }
        Ok(self.table.lock())
    }
}

#[async_trait]
impl JobStore for PlantedStore {
    fn profile(&self) -> StoreProfile {
        StoreProfile::in_process("planted")
    }

    async fn prepare(&self) -> Result<(), StoreError> {
        self.open(StoreOperation::Prepare).map(drop)
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.closed.store(true, Ordering::SeqCst);
        Ok(())
    }

    async fn insert(&self, request: &InsertJobs) -> Result<InsertedJobs, StoreError> {
        let jobs = if self.fault == Fault::InsertLooksThenStores {
            let seen = self.open(StoreOperation::Insert)?.clone();
            self.step_aside().await;
            self.open(StoreOperation::Insert)?.insert_as_seen(&seen, request)?
        } else {
            self.open(StoreOperation::Insert)?.insert(request)?
        };
        Ok(InsertedJobs { store_now: request.now, jobs })
    }

    async fn claim(&self, request: &ClaimJobs) -> Result<ClaimedJobs, StoreError> {
        let _in_flight = InFlight::enter(&self.claims_in_flight);
        match self.fault {
            Fault::ClaimSelectsThenUpdates => {
                let due = self.open(StoreOperation::Claim)?.due(request);
                self.step_aside().await;
                Ok(self.open(StoreOperation::Claim)?.hand_out(request, due))
            }
            _ => {
                let reply = self.open(StoreOperation::Claim)?.claim(request);
                if self.fault == Fault::WakeLost || self.env.is_some() {
                    self.step_aside().await;
                }
                Ok(reply)
            }
        }
    }

    async fn renew(&self, request: &RenewLeases) -> Result<RenewedLeases, StoreError> {
        let mut table = self.open(StoreOperation::Renew)?;
        let leases = request.leases.iter().map(|lease| table.renew(request, *lease)).collect();
        Ok(RenewedLeases { store_now: request.now, leases })
    }

    async fn settle(&self, request: &SettleJobs) -> Result<SettledJobs, StoreError> {
        let mut table = self.open(StoreOperation::Settle)?;
        let jobs = request.outcomes.iter().map(|end| table.settle(request.now, end)).collect();
        Ok(SettledJobs { store_now: request.now, jobs })
    }

    async fn recover(&self, request: &RecoverJobs) -> Result<RecoveredJobs, StoreError> {
        let lost = self.open(StoreOperation::Recover)?.lost(request);
        if self.fault == Fault::RecoverSelectsThenUpdates {
            self.step_aside().await;
            return Ok(self.open(StoreOperation::Recover)?.take_back(request, &lost));
        }
        let mut table = self.open(StoreOperation::Recover)?;
        let lost = table.lost(request);
        Ok(table.take_back(request, &lost))
    }

    async fn cancel(&self, request: &CancelJobs) -> Result<Vec<CancelStatus>, StoreError> {
        let mut table = self.open(StoreOperation::Cancel)?;
        Ok(request.ids.iter().map(|id| table.cancel(request.now, *id)).collect())
    }

    async fn get(&self, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>, StoreError> {
        let table = self.open(StoreOperation::Get)?;
        Ok(ids.iter().map(|id| table.jobs.get(id).cloned()).collect())
    }

    async fn prune(&self, request: &PruneJobs) -> Result<PrunedJobs, StoreError> {
        Ok(self.open(StoreOperation::Prune)?.prune(request))
    }

    fn local_hub(&self) -> Option<&WakeHub> {
        let lost = self.fault == Fault::WakeLost && self.claims_in_flight.load(Ordering::SeqCst) > 0;
        Some(if lost { &self.dead_hub } else { &self.hub })
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
