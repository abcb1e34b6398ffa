//! [`Admin`]: what an operator does to jobs and queues.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::limits::LIST_PAGE;
use crate::manager::{LookEverywhere, StoreManager};
use crate::store::{
    CountJobs, DeleteStatus, JobCounts, JobCursor, JobFilter, JobPage, ListJobs, QueueFacts, RequeueStatus,
    StoreError, Wake,
};
use crate::store_door::StoreDoor;
use crate::{JobId, JobState, NameError, QueueName};

/// What an operator does to jobs and queues: pause, resume, list, count, delete, put back.
///
/// [`BackgroundJobs::admin`](crate::BackgroundJobs::admin) has one where the store can do all of it. It works
/// before the start and after the stop, too.
#[derive(Clone)]
pub struct Admin {
    manager: Arc<StoreManager>,
}

impl Admin {
    pub(crate) const fn new(manager: Arc<StoreManager>) -> Self {
        Self { manager }
    }

    /// Keeps jobs of a queue from being started until it is resumed, in every process on this store. Jobs that
    /// run, run on; jobs may be enqueued. Pausing twice keeps the first instant.
    ///
    /// # Errors
    /// [`AdminError`]: `queue` is no name, or the store fails.
    pub async fn pause(&self, queue: &str) -> Result<(), AdminError> {
        let queue = self.queue(queue).await?;
        // Told either way: where the answer is lost the queue may be paused, and looking again does no harm.
        let paused = self.door().pause(&queue).await;
        self.manager.wake(Wake::Paused(&queue));
        paused?;
        Ok(())
    }

    /// Lets jobs of a queue be started again. Harmless when it is not paused.
    ///
    /// # Errors
    /// [`AdminError`]: `queue` is no name, or the store fails.
    pub async fn resume(&self, queue: &str) -> Result<(), AdminError> {
        let queue = self.queue(queue).await?;
        let doubt = LookEverywhere(&self.manager);
        self.door().resume(&queue).await?;
        doubt.resolve();
        self.manager.wake(Wake::Due { queue: &queue, delay: Duration::ZERO });
        Ok(())
    }

    /// Names every queue that has jobs or is paused, in order of name.
    ///
    /// # Errors
    /// [`AdminError`]: the store fails.
    pub async fn queues(&self) -> Result<Vec<QueueFacts>, AdminError> {
        self.manager.prepare().await?;
        Ok(self.door().queues().await?)
    }

    /// Counts jobs by queue, kind and state.
    ///
    /// # Errors
    /// [`AdminError`]: the store fails.
    pub async fn count(&self, filter: JobFilter) -> Result<JobCounts, AdminError> {
        self.manager.prepare().await?;
        Ok(self.door().count(&CountJobs::new(self.door().env().now(), filter)).await?)
    }

    /// Lists jobs without their args, newest first, a hundred at a time; [`JobPage::next`] is where the next
    /// page starts.
    ///
    /// # Errors
    /// [`AdminError`]: the store fails.
    pub async fn list(&self, filter: JobFilter, after: Option<JobCursor>) -> Result<JobPage, AdminError> {
        self.manager.prepare().await?;
        Ok(self.door().list(&ListJobs::new(self.door().env().now(), filter, after, LIST_PAGE)).await?)
    }

    /// Deletes jobs that do not run: their records, and the unique keys they hold. Answers for each id, in
    /// order.
    ///
    /// # Errors
    /// [`AdminError`]: the store fails.
    pub async fn delete(&self, ids: &[JobId]) -> Result<Vec<DeleteStatus>, AdminError> {
        self.manager.prepare().await?;
        let doubt = LookEverywhere(&self.manager);
        let answers = self.door().delete(ids).await?;
        doubt.resolve();
        if let Some(hub) = self.door().hub() {
            hub.announce_ended(ids.iter().copied());
        }
        Ok(answers)
    }

    /// Puts finished jobs back, due now, with fresh attempts: those that `filter` lets through, newest first,
    /// `limit` at most. Without states in the filter these are the failed and the cancelled ones; succeeded
    /// jobs run again only when the filter says so. Jobs are found first and put back then: one that another
    /// operator has put back in between, and that has ended again, is put back once more.
    ///
    /// Cancel safety: dropped before its end, some may have been put back.
    ///
    /// # Errors
    /// [`AdminError`]: the store fails; some may have been put back before.
    pub async fn requeue_where(&self, filter: JobFilter, limit: usize) -> Result<RequeuedWhere, AdminError> {
        self.manager.prepare().await?;
        let states = filter.states.clone().unwrap_or_else(|| vec![JobState::Failed, JobState::Cancelled]);
        let filter = filter.states(states.into_iter().filter(|state| state.is_final()));
        let mut done = RequeuedWhere::default();
        let mut after = None;
        while done.requeued.len() < limit {
            let page = (limit - done.requeued.len()).min(LIST_PAGE);
            let request = ListJobs::new(self.door().env().now(), filter.clone(), after, page);
            let found = self.door().list(&request).await?;
            let ids: Vec<JobId> = found.jobs.iter().map(|job| job.id).collect();
            for (id, status) in ids.iter().zip(self.manager.requeue_all(&ids).await?) {
                match status {
                    RequeueStatus::Requeued(_) => done.requeued.push(*id),
                    RequeueStatus::Conflict(holder) => done.conflicts.push((*id, holder)),
                    // Somebody else was faster.
                    RequeueStatus::NotFinished(_) | RequeueStatus::Unknown => {}
                }
            }
            after = found.next;
            if after.is_none() {
                break;
            }
        }
        Ok(done)
    }

    fn door(&self) -> &StoreDoor {
        self.manager.door()
    }

    async fn queue(&self, name: &str) -> Result<QueueName, AdminError> {
        let queue = QueueName::new(name).map_err(|reason| AdminError::Queue { reason })?;
        self.manager.prepare().await?;
        Ok(queue)
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("store", self.door()).finish()
    }
}

/// What [`Admin::requeue_where`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequeuedWhere {
    /// Jobs that wait again.
    pub requeued: Vec<JobId>,
    /// Jobs that were left as they are because another job, the second one, holds their unique key.
    pub conflicts: Vec<(JobId, JobId)>,
}

/// Why an operator's wish was not done.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// The name is none of a queue.
    #[error("no queue can be called so: {reason}")]
    Queue {
        /// What is wrong with the name.
        reason: NameError,
    },
    /// The store failed.
    #[error("the store could not do it")]
    Store {
        /// What it says.
        source: StoreError,
    },
}

impl From<StoreError> for AdminError {
    fn from(source: StoreError) -> Self {
        Self::Store { source }
    }
}

crate::readable::debug_is_text!(AdminError);
