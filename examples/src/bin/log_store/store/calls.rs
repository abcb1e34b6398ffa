//! The calls of a store, each on a draft: what it does is done in memory, noted, and can be undone.

use std::time::Duration;

use backgroundjobs_core::*;

use super::change::{Change, Held, Queue, Row, Standing};
use super::rules;
use super::state::State;

/// One call at work.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    pub state: &'a mut State,
    done: Vec<Change>,
    undo: Vec<Change>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(state: &'a mut State) -> Self {
        Self { state, done: Vec::new(), undo: Vec::new() }
    }

    /// What was done so far, to be written down.
    pub(super) fn done(&self) -> &[Change] {
        &self.done
    }

    /// As if the call had never been.
    pub(super) fn undo(self) {
        for change in self.undo.into_iter().rev() {
            self.state.apply(change);
        }
    }

    fn change(&mut self, change: Change) {
        let undo = self.state.apply(change.clone()).expect("a change is of a row that was just looked at");
        self.undo.push(undo);
        self.done.push(change);
    }

    /// One step of one job, and of its key; `None` when there is no such job.
    fn step<T>(&mut self, id: JobId, rule: impl FnOnce(&mut Standing) -> T) -> Option<T> {
        let job = self.state.job(id)?;
        let (before, unique) = (Standing::of(job), job.unique.clone());
        let mut standing = before.clone();
        let answer = rule(&mut standing);
        let state = standing.state;
        if standing != before {
            self.change(Change::Step(standing));
        }
        if let Some(unique) = unique {
            let lets_go = match unique.hold {
                KeyHold::UntilFinished => state.is_final(),
                KeyHold::UntilStarted => state != JobState::Waiting,
                KeyHold::For(_) => false,
            };
            if lets_go {
                self.let_go(id, &unique);
            }
        }
        Some(answer)
    }

    /// Only of a key that is still this job's.
    fn let_go(&mut self, id: JobId, unique: &UniqueKey) {
        if self.state.last_holder(unique) == Some(id) {
            self.change(Change::Key(unique.key.to_string(), None));
        }
    }

    fn take_key(&mut self, job: JobId, unique: &UniqueKey, now: Timestamp) {
        let until = if let KeyHold::For(time) = unique.hold { Some(now + time) } else { None };
        self.change(Change::Key(unique.key.to_string(), Some(Held { job, until })));
    }

    /// One by one. After a conflict the whole draft has to be undone.
    pub(super) fn insert(&mut self, jobs: &[NewJob], now: Timestamp) -> Result<Vec<Inserted>, StoreError> {
        let mut answers = Vec::with_capacity(jobs.len());
        for (index, new) in jobs.iter().enumerate() {
            if let Some(there) = self.state.job(new.id) {
                if there.kind != new.kind || there.args != new.args {
                    let message =
                        format!("the id {} belongs to a job of another kind or with other args", new.id);
                    let kind = StoreErrorKind::Conflict { index };
                    return Err(StoreError::new(StoreOperation::Insert, kind, message));
                }
                answers.push(Inserted::Existing(new.id));
                continue;
            }
            if let Some(holder) = new.unique.as_ref().and_then(|unique| self.state.holder(unique, now)) {
                answers.push(Inserted::Existing(holder));
                continue;
            }
            self.change(Change::Job(Box::new(Row(JobRecord::inserted(new.clone(), now)))));
            if let Some(unique) = &new.unique {
                self.take_key(new.id, unique, now);
            }
            answers.push(Inserted::New);
        }
        Ok(answers)
    }

    pub(super) fn claim(&mut self, request: &ClaimJobs, now: Timestamp) -> ClaimedJobs {
        // Also when it does not say that it is repeated: the repetition may have overtaken it.
        let held: Vec<_> = self.state.claimed(request.claim_id).map(ClaimedJob::from_record).collect();
        let mut queues = Vec::with_capacity(request.queues.len());
        for demand in &request.queues {
            let paused = self.state.paused().contains_key(&demand.queue);
            queues.push(if !held.is_empty() {
                let jobs = held.iter().filter(|job| job.queue == demand.queue).cloned().collect();
                ClaimedQueue { jobs, more: !paused, next_due: None, paused }
            } else if paused {
                ClaimedQueue { paused, ..ClaimedQueue::default() }
            } else {
                self.claim_queue(demand, request, now)
            });
        }
        ClaimedJobs { store_now: now, queues, next_expiry: self.next_expiry() }
    }

    fn claim_queue(&mut self, demand: &QueueDemand, request: &ClaimJobs, now: Timestamp) -> ClaimedQueue {
        let QueueDemand { queue, limit } = demand;
        let mut due = self.state.due(queue, &request.kinds, now, limit.saturating_add(1));
        let more = due.len() > *limit;
        due.truncate(*limit);
        let mut jobs = Vec::with_capacity(due.len());
        for id in due {
            self.step(id, |job| rules::claim(job, request, now));
            jobs.extend(self.state.job(id).map(ClaimedJob::from_record));
        }
        let next_due = if more { None } else { self.state.next_due(queue, &request.kinds) };
        ClaimedQueue { jobs, more, next_due, paused: false }
    }

    fn next_expiry(&self) -> Option<Timestamp> {
        self.state.leases().next().map(|(until, _)| until)
    }

    pub(super) fn renew(&mut self, request: &RenewLeases, now: Timestamp) -> RenewedLeases {
        let until = now + request.lease;
        let renew = |key: &LeaseKey| {
            self.step(key.id, |job| rules::renew(job, key.generation, until)).unwrap_or(LeaseStatus::Lost)
        };
        RenewedLeases { store_now: now, leases: request.leases.iter().map(renew).collect() }
    }

    pub(super) fn settle(&mut self, request: &SettleJobs, now: Timestamp) -> SettledJobs {
        let settle = |Settlement { lease, outcome }: &Settlement| {
            let settled = self.step(lease.id, |job| rules::settle(job, lease.generation, outcome, now));
            settled.unwrap_or(Settled::Lost)
        };
        SettledJobs { store_now: now, jobs: request.outcomes.iter().map(settle).collect() }
    }

    pub(super) fn recover(&mut self, request: &RecoverJobs, now: Timestamp) -> RecoveredJobs {
        let ended = self.state.leases().take_while(|(until, _)| *until <= now);
        let ids: Vec<_> = ended.take(request.limit as usize).map(|(_, id)| id).collect();
        let mut jobs = Vec::with_capacity(ids.len());
        for id in ids {
            let max_crashes = self.state.job(id).map_or(0, |job| job.max_crashes);
            self.step(id, |job| rules::recover(job, max_crashes, request.crash_backoff, now));
            jobs.extend(self.state.job(id).map(|job| RecoveredJob {
                id,
                kind: job.kind.clone(),
                queue: job.queue.clone(),
                crashes: job.crashes,
                state: job.state,
                run_at: job.run_at,
            }));
        }
        RecoveredJobs { store_now: now, jobs, next_expiry: self.next_expiry() }
    }

    pub(super) fn cancel(&mut self, ids: &[JobId], now: Timestamp) -> Vec<CancelStatus> {
        let cancel =
            |id: &JobId| self.step(*id, |job| rules::cancel(job, now)).unwrap_or(CancelStatus::Unknown);
        ids.iter().map(cancel).collect()
    }

    pub(super) fn prune(&mut self, request: &PruneJobs, now: Timestamp) -> PrunedJobs {
        self.forget_keys(now, request.limit);
        let (mut removed, mut next_prune) = (0, None);
        for state in JobState::ALL {
            let Some(keep) = request.retention.of(state) else { continue };
            let in_state =
                |((_, _, other), count): (&(_, _, JobState), &u64)| (*other == state).then_some(*count);
            let mut left: u64 = self.state.counts().iter().filter_map(in_state).sum();
            loop {
                let Some((finished_at, id)) = self.state.over(state).next() else { break };
                let is_surplus = keep.max_count.is_some_and(|most| left > most);
                let goes_at = if is_surplus { Some(now) } else { too_old_at(finished_at, keep.max_age) };
                let Some(goes_at) = goes_at else { break };
                if goes_at > now || removed == request.limit {
                    next_prune = Some(next_prune.map_or(goes_at, |other: Timestamp| other.min(goes_at)));
                    break;
                }
                self.change(Change::Gone(id));
                (left, removed) = (left - 1, removed + 1);
            }
        }
        PrunedJobs { store_now: now, removed, next_prune }
    }

    fn forget_keys(&mut self, now: Timestamp, most: u32) {
        for _ in 0..most {
            let Some((until, key)) = self.state.next_key_end() else { return };
            if *until > now {
                return;
            }
            self.change(Change::Key(key.clone(), None));
        }
    }

    pub(super) fn requeue(&mut self, ids: &[JobId], now: Timestamp) -> RequeuedJobs {
        let jobs = ids.iter().map(|id| self.requeue_one(*id, now)).collect();
        RequeuedJobs { store_now: now, jobs }
    }

    fn requeue_one(&mut self, id: JobId, now: Timestamp) -> RequeueStatus {
        let Some(job) = self.state.job(id) else { return RequeueStatus::Unknown };
        if !job.state.is_final() {
            return RequeueStatus::NotFinished(job.state);
        }
        let (queue, unique) = (job.queue.clone(), job.unique.clone());
        match unique.as_ref().and_then(|unique| self.state.holder(unique, now)) {
            Some(other) if other != id => return RequeueStatus::Conflict(other),
            Some(_) => {} // its own, kept as it is
            None => unique.iter().for_each(|unique| self.take_key(id, unique, now)),
        }
        self.step(id, |job| rules::requeue(job, now));
        RequeueStatus::Requeued(queue)
    }

    pub(super) fn delete(&mut self, ids: &[JobId]) -> Vec<DeleteStatus> {
        ids.iter().map(|id| self.delete_one(*id)).collect()
    }

    fn delete_one(&mut self, id: JobId) -> DeleteStatus {
        let Some(job) = self.state.job(id) else { return DeleteStatus::Unknown };
        let (state, unique) = (job.state, job.unique.clone());
        if state == JobState::Running {
            return DeleteStatus::Running;
        }
        self.change(Change::Gone(id));
        if let Some(unique) = unique
            && state == JobState::Waiting
        {
            self.let_go(id, &unique);
        }
        DeleteStatus::Deleted
    }

    pub(super) fn pause(&mut self, queue: &QueueName, now: Timestamp) -> Result<(), StoreError> {
        if !self.state.paused().contains_key(queue) {
            self.change(Change::Paused(Queue(queue.clone()), Some(now)));
        }
        Ok(())
    }

    pub(super) fn resume(&mut self, queue: &QueueName) -> Result<(), StoreError> {
        if self.state.paused().contains_key(queue) {
            self.change(Change::Paused(Queue(queue.clone()), None));
        }
        Ok(())
    }
}

/// The first instant at which it has been over for longer than `max_age`, if time goes on for so long.
fn too_old_at(finished_at: Timestamp, max_age: Option<Duration>) -> Option<Timestamp> {
    let at = finished_at + max_age? + Duration::from_micros(1);
    (at.since(finished_at) > max_age?).then_some(at)
}
