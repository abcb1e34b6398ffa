//! [`JobManager`]: what a program enqueues through.

mod current;
mod draft;
mod enqueue_error;
mod explain;
mod explanation;
mod ext;
mod store_manager;
mod wait;
mod watch;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

pub use current::{BackgroundJobManager, InstallError, NoManagerError};
pub(crate) use current::{install, sync_scope};
pub use draft::{EnqueueOptions, JobDraft};
pub use enqueue_error::{EnqueueError, EnqueueManyError, SubmitError};
pub use explanation::{Explanation, PutOff, Reason};
pub use ext::JobManagerExt;
pub(crate) use store_manager::{LookEverywhere, Producing, StoreManager};
pub use wait::WaitError;

use crate::{CancelStatus, InsertJobs, JobId, JobRecord, JobState, RequeueStatus, StoreError};

/// What a program enqueues through, and asks about jobs.
///
/// Object safe, so that code can hold an `Arc<dyn JobManager>` and a test can hand it another one. The typed
/// verbs (`enqueue`, `enqueue_in` …) are in [`JobManagerExt`], which every manager has.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a manager of jobs: it lacks `impl JobManager`",
    label = "does not implement `JobManager`",
    note = "a program's manager is `jobs.manager()`, where `jobs` is its `BackgroundJobs`",
    note = "for a stand-in of your own write `#[async_trait::async_trait] impl JobManager for YourManager`"
)]
#[async_trait]
pub trait JobManager: fmt::Debug + Send + Sync + 'static {
    /// Stores jobs, all or none. Programs mostly call the verbs of [`JobManagerExt`] instead; this is for jobs of
    /// several kinds that belong together: `submit(vec![JobDraft::of(&a, options)?, JobDraft::of(&b, options)?])`.
    ///
    /// # Errors
    /// [`SubmitError`] names the first job that cannot be stored; then none was, unless the store cannot say.
    async fn submit(&self, jobs: Vec<JobDraft>) -> Result<Vec<Enqueued>, SubmitError>;

    /// Stores one job; what the verbs for one job call. As [`submit`](Self::submit), which it calls unless a
    /// manager has a shorter way.
    ///
    /// # Errors
    /// [`EnqueueError`]; then it was not stored, unless the store cannot say.
    ///
    /// # Panics
    /// When a manager's `submit` takes the job and answers nothing for it.
    async fn submit_one(&self, job: JobDraft) -> Result<Enqueued, EnqueueError> {
        let enqueued = self.submit(vec![job]).await.map_err(|error| error.source)?;
        Ok(enqueued[0])
    }

    /// Checks jobs and fills in what they leave open, as [`submit`](Self::submit) does, and stores nothing: for a store that
    /// inserts in a transaction of the caller's, who wakes no worker. `None` where a manager stores no jobs.
    fn to_insert(&self, _jobs: Vec<JobDraft>) -> Option<Result<InsertJobs, SubmitError>> {
        None
    }

    /// Cancels a job: one that waits is Cancelled at once; one that runs is asked to stop, at once in this
    /// process, within the renew interval (10 s) in another.
    ///
    /// # Errors
    /// [`StoreError`]; calling again is safe.
    async fn cancel(&self, id: JobId) -> Result<CancelStatus, StoreError>;

    /// Reads a job's record; `None` when there is none, or none any more.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn get(&self, id: JobId) -> Result<Option<JobRecord>, StoreError>;

    /// Puts a finished job back, due now, with fresh attempts.
    ///
    /// # Errors
    /// [`StoreError`]; of kind [`Rejected`](crate::StoreErrorKind::Rejected) when the store has no control.
    async fn requeue(&self, id: JobId) -> Result<RequeueStatus, StoreError>;

    /// Says where a job stands and why it is not running: not due, its queue paused, no free slot, no handler
    /// here… Compares with this process's clock and workers; of other processes it knows what the store knows.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn explain(&self, id: JobId) -> Result<Explanation, StoreError>;

    /// Waits until a job is over, and answers its final state. Where the end comes in another process it is
    /// seen within the store's poll interval (5 s).
    ///
    /// Cancel safety: may be dropped and called again.
    ///
    /// # Errors
    /// [`WaitError`]: not over within `limit`, with the reason; no such job; or the store cannot say.
    async fn wait(&self, id: JobId, limit: Duration) -> Result<JobState, WaitError>;
}

/// What an enqueue answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enqueued {
    /// The job: the new one, or the one that was there.
    pub id: JobId,
    /// `false` when the job was there already: the same id, or a job that holds the same unique key.
    pub is_new: bool,
}
