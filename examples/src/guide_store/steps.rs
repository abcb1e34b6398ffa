use std::time::Duration;

use backgroundjobs_core::*;

/// Waiting to Running: C-1.
pub fn claim(job: &mut JobRecord, request: &ClaimJobs, now: Timestamp) -> ClaimedJob {
    job.state = JobState::Running;
    job.generation += 1;
    job.claimed_at = Some(now);
    job.lease = Some(Lease::new(request.worker, request.claim_id, now + request.lease));
    ClaimedJob::from_record(job)
}

/// Running to Running.
pub fn renew(job: &mut JobRecord, generation: u64, until: Timestamp) -> LeaseStatus {
    match &mut job.lease {
        Some(lease) if job.generation == generation => {
            lease.until = until;
            if job.cancel_requested { LeaseStatus::CancelRequested } else { LeaseStatus::Held }
        }
        _ => LeaseStatus::Lost,
    }
}

/// Running to what the outcome says: S-1 to S-5, X-1, X-2.
pub fn settle(job: &mut JobRecord, generation: u64, outcome: &Outcome, now: Timestamp) -> Settled {
    if job.state != JobState::Running || job.generation != generation {
        let repeated = generation != 0 && job.settled == generation;
        return if repeated { Settled::Applied { state: job.state } } else { Settled::Lost };
    }
    let state = outcome.settles_to(job.cancel_requested);
    if let Some(failure) = outcome.failure() {
        add_failure(job, failure.clone(), now); // before the attempt is counted
    }
    if matches!(outcome, Outcome::Retry { .. } | Outcome::Fail { .. }) {
        job.attempts = job.attempts.saturating_add(1);
    }
    if !matches!(outcome, Outcome::Release) {
        job.crashes = 0;
    }
    let moves = matches!(outcome, Outcome::Retry { .. } | Outcome::Snooze { .. });
    if moves && state == JobState::Waiting {
        job.run_at = now + outcome.delay();
    }
    job.settled = generation;
    leave(job, state, now);
    Settled::Applied { state }
}

/// Running, its lease over, to Waiting, Failed or Cancelled: V-1, V-3.
pub fn recover(job: &mut JobRecord, backoff: Duration, now: Timestamp) -> RecoveredJob {
    let text = "the lease ran out before the run was settled";
    add_failure(job, Failure::new(FailureKind::Crash, text), now);
    job.crashes = job.crashes.saturating_add(1);
    let state = recovered_state(job.crashes, job.max_crashes, job.cancel_requested);
    if state == JobState::Waiting {
        job.run_at = now + backoff.saturating_mul(job.crashes.into());
    }
    leave(job, state, now);
    let (kind, queue) = (job.kind.clone(), job.queue.clone());
    RecoveredJob { id: job.id, kind, queue, crashes: job.crashes, state, run_at: job.run_at }
}

/// Waiting to Cancelled; Running gets its flag: X-3.
pub fn cancel(job: &mut JobRecord, now: Timestamp) -> CancelStatus {
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

/// The job does not run now: it waits, or it is over.
fn leave(job: &mut JobRecord, state: JobState, now: Timestamp) {
    job.state = state;
    job.lease = None;
    job.finished_at = state.is_final().then_some(now);
}

fn add_failure(job: &mut JobRecord, failure: Failure, now: Timestamp) {
    job.failures.push(RecordedFailure::new(now, job.attempts.saturating_add(1), failure));
    if job.failures.len() > limits::MAX_ERRORS_PER_JOB {
        job.failures.remove(0);
    }
}
