//! Renew and settle: what the holder of a claim says about it.

use backgroundjobs_core::{
    LeaseKey, LeaseStatus, Outcome, RenewLeases, RenewedLeases, SettleJobs, Settled, SettledJobs, Settlement,
    Timestamp,
};

use super::State;
use super::job::{Job, Stage};

impl State {
    /// Moves the end of each lease that still stands.
    pub(crate) fn renew(&mut self, request: &RenewLeases, now: Timestamp) -> RenewedLeases {
        let until = now + request.lease;
        let leases = request.leases.iter().map(|lease| self.renew_one(*lease, until)).collect();
        RenewedLeases { store_now: now, leases }
    }

    /// Records each outcome whose claim still stands.
    pub(crate) fn settle(&mut self, request: &SettleJobs, now: Timestamp) -> SettledJobs {
        let jobs = request.outcomes.iter().map(|settlement| self.settle_one(settlement, now)).collect();
        SettledJobs { store_now: now, jobs }
    }

    fn renew_one(&mut self, LeaseKey { id, generation }: LeaseKey, until: Timestamp) -> LeaseStatus {
        match self.jobs.get_mut(&id) {
            Some(job) if job.runs_under(generation) => {
                self.index.extend(id, job, until);
                if job.cancel_requested { LeaseStatus::CancelRequested } else { LeaseStatus::Held }
            }
            _ => LeaseStatus::Lost,
        }
    }

    fn settle_one(&mut self, settlement: &Settlement, now: Timestamp) -> Settled {
        let LeaseKey { id, generation } = settlement.lease;
        let Some(job) = self.jobs.get_mut(&id) else { return Settled::Lost };
        if job.runs_under(generation) {
            let step = settlement.outcome.step();
            self.index.step(id, job, step, |job| apply(job, &settlement.outcome, now));
        } else if job.settled != generation || generation == 0 {
            return Settled::Lost;
        }
        Settled::Applied { state: job.state() }
    }
}

fn apply(job: &mut Job, outcome: &Outcome, now: Timestamp) {
    let state = outcome.settles_to(job.cancel_requested);
    if let Some(failure) = outcome.failure() {
        job.add_failure(now, failure.clone());
    }
    if matches!(outcome, Outcome::Retry { .. } | Outcome::Fail { .. }) {
        job.attempts = job.attempts.saturating_add(1);
    }
    if !matches!(outcome, Outcome::Release) {
        job.crashes = 0;
    }
    if let Outcome::Retry { delay, .. } | Outcome::Snooze { delay } = outcome
        && !state.is_final()
    {
        job.run_at = now + *delay;
    }
    job.settled = job.generation;
    job.stage = Stage::at_rest(state, now);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use backgroundjobs_core::{Failure, FailureKind, JobState, RecoverJobs, limits};

    use super::super::fixture::{LEASE, at, id, job};
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn failure() -> Failure {
        Failure::new(FailureKind::Error, "no route")
    }

    fn retry() -> Outcome {
        Outcome::Retry { delay: MINUTE, failure: failure() }
    }

    fn with_one_running_job() -> State {
        let mut state = State::default();
        state.insert_all(vec![job(1)], at(0));
        assert_eq!(state.claim_some(at(0), 1).jobs.len(), 1);
        state
    }

    #[test]
    fn each_outcome_costs_what_it_should() {
        let settled = |outcome| {
            let mut state = with_one_running_job();
            state.settle_with(id(1), 1, outcome, at(5));
            let job = state.record(1);
            (job.state, job.attempts, job.run_at, job.finished_at, job.failures.len())
        };
        let (later, over) = (at(5) + MINUTE, Some(at(5)));
        assert_eq!(settled(retry()), (JobState::Waiting, 1, later, None, 1));
        assert_eq!(settled(Outcome::Snooze { delay: MINUTE }), (JobState::Waiting, 0, later, None, 0));
        assert_eq!(settled(Outcome::Release), (JobState::Waiting, 0, at(0), None, 0));
        assert_eq!(settled(Outcome::Complete), (JobState::Succeeded, 0, at(0), over, 0));
        assert_eq!(settled(Outcome::Fail { failure: failure() }), (JobState::Failed, 1, at(0), over, 1));
        assert_eq!(settled(Outcome::Cancel { failure: None }), (JobState::Cancelled, 0, at(0), over, 0));
    }

    #[test]
    fn a_flagged_job_never_waits_again_but_completes_and_fails() {
        let settled = |outcome| {
            let mut state = with_one_running_job();
            state.cancel(&[id(1)], at(1));
            assert_eq!(
                state.renew(
                    &RenewLeases::new(at(2), LEASE, vec![LeaseKey { id: id(1), generation: 1 }]),
                    at(2)
                ),
                RenewedLeases { store_now: at(2), leases: vec![LeaseStatus::CancelRequested] }
            );
            state.settle_with(id(1), 1, outcome, at(5))
        };
        for outcome in [retry(), Outcome::Snooze { delay: MINUTE }, Outcome::Release] {
            assert_eq!(settled(outcome), Settled::Applied { state: JobState::Cancelled });
        }
        assert_eq!(settled(Outcome::Complete), Settled::Applied { state: JobState::Succeeded });
        assert_eq!(
            settled(Outcome::Fail { failure: failure() }),
            Settled::Applied { state: JobState::Failed }
        );
    }

    #[test]
    fn a_settle_is_fenced_by_its_generation() {
        let mut state = with_one_running_job();
        assert_eq!(state.settle_with(id(1), 2, Outcome::Complete, at(1)), Settled::Lost);
        assert_eq!(state.settle_with(id(9), 1, Outcome::Complete, at(1)), Settled::Lost);
        assert_eq!(
            state.settle_with(id(1), 1, retry(), at(1)),
            Settled::Applied { state: JobState::Waiting }
        );
        assert_eq!(state.claim_some(at(100), 1).jobs[0].generation, 2);
        assert_eq!(
            state.settle_with(id(1), 1, retry(), at(101)),
            Settled::Applied { state: JobState::Running },
            "a repeat is answered and changes nothing"
        );
        assert_eq!(state.record(1).attempts, 1);
        state.recover(&RecoverJobs::new(at(200), 1, MINUTE), at(200));
        assert_eq!(state.settle_with(id(1), 2, Outcome::Complete, at(201)), Settled::Lost);
    }

    #[test]
    fn a_lease_that_ran_out_is_renewed_and_settled_while_nobody_took_the_job_back() {
        let mut state = with_one_running_job();
        let lease = LeaseKey { id: id(1), generation: 1 };
        let renewed = state.renew(&RenewLeases::new(at(100), LEASE, vec![lease]), at(100));
        assert_eq!(renewed.leases, [LeaseStatus::Held]);
        assert_eq!(state.index.next_expiry(), Some(at(100) + LEASE));
        let settled = state.settle_with(id(1), 1, Outcome::Complete, at(500));
        assert_eq!(settled, Settled::Applied { state: JobState::Succeeded });
        let renewed = state.renew(&RenewLeases::new(at(501), LEASE, vec![lease]), at(501));
        assert_eq!(renewed.leases, [LeaseStatus::Lost]);
        assert_eq!(state.index.next_expiry(), None);
    }

    #[test]
    fn the_newest_failures_are_kept_with_the_number_of_their_attempt() {
        let mut state = State::default();
        state.insert_all(vec![job(1)], at(0));
        for run in 1..=30 {
            state.run(Outcome::Retry { delay: Duration::ZERO, failure: failure() }, at(run));
        }
        let failures = state.record(1).failures;
        let ends = (failures[0].attempt, failures[failures.len() - 1].attempt);
        assert_eq!((failures.len(), ends), (limits::MAX_ERRORS_PER_JOB, (6, 30)));
        assert_eq!(failures[0].at, at(6));
    }
}
