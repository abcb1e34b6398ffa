//! What renew, settle and cancel do to the table.

use backgroundjobs_core::{
    CancelStatus, ErrorText, Failure, JobId, JobRecord, JobState, KeyHold, LeaseKey, LeaseStatus, Payload,
    RecordedFailure, RenewLeases, Settled, Settlement, Step, Timestamp,
};

use super::Mutant;
use super::table::Table;

impl Table {
    /// Whether the job runs under this claim.
    pub(super) fn runs(&self, lease: LeaseKey, any_claim: bool) -> bool {
        self.jobs.get(&lease.id).is_some_and(|job| {
            job.state == JobState::Running && (any_claim || job.generation == lease.generation)
        })
    }

    pub(super) fn renew(&mut self, request: &RenewLeases, lease: LeaseKey) -> LeaseStatus {
        if !self.runs(lease, self.is(Mutant::RenewIgnoresGeneration)) {
            return LeaseStatus::Lost;
        }
        let (mutant, until) = (self.mutant, self.later(request.now, request.lease));
        let job = self.jobs.get_mut(&lease.id).expect("it runs");
        let held = job.lease.as_mut().expect("a running job has a lease");
        match mutant {
            Mutant::RenewRefusesLate if held.until <= request.now => return LeaseStatus::Lost,
            Mutant::RenewDropsFlagged if job.cancel_requested => {}
            Mutant::RenewAddsToTheEnd => held.until = held.until + request.lease,
            Mutant::RenewNeverShortens => held.until = held.until.max(until),
            _ => held.until = until,
        }
        if job.cancel_requested { LeaseStatus::CancelRequested } else { LeaseStatus::Held }
    }

    pub(super) fn settle(&mut self, now: Timestamp, end: &Settlement) -> Settled {
        let step = end.outcome.step();
        let any_claim = self.is(Mutant::SettleIgnoresGeneration);
        let by_id = self.is(Mutant::CompleteGoesById)
            && step == Step::Complete
            && self.jobs.contains_key(&end.lease.id);
        let late = self.is(Mutant::SettleNeedsALease)
            && self
                .jobs
                .get(&end.lease.id)
                .and_then(|job| job.lease.as_ref())
                .is_some_and(|l| l.until <= now);
        if (self.runs(end.lease, any_claim) || by_id) && !late {
            return self.apply(now, end);
        }
        let zero = end.lease.generation == 0 && !self.is(Mutant::SettleKnowsZero);
        match self.jobs.get(&end.lease.id) {
            Some(job) if job.settled == end.lease.generation && !zero => match self.mutant {
                Mutant::SettleForgetsRepeats => Settled::Lost,
                _ => Settled::Applied { state: job.state },
            },
            _ => Settled::Lost,
        }
    }

    /// Applies an outcome to the job, whatever became of it.
    pub(super) fn apply(&mut self, now: Timestamp, end: &Settlement) -> Settled {
        let (mutant, step) = (self.mutant, end.outcome.step());
        let delayed = self.later(now, end.outcome.delay());
        let dated = self.kept(now);
        let job = self.jobs.get_mut(&end.lease.id).expect("it was seen");
        let forgets = mutant == Mutant::RetryForgetsCancel && step == Step::Retry;
        job.state = end.outcome.settles_to(job.cancel_requested && !forgets);
        (job.settled, job.lease) = (job.generation, None);
        let loses =
            mutant == Mutant::FailureIsNotKept || mutant == Mutant::CancelLosesReason && step == Step::Cancel;
        if let Some(failure) = end.outcome.failure().filter(|_| !loses) {
            record(mutant, job, dated, failure.clone());
        }
        let uses = match step {
            Step::Retry | Step::Fail => true,
            Step::Snooze => mutant == Mutant::SnoozeUsesAttempt,
            Step::Release => mutant == Mutant::ReleaseUsesAttempt,
            _ => false,
        };
        job.attempts += u16::from(uses);
        let resets = step != Step::Release || mutant == Mutant::ReleaseForgetsCrashes;
        if resets && mutant != Mutant::CrashesAreForEver {
            job.crashes = 0;
        }
        let waits = job.state == JobState::Waiting || mutant == Mutant::FlaggedMovesRunAt;
        if waits && matches!(step, Step::Retry | Step::Snooze) {
            job.run_at = delayed;
        }
        misapply(mutant, job, now, step);
        let state = job.state;
        self.arrive(now, end.lease.id, false);
        if step == Step::Retry && state == JobState::Waiting {
            match mutant {
                Mutant::RetryRetakesKey => self.take_key(now, end.lease.id),
                Mutant::RetryDropsKey => self.drop_key(end.lease.id),
                _ => {}
            }
        }
        Settled::Applied { state }
    }

    /// Dates the job's end and lets go of its key, if it is over.
    pub(super) fn arrive(&mut self, now: Timestamp, id: JobId, keeps_key: bool) {
        let end = self.kept(now);
        let job = self.jobs.get_mut(&id).expect("a job that was changed");
        if !job.state.is_final() {
            return;
        }
        job.finished_at = Some(end);
        if !keeps_key {
            self.drop_key(id);
        }
    }

    pub(super) fn cancel(&mut self, now: Timestamp, id: JobId) -> CancelStatus {
        match self.jobs.get(&id).map(|job| job.state) {
            None => CancelStatus::Unknown,
            Some(seen) => self.cancel_as_seen(now, id, seen),
        }
    }

    /// Cancels a job that was seen in this state.
    pub(super) fn cancel_as_seen(&mut self, now: Timestamp, id: JobId, seen: JobState) -> CancelStatus {
        let mutant = self.mutant;
        let mut lease = None;
        let job = self.jobs.get_mut(&id).expect("it was seen");
        let starts = job.unique.as_ref().is_some_and(|unique| unique.hold == KeyHold::UntilStarted);
        let answer = match seen {
            JobState::Waiting if mutant == Mutant::CancelOnlyFlags => {
                job.cancel_requested = true;
                CancelStatus::Requested
            }
            JobState::Waiting => {
                job.state = JobState::Cancelled;
                CancelStatus::Cancelled
            }
            JobState::Running if mutant == Mutant::CancelEndsRunning => {
                (job.state, job.lease) = (JobState::Cancelled, None);
                CancelStatus::Cancelled
            }
            JobState::Running => {
                job.cancel_requested = true;
                lease.clone_from(&job.lease);
                CancelStatus::Requested
            }
            over => {
                if mutant == Mutant::CancelTouchesFinished {
                    job.state = JobState::Cancelled;
                }
                return CancelStatus::Finished(over);
            }
        };
        let keeps = mutant == Mutant::CancelKeepsKey || mutant == Mutant::CancelKeepsStartKey && starts;
        self.arrive(now, id, keeps);
        if let Some(lease) = lease.filter(|_| mutant == Mutant::CancelFlagsTheClaim) {
            let of_claim = |job: &&mut JobRecord| {
                job.lease.as_ref().is_some_and(|other| other.claim_id == lease.claim_id)
            };
            self.jobs.values_mut().filter(of_claim).for_each(|job| job.cancel_requested = true);
        }
        answer
    }
}

/// What mutants do to a job that is settled.
fn misapply(mutant: Mutant, job: &mut JobRecord, now: Timestamp, step: Step) {
    match (mutant, step) {
        (Mutant::CancelBeatsComplete, Step::Complete) if job.cancel_requested => {
            job.state = JobState::Cancelled;
        }
        (Mutant::FailWaitsForEver, Step::Fail) => {
            (job.state, job.run_at) = (JobState::Waiting, Timestamp::MAX);
        }
        (Mutant::FailureChangesArgs, Step::Fail) => job.args = Payload::from_store("{\"error\":1}"),
        (Mutant::RetryHasNoDelay, Step::Retry) | (Mutant::ReleaseMovesRunAt, Step::Release) => {
            job.run_at = now;
        }
        (Mutant::GenerationStartsAnew, Step::Retry) => job.generation = 0,
        _ => {}
    }
}

/// Adds a failure, numbered as the attempt that is under way.
pub(super) fn record(mutant: Mutant, job: &mut JobRecord, now: Timestamp, failure: Failure) {
    let mut failure = failure;
    if mutant == Mutant::FailureTextIsCut {
        let text = failure.text.as_str();
        failure.text = ErrorText::new(&text[..text.floor_char_boundary(255)]);
    }
    let first = u16::from(mutant != Mutant::FailuresCountFromZero);
    job.failures.push(RecordedFailure::new(now, job.attempts + first, failure));
    let excess = job.failures.len().saturating_sub(25);
    match mutant {
        Mutant::FailuresKeepTheOldest => job.failures.truncate(25),
        _ => drop(job.failures.drain(..excess)),
    }
}
