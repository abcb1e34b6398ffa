//! What a worker has done so far.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::JobState;
use crate::store::Outcome;

#[derive(Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Default)]
pub(super) struct Stats {
    pub(super) claimed: Count,
    succeeded: Count,
    retried: Count,
    snoozed: Count,
    released: Count,
    failed: Count,
    cancelled: Count,
    pub(super) lost: Count,
    pub(super) recovered: Count,
    pub(super) store_errors: Count,
}

impl Stats {
    /// An outcome was applied and left the job in `state`.
    pub(super) fn settled(&self, outcome: &Outcome, state: JobState) {
        let count = match (outcome, state) {
            (Outcome::Complete, _) => &self.succeeded,
            (Outcome::Fail { .. }, _) => &self.failed,
            (_, JobState::Cancelled) => &self.cancelled,
            (Outcome::Retry { .. }, _) => &self.retried,
            (Outcome::Snooze { .. }, _) => &self.snoozed,
            (Outcome::Release, _) => &self.released,
            (Outcome::Cancel { .. }, _) => &self.cancelled,
        };
        count.add(1);
    }

    pub(super) fn read(&self, unsettled: usize) -> JobStats {
        JobStats {
            claimed: self.claimed.read(),
            succeeded: self.succeeded.read(),
            retried: self.retried.read(),
            snoozed: self.snoozed.read(),
            released: self.released.read(),
            failed: self.failed.read(),
            cancelled: self.cancelled.read(),
            lost: self.lost.read(),
            recovered: self.recovered.read(),
            store_errors: self.store_errors.read(),
            unsettled,
        }
    }
}

/// What a worker has done since its start. Each number only grows but `unsettled`; they are read one after
/// another, so they need not add up at every moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobStats {
    /// Jobs the store handed out.
    pub claimed: u64,
    /// Runs that ended well.
    pub succeeded: u64,
    /// Runs that failed and will be tried again.
    pub retried: u64,
    /// Runs that asked for later.
    pub snoozed: u64,
    /// Jobs handed back unstarted or unfinished.
    pub released: u64,
    /// Runs that failed for good.
    pub failed: u64,
    /// Runs that ended because they were cancelled.
    pub cancelled: u64,
    /// Outcomes dropped because the lease was lost.
    pub lost: u64,
    /// Jobs taken back from workers that let their leases run out.
    pub recovered: u64,
    /// Calls the store answered with an error.
    pub store_errors: u64,
    /// Outcomes the store has not been told yet.
    pub unsettled: usize,
}
