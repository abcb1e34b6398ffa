//! Clearing finished jobs away: what is kept, request and reply.

use std::time::Duration;

use crate::{JobState, Timestamp};

/// How long finished jobs are kept. `None` is no limit; a job goes when either limit says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Keep {
    /// Until it has been over for this long.
    pub max_age: Option<Duration>,
    /// While it is among the latest this many of its state. A store on disk pays for counting them at each
    /// prune: there, keep it below 100,000, or go by age.
    pub max_count: Option<u64>,
}

impl Keep {
    /// For ever.
    pub const FOREVER: Self = Self { max_age: None, max_count: None };

    /// For `age` after the end.
    #[must_use]
    pub const fn for_age(age: Duration) -> Self {
        Self { max_age: Some(age), max_count: None }
    }

    /// The latest `count`.
    #[must_use]
    pub const fn latest(count: u64) -> Self {
        Self { max_age: None, max_count: Some(count) }
    }
}

/// What is kept of each final state. The states are counted apart, so that a flood of successes never pushes
/// a failure out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Jobs that succeeded.
    pub succeeded: Keep,
    /// Jobs that failed.
    pub failed: Keep,
    /// Jobs that were cancelled.
    pub cancelled: Keep,
}

impl Retention {
    /// Everything is kept.
    pub const FOREVER: Self =
        Self { succeeded: Keep::FOREVER, failed: Keep::FOREVER, cancelled: Keep::FOREVER };

    /// The rule for a final state; `None` for a state that is not.
    #[must_use]
    pub const fn of(&self, state: JobState) -> Option<Keep> {
        match state {
            JobState::Succeeded => Some(self.succeeded),
            JobState::Failed => Some(self.failed),
            JobState::Cancelled => Some(self.cancelled),
            JobState::Waiting | JobState::Running => None,
        }
    }
}

/// Somebody clears away finished jobs.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PruneJobs {
    /// The caller's time.
    pub now: Timestamp,
    /// What to keep.
    pub retention: Retention,
    /// The most jobs to delete.
    pub limit: u32,
}

impl PruneJobs {
    /// A request to delete at most `limit` jobs that `retention` does not keep.
    #[must_use]
    pub const fn new(now: Timestamp, retention: Retention, limit: u32) -> Self {
        Self { now, retention, limit }
    }
}

/// The reply to [`PruneJobs`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrunedJobs {
    /// The store's time.
    pub store_now: Timestamp,
    /// Jobs deleted.
    pub removed: u32,
    /// When there is more to delete: not later than `store_now` when the limit was reached or the store stopped before
    /// it, later when a job kept by age will be too old, `None` when only further finished jobs can bring work.
    pub next_prune: Option<Timestamp>,
}
