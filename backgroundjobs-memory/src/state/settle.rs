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
        } else if job.settled != generation {
            return Settled::Lost;
        }
        Settled::Applied { state: job.state() }
    }
}

fn apply(job: &mut Job, outcome: &Outcome, now: Timestamp) {
    let state = outcome.step().settles_to(job.cancel_requested).expect("an outcome ends a run");
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
