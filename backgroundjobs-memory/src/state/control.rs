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
