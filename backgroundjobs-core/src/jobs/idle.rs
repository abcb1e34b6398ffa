//! Waiting until nothing is left to do.

use std::time::Duration;

use super::BackgroundJobs;
use crate::limits::IDLE_COUNT_SHARE;
use crate::readable::debug_is_text;
use crate::store::{CountJobs, JobCounts, JobFilter, StoreError, WakeHub};
use crate::{JobState, Timestamp};

impl BackgroundJobs {
    /// Waits until no job of the kinds and queues served here waits or runs; delayed and retrying jobs count
    /// as waiting. Needs a store that can count: one whose `inspect()` is there.
    ///
    /// It counts when something has ended, but for no more than a tenth of the time: a count goes through all that waits,
    /// and where that is much it is told of the end so much later.
    ///
    /// Cancel safety: may be dropped and called again.
    ///
    /// # Errors
    /// [`IdleError`]: not idle within `limit`, with what is left; or the store cannot count.
    pub async fn wait_until_idle(&self, limit: Duration) -> Result<(), IdleError> {
        self.manager.prepare().await.map_err(IdleError::Store)?;
        let env = self.door.env();
        let deadline = env.now() + limit;
        loop {
            // Before the count, so that what ends after it is heard.
            let progress = self.door.hub().map(WakeHub::progress);
            let asked = env.now();
            let counts = self.count_unfinished().await.map_err(IdleError::Store)?;
            let answered = env.now();
            if counts.rows.is_empty() {
                return Ok(());
            }
            if answered >= deadline {
                return Err(not_idle(&counts, limit));
            }
            let heard = async {
                match progress {
                    Some(progress) => progress.await,
                    None => std::future::pending().await,
                }
            };
            let poll = self.door.profile().poll_interval.map_or(deadline, |poll| env.now() + poll);
            tokio::select! {
                biased;
                () = heard => {}
                () = env.sleep_until(poll.min(deadline)) => {}
            }
            let next = answered + answered.since(asked) * (IDLE_COUNT_SHARE - 1);
            if next > env.now() {
                env.sleep_until(next.min(deadline)).await;
            }
        }
    }

    pub(super) async fn count_unfinished(&self) -> Result<JobCounts, StoreError> {
        let served = self.queues.iter().filter(|(_, slots)| *slots > 0).map(|(queue, _)| queue.clone());
        let filter = JobFilter::all()
            .queues(served)
            .kinds(self.registry.names().iter().cloned())
            .states([JobState::Waiting, JobState::Running]);
        self.door.count(&CountJobs::new(self.door.env().now(), filter)).await
    }
}

fn not_idle(counts: &JobCounts, limit: Duration) -> IdleError {
    IdleError::NotIdle {
        limit,
        waiting: counts.total(&[JobState::Waiting]),
        running: counts.total(&[JobState::Running]),
        next_due: counts.next_run_at(),
    }
}

/// Why a wait for idleness ended without it.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum IdleError {
    /// Time is over.
    #[error(
        "not idle within {limit:?}: {waiting} jobs wait and {running} run{}",
        next_due.map_or_else(String::new, |due| format!("; the next one is due at {due}"))
    )]
    NotIdle {
        /// How long was waited.
        limit: Duration,
        /// Jobs that wait.
        waiting: u64,
        /// Jobs that run.
        running: u64,
        /// When the next waiting job is due.
        next_due: Option<Timestamp>,
    },
    /// The store cannot say.
    #[error("the store could not count the jobs that are left")]
    Store(#[source] StoreError),
}

debug_is_text!(IdleError);
