//! [`MapStore`]: a complete store in one file, written against the contract on [`JobStore`] and nothing else.
//!
//! All jobs lie in one map behind one lock, and every question is answered by looking through the map. That
//! makes each call atomic and easy to believe. It costs what the map holds at every call, so clauses C-8 and
//! F-5 (no call's work grows with jobs that it is not about) are the two that this store breaks: it is good for
//! some thousands of jobs. A store for more keeps indexes, or lets a database keep them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backgroundjobs_core::{
    CancelJobs, CancelStatus, ClaimJobs, ClaimedJob, ClaimedJobs, ClaimedQueue, ControlStore, CountJobs,
    DeleteStatus, Failure, FailureKind, InsertJobs, Inserted, InsertedJobs, InspectStore, JobCount,
    JobCounts, JobCursor, JobFilter, JobId, JobPage, JobRecord, JobState, JobStore, JobSummary, KeyHold,
    Lease, LeaseKey, LeaseStatus, ListJobs, Outcome, PruneJobs, PrunedJobs, QueueDemand, QueueFacts,
    QueueName, RecordedFailure, RecoverJobs, RecoveredJob, RecoveredJobs, RemoteWakes, RenewLeases,
    RenewedLeases, RequeueStatus, RequeuedJobs, SettleJobs, Settled, SettledJobs, Settlement, StoreError,
    StoreErrorKind, StoreOperation, StoreProfile, Timestamp, UniqueKey, WakeHub, limits, recovered_state,
};
use parking_lot::{Mutex, MutexGuard};

/// Keeps jobs in a map, in the memory of this process.
#[derive(Debug, Default)]
pub(crate) struct MapStore {
    state: Mutex<State>,
    /// Only handed out: the runtime announces each change after this store has made it.
    hub: WakeHub,
}

#[derive(Debug, Default)]
struct State {
    jobs: BTreeMap<JobId, JobRecord>,
    /// The unique keys that are held. A key held for a time outlives its job, so it cannot lie in the job.
    keys: HashMap<Arc<str>, HeldKey>,
    /// The paused queues, and since when.
    paused: BTreeMap<QueueName, Timestamp>,
    closed: bool,
}

#[derive(Debug)]
struct HeldKey {
    job: JobId,
    /// `None` until its job lets go of it.
    until: Option<Timestamp>,
}

impl MapStore {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The state for one whole call, unless the store is closed.
    fn open(&self, operation: StoreOperation) -> Result<MutexGuard<'_, State>, StoreError> {
        let state = self.state.lock();
        if state.closed {
            return Err(StoreError::new(operation, StoreErrorKind::Closed, "this store was closed"));
        }
        Ok(state)
    }
}

#[async_trait]
impl JobStore for MapStore {
    fn profile(&self) -> StoreProfile {
        StoreProfile::in_process("map")
    }

    async fn prepare(&self) -> Result<(), StoreError> {
        self.open(StoreOperation::Prepare).map(drop)
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.state.lock().closed = true;
        Ok(())
    }

    async fn insert(&self, request: &InsertJobs) -> Result<InsertedJobs, StoreError> {
        self.open(StoreOperation::Insert)?.insert(request)
    }

    async fn claim(&self, request: &ClaimJobs) -> Result<ClaimedJobs, StoreError> {
        Ok(self.open(StoreOperation::Claim)?.claim(request))
    }

    async fn renew(&self, request: &RenewLeases) -> Result<RenewedLeases, StoreError> {
        let mut state = self.open(StoreOperation::Renew)?;
        let until = request.now + request.lease;
        let leases = request.leases.iter().map(|lease| state.renew_one(*lease, until)).collect();
        Ok(RenewedLeases { store_now: request.now, leases })
    }

    async fn settle(&self, request: &SettleJobs) -> Result<SettledJobs, StoreError> {
        let mut state = self.open(StoreOperation::Settle)?;
        let jobs = request.outcomes.iter().map(|end| state.settle_one(end, request.now)).collect();
        Ok(SettledJobs { store_now: request.now, jobs })
    }

    async fn recover(&self, request: &RecoverJobs) -> Result<RecoveredJobs, StoreError> {
        Ok(self.open(StoreOperation::Recover)?.recover(request))
    }

    async fn cancel(&self, request: &CancelJobs) -> Result<Vec<CancelStatus>, StoreError> {
        let mut state = self.open(StoreOperation::Cancel)?;
        Ok(request.ids.iter().map(|id| state.cancel_one(*id, request.now)).collect())
    }

    async fn get(&self, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>, StoreError> {
        let state = self.open(StoreOperation::Get)?;
        Ok(ids.iter().map(|id| state.jobs.get(id).cloned()).collect())
    }

    async fn prune(&self, request: &PruneJobs) -> Result<PrunedJobs, StoreError> {
        Ok(self.open(StoreOperation::Prune)?.prune(request))
    }

    fn local_hub(&self) -> Option<&WakeHub> {
        Some(&self.hub)
    }

    fn remote_wakes(&self) -> Option<&dyn RemoteWakes> {
        None // No other process can reach this store.
    }

    fn inspect(&self) -> Option<&dyn InspectStore> {
        Some(self)
    }

    fn control(&self) -> Option<&dyn ControlStore> {
        Some(self)
    }
}

impl State {
    fn insert(&mut self, request: &InsertJobs) -> Result<InsertedJobs, StoreError> {
        let now = request.now;
        self.keys.retain(|_, held| held.until.is_none_or(|until| until > now));
        let mut answers = Vec::new();
        let mut added = Vec::new();
        for (index, job) in request.jobs.iter().enumerate() {
            if let Some(there) = self.jobs.get(&job.id) {
                if there.kind != job.kind || there.args != job.args {
                    added.into_iter().for_each(|id| self.erase(id));
                    let message = format!("the id {} belongs to a job of another kind or other args", job.id);
                    let kind = StoreErrorKind::Conflict { index };
                    return Err(StoreError::new(StoreOperation::Insert, kind, message));
                }
                answers.push(Inserted::Existing(job.id));
            } else if let Some(holder) = self.holder(job.unique.as_ref(), now) {
                answers.push(Inserted::Existing(holder));
            } else {
                self.hold(job.unique.as_ref(), job.id, now);
                self.jobs.insert(job.id, JobRecord::inserted(job.clone(), now));
                added.push(job.id);
                answers.push(Inserted::New);
            }
        }
        Ok(InsertedJobs { store_now: now, jobs: answers })
    }

    fn claim(&mut self, request: &ClaimJobs) -> ClaimedJobs {
        let repeats = request.repeated && self.jobs.values().any(|job| is_of_claim(job, request));
        let queue = |demand| {
            if repeats { self.claim_again(request, demand) } else { self.claim_queue(request, demand) }
        };
        let queues = request.queues.iter().map(queue).collect();
        ClaimedJobs { store_now: request.now, queues, next_expiry: self.next_expiry() }
    }

    fn claim_queue(&mut self, request: &ClaimJobs, demand: &QueueDemand) -> ClaimedQueue {
        if self.paused.contains_key(&demand.queue) {
            return ClaimedQueue { paused: true, ..ClaimedQueue::default() };
        }
        let asked = |job: &JobRecord| {
            job.state == JobState::Waiting && job.queue == demand.queue && request.kinds.contains(&job.kind)
        };
        let due = self.ids_in_order(|job| asked(job) && job.run_at <= request.now);
        let more = due.len() > demand.limit;
        let jobs = due.into_iter().take(demand.limit).map(|id| self.claim_one(id, request)).collect();
        let waiting = self.jobs.values().filter(|job| asked(job));
        let next_due = if more { None } else { waiting.map(|job| job.run_at).min() };
        ClaimedQueue { jobs, more, next_due, paused: false }
    }

    /// Answers a claim whose first answer was lost: with what still runs under it, and nothing else.
    fn claim_again(&self, request: &ClaimJobs, demand: &QueueDemand) -> ClaimedQueue {
        let ids = self.ids_in_order(|job| is_of_claim(job, request) && job.queue == demand.queue);
        let jobs = ids.iter().map(|id| ClaimedJob::from_record(&self.jobs[id])).collect();
        let paused = self.paused.contains_key(&demand.queue);
        ClaimedQueue { jobs, more: !paused, next_due: None, paused }
    }

    fn claim_one(&mut self, id: JobId, request: &ClaimJobs) -> ClaimedJob {
        let job = self.jobs.get_mut(&id).expect("the caller found it under the same lock");
        job.state = JobState::Running;
        job.generation += 1;
        job.claimed_at = Some(request.now);
        job.lease = Some(Lease::new(request.worker, request.claim_id, request.now + request.lease));
        let claimed = ClaimedJob::from_record(job);
        if job.unique.as_ref().is_some_and(|unique| unique.hold == KeyHold::UntilStarted) {
            self.let_go(id);
        }
        claimed
    }

    /// The jobs that are looked for, in the order in which they should start.
    fn ids_in_order(&self, wanted: impl Fn(&JobRecord) -> bool) -> Vec<JobId> {
        let mut found: Vec<&JobRecord> = self.jobs.values().filter(|job| wanted(job)).collect();
        found.sort_by_key(|job| (Reverse(job.priority), job.run_at, job.id));
        found.into_iter().map(|job| job.id).collect()
    }

    fn renew_one(&mut self, LeaseKey { id, generation }: LeaseKey, until: Timestamp) -> LeaseStatus {
        let Some(job) = self.jobs.get_mut(&id) else { return LeaseStatus::Lost };
        match &mut job.lease {
            Some(lease) if job.generation == generation => {
                lease.until = until;
                if job.cancel_requested { LeaseStatus::CancelRequested } else { LeaseStatus::Held }
            }
            _ => LeaseStatus::Lost,
        }
    }

    fn settle_one(&mut self, Settlement { lease, outcome }: &Settlement, now: Timestamp) -> Settled {
        let Some(job) = self.jobs.get_mut(&lease.id) else { return Settled::Lost };
        if job.state != JobState::Running || job.generation != lease.generation {
            let was_settled_before = lease.generation != 0 && job.settled == lease.generation;
            return if was_settled_before { Settled::Applied { state: job.state } } else { Settled::Lost };
        }
        let state = outcome.settles_to(job.cancel_requested);
        if let Some(failure) = outcome.failure() {
            add_failure(job, failure.clone(), now);
        }
        if matches!(outcome, Outcome::Retry { .. } | Outcome::Fail { .. }) {
            job.attempts = job.attempts.saturating_add(1);
        }
        if !matches!(outcome, Outcome::Release) {
            job.crashes = 0;
        }
        if matches!(outcome, Outcome::Retry { .. } | Outcome::Snooze { .. }) && state == JobState::Waiting {
            job.run_at = now + outcome.delay();
        }
        job.settled = job.generation;
        self.put_down(lease.id, state, now);
        Settled::Applied { state }
    }

    fn recover(&mut self, request: &RecoverJobs) -> RecoveredJobs {
        let leases = self.jobs.values().filter_map(|job| Some((job.lease.as_ref()?.until, job.id)));
        let mut ended: Vec<_> = leases.filter(|(until, _)| *until <= request.now).collect();
        ended.sort_unstable();
        ended.truncate(request.limit as usize);
        let jobs = ended.into_iter().map(|(_, id)| self.recover_one(id, request)).collect();
        RecoveredJobs { store_now: request.now, jobs, next_expiry: self.next_expiry() }
    }

    fn recover_one(&mut self, id: JobId, request: &RecoverJobs) -> RecoveredJob {
        let job = self.jobs.get_mut(&id).expect("the caller found it under the same lock");
        let failure = Failure::new(FailureKind::Crash, "the lease ran out before the run was settled");
        add_failure(job, failure, request.now);
        job.crashes = job.crashes.saturating_add(1);
        let (crashes, kind, queue) = (job.crashes, job.kind.clone(), job.queue.clone());
        let state = recovered_state(crashes, job.max_crashes, job.cancel_requested);
        if state == JobState::Waiting {
            job.run_at = request.now + request.crash_backoff.saturating_mul(crashes.into());
        }
        let run_at = job.run_at;
        self.put_down(id, state, request.now);
        RecoveredJob { id, kind, queue, crashes, state, run_at }
    }

    fn cancel_one(&mut self, id: JobId, now: Timestamp) -> CancelStatus {
        match self.jobs.get_mut(&id) {
            None => CancelStatus::Unknown,
            Some(job) if job.state.is_final() => CancelStatus::Finished(job.state),
            Some(job) if job.state == JobState::Running => {
                job.cancel_requested = true;
                CancelStatus::Requested
            }
            Some(_) => {
                self.put_down(id, JobState::Cancelled, now);
                CancelStatus::Cancelled
            }
        }
    }

    fn prune(&mut self, request: &PruneJobs) -> PrunedJobs {
        let now = request.now;
        let (mut removed, mut next_prune) = (0, None);
        for state in JobState::ALL {
            let Some(keep) = request.retention.of(state) else { continue };
            let jobs = self.jobs.values().filter(|job| job.state == state);
            let mut ended: Vec<_> = jobs.filter_map(|job| Some((job.finished_at?, job.id))).collect();
            ended.sort_unstable();
            let surplus = keep.max_count.map_or(0, |count| (ended.len() as u64).saturating_sub(count));
            for (number, (finished_at, id)) in (0..).zip(ended) {
                let is_too_old = keep.max_age.is_some_and(|age| now.since(finished_at) > age);
                let goes = number < surplus || is_too_old;
                if goes && removed < request.limit {
                    self.jobs.remove(&id);
                    removed += 1;
                    continue;
                }
                // This is the first of its state that is left: those after it go no earlier.
                let then = if goes { Some(now) } else { too_old_at(finished_at, keep.max_age) };
                next_prune = [next_prune, then].into_iter().flatten().min();
                break;
            }
        }
        PrunedJobs { store_now: now, removed, next_prune }
    }

    /// The job runs no longer, or will not run: it waits again, or it is over.
    fn put_down(&mut self, id: JobId, state: JobState, now: Timestamp) {
        let job = self.jobs.get_mut(&id).expect("the caller found it under the same lock");
        job.state = state;
        job.lease = None;
        if state.is_final() {
            job.finished_at = Some(now);
            if job.unique.as_ref().is_some_and(|unique| !matches!(unique.hold, KeyHold::For(_))) {
                self.let_go(id);
            }
        }
    }

    /// Deletes a job that does not run. A key held for a time stays behind if the job is over.
    fn erase(&mut self, id: JobId) {
        if self.jobs.get(&id).is_some_and(|job| job.state == JobState::Waiting) {
            self.let_go(id);
        }
        self.jobs.remove(&id);
    }

    fn next_expiry(&self) -> Option<Timestamp> {
        self.jobs.values().filter_map(|job| job.lease.as_ref()).map(|lease| lease.until).min()
    }

    /// Who holds the key, if there is a key and somebody does.
    fn holder(&self, unique: Option<&UniqueKey>, now: Timestamp) -> Option<JobId> {
        let held = self.keys.get(&unique?.key)?;
        held.until.is_none_or(|until| until > now).then_some(held.job)
    }

    fn hold(&mut self, unique: Option<&UniqueKey>, job: JobId, now: Timestamp) {
        let Some(unique) = unique else { return };
        let until = match unique.hold {
            KeyHold::For(time) => Some(now + time),
            KeyHold::UntilStarted | KeyHold::UntilFinished => None,
        };
        self.keys.insert(unique.key.clone(), HeldKey { job, until });
    }

    /// Frees the job's key if it still is this job's.
    fn let_go(&mut self, id: JobId) {
        if let Some(unique) = self.jobs.get(&id).and_then(|job| job.unique.as_ref())
            && self.keys.get(&unique.key).is_some_and(|held| held.job == id)
        {
            self.keys.remove(&unique.key);
        }
    }
}

fn is_of_claim(job: &JobRecord, request: &ClaimJobs) -> bool {
    job.lease.as_ref().is_some_and(|lease| lease.claim_id == request.claim_id)
}

/// To be called before the attempt is counted as used up.
fn add_failure(job: &mut JobRecord, failure: Failure, now: Timestamp) {
    job.failures.push(RecordedFailure::new(now, job.attempts.saturating_add(1), failure));
    if job.failures.len() > limits::MAX_ERRORS_PER_JOB {
        job.failures.remove(0);
    }
}

/// When a job kept for `max_age` will have been over for longer; `None` if never.
fn too_old_at(finished_at: Timestamp, max_age: Option<Duration>) -> Option<Timestamp> {
    let max_age = max_age?;
    let instant = finished_at + max_age + Duration::from_micros(1);
    // It is not where the sum was cut at the end of time.
    (instant.since(finished_at) > max_age).then_some(instant)
}

#[async_trait]
impl InspectStore for MapStore {
    async fn count(&self, request: &CountJobs) -> Result<JobCounts, StoreError> {
        let state = self.open(StoreOperation::Count)?;
        let mut rows = BTreeMap::new();
        for job in state.jobs.values().filter(|job| matches(&request.filter, job)) {
            let row = rows.entry((&job.queue, &job.kind, job.state)).or_insert_with(|| JobCount {
                queue: job.queue.clone(),
                kind: job.kind.clone(),
                state: job.state,
                count: 0,
                next_run_at: None,
            });
            row.count += 1;
            if job.state == JobState::Waiting {
                row.next_run_at = Some(row.next_run_at.map_or(job.run_at, |next| next.min(job.run_at)));
            }
        }
        Ok(JobCounts { store_now: request.now, rows: rows.into_values().collect() })
    }

    async fn list(&self, request: &ListJobs) -> Result<JobPage, StoreError> {
        let state = self.open(StoreOperation::List)?;
        let end = request.after.map_or(Bound::Unbounded, |JobCursor(id)| Bound::Excluded(id));
        let older = state.jobs.range((Bound::Unbounded, end)).rev().map(|(_, job)| job);
        let mut found = older.filter(|job| matches(&request.filter, job));
        let jobs: Vec<_> = found.by_ref().take(request.limit).map(JobSummary::from_record).collect();
        let last = jobs.last().map(|job| JobCursor(job.id));
        let next = found.next().and(last);
        Ok(JobPage { store_now: request.now, jobs, next })
    }

    async fn queues(&self, _: Timestamp) -> Result<Vec<QueueFacts>, StoreError> {
        let state = self.open(StoreOperation::Queues)?;
        let mut queues: BTreeMap<_, _> = state.jobs.values().map(|job| (&job.queue, None)).collect();
        queues.extend(state.paused.iter().map(|(queue, since)| (queue, Some(*since))));
        let facts =
            |(queue, paused_since): (&QueueName, _)| QueueFacts { queue: queue.clone(), paused_since };
        Ok(queues.into_iter().map(facts).collect())
    }
}

fn matches(filter: &JobFilter, job: &JobRecord) -> bool {
    filter.matches(&job.queue, &job.kind, job.state)
}

#[async_trait]
impl ControlStore for MapStore {
    async fn requeue(&self, now: Timestamp, ids: &[JobId]) -> Result<RequeuedJobs, StoreError> {
        let mut state = self.open(StoreOperation::Requeue)?;
        let jobs = ids.iter().map(|id| state.requeue_one(*id, now)).collect();
        Ok(RequeuedJobs { store_now: now, jobs })
    }

    async fn delete(&self, _: Timestamp, ids: &[JobId]) -> Result<Vec<DeleteStatus>, StoreError> {
        let mut state = self.open(StoreOperation::Delete)?;
        Ok(ids.iter().map(|id| state.delete_one(*id)).collect())
    }

    async fn pause(&self, now: Timestamp, queue: &QueueName) -> Result<(), StoreError> {
        self.open(StoreOperation::Pause)?.paused.entry(queue.clone()).or_insert(now);
        Ok(())
    }

    async fn resume(&self, _: Timestamp, queue: &QueueName) -> Result<(), StoreError> {
        self.open(StoreOperation::Resume)?.paused.remove(queue);
        Ok(())
    }
}

impl State {
    fn requeue_one(&mut self, id: JobId, now: Timestamp) -> RequeueStatus {
        let Some(job) = self.jobs.get(&id) else { return RequeueStatus::Unknown };
        if !job.state.is_final() {
            return RequeueStatus::NotFinished(job.state);
        }
        let unique = job.unique.clone();
        match self.holder(unique.as_ref(), now) {
            None => self.hold(unique.as_ref(), id, now),
            Some(holder) if holder == id => {} // It keeps the key as it holds it.
            Some(holder) => return RequeueStatus::Conflict(holder),
        }
        let job = self.jobs.get_mut(&id).expect("it was found above");
        (job.state, job.run_at, job.finished_at) = (JobState::Waiting, now, None);
        (job.attempts, job.crashes, job.cancel_requested) = (0, 0, false);
        RequeueStatus::Requeued(job.queue.clone())
    }

    fn delete_one(&mut self, id: JobId) -> DeleteStatus {
        match self.jobs.get(&id).map(|job| job.state) {
            None => DeleteStatus::Unknown,
            Some(JobState::Running) => DeleteStatus::Running,
            Some(_) => {
                self.erase(id);
                DeleteStatus::Deleted
            }
        }
    }
}
