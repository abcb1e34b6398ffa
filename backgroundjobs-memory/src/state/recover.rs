//! Recover: taking back jobs whose lease has ended.

use backgroundjobs_core::{
    Failure, FailureKind, JobId, JobState, RecoverJobs, RecoveredJob, RecoveredJobs, Step, Timestamp,
    recovered_state,
};

use super::job::{Job, Stage};
use super::{State, stored};

impl State {
    /// Takes back at most `limit` jobs, those whose lease ended first in front.
    pub(crate) fn recover(&mut self, request: &RecoverJobs, now: Timestamp) -> RecoveredJobs {
        let mut jobs = Vec::new();
        while jobs.len() < request.limit as usize {
            match self.index.leases.first() {
                Some(&(until, id)) if until <= now => jobs.push(self.recover_one(id, request, now)),
                _ => break,
            }
        }
        RecoveredJobs { store_now: now, jobs, next_expiry: self.index.next_expiry() }
    }

    fn recover_one(&mut self, id: JobId, request: &RecoverJobs, now: Timestamp) -> RecoveredJob {
        let job = stored(&mut self.jobs, id);
        self.index.step(id, job, Step::Recover, |job| take_back(job, request, now));
        let group = self.index.lanes.group(job.group);
        RecoveredJob {
            id,
            kind: group.kind.clone(),
            queue: group.queue.clone(),
            crashes: job.crashes,
            state: job.state(),
            run_at: job.run_at,
        }
    }
}

fn take_back(job: &mut Job, request: &RecoverJobs, now: Timestamp) {
    job.crashes = job.crashes.saturating_add(1);
    let state = recovered_state(job.crashes, job.max_crashes, job.cancel_requested);
    if state == JobState::Waiting {
        job.run_at = now + request.crash_backoff.saturating_mul(job.crashes.into());
    }
    job.add_failure(now, Failure::new(FailureKind::Crash, "the lease ran out before the run was settled"));
    job.stage = Stage::at_rest(state, now);
}
