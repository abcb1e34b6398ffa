//! The steps of one job: where it stands before and after. What a step changes is all that the log says of it.

use std::time::Duration;

use backgroundjobs_core::*;

use super::change::{Failed, Holder, Standing};

/// Waiting to Running.
pub(super) fn claim(job: &mut Standing, request: &ClaimJobs, now: Timestamp) {
    job.state = JobState::Running;
    job.generation += 1;
    job.claimed_at = Some(now);
    job.lease = Some(Holder(Lease::new(request.worker, request.claim_id, now + request.lease)));
}

/// Another `lease` for who has the job under this generation.
pub(super) fn renew(job: &mut Standing, generation: u64, until: Timestamp) -> LeaseStatus {
    match &mut job.lease {
        Some(Holder(lease)) if job.generation == generation => lease.until = until,
        _ => return LeaseStatus::Lost,
    }
    if job.cancel_requested { LeaseStatus::CancelRequested } else { LeaseStatus::Held }
}

/// Running to where the outcome leads.
pub(super) fn settle(job: &mut Standing, generation: u64, outcome: &Outcome, now: Timestamp) -> Settled {
    if job.state != JobState::Running || job.generation != generation {
        let is_repeated = generation > 0 && job.settled == generation;
        return if is_repeated { Settled::Applied { state: job.state } } else { Settled::Lost };
    }
    let state = outcome.settles_to(job.cancel_requested);
    job.failed = outcome.failure().map(|failure| numbered(failure.clone(), job.attempts, now));
    match outcome {
        Outcome::Retry { .. } | Outcome::Fail { .. } => job.attempts = job.attempts.saturating_add(1),
        Outcome::Complete | Outcome::Snooze { .. } | Outcome::Release | Outcome::Cancel { .. } => {}
    }
    if !matches!(outcome, Outcome::Release) {
        job.crashes = 0;
        if state == JobState::Waiting {
            job.run_at = now + outcome.delay();
        }
    }
    job.settled = generation;
    leave(job, state, now);
    Settled::Applied { state }
}

/// Running, with a lease that is over, to what the number of its crashes says.
pub(super) fn recover(job: &mut Standing, max_crashes: u16, backoff: Duration, now: Timestamp) {
    let failure =
        Failure::new(FailureKind::Crash, "its lease ran out; the worker is dead, or has lost the store");
    job.failed = Some(numbered(failure, job.attempts, now));
    job.crashes = job.crashes.saturating_add(1);
    let state = recovered_state(job.crashes, max_crashes, job.cancel_requested);
    if state == JobState::Waiting {
        job.run_at = now + backoff.saturating_mul(job.crashes.into());
    }
    leave(job, state, now);
}

/// Waiting to Cancelled; a running job is flagged.
pub(super) fn cancel(job: &mut Standing, now: Timestamp) -> CancelStatus {
    match job.state {
        JobState::Waiting => {
            leave(job, JobState::Cancelled, now);
            CancelStatus::Cancelled
        }
        JobState::Running => {
            job.cancel_requested = true;
            CancelStatus::Requested
        }
        over => CancelStatus::Finished(over),
    }
}

/// Over to Waiting, as if it were new but for its claims and failures.
pub(super) fn requeue(job: &mut Standing, now: Timestamp) {
    (job.attempts, job.crashes, job.cancel_requested) = (0, 0, false);
    job.run_at = now;
    leave(job, JobState::Waiting, now);
}

fn leave(job: &mut Standing, state: JobState, now: Timestamp) {
    job.state = state;
    job.lease = None;
    job.finished_at = state.is_final().then_some(now);
}

fn numbered(failure: Failure, attempts: u16, now: Timestamp) -> Failed {
    Failed(RecordedFailure::new(now, attempts.saturating_add(1), failure))
}
