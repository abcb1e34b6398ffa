use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::guide_store::{Keys, Rows, steps};
use backgroundjobs_core::*;
use parking_lot::{Mutex, MutexGuard};

/// What is stored. It stands for the file or the database: handles on the same data are the same store.
#[derive(Clone, Debug, Default)]
pub struct Data {
    state: Arc<Mutex<State>>,
    hub: WakeHub,
}

#[derive(Debug, Default)]
struct State {
    rows: Rows,
    keys: Keys,
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

impl State {
    /// One step of one job; `None` when there is no such job.
    fn step<T>(&mut self, id: JobId, step: impl FnOnce(&mut JobRecord) -> T) -> Option<T> {
        let mut job = self.rows.take(id)?;
        let answer = step(&mut job);
        self.keys.after_step(&job);
        self.rows.put(job);
        Some(answer)
    }

    fn add(&mut self, job: JobRecord, now: Timestamp) {
        self.keys.take(&job, now);
        self.rows.put(job);
    }

    fn insert(&mut self, jobs: &[NewJob], now: Timestamp) -> Result<Vec<Inserted>, StoreError> {
        // A small state of its own for this batch: later jobs see it (I-5), and a conflict forgets it (I-3).
        let mut batch = Self::default();
        let mut answers = Vec::with_capacity(jobs.len());
        for (index, job) in jobs.iter().enumerate() {
            let (id, unique) = (job.id, job.unique.as_ref());
            let answer = if let Some(there) = self.rows.get(id).or_else(|| batch.rows.get(id)) {
                if there.kind != job.kind || there.args != job.args {
                    let message = format!("the id {id} belongs to a job of another kind or other args");
                    let kind = StoreErrorKind::Conflict { index };
                    return Err(StoreError::new(StoreOperation::Insert, kind, message));
                }
                Inserted::Existing(id)
            } else if let Some(holder) =
                self.keys.holder(unique, now).or_else(|| batch.keys.holder(unique, now))
            {
                Inserted::Existing(holder)
            } else {
                batch.add(JobRecord::inserted(job.clone(), now), now);
                Inserted::New
            };
            answers.push(answer);
        }
        for job in jobs.iter().filter_map(|job| batch.rows.take(job.id)) {
            self.add(job, now);
        }
        Ok(answers)
    }

    fn claim(&mut self, request: &ClaimJobs, now: Timestamp) -> Vec<ClaimedQueue> {
        let mut held = if request.repeated { self.held_by(request.claim_id) } else { Vec::new() };
        held.sort_by_key(|job| (Reverse(job.priority), job.run_at, job.id));
        let answer = |demand: &QueueDemand| {
            if held.is_empty() {
                return self.claim_queue(demand, request, now);
            }
            let jobs = held.iter().filter(|job| job.queue == demand.queue).map(ClaimedJob::from_record);
            ClaimedQueue { jobs: jobs.collect(), more: true, next_due: None, paused: false }
        };
        request.queues.iter().map(answer).collect()
    }

    /// What still runs under a claim. Looks through all that runs: a claim is seldom repeated.
    fn held_by(&self, claim: ClaimId) -> Vec<JobRecord> {
        let running = self.rows.leases().iter().filter_map(|(_, id)| self.rows.get(*id));
        running
            .filter(|job| job.lease.as_ref().is_some_and(|lease| lease.claim_id == claim))
            .cloned()
            .collect()
    }

    fn claim_queue(&mut self, demand: &QueueDemand, request: &ClaimJobs, now: Timestamp) -> ClaimedQueue {
        let QueueDemand { queue, limit } = demand;
        let mut due = self.rows.due(queue, &request.kinds, now, limit.saturating_add(1));
        let more = due.len() > *limit;
        due.truncate(*limit);
        let claim = |id| self.step(id, |job| steps::claim(job, request, now));
        let jobs = due.into_iter().filter_map(claim).collect();
        let next_due = if more { None } else { self.rows.next_due(queue, &request.kinds) };
        ClaimedQueue { jobs, more, next_due, paused: false }
    }

    fn next_expiry(&self) -> Option<Timestamp> {
        self.rows.leases().first().map(|(until, _)| *until)
    }

    fn prune(&mut self, request: &PruneJobs, now: Timestamp) -> PrunedJobs {
        self.keys.clear(now, request.limit);
        let (mut removed, mut next_prune) = (0, None);
        for state in JobState::ALL {
            let Some(keep) = request.retention.of(state) else { continue };
            while let Some(((finished_at, id), count)) = self.rows.first_ended(state) {
                let is_surplus = keep.max_count.is_some_and(|most| count > most);
                let goes_at = if is_surplus { Some(now) } else { too_old_at(finished_at, keep.max_age) };
                if removed == request.limit || goes_at.is_none_or(|at| at > now) {
                    // Those after it go no earlier, so it says when there is more to do.
                    next_prune = [next_prune, goes_at].into_iter().flatten().min();
                    break;
                }
                self.rows.take(id);
                removed += 1;
            }
        }
        PrunedJobs { store_now: now, removed, next_prune }
    }
}

/// The first instant at which a job has been over for longer than `max_age`; `None` if there is none.
fn too_old_at(finished_at: Timestamp, max_age: Option<Duration>) -> Option<Timestamp> {
    let instant = finished_at + max_age? + Duration::from_micros(1);
    // The sum may have been cut at the end of time.
    (instant.since(finished_at) > max_age?).then_some(instant)
}
