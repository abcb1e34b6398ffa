//! The planted store's one table, and what its calls do to it.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use backgroundjobs_core::{
    CancelStatus, ClaimJobs, ClaimedJob, ClaimedJobs, ClaimedQueue, Failure, FailureKind, InsertJobs,
    Inserted, JobId, JobRecord, JobState, KeyHold, Lease, LeaseKey, LeaseStatus, NewJob, Outcome, Payload,
    PruneJobs, PrunedJobs, QueueDemand, QueueName, RecordedFailure, RecoverJobs, RecoveredJob, RecoveredJobs,
    RenewLeases, Settled, Settlement, Step, StoreError, StoreErrorKind, StoreOperation, Timestamp,
    recovered_state,
};

use super::Fault;

#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) fault: Fault,
    pub(super) jobs: BTreeMap<JobId, JobRecord>,
    pub(super) keys: BTreeMap<Arc<str>, Held>,
    pub(super) paused: BTreeMap<QueueName, Timestamp>,
}

/// Who holds a key, and until when, if for a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) by: JobId,
    pub(super) until: Option<Timestamp>,
}

impl Table {
    pub(super) fn new(fault: Fault) -> Self {
        Self { fault, jobs: BTreeMap::new(), keys: BTreeMap::new(), paused: BTreeMap::new() }
    }

    pub(super) fn holder(&self, key: &str, now: Timestamp) -> Option<JobId> {
        let late = if self.fault == Fault::KeyEndsLate { Duration::from_micros(1) } else { Duration::ZERO };
        let held = self.keys.get(key)?;
        held.until.is_none_or(|until| now < until + late).then_some(held.by)
    }

    pub(super) fn take_key(&mut self, now: Timestamp, id: JobId) {
        let Some(unique) = &self.jobs[&id].unique else { return };
        let until = if let KeyHold::For(time) = unique.hold { Some(now + time) } else { None };
        self.keys.insert(unique.key.clone(), Held { by: id, until });
    }

    /// Lets go of the job's key, if it holds it and not for a time.
    fn drop_key(&mut self, id: JobId) {
        let Some(unique) = &self.jobs[&id].unique else { return };
        if self.keys.get(&unique.key).is_some_and(|held| held.by == id && held.until.is_none()) {
            self.keys.remove(&unique.key);
        }
    }

    pub(super) fn insert(&mut self, request: &InsertJobs) -> Result<Vec<Inserted>, StoreError> {
        let mut next = self.clone();
        let answers: Result<Vec<_>, _> = request
            .jobs
            .iter()
            .enumerate()
            .map(|(index, job)| next.insert_one(request.now, index, job))
            .collect();
        if answers.is_ok() || self.fault == Fault::InsertKeepsHalfABatch {
            *self = next;
        }
        answers
    }

    /// Inserts what `seen` had no objection to.
    pub(super) fn insert_as_seen(
        &mut self,
        seen: &Self,
        request: &InsertJobs,
    ) -> Result<Vec<Inserted>, StoreError> {
        let mut seen = seen.clone();
        let answers = seen.insert(request)?;
        for (job, answer) in request.jobs.iter().zip(&answers) {
            if *answer == Inserted::New {
                self.jobs.insert(job.id, JobRecord::inserted(job.clone(), request.now));
                self.take_key(request.now, job.id);
            }
        }
        Ok(answers)
    }

    fn insert_one(&mut self, now: Timestamp, index: usize, job: &NewJob) -> Result<Inserted, StoreError> {
        let mut job = job.clone();
        if self.fault == Fault::InsertTrimsArgs {
            job.args = Payload::from_store(job.args.as_str().trim());
        }
        if let Some(known) = self.jobs.get(&job.id) {
            if (&known.kind, &known.args) == (&job.kind, &job.args) {
                return Ok(Inserted::Existing(job.id));
            }
            let kind = StoreErrorKind::Conflict { index };
            return Err(StoreError::new(StoreOperation::Insert, kind, "another job has this id"));
        }
        if let Some(holder) = job.unique.as_ref().and_then(|unique| self.holder(&unique.key, now)) {
            return Ok(Inserted::Existing(holder));
        }
        let id = job.id;
        self.jobs.insert(id, JobRecord::inserted(job, now));
        self.take_key(now, id);
        Ok(Inserted::New)
    }

    fn waiting<'a>(
        &'a self,
        request: &'a ClaimJobs,
        queue: &'a QueueName,
        any_kind: bool,
    ) -> impl Iterator<Item = &'a JobRecord> {
        self.jobs.values().filter(move |job| {
            job.state == JobState::Waiting
                && job.queue == *queue
                && (any_kind || request.kinds.contains(&job.kind))
        })
    }

    /// The jobs that a claim is to be handed, queue by queue.
    pub(super) fn due(&self, request: &ClaimJobs) -> Vec<Vec<JobId>> {
        let mut taken = 0;
        let mut of_queue = |demand: &QueueDemand| {
            if self.paused.contains_key(&demand.queue) {
                return Vec::new();
            }
            let mut due: Vec<_> = self
                .waiting(request, &demand.queue, false)
                .filter(|job| job.run_at <= request.now)
                .map(|job| (Reverse(job.priority), job.run_at, job.id))
                .collect();
            due.sort_unstable();
            if self.fault == Fault::ClaimIgnoresPriority {
                due.sort_unstable_by_key(|(_, run_at, id)| (*run_at, *id));
            }
            let spent = if self.fault == Fault::ClaimSharesItsLimit { taken } else { 0 };
            due.truncate(demand.limit.saturating_sub(spent));
            taken += due.len();
            due.into_iter().map(|(_, _, id)| id).collect()
        };
        request.queues.iter().map(&mut of_queue).collect()
    }

    pub(super) fn claim(&mut self, request: &ClaimJobs) -> ClaimedJobs {
        let mine =
            |job: &JobRecord| job.lease.as_ref().is_some_and(|lease| lease.claim_id == request.claim_id);
        let runs = self.jobs.values().any(mine);
        if request.repeated && runs && self.fault != Fault::ClaimForgetsItsId {
            let of_queue = |demand: &QueueDemand| {
                let mut jobs: Vec<_> =
                    self.jobs.values().filter(|job| mine(job) && job.queue == demand.queue).collect();
                jobs.sort_by_key(|job| (Reverse(job.priority), job.run_at, job.id));
                jobs.into_iter().map(ClaimedJob::from_record).collect()
            };
            let jobs = request.queues.iter().map(of_queue).collect();
            let mut reply = self.reply(request, jobs);
            for queue in reply.queues.iter_mut().filter(|queue| !queue.paused) {
                (queue.more, queue.next_due) = (true, None);
            }
            return reply;
        }
        let due = self.due(request);
        self.hand_out(request, due)
    }

    pub(super) fn hand_out(&mut self, request: &ClaimJobs, due: Vec<Vec<JobId>>) -> ClaimedJobs {
        let mut queues = Vec::new();
        for ids in due {
            queues.push(ids.into_iter().map(|id| self.start(request, id)).collect());
        }
        self.reply(request, queues)
    }

    fn start(&mut self, request: &ClaimJobs, id: JobId) -> ClaimedJob {
        let starts = |hold| hold == KeyHold::UntilStarted && self.fault != Fault::ClaimKeepsKey;
        if self.jobs[&id].unique.as_ref().is_some_and(|unique| starts(unique.hold)) {
            self.drop_key(id);
        }
        let job = self.jobs.get_mut(&id).expect("a job that was seen");
        job.state = JobState::Running;
        job.generation += 1;
        job.claimed_at = Some(request.now);
        job.lease = Some(Lease::new(request.worker, request.claim_id, request.now + request.lease));
        ClaimedJob::from_record(job)
    }

    fn reply(&self, request: &ClaimJobs, jobs: Vec<Vec<ClaimedJob>>) -> ClaimedJobs {
        let mut queues = Vec::new();
        for (demand, jobs) in request.queues.iter().zip(jobs) {
            let paused = self.paused.contains_key(&demand.queue);
            let any_kind = self.fault == Fault::NextDueCountsForeign;
            let next_due = match paused && self.fault != Fault::NextDueCountsPaused {
                true => None,
                false => self.waiting(request, &demand.queue, any_kind).map(|job| job.run_at).min(),
            };
            let more = !paused && next_due.is_some_and(|due| due <= request.now);
            queues.push(ClaimedQueue { jobs, more, next_due: next_due.filter(|_| !more), paused });
        }
        let mine = self.fault == Fault::NextExpiryIsMine;
        let next_expiry = self.next_expiry(|lease| !mine || lease.claim_id == request.claim_id);
        ClaimedJobs { store_now: request.now, queues, next_expiry }
    }

    fn next_expiry(&self, counts: impl Fn(&Lease) -> bool) -> Option<Timestamp> {
        let leases = self.jobs.values().filter_map(|job| job.lease.as_ref());
        leases.filter(|lease| counts(lease)).map(|lease| lease.until).min()
    }

    /// The job that runs under this claim.
    fn running(&mut self, lease: LeaseKey) -> Option<&mut JobRecord> {
        let any = self.fault == Fault::SettleIgnoresGeneration;
        let job = self.jobs.get_mut(&lease.id)?;
        let held = job.state == JobState::Running && (any || job.generation == lease.generation);
        held.then_some(job)
    }

    pub(super) fn renew(&mut self, request: &RenewLeases, lease: LeaseKey) -> LeaseStatus {
        let fault = self.fault;
        let Some(job) = self.running(lease) else { return LeaseStatus::Lost };
        let held = job.lease.as_mut().expect("a running job has a lease");
        if fault == Fault::RenewRefusesLate && held.until <= request.now {
            return LeaseStatus::Lost;
        }
        if !(fault == Fault::RenewDropsFlagged && job.cancel_requested) {
            held.until = request.now + request.lease;
        }
        if job.cancel_requested { LeaseStatus::CancelRequested } else { LeaseStatus::Held }
    }

    pub(super) fn settle(&mut self, now: Timestamp, end: &Settlement) -> Settled {
        let fault = self.fault;
        let late = |job: &JobRecord| {
            fault == Fault::SettleNeedsALease && job.lease.as_ref().is_some_and(|lease| lease.until <= now)
        };
        let Some(job) = self.running(end.lease).filter(|job| !late(job)) else {
            let job = self.jobs.get(&end.lease.id);
            let repeated = job.is_some_and(|job| job.settled == end.lease.generation && job.settled > 0);
            return match job {
                Some(job) if repeated && fault != Fault::SettleForgetsRepeats => {
                    Settled::Applied { state: job.state }
                }
                _ => Settled::Lost,
            };
        };
        let step = end.outcome.step();
        let flagged = job.cancel_requested && !(fault == Fault::RetryForgetsCancel && step == Step::Retry);
        job.state = end.outcome.settles_to(flagged);
        job.settled = job.generation;
        job.lease = None;
        if let Some(failure) = end.outcome.failure() {
            record(job, now, failure.clone());
        }
        job.attempts += u16::from(matches!(step, Step::Retry | Step::Fail));
        if step != Step::Release && fault != Fault::CrashesAreForEver {
            job.crashes = 0;
        }
        match end.outcome {
            Outcome::Retry { delay, .. } | Outcome::Snooze { delay } if job.state == JobState::Waiting => {
                job.run_at = now + delay;
            }
            _ => {}
        }
        let state = job.state;
        self.arrive(now, end.lease.id);
        if fault == Fault::RetryRetakesKey && step == Step::Retry && state == JobState::Waiting {
            self.take_key(now, end.lease.id);
        }
        Settled::Applied { state }
    }

    /// Dates the job's end and lets go of its key, if it is over.
    fn arrive(&mut self, now: Timestamp, id: JobId) {
        let job = self.jobs.get_mut(&id).expect("a job that was changed");
        if job.state.is_final() {
            job.finished_at = Some(now);
            self.drop_key(id);
        }
    }

    /// The jobs that a recover is to take back.
    pub(super) fn lost(&self, request: &RecoverJobs) -> Vec<JobId> {
        let until = |job: &JobRecord| job.lease.as_ref().map(|lease| (lease.until, job.id));
        let late = self.fault == Fault::RecoverIsLate;
        let over = |end: &Timestamp| if late { *end < request.now } else { *end <= request.now };
        let mut lost: Vec<_> = self.jobs.values().filter_map(until).filter(|(end, _)| over(end)).collect();
        lost.sort_unstable();
        lost.into_iter().take(request.limit as usize).map(|(_, id)| id).collect()
    }

    pub(super) fn take_back(&mut self, request: &RecoverJobs, ids: &[JobId]) -> RecoveredJobs {
        let jobs = ids.iter().map(|id| self.take_back_one(request, *id)).collect();
        RecoveredJobs { store_now: request.now, jobs, next_expiry: self.next_expiry(|_| true) }
    }

    fn take_back_one(&mut self, request: &RecoverJobs, id: JobId) -> RecoveredJob {
        let forgets = self.fault == Fault::RecoverForgetsCancel;
        let job = self.jobs.get_mut(&id).expect("a job that was seen");
        record(job, request.now, Failure::new(FailureKind::Crash, "the lease ran out"));
        job.crashes += 1;
        job.state = recovered_state(job.crashes, job.max_crashes, job.cancel_requested && !forgets);
        job.lease = None;
        if job.state == JobState::Waiting {
            job.run_at = request.now + request.crash_backoff.saturating_mul(job.crashes.into());
        }
        let (kind, queue) = (job.kind.clone(), job.queue.clone());
        let (crashes, state, run_at) = (job.crashes, job.state, job.run_at);
        self.arrive(request.now, id);
        RecoveredJob { id, kind, queue, crashes, state, run_at }
    }

    pub(super) fn cancel(&mut self, now: Timestamp, id: JobId) -> CancelStatus {
        let Some(job) = self.jobs.get_mut(&id) else { return CancelStatus::Unknown };
        match job.state {
            JobState::Waiting => {
                job.state = JobState::Cancelled;
                self.arrive(now, id);
                CancelStatus::Cancelled
            }
            JobState::Running => {
                job.cancel_requested = true;
                CancelStatus::Requested
            }
            over => CancelStatus::Finished(over),
        }
    }

    pub(super) fn prune(&mut self, request: &PruneJobs) -> PrunedJobs {
        let (mut gone, mut ages_at) = (Vec::new(), None::<Timestamp>);
        let together = self.fault == Fault::PruneCountsTogether;
        let inclusive = self.fault == Fault::PruneIsInclusive;
        for state in JobState::ALL {
            let Some(keep) = request.retention.of(state) else { continue };
            let counted = |job: &&JobRecord| job.state == state || together && job.state.is_final();
            let mut over: Vec<_> = self.jobs.values().filter(counted).collect();
            over.sort_by_key(|job| (Reverse(job.finished_at), Reverse(job.id)));
            for (index, job) in (0_u64..).zip(over) {
                let end = job.finished_at.expect("it is over");
                let age = request.now.since(end);
                let old = keep.max_age.is_some_and(|most| age > most || inclusive && age == most);
                if job.state != state {
                    continue;
                }
                if old || keep.max_count.is_some_and(|most| index >= most) {
                    gone.push((end, job.id));
                } else if let Some(most) = keep.max_age {
                    let goes = end + most + Duration::from_micros(1);
                    if goes.since(end) > most {
                        ages_at = Some(ages_at.map_or(goes, |at| at.min(goes)));
                    }
                }
            }
        }
        gone.sort_unstable();
        let full = gone.len() > request.limit as usize;
        gone.truncate(request.limit as usize);
        for (_, id) in &gone {
            self.remove(*id, self.fault == Fault::PruneDropsKeys);
        }
        let removed = u32::try_from(gone.len()).expect("at most the limit");
        PrunedJobs {
            store_now: request.now,
            removed,
            next_prune: if full { Some(request.now) } else { ages_at },
        }
    }

    /// Deletes a job, and its key: in any case, or unless it is held for a time.
    pub(super) fn remove(&mut self, id: JobId, any_key: bool) {
        self.drop_key(id);
        self.jobs.remove(&id);
        if any_key {
            self.keys.retain(|_, held| held.by != id);
        }
    }
}

fn record(job: &mut JobRecord, now: Timestamp, failure: Failure) {
    job.failures.push(RecordedFailure::new(now, job.attempts + 1, failure));
    let excess = job.failures.len().saturating_sub(25);
    job.failures.drain(..excess);
}
