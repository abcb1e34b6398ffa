use std::cmp::Reverse;
use std::time::Duration;

use crate::guide_store::{Keys, Rows, steps};
use backgroundjobs_core::*;

/// All that is stored, for one call at a time.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) rows: Rows,
    keys: Keys,
}

impl State {
    /// One step of one job; `None` when there is no such job.
    pub(crate) fn step<T>(&mut self, id: JobId, step: impl FnOnce(&mut JobRecord) -> T) -> Option<T> {
        let mut job = self.rows.take(id)?;
        let answer = step(&mut job);
        self.keys.after_step(&job);
        self.rows.put(job);
        Some(answer)
    }

    pub(crate) fn insert(&mut self, jobs: &[NewJob], now: Timestamp) -> Result<Vec<Inserted>, StoreError> {
        // A small state of its own for this batch: later jobs see it (I-5), and a conflict forgets it (I-3).
        let mut batch = Self::default();
        let mut answers = Vec::with_capacity(jobs.len());
        for (index, job) in jobs.iter().enumerate() {
            let (id, unique) = (job.id, job.unique.as_ref());
            let answer = if let Some(there) = self.rows.get(id).or_else(|| batch.rows.get(id)) {
                if there.kind != job.kind || there.args != job.args {
                    let message = format!("the id {id} belongs to a job of another kind or other args");
                    let kind = StoreErrorKind::Conflict { index };
                    return Err(StoreError::new(StoreOperation::Insert, kind, message));
                }
                Inserted::Existing(id)
            } else if let Some(holder) =
                self.keys.holder(unique, now).or_else(|| batch.keys.holder(unique, now))
            {
                Inserted::Existing(holder)
            } else {
                batch.add(JobRecord::inserted(job.clone(), now), now);
                Inserted::New
            };
            answers.push(answer);
        }
        for job in jobs.iter().filter_map(|job| batch.rows.take(job.id)) {
            self.add(job, now);
        }
        Ok(answers)
    }

    fn add(&mut self, job: JobRecord, now: Timestamp) {
        self.keys.take(&job, now);
        self.rows.put(job);
    }

    pub(crate) fn claim(&mut self, request: &ClaimJobs, now: Timestamp) -> Vec<ClaimedQueue> {
        let mut held = if request.repeated { self.held_by(request.claim_id) } else { Vec::new() };
        held.sort_by_key(|job| (Reverse(job.priority), job.run_at, job.id));
        let answer = |demand: &QueueDemand| {
            if held.is_empty() {
                return self.claim_queue(demand, request, now);
            }
            let jobs = held.iter().filter(|job| job.queue == demand.queue).map(ClaimedJob::from_record);
            ClaimedQueue { jobs: jobs.collect(), more: true, next_due: None, paused: false }
        };
        request.queues.iter().map(answer).collect()
    }

    /// What still runs under a claim. Looks through all that runs: a claim is seldom repeated.
    fn held_by(&self, claim: ClaimId) -> Vec<JobRecord> {
        let running = self.rows.leases().iter().filter_map(|(_, id)| self.rows.get(*id));
        running
            .filter(|job| job.lease.as_ref().is_some_and(|lease| lease.claim_id == claim))
            .cloned()
            .collect()
    }

    fn claim_queue(&mut self, demand: &QueueDemand, request: &ClaimJobs, now: Timestamp) -> ClaimedQueue {
        let QueueDemand { queue, limit } = demand;
        let mut due = self.rows.due(queue, &request.kinds, now, limit.saturating_add(1));
        let more = due.len() > *limit;
        due.truncate(*limit);
        let claim = |id| self.step(id, |job| steps::claim(job, request, now));
        let jobs = due.into_iter().filter_map(claim).collect();
        let next_due = if more { None } else { self.rows.next_due(queue, &request.kinds) };
        ClaimedQueue { jobs, more, next_due, paused: false }
    }

    pub(crate) fn next_expiry(&self) -> Option<Timestamp> {
        self.rows.leases().first().map(|(until, _)| *until)
    }

    pub(crate) fn prune(&mut self, request: &PruneJobs, now: Timestamp) -> PrunedJobs {
        self.keys.clear(now, request.limit);
        let (mut removed, mut next_prune) = (0, None);
        for state in JobState::ALL {
            let Some(keep) = request.retention.of(state) else { continue };
            while let Some(((finished_at, id), count)) = self.rows.first_ended(state) {
                let is_surplus = keep.max_count.is_some_and(|most| count > most);
                let goes_at = if is_surplus { Some(now) } else { too_old_at(finished_at, keep.max_age) };
                if removed == request.limit || goes_at.is_none_or(|at| at > now) {
                    // Those after it go no earlier, so it says when there is more to do.
                    next_prune = [next_prune, goes_at].into_iter().flatten().min();
                    break;
                }
                self.rows.take(id);
                removed += 1;
            }
        }
        PrunedJobs { store_now: now, removed, next_prune }
    }
}

/// The first instant at which a job has been over for longer than `max_age`; `None` if there is none.
fn too_old_at(finished_at: Timestamp, max_age: Option<Duration>) -> Option<Timestamp> {
    let instant = finished_at + max_age? + Duration::from_micros(1);
    // The sum may have been cut at the end of time.
    (instant.since(finished_at) > max_age?).then_some(instant)
}
