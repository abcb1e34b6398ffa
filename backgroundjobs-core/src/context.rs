//! [`JobContext`]: what a handler knows of its run.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::store::ClaimedJob;
use crate::{Env, JobId, JobManager, Kind, Metadata, QueueName, Timestamp};

/// What a handler knows of its run: which job, which attempt, until when, and whether it shall stop.
///
/// Cloning is cheap. Once [`is_cancelled`](Self::is_cancelled) says so the handler has 5 seconds to come to
/// an end by itself; then it is dropped where it waits.
#[derive(Clone)]
pub struct JobContext {
    inner: Arc<Inner>,
}

struct Inner {
    id: JobId,
    kind: Kind,
    queue: QueueName,
    attempt: u16,
    max_attempts: u16,
    deadline: Option<Timestamp>,
    metadata: Metadata,
    env: Env,
    manager: Arc<dyn JobManager>,
    cancelled: CancellationToken,
    /// Calls on the blocking pool that have not returned. They cannot be dropped, so the run lasts until then.
    blocking_calls: AtomicUsize,
    blocking_call_ended: Notify,
}

impl JobContext {
    pub(crate) fn new(
        job: &ClaimedJob,
        deadline: Option<Timestamp>,
        env: Env,
        manager: Arc<dyn JobManager>,
        cancelled: CancellationToken,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                id: job.id,
                kind: job.kind.clone(),
                queue: job.queue.clone(),
                attempt: job.attempt(),
                max_attempts: job.max_attempts,
                deadline,
                metadata: job.metadata.clone(),
                env,
                manager,
                cancelled,
                blocking_calls: AtomicUsize::new(0),
                blocking_call_ended: Notify::new(),
            }),
        }
    }

    /// The job's id: the same in each attempt, so a good key for making outside effects happen once.
    #[must_use]
    pub fn id(&self) -> JobId {
        self.inner.id
    }

    /// The name the job is stored under.
    #[must_use]
    pub fn kind(&self) -> &Kind {
        &self.inner.kind
    }

    /// The queue it came from.
    #[must_use]
    pub fn queue(&self) -> &QueueName {
        &self.inner.queue
    }

    /// Which attempt this is, counted from 1. Snoozed and handed-back runs do not count.
    #[must_use]
    pub fn attempt(&self) -> u16 {
        self.inner.attempt
    }

    /// Whether another attempt follows if this one fails by the policy.
    #[must_use]
    pub fn is_last_attempt(&self) -> bool {
        self.inner.attempt >= self.inner.max_attempts
    }

    /// When this run is cancelled for taking too long; `None` without a timeout.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        self.inner.deadline
    }

    /// The notes that travel with the job.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.inner.metadata
    }

    /// The manager, so that a job can enqueue jobs.
    #[must_use]
    pub fn manager(&self) -> &Arc<dyn JobManager> {
        &self.inner.manager
    }

    /// The present instant on the clock that the jobs run on.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.inner.env.now()
    }

    /// Sleeps on the clock that the jobs run on, so that a test on a virtual clock does not wait. It does not
    /// end early on cancellation; select over [`cancelled`](Self::cancelled) for that.
    ///
    /// Cancel safety: dropping it forgets the sleep and nothing else.
    pub async fn sleep(&self, duration: Duration) {
        self.inner.env.sleep(duration).await;
    }

    /// Whether this run shall stop: cancelled, out of time, its lease lost, or the program stopping.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.inner.cancelled.is_cancelled()
    }

    /// Waits until this run shall stop.
    ///
    /// Cancel safety: may be dropped and called again.
    pub async fn cancelled(&self) {
        let mut cancelled = pin!(self.inner.cancelled.cancelled());
        poll_fn(|cx| {
            let answer = cancelled.as_mut().poll(cx);
            if answer.is_pending()
                && let Some(hooks) = self.inner.env.hooks()
            {
                hooks.waits_for_cancel();
            }
            answer
        })
        .await;
    }

    /// As [`cancelled`](Self::cancelled), but unseen by a kit.
    pub(crate) async fn told_to_stop(&self) {
        self.inner.cancelled.cancelled().await;
    }

    pub(crate) fn env(&self) -> &Env {
        &self.inner.env
    }

    /// The run has a call on the blocking pool until the answer is dropped.
    pub(crate) fn blocking_call(&self) -> BlockingCall {
        self.inner.blocking_calls.fetch_add(1, Ordering::AcqRel);
        BlockingCall(self.clone())
    }

    /// Whether a call on the blocking pool has not returned.
    pub(crate) fn is_blocking(&self) -> bool {
        self.inner.blocking_calls.load(Ordering::Acquire) > 0
    }

    /// Waits until every call on the blocking pool has returned. For one waiter: the run's slot.
    pub(crate) async fn blocking_calls_ended(&self) {
        while self.is_blocking() {
            self.inner.blocking_call_ended.notified().await;
        }
    }
}

/// A call on the blocking pool that has not returned.
pub(crate) struct BlockingCall(JobContext);

impl Drop for BlockingCall {
    fn drop(&mut self) {
        self.0.inner.blocking_calls.fetch_sub(1, Ordering::AcqRel);
        self.0.inner.blocking_call_ended.notify_one();
    }
}

impl fmt::Debug for JobContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobContext")
            .field("id", &self.inner.id)
            .field("kind", &self.inner.kind)
            .field("queue", &self.inner.queue)
            .field("attempt", &self.inner.attempt)
            .finish_non_exhaustive()
    }
}
