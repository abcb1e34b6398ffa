//! Running one job here and now, without a store.

use std::sync::Arc;

use super::BackgroundJobs;
use crate::context::Surroundings;
use crate::worker::Performance;
use crate::{BackgroundJobManager, EnqueueError, JobDraft, JobManager, Outcome};

impl BackgroundJobs {
    /// Runs one job here and now, in the task that awaits this, and answers what a worker would tell the store:
    /// the args are read from their JSON, wrappers, timeout, guard against panics and retry policy are the real
    /// ones. Nothing is stored, claimed or counted; what the handler enqueues is. `attempt` is counted from 1; 0
    /// counts as 1.
    ///
    /// For unit tests of handlers; works before the start, too.
    ///
    /// Cancel safety: dropping it drops the handler where it waits.
    ///
    /// # Errors
    /// [`EnqueueError`] as an enqueue of the same draft would answer, but for what a store answers; and
    /// [`EnqueueError::UnknownKind`] where such jobs may be enqueued here, but only others run them.
    pub async fn perform(&self, draft: JobDraft, attempt: u16) -> Result<Outcome, EnqueueError> {
        let job = self.manager.new_run(draft, attempt)?;
        let Some(registration) = self.registry.find(&job.kind) else {
            return Err(self.manager.unhandled(&job.kind));
        };
        let manager: Arc<dyn JobManager> = self.manager.clone();
        let surroundings = Arc::new(Surroundings { env: self.door.env().clone(), manager: manager.clone() });
        let performance = Performance {
            executor: &*self.executor,
            surroundings: &surroundings,
            registration,
            retry: self.retry,
            times: self.times,
        };
        Ok(BackgroundJobManager::scope(manager, performance.of(job)).await)
    }
}
