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
                Some((until, id)) if until <= now => jobs.push(self.recover_one(id, request, now)),
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use backgroundjobs_core::Outcome;

    use super::super::fixture::{LEASE, at, id, job, queue};
    use super::*;

    const BACKOFF: Duration = Duration::from_secs(10);

    fn recover(state: &mut State, second: u64, limit: u32) -> RecoveredJobs {
        state.recover(&RecoverJobs::new(at(second), limit, BACKOFF), at(second))
    }

    #[test]
    fn the_earliest_lease_is_taken_back_first_and_not_before_its_end() {
        let mut state = State::default();
        state.insert_all(vec![job(1), job(2), job(3)], at(0));
        for second in 0..3 {
            state.claim_some(at(second), 1);
        }
        state.pause(&queue("q"), at(3));
        let lease = LEASE.as_secs();
        let none = recover(&mut state, lease - 1, 10);
        assert_eq!((none.jobs.len(), none.next_expiry), (0, Some(at(lease))));
        let some = recover(&mut state, lease + 1, 1);
        assert_eq!((some.jobs[0].id, some.next_expiry), (id(1), Some(at(lease + 1))));
        let rest = recover(&mut state, lease + 9, 10);
        assert_eq!(rest.jobs.iter().map(|job| job.id).collect::<Vec<_>>(), [id(2), id(3)]);
        assert_eq!(rest.next_expiry, None);
    }

    #[test]
    fn crashes_in_a_row_wait_longer_and_then_fail() {
        let mut state = State::default();
        state.insert_all(vec![job(1)], at(0));
        for (crashes, state_after) in [(1, JobState::Waiting), (2, JobState::Waiting), (3, JobState::Failed)]
        {
            let start = u64::from(crashes) * 1_000;
            assert_eq!(state.claim_some(at(start), 1).jobs.len(), 1);
            let back = recover(&mut state, start + 500, 1).jobs.remove(0);
            assert_eq!((back.crashes, back.state), (crashes, state_after));
            if state_after == JobState::Waiting {
                assert_eq!(back.run_at, at(start + 500) + BACKOFF * u32::from(crashes));
            }
        }
        let job = state.record(1);
        assert_eq!((job.attempts, job.generation, job.finished_at), (0, 3, Some(at(3_500))));
        assert!(job.failures.iter().all(|one| one.failure.kind == FailureKind::Crash && one.attempt == 1));
    }

    #[test]
    fn a_settle_between_ends_the_row_of_crashes_and_a_release_does_not() {
        for (outcome, crashes) in [(Outcome::Release, 2), (Outcome::Snooze { delay: BACKOFF }, 1)] {
            let mut state = State::default();
            state.insert_all(vec![job(1)], at(0));
            state.claim_some(at(0), 1);
            recover(&mut state, 100, 1);
            state.run(outcome, at(200));
            state.claim_some(at(300), 1);
            assert_eq!(recover(&mut state, 400, 1).jobs[0].crashes, crashes);
        }
    }

    #[test]
    fn a_flagged_job_is_taken_back_to_its_end() {
        let mut state = State::default();
        state.insert_all(vec![job(1)], at(0));
        state.claim_some(at(0), 1);
        state.cancel(&[id(1)], at(1));
        assert_eq!(recover(&mut state, 100, 1).jobs[0].state, JobState::Cancelled);
    }
}
