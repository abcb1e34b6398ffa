//! Claim: handing out what is due.

use std::cmp::Reverse;

use backgroundjobs_core::{
    ClaimJobs, ClaimedJob, ClaimedJobs, ClaimedQueue, JobId, Lease, QueueDemand, QueueName, Step, Timestamp,
};

use super::job::Stage;
use super::{State, stored};

impl State {
    /// Hands out due jobs of each queue, or again those of a repeated claim.
    pub(crate) fn claim(&mut self, request: &ClaimJobs, now: Timestamp) -> ClaimedJobs {
        let earlier = if request.repeated { self.jobs_of_claim(request) } else { Vec::new() };
        let queue = |demand| {
            if earlier.is_empty() {
                self.claim_queue(request, demand, now)
            } else {
                self.repeat_queue(demand, &earlier)
            }
        };
        let queues = request.queues.iter().map(queue).collect();
        ClaimedJobs { store_now: now, queues, next_expiry: self.index.next_expiry() }
    }

    fn claim_queue(&mut self, request: &ClaimJobs, demand: &QueueDemand, now: Timestamp) -> ClaimedQueue {
        let Some(queue) = self.index.lanes.queue(&demand.queue) else { return ClaimedQueue::default() };
        if queue.paused_since.is_some() {
            return ClaimedQueue { paused: true, ..ClaimedQueue::default() };
        }
        let groups = queue.groups(&request.kinds);
        let due = self.index.lanes.due(&groups, now, demand.limit);
        let jobs = due.into_iter().map(|id| self.claim_one(id, request, now)).collect();
        let next_due = self.index.lanes.next_due(&groups);
        let more = next_due.is_some_and(|due| due <= now);
        ClaimedQueue { jobs, more, next_due: next_due.filter(|_| !more), paused: false }
    }

    fn claim_one(&mut self, id: JobId, request: &ClaimJobs, now: Timestamp) -> ClaimedJob {
        let job = stored(&mut self.jobs, id);
        self.index.step(id, job, Step::Claim, |job| {
            job.stage = Stage::Running(Lease::new(request.worker, request.claim_id, now + request.lease));
            job.generation += 1;
            job.claimed_at = Some(now);
        });
        job.claimed(id, self.index.lanes.group(job.group))
    }

    /// The jobs that still run under the claim, in the order in which they were handed out. Looks at every
    /// running job, which a claim that is not repeated never pays for.
    fn jobs_of_claim(&self, request: &ClaimJobs) -> Vec<JobId> {
        let mut found = Vec::new();
        for (_, id) in self.index.leases.iter() {
            let job = &self.jobs[&id];
            if job.lease().is_some_and(|lease| lease.claim_id == request.claim_id) {
                found.push((Reverse(job.priority), job.run_at, id));
            }
        }
        found.sort_unstable();
        found.into_iter().map(|(_, _, id)| id).collect()
    }

    /// One queue's part of the answer to a repeated claim. A pause since then does not keep its jobs back: they
    /// run, and nobody else will hear of them.
    fn repeat_queue(&self, demand: &QueueDemand, earlier: &[JobId]) -> ClaimedQueue {
        let jobs = earlier.iter().filter_map(|id| self.claimed_from(&demand.queue, *id)).collect();
        let paused = self.index.lanes.queue(&demand.queue).is_some_and(|queue| queue.paused_since.is_some());
        ClaimedQueue { jobs, more: !paused, next_due: None, paused }
    }

    fn claimed_from(&self, queue: &QueueName, id: JobId) -> Option<ClaimedJob> {
        let job = self.jobs.get(&id)?;
        let group = self.index.lanes.group(job.group);
        (group.queue == *queue).then(|| job.claimed(id, group))
    }
}

#[cfg(test)]
mod tests {
    use backgroundjobs_core::{JobState, Outcome};

    use super::super::fixture::{LEASE, at, claim_of, id, job, queue};
    use super::*;

    #[test]
    fn a_claim_holds_what_it_hands_out() {
        let mut state = State::default();
        state.insert_all(vec![job(1)], at(0));
        let reply = state.claim(&claim_of(7, at(5), 1), at(5));
        assert_eq!((reply.store_now, reply.next_expiry), (at(5), Some(at(5) + LEASE)));
        let record = state.record(1);
        assert_eq!((record.state, record.generation, record.settled), (JobState::Running, 1, 0));
        assert_eq!((record.claimed_at, record.run_at), (Some(at(5)), at(0)));
        assert_eq!(record.lease.expect("a lease").claim_id, claim_of(7, at(5), 1).claim_id);
        assert!(state.claim_some(at(100), 5).jobs.is_empty());
    }

    #[test]
    fn a_repeated_claim_answers_what_still_runs_and_hands_out_nothing_more() {
        let mut state = State::default();
        state.insert_all(vec![job(1), job(2)], at(0));
        let mut request = claim_of(7, at(0), 5);
        state.claim(&request, at(0));
        state.insert_all(vec![job(3)], at(1));
        state.settle_with(id(1), 1, Outcome::Complete, at(1));
        state.cancel(&[id(2)], at(1));
        state.pause(&queue("q"), at(1));
        request.repeated = true;
        let part = &state.claim(&request, at(2)).queues[0];
        assert_eq!((part.jobs.len(), part.jobs[0].id, part.jobs[0].generation), (1, id(2), 1));
        assert!(part.jobs[0].cancel_requested && part.paused);
        state.resume(&queue("q"));
        state.settle_with(id(2), 1, Outcome::Complete, at(2));
        let part = &state.claim(&request, at(2)).queues[0];
        assert_eq!((part.jobs.len(), part.jobs[0].id), (1, id(3)), "none runs, so it is a new claim");
    }
}
