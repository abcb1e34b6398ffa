//! Requeue, delete, pause, resume: what an operator does.

use backgroundjobs_core::{DeleteStatus, JobId, QueueName, RequeueStatus, Step, Timestamp};

use super::State;
use super::job::Stage;

impl State {
    /// Puts finished jobs back to Waiting, due now.
    pub(crate) fn requeue(&mut self, ids: &[JobId], now: Timestamp) -> Vec<RequeueStatus> {
        ids.iter().map(|id| self.requeue_one(*id, now)).collect()
    }

    /// Deletes jobs that do not run.
    pub(crate) fn delete(&mut self, ids: &[JobId]) -> Vec<DeleteStatus> {
        ids.iter().map(|id| self.delete_one(*id)).collect()
    }

    /// Keeps a queue's jobs from being claimed.
    pub(crate) fn pause(&mut self, queue: &QueueName, now: Timestamp) {
        self.index.lanes.pause(queue, now);
    }

    /// Lets a queue's jobs be claimed again.
    pub(crate) fn resume(&mut self, queue: &QueueName) {
        self.index.lanes.resume(queue);
    }

    fn requeue_one(&mut self, id: JobId, now: Timestamp) -> RequeueStatus {
        let Some(job) = self.jobs.get_mut(&id) else { return RequeueStatus::Unknown };
        if !job.state().is_final() {
            return RequeueStatus::NotFinished(job.state());
        }
        if let Some(unique) = job.unique()
            && let Err(holder) = self.index.keys.take(unique, id, now)
            && holder != id
        {
            return RequeueStatus::Conflict(holder);
        }
        self.index.step(id, job, Step::Requeue, |job| {
            job.stage = Stage::Waiting;
            job.run_at = now;
            job.attempts = 0;
            job.crashes = 0;
            job.cancel_requested = false;
        });
        RequeueStatus::Requeued(self.index.lanes.group(job.group).queue.clone())
    }

    fn delete_one(&mut self, id: JobId) -> DeleteStatus {
        match self.jobs.get(&id) {
            None => DeleteStatus::Unknown,
            Some(job) if job.lease().is_some() => DeleteStatus::Running,
            Some(_) => {
                self.erase(id);
                DeleteStatus::Deleted
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use backgroundjobs_core::{
        Failure, FailureKind, Inserted, JobState, Keep, KeyHold, NewJob, Outcome, PruneJobs, Retention,
        UniqueKey,
    };

    use super::super::fixture::{at, id, job, queue};
    use super::*;

    const SNOOZE: Outcome = Outcome::Snooze { delay: Duration::ZERO };

    fn keyed(number: u64, hold: KeyHold) -> NewJob {
        let mut job = job(number);
        job.unique = Some(UniqueKey { key: "k".into(), hold });
        job
    }

    fn insert(state: &mut State, number: u64, hold: KeyHold, second: u64) -> Inserted {
        state.insert_all(vec![keyed(number, hold)], at(second))[0]
    }

    #[test]
    fn a_key_until_finished_goes_with_the_end_and_comes_back_only_by_requeue() {
        let mut state = State::default();
        let hold = KeyHold::UntilFinished;
        insert(&mut state, 1, hold, 0);
        state.run(SNOOZE, at(1));
        assert_eq!(insert(&mut state, 2, hold, 1), Inserted::Existing(id(1)));
        state.run(Outcome::Complete, at(2));
        assert_eq!(insert(&mut state, 2, hold, 2), Inserted::New);
        assert_eq!(state.requeue(&[id(1)], at(3)), [RequeueStatus::Conflict(id(2))]);
        assert_eq!(state.record(1).state, JobState::Succeeded);
        state.cancel(&[id(2)], at(4));
        assert_eq!(
            state.requeue(&[id(1), id(1), id(9)], at(5)),
            [
                RequeueStatus::Requeued(queue("q")),
                RequeueStatus::NotFinished(JobState::Waiting),
                RequeueStatus::Unknown
            ]
        );
        assert_eq!(insert(&mut state, 3, hold, 6), Inserted::Existing(id(1)));
    }

    #[test]
    fn a_key_until_started_goes_with_the_first_claim_or_an_earlier_end() {
        let mut state = State::default();
        let hold = KeyHold::UntilStarted;
        insert(&mut state, 1, hold, 0);
        assert_eq!(insert(&mut state, 2, hold, 0), Inserted::Existing(id(1)));
        state.run(SNOOZE, at(1));
        assert_eq!(insert(&mut state, 2, hold, 1), Inserted::New, "no settle takes a key");
        state.cancel(&[id(1)], at(2));
        assert_eq!(insert(&mut state, 3, hold, 2), Inserted::Existing(id(2)), "nor lets another's go");
        state.cancel(&[id(2)], at(3));
        assert_eq!(insert(&mut state, 3, hold, 3), Inserted::New);
    }

    #[test]
    fn a_key_held_for_a_time_outlives_its_job_and_its_record() {
        let mut state = State::default();
        let hold = KeyHold::For(Duration::from_secs(100));
        insert(&mut state, 1, hold, 0);
        state.run(Outcome::Complete, at(1));
        let retention = Retention { succeeded: Keep::latest(0), ..Retention::FOREVER };
        assert_eq!(state.prune(&PruneJobs::new(at(2), retention, 10), at(2)).removed, 1);
        assert_eq!(insert(&mut state, 2, hold, 99), Inserted::Existing(id(1)));
        assert_eq!(insert(&mut state, 2, hold, 100), Inserted::New);
        state.run(Outcome::Complete, at(101));
        assert_eq!(state.delete(&[id(2)]), [DeleteStatus::Deleted]);
        assert_eq!(insert(&mut state, 3, hold, 102), Inserted::Existing(id(2)));
    }

    #[test]
    fn a_key_held_for_a_time_goes_with_a_job_deleted_while_it_waits() {
        let mut state = State::default();
        let hold = KeyHold::For(Duration::from_secs(100));
        insert(&mut state, 1, hold, 0);
        state.delete(&[id(1)]);
        assert_eq!(insert(&mut state, 2, hold, 1), Inserted::New);
    }

    #[test]
    fn a_requeue_takes_the_full_time_anew_but_keeps_a_time_that_still_runs() {
        let mut state = State::default();
        let hold = KeyHold::For(Duration::from_secs(100));
        insert(&mut state, 1, hold, 0);
        state.cancel(&[id(1)], at(1));
        state.requeue(&[id(1)], at(50));
        state.cancel(&[id(1)], at(51));
        assert_eq!(insert(&mut state, 2, hold, 99), Inserted::Existing(id(1)));
        state.requeue(&[id(1)], at(150));
        assert_eq!(insert(&mut state, 2, hold, 249), Inserted::Existing(id(1)));
        assert_eq!(insert(&mut state, 2, hold, 250), Inserted::New);
    }

    #[test]
    fn a_requeued_job_starts_over_but_keeps_its_generation_and_failures() {
        let mut state = State::default();
        state.insert_all(vec![job(1)], at(0));
        let claimed = state.claim_some(at(1), 1).jobs.remove(0);
        state.cancel(&[id(1)], at(2));
        let failure = Failure::new(FailureKind::Error, "no route");
        state.settle_with(id(1), claimed.generation, Outcome::Fail { failure }, at(3));
        state.requeue(&[id(1)], at(9));
        let job = state.record(1);
        assert_eq!((job.state, job.run_at, job.finished_at), (JobState::Waiting, at(9), None));
        assert_eq!((job.attempts, job.crashes, job.cancel_requested), (0, 0, false));
        assert_eq!((job.generation, job.settled, job.failures.len()), (1, 1, 1));
        assert_eq!(state.claim_some(at(9), 1).jobs[0].generation, 2);
    }

    #[test]
    fn a_running_job_is_not_deleted() {
        let mut state = State::default();
        state.insert_all(vec![job(1)], at(0));
        state.claim_some(at(0), 1);
        assert_eq!(state.delete(&[id(1), id(2)]), [DeleteStatus::Running, DeleteStatus::Unknown]);
    }
}
