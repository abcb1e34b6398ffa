//! Waiting for a job to be over.

use std::future::pending;
use std::time::Duration;

use super::explanation::Explanation;
use super::store_manager::StoreManager;
use crate::store::{StoreError, WakeHub};
use crate::{JobId, JobState};

/// Why a wait for a job ended without its end.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// It is not over within the limit.
    #[error("not over within {limit:?}: {explanation}")]
    TimedOut {
        /// How long was waited.
        limit: Duration,
        /// Where the job stands, and why.
        explanation: Box<Explanation>,
    },
    /// The store has no such job, or none any more.
    #[error(
        "there is no job {id}: it was never stored, was deleted, or was cleared away after its end; keep \
         finished jobs longer with options.retention(..)"
    )]
    Unknown {
        /// The job that was waited for.
        id: JobId,
    },
    /// The store cannot say.
    #[error("the store could not be asked about job {id}")]
    Store {
        /// The job that was waited for.
        id: JobId,
        /// What the store says.
        source: StoreError,
    },
}

impl StoreManager {
    pub(super) async fn wait_for(&self, id: JobId, limit: Duration) -> Result<JobState, WaitError> {
        let env = self.door().env();
        let failed = |source| WaitError::Store { id, source };
        self.prepare().await.map_err(failed)?;
        let deadline = env.now() + limit;
        loop {
            // Before the look, so that what ends after it is heard.
            let progress = self.door().hub().map(WakeHub::progress);
            let job = self.door().get(&[id]).await.map_err(failed)?.pop().flatten();
            let job = job.ok_or(WaitError::Unknown { id })?;
            if job.state.is_final() {
                return Ok(job.state);
            }
            if env.now() >= deadline {
                let explanation = Box::new(self.explain_job(id).await.map_err(failed)?);
                return Err(WaitError::TimedOut { limit, explanation });
            }
            let heard = async {
                match progress {
                    Some(progress) => progress.await,
                    None => pending().await,
                }
            };
            let poll = self.door().profile().poll_interval.map_or(deadline, |poll| env.now() + poll);
            tokio::select! {
                biased;
                () = heard => {}
                () = env.sleep_until(poll.min(deadline)) => {}
            }
        }
    }
}

crate::readable::debug_is_text!(WaitError);
