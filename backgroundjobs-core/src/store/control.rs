//! [`ControlStore`]: what an operator does to jobs and queues.

use async_trait::async_trait;

use crate::{JobId, JobState, QueueName, StoreError, Timestamp};

/// What an operator does to jobs and queues. Optional for a store.
///
/// The caller wakes workers (through the store's [`WakeHub`](crate::WakeHub)) after a requeue or a resume;
/// the store does not.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot do what an operator asks: it lacks `impl ControlStore`",
    label = "does not implement `ControlStore`",
    note = "write `#[async_trait::async_trait] impl ControlStore for YourStore`, or answer `None` where a store has none"
)]
#[async_trait]
pub trait ControlStore: Send + Sync {
    /// Puts finished jobs back to Waiting, due at the store's time.
    ///
    /// **O-1** Attempts and crashes are 0 again, a cancel request and `finished_at` are gone; generation,
    /// `settled` and the recorded failures stay. **O-2** A job with a unique key takes it again (for its full time from now,
    /// if it is held for a time); if another job holds it the answer is `Conflict` and nothing changes. A job
    /// that still holds its own key keeps it as it is. **O-3** Jobs that are not over are left alone. Each id
    /// is answered in order, as if alone.
    async fn requeue(&self, now: Timestamp, ids: &[JobId]) -> Result<RequeuedJobs, StoreError>;

    /// Deletes jobs that do not run, their records and the keys they hold.
    ///
    /// **O-4** A running job is refused. A key held for a time outlives a job deleted after its end, as it
    /// outlives a pruned one; it goes with a job deleted while it waits.
    async fn delete(&self, now: Timestamp, ids: &[JobId]) -> Result<Vec<DeleteStatus>, StoreError>;

    /// Keeps jobs of a queue from being claimed until it is resumed. Jobs that run, run on.
    ///
    /// **O-5** Pausing twice keeps the first instant; a queue without jobs can be paused.
    async fn pause(&self, now: Timestamp, queue: &QueueName) -> Result<(), StoreError>;

    /// Lets jobs of a queue be claimed again. **O-6** Harmless when it is not paused.
    async fn resume(&self, now: Timestamp, queue: &QueueName) -> Result<(), StoreError>;
}

/// The reply to a requeue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequeuedJobs {
    /// The store's time.
    pub store_now: Timestamp,
    /// What became of each id, in order.
    pub jobs: Vec<RequeueStatus>,
}

/// What became of one requeue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequeueStatus {
    /// It waits again, in this queue.
    Requeued(QueueName),
    /// Another job, this one, holds its unique key; unchanged.
    Conflict(JobId),
    /// It is not over, but in this state; unchanged.
    NotFinished(JobState),
    /// No such job.
    Unknown,
}

/// What became of one delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeleteStatus {
    /// Gone.
    Deleted,
    /// It runs; cancel it first.
    Running,
    /// No such job.
    Unknown,
}
