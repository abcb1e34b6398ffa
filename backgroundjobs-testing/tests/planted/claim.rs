//! What a claim does to the table, and what it is answered.

use std::cmp::Reverse;
use std::time::Duration;

use backgroundjobs_core::{
    ClaimJobs, ClaimedJob, ClaimedJobs, ClaimedQueue, JobId, JobRecord, JobState, KeyHold, Lease,
    QueueDemand, QueueName, Timestamp,
};

use super::Mutant;
use super::table::Table;

/// What the machine's clock says, in a way: 2026.
const CLOCK: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);

impl Table {
    fn waiting<'a>(
        &'a self,
        request: &'a ClaimJobs,
        queue: &'a QueueName,
        any_kind: bool,
    ) -> impl Iterator<Item = &'a JobRecord> {
        let any_kind = any_kind
            || self.is(Mutant::ClaimIgnoresKinds)
            || self.is(Mutant::NoKindIsAnyKind) && request.kinds.is_empty();
        let folds = self.is(Mutant::QueuesFoldCase);
        let takes_expired = self.is(Mutant::ClaimTakesExpired);
        let is_free = move |job: &JobRecord| match &job.lease {
            None => job.state == JobState::Waiting,
            Some(lease) => takes_expired && lease.until <= request.now,
        };
        let of_queue = move |job: &JobRecord| {
            job.queue == *queue || folds && job.queue.as_str().eq_ignore_ascii_case(queue.as_str())
        };
        self.jobs.values().filter(move |job| {
            is_free(job) && of_queue(job) && (any_kind || request.kinds.contains(&job.kind))
        })
    }

    fn is_due(&self, job: &JobRecord, now: Timestamp) -> bool {
        match self.mutant {
            Mutant::ClaimIsLate => job.run_at < now,
            Mutant::DueByTheClock => job.run_at <= CLOCK.max(now),
            Mutant::EndOfTimeIsNever => job.run_at <= now && job.run_at != Timestamp::MAX,
            _ => job.run_at <= now,
        }
    }

    /// The jobs that a claim is to be handed, queue by queue.
    pub(super) fn due(&self, request: &ClaimJobs) -> Vec<Vec<JobId>> {
        let mut taken = 0;
        let mut of_queue = |demand: &QueueDemand| {
            if self.paused.contains_key(&demand.queue) && !self.is(Mutant::ClaimIgnoresPause) {
                return Vec::new();
            }
            let mut jobs: Vec<_> = self.waiting(request, &demand.queue, false).collect();
            jobs.sort_by_key(|job| (Reverse(job.priority), job.run_at, job.id));
            if self.is(Mutant::ClaimIgnoresPriority) {
                jobs.sort_by_key(|job| (job.run_at, job.id));
            }
            if self.is(Mutant::ClaimLooksAtTheHead) {
                jobs.truncate(demand.limit);
            }
            jobs.retain(|job| self.is_due(job, request.now));
            let spent = if self.is(Mutant::ClaimSharesItsLimit) { taken } else { 0 };
            jobs.truncate(demand.limit.saturating_sub(spent));
            taken += jobs.len();
            jobs.into_iter().map(|job| job.id).collect()
        };
        request.queues.iter().map(&mut of_queue).collect()
    }

    pub(super) fn claim(&mut self, request: &ClaimJobs) -> ClaimedJobs {
        let of_claim = |job: &JobRecord| match self.mutant {
            Mutant::ClaimForgetsItsId => false,
            Mutant::RepeatGoesByWorker => {
                job.lease.as_ref().is_some_and(|lease| lease.worker == request.worker)
            }
            Mutant::RepeatAnswersLostJobs => {
                self.remembered.leases.get(&job.id).is_some_and(|lease| lease.claim_id == request.claim_id)
            }
            _ => job.lease.as_ref().is_some_and(|lease| lease.claim_id == request.claim_id),
        };
        let runs = self.jobs.values().any(of_claim) || self.is(Mutant::RepeatIsNeverNew);
        if !request.repeated || !runs {
            let due = self.due(request);
            return self.hand_out(request, due);
        }
        let of_queue = |demand: &QueueDemand| {
            let mut jobs: Vec<_> =
                self.jobs.values().filter(|job| of_claim(job) && job.queue == demand.queue).collect();
            jobs.sort_by_key(|job| (Reverse(job.priority), job.run_at, job.id));
            jobs.into_iter().map(ClaimedJob::from_record).collect()
        };
        let jobs = request.queues.iter().map(of_queue).collect();
        let mut reply = self.reply(request, jobs);
        for queue in &mut reply.queues {
            (queue.more, queue.next_due) = (!queue.paused, None);
            self.tell_again(queue);
        }
        reply
    }

    /// What mutants do to the reply to a repeated claim.
    fn tell_again(&self, queue: &mut ClaimedQueue) {
        match self.mutant {
            Mutant::RepeatSaysNoMore => queue.more = false,
            Mutant::RepeatHidesPause => (queue.more, queue.paused) = (true, false),
            Mutant::RepeatHoldsBackPaused if queue.paused => queue.jobs.clear(),
            Mutant::RepeatHidesCancels => {
                queue.jobs.iter_mut().for_each(|job| job.cancel_requested = false);
            }
            _ => {}
        }
    }

    pub(super) fn hand_out(&mut self, request: &ClaimJobs, due: Vec<Vec<JobId>>) -> ClaimedJobs {
        let mut queues = Vec::new();
        for ids in due {
            queues.push(ids.into_iter().map(|id| self.start(request, id)).collect());
        }
        self.reply(request, queues)
    }

    fn start(&mut self, request: &ClaimJobs, id: JobId) -> ClaimedJob {
        let starts = |hold| hold == KeyHold::UntilStarted && !self.is(Mutant::ClaimKeepsKey);
        if self.jobs[&id].unique.as_ref().is_some_and(|unique| starts(unique.hold)) {
            self.drop_key(id);
        }
        let until = match (self.mutant, self.remembered.latest) {
            (Mutant::LeaseIsAMinute, _) => request.now + Duration::from_secs(60),
            (Mutant::LeasesFromTheLatest, Some(latest)) => latest + request.lease,
            _ => self.later(request.now, request.lease),
        };
        let lease = Lease::new(request.worker, request.claim_id, until);
        self.remembered.leases.insert(id, lease.clone());
        let claimed_at = Some(self.kept(request.now));
        let job = self.jobs.get_mut(&id).expect("a job that was seen");
        job.state = JobState::Running;
        job.generation += 1;
        (job.claimed_at, job.lease) = (claimed_at, Some(lease));
        ClaimedJob::from_record(job)
    }

    fn reply(&self, request: &ClaimJobs, jobs: Vec<Vec<ClaimedJob>>) -> ClaimedJobs {
        let mut queues = Vec::new();
        for (demand, jobs) in request.queues.iter().zip(jobs) {
            let paused = self.paused.contains_key(&demand.queue);
            let any_kind = self.is(Mutant::NextDueCountsForeign);
            let counts = |job: &&JobRecord| job.generation == 0 || !self.is(Mutant::NextDueForgetsRetries);
            let next_due = match paused && !self.is(Mutant::NextDueCountsPaused) {
                true => None,
                false => {
                    let waiting = self.waiting(request, &demand.queue, any_kind).filter(counts);
                    waiting.map(|job| job.run_at).min()
                }
            };
            let more = match self.mutant {
                Mutant::MoreIsNeverSaid => false,
                Mutant::MoreIsAlwaysSaid => !paused,
                _ => !paused && next_due.is_some_and(|due| due <= request.now),
            };
            let next_due = next_due.filter(|due| !more && (paused || *due > request.now));
            queues.push(ClaimedQueue { jobs, more, next_due, paused });
        }
        let mine = self.is(Mutant::NextExpiryIsMine);
        let next_expiry = self.next_expiry(|lease| !mine || lease.claim_id == request.claim_id);
        ClaimedJobs { store_now: request.now, queues, next_expiry }
    }

    pub(super) fn next_expiry(&self, counts: impl Fn(&Lease) -> bool) -> Option<Timestamp> {
        let leases = self.jobs.values().filter_map(|job| job.lease.as_ref());
        leases.filter(|lease| counts(lease)).map(|lease| lease.until).min()
    }
}
