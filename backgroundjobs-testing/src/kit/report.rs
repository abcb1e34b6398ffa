//! [`KitReport`]: what happened while a verb was at work.

use std::fmt;
use std::ops::Deref;

use backgroundjobs_core::{JobId, JobStats, Kind, Timestamp};

use crate::scheduler::Report;

/// What happened while a verb of the kit was at work, over all jobs that the kit started.
///
/// The numbers of [`JobStats`] can be read off it directly: `report.succeeded`, `failed`, `retried`, `cancelled`…
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a report says what ran; a test that does not look may pass because nothing did"]
#[non_exhaustive]
pub struct KitReport {
    /// What the jobs' workers did.
    pub jobs: JobStats,
    /// How many jobs were stored meanwhile, by handlers and by what [`run`](crate::TestKit::run) was given.
    pub enqueued: u64,
    /// The runs whose handler was at work at the end.
    pub running: Vec<RunningJob>,
    /// The scheduler's own report: instants, timers, and whether another run would be the same.
    pub steps: Report,
}

/// A run whose handler is at work.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunningJob {
    /// The job.
    pub id: JobId,
    /// Its kind.
    pub kind: Kind,
    /// Which attempt, counted from 1.
    pub attempt: u16,
    /// Since when.
    pub since: Timestamp,
}

impl KitReport {
    /// How many timers fired.
    #[must_use]
    pub const fn timers_fired(&self) -> u64 {
        self.steps.timers_fired
    }

    /// When the earliest timer fires that is still armed.
    #[must_use]
    pub const fn next_timer(&self) -> Option<Timestamp> {
        self.steps.next_timer
    }

    /// Whether no job was touched: none claimed, settled, stored or taken back. Timers may have fired.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        let mut jobs = self.jobs;
        jobs.unsettled = 0;
        jobs == JobStats::default() && self.enqueued == 0
    }
}

impl Deref for KitReport {
    type Target = JobStats;

    fn deref(&self) -> &JobStats {
        &self.jobs
    }
}

impl fmt::Display for KitReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let JobStats { claimed, succeeded, retried, failed, cancelled, .. } = self.jobs;
        write!(
            f,
            "{claimed} claimed, {succeeded} succeeded, {retried} retried, {failed} failed, {cancelled} cancelled, \
             {} enqueued; {}",
            self.enqueued, self.steps
        )?;
        for RunningJob { id, kind, attempt, since } in &self.running {
            write!(f, "\n  still running: {kind} {id}, attempt {attempt}, since {since}")?;
        }
        Ok(())
    }
}
