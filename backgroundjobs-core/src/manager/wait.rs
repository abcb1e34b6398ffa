//! Waiting for a job to be over.

use std::future::pending;
use std::time::Duration;

use super::explanation::Explanation;
use super::store_manager::StoreManager;
use crate::store::{EndOf, StoreError};
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
        let end = self.door().hub().map(|hub| hub.end_of(id));
        loop {
            // Before the look, so that an end after it is heard.
            let heard = end.as_ref().map(EndOf::heard);
            let job = self.door().get(&[id]).await.map_err(failed)?.pop().flatten();
            let job = job.ok_or(WaitError::Unknown { id })?;
            if job.state.is_final() {
                return Ok(job.state);
            }
            if env.now() >= deadline {
                let explanation = Box::new(self.explain_job(id).await.map_err(failed)?);
                if let Some(state) = explanation.job.as_ref().map(|job| job.state).filter(|it| it.is_final())
                {
                    // It has ended between the two looks.
                    return Ok(state);
                }
                return Err(WaitError::TimedOut { limit, explanation });
            }
            let heard = async {
                match heard {
                    Some(heard) => heard.await,
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
