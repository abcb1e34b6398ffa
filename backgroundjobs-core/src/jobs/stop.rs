//! Stopping, and the end of jobs that nobody stops.

use std::time::Duration;

use super::{BackgroundJobs, Phase};
use crate::JobState;
use crate::limits::LAST_CALLS;
use crate::readable::debug_is_text;
use crate::worker::{JobStats, StopReport};

impl BackgroundJobs {
    /// Stops: claims no more, lets running jobs end for up to `drain`, then tells them to stop, gives them
    /// the cancel grace (5 s), drops them and hands them back. Jobs that wait are untouched.
    ///
    /// Harmless before a start, during one, and again: every call answers the one stop's report. After it
    /// these jobs cannot be started again.
    ///
    /// Cancel safety: dropped before its end it may be called again and goes on.
    ///
    /// # Errors
    /// [`StopError`] carries the report when the store could not be told how some runs ended.
    pub async fn stop(&self, drain: Duration) -> Result<StopReport, StopError> {
        let report = self.stopped.get_or_init(|| self.stop_once(drain)).await.clone();
        if report.unsettled.is_empty() { Ok(report) } else { Err(StopError { report }) }
    }

    async fn stop_once(&self, drain: Duration) -> StopReport {
        self.manager.stop();
        let worker = match &mut *self.phase.lock() {
            Phase::Started(worker) => Some(worker.clone()),
            other => {
                *other = Phase::Stopped(JobStats::default());
                None
            }
        };
        let mut report = match worker {
            Some(worker) => {
                let report = worker.stop(drain).await;
                *self.phase.lock() = Phase::Stopped(worker.stats());
                report
            }
            None => StopReport::default(),
        };
        report.left_waiting = self.left_waiting().await;
        if !report.is_clean() {
            tracing::warn!(?report, "the jobs are stopped, and something was left");
        }
        report
    }

    /// Jobs that nobody will run: in a store that only this process can reach, without another worker for them.
    async fn left_waiting(&self) -> u64 {
        let (env, store) = (self.door.env(), self.door.store());
        if self.door.profile().is_shared() || store.inspect().is_none() || !self.manager.is_prepared() {
            return 0;
        }
        let counted = tokio::select! {
            biased;
            counted = self.count_unfinished() => counted,
            // A stop takes no longer for it; a count that is dropped changes nothing.
            () = env.sleep(LAST_CALLS) => return 0,
        };
        let counts = match counted {
            Ok(counts) => counts,
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "could not count what is left");
                return 0;
            }
        };
        let is_served = |queue, kind| self.door.hub().is_some_and(|hub| hub.is_served(queue, kind));
        let waiting = counts.rows.iter().filter(|row| row.state == JobState::Waiting);
        let left = waiting.filter(|row| !is_served(&row.queue, &row.kind)).map(|row| row.count).sum();
        if left > 0 && !self.door.profile().lasts {
            tracing::warn!(
                jobs = left,
                store = self.door.profile().name,
                "the jobs are stopped, and jobs wait in a store that is lost with the process: nobody runs them unless the \
                 program starts jobs again before it ends"
            );
        }
        left
    }
}

impl Drop for BackgroundJobs {
    fn drop(&mut self) {
        self.manager.stop();
        if let Phase::Started(worker) = &*self.phase.lock() {
            tracing::warn!(
                "background jobs were dropped without stop(): running jobs are told to stop, and what is \
                 lost on the way runs again when its lease ends; call jobs.stop(..).await before"
            );
            worker.abandon();
        }
    }
}

/// The store could not be told how some runs ended: they will run again when their leases end.
#[derive(thiserror::Error)]
#[error("stopped, but the store could not be told how {} jobs ended; they will run again", report.unsettled.len())]
pub struct StopError {
    /// What was left.
    pub report: StopReport,
}

debug_is_text!(StopError);
