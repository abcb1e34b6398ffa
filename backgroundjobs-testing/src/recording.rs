//! [`RecordingManager`]: for code that only enqueues.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backgroundjobs_core::{
    BackgroundJobs, CancelStatus, EnqueueError, Enqueued, Explanation, JobDraft, JobId, JobManager,
    JobRecord, JobState, RequeueStatus, StoreError, SubmitError, Timestamp, WaitError,
};
use backgroundjobs_memory::UseInMemory;

use crate::TestKit;
use crate::check::KitJobs;

/// A manager for tests of code that only enqueues: it takes jobs of every kind and queue, really stores them (so
/// ids, unique keys, limits, cancel, get and requeue are the real ones), and runs none. Cloning makes another
/// handle on the same jobs.
///
/// ```
/// # use std::sync::Arc;
/// # use std::time::Duration;
/// # use backgroundjobs_core::prelude::*;
/// use backgroundjobs_testing::RecordingManager;
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Serialize, Deserialize)]
/// # struct Mail { to: String }
/// # impl JobArgs for Mail { const KIND: &'static str = "mail"; }
///
/// // The code under test.
/// async fn sign_up(manager: Arc<dyn JobManager>, name: &str) -> Result<(), EnqueueError> {
///     manager.enqueue_in(Mail { to: name.into() }, Duration::from_secs(3)).await?;
///     Ok(())
/// }
/// # use backgroundjobs_core::EnqueueError;
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let manager = RecordingManager::new();
/// sign_up(Arc::new(manager.clone()), "masa").await?;
/// manager.jobs().await.assert_enqueued::<Mail>().due_in(Duration::from_secs(3)).once();
///
/// manager.set_unavailable(true);
/// assert!(sign_up(Arc::new(manager.clone()), "taro").await.is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RecordingManager {
    inner: Arc<Inner>,
}

struct Inner {
    manager: Arc<dyn JobManager>,
    _jobs: Arc<BackgroundJobs>,
    kit: TestKit,
}

impl RecordingManager {
    /// A manager that has nothing yet, at 2030-01-01T00:00:00Z.
    #[must_use]
    pub fn new() -> Self {
        let kit = TestKit::new();
        // It lives for as long as anybody holds it, and nobody is to run what it has.
        kit.abandon();
        let jobs = kit.build(BackgroundJobs::builder(|options| options.use_in_memory().producer_only()));
        Self { inner: Arc::new(Inner { manager: jobs.manager(), _jobs: jobs, kit }) }
    }

    /// Looks at what was enqueued, for assertions.
    pub async fn jobs(&self) -> KitJobs {
        self.inner.kit.jobs().await
    }

    /// The instant at which everything is enqueued, unless it is [advanced](Self::advance).
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.inner.kit.now()
    }

    /// Lets time pass, for unique keys that are held for a time.
    pub fn advance(&self, duration: Duration) {
        self.inner.kit.clock().advance(duration);
    }

    /// From now on every call fails as if the store could not be reached; or, with `false`, works again.
    pub fn set_unavailable(&self, unavailable: bool) {
        self.inner.kit.shared().cut_off(unavailable);
    }
}

impl Default for RecordingManager {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RecordingManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordingManager").field("manager", &self.inner.manager).finish_non_exhaustive()
    }
}

#[async_trait]
impl JobManager for RecordingManager {
    async fn submit(&self, jobs: Vec<JobDraft>) -> Result<Vec<Enqueued>, SubmitError> {
        self.inner.manager.submit(jobs).await
    }

    async fn submit_one(&self, job: JobDraft) -> Result<Enqueued, EnqueueError> {
        self.inner.manager.submit_one(job).await
    }

    async fn cancel(&self, id: JobId) -> Result<CancelStatus, StoreError> {
        self.inner.manager.cancel(id).await
    }

    async fn get(&self, id: JobId) -> Result<Option<JobRecord>, StoreError> {
        self.inner.manager.get(id).await
    }

    async fn requeue(&self, id: JobId) -> Result<RequeueStatus, StoreError> {
        self.inner.manager.requeue(id).await
    }

    async fn explain(&self, id: JobId) -> Result<Explanation, StoreError> {
        self.inner.manager.explain(id).await
    }

    /// Answers at once: nothing runs here, so what has not ended will not.
    async fn wait(&self, id: JobId, limit: Duration) -> Result<JobState, WaitError> {
        self.inner.manager.wait(id, Duration::ZERO).await.map_err(|error| match error {
            WaitError::TimedOut { explanation, .. } => WaitError::TimedOut { limit, explanation },
            other => other,
        })
    }
}
