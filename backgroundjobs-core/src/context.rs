//! [`JobContext`]: what a handler knows of its run.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::worker::{BlockingCall, Run};
use crate::{Env, JobId, JobManager, Kind, Metadata, QueueName, Timestamp};

/// What a handler knows of its run: which job, which attempt, until when, and whether it shall stop.
///
/// Cloning is cheap. Once [`is_cancelled`](Self::is_cancelled) says so the handler has 5 seconds to come to
/// an end by itself; then it is dropped where it waits.
#[derive(Clone)]
pub struct JobContext {
    run: Arc<Run>,
}

/// What the runs of one worker have in common.
pub(crate) struct Surroundings {
    pub(crate) env: Env,
    pub(crate) manager: Arc<dyn JobManager>,
}

impl JobContext {
    pub(crate) const fn new(run: Arc<Run>) -> Self {
        Self { run }
    }

    /// The job's id: the same in each attempt, so a good key for making outside effects happen once.
    #[must_use]
    pub fn id(&self) -> JobId {
        self.run.lease.id
    }

    /// The name the job is stored under.
    #[must_use]
    pub fn kind(&self) -> &Kind {
        &self.run.kind
    }

    /// The queue it came from.
    #[must_use]
    pub fn queue(&self) -> &QueueName {
        &self.run.queue
    }

    /// Which attempt this is, counted from 1. Snoozed and handed-back runs do not count.
    #[must_use]
    pub fn attempt(&self) -> u16 {
        self.run.attempt
    }

    /// Whether another attempt follows if this one fails by the policy.
    #[must_use]
    pub fn is_last_attempt(&self) -> bool {
        self.run.attempt >= self.run.max_attempts
    }

    /// When this run is cancelled for taking too long; `None` without a timeout.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        self.run.deadline
    }

    /// The notes that travel with the job.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.run.metadata
    }

    /// The manager, so that a job can enqueue jobs.
    #[must_use]
    pub fn manager(&self) -> &Arc<dyn JobManager> {
        &self.run.surroundings.manager
    }

    /// The present instant on the clock that the jobs run on.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.run.surroundings.env.now()
    }

    /// Sleeps on the clock that the jobs run on, so that a test on a virtual clock does not wait. It does not
    /// end early on cancellation; select over [`cancelled`](Self::cancelled) for that.
    ///
    /// Cancel safety: dropping it forgets the sleep and nothing else.
    pub async fn sleep(&self, duration: Duration) {
        self.run.surroundings.env.sleep(duration).await;
    }

    /// Whether this run shall stop: cancelled, out of time, its lease lost, or the program stopping.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        let answer = self.run.cause().is_some();
        if !answer && let Some(looks) = self.looks_for_cancel() {
            looks.fetch_add(1, Ordering::SeqCst);
        }
        answer
    }

    /// Waits until this run shall stop.
    ///
    /// Cancel safety: may be dropped and called again.
    pub async fn cancelled(&self) {
        let mut cancelled = pin!(self.run.told_to_stop());
        poll_fn(|cx| {
            let answer = cancelled.as_mut().poll(cx);
            if answer.is_pending()
                && let Some(hooks) = self.run.surroundings.env.hooks()
            {
                hooks.waits_for_cancel();
            }
            answer
        })
        .await;
    }

    /// As [`cancelled`](Self::cancelled), but unseen by a kit.
    pub(crate) async fn told_to_stop(&self) {
        self.run.told_to_stop().await;
    }

    /// As [`is_cancelled`](Self::is_cancelled), but unseen by a kit.
    pub(crate) fn was_told_to_stop(&self) -> bool {
        self.run.cause().is_some()
    }

    /// How often the handler has asked whether it shall stop when it shall not; only under a kit.
    pub(crate) fn looks_for_cancel(&self) -> Option<&Arc<AtomicUsize>> {
        self.run.looks_for_cancel.as_ref()
    }

    pub(crate) fn env(&self) -> &Env {
        &self.run.surroundings.env
    }

    /// The run has a call on the blocking pool until the answer is dropped; none when it is too late for one.
    pub(crate) fn begin_blocking_call(&self) -> Option<BlockingCall> {
        BlockingCall::begin(self.run.clone())
    }

    /// Whether it is too late for a call on the blocking pool.
    pub(crate) fn is_closed_to_calls(&self) -> bool {
        self.run.is_closed_to_calls()
    }
}

impl fmt::Debug for JobContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobContext")
            .field("id", &self.run.lease.id)
            .field("kind", &self.run.kind)
            .field("queue", &self.run.queue)
            .field("attempt", &self.run.attempt)
            .finish_non_exhaustive()
    }
}
