//! Holding on to claimed jobs, and taking back those that nobody holds: requests and replies.

use std::time::Duration;

use crate::{JobId, JobState, Kind, QueueName, Timestamp};

/// One claim of one job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseKey {
    /// The job.
    pub id: JobId,
    /// The claim of it.
    pub generation: u64,
}

/// A worker says that it still holds jobs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RenewLeases {
    /// The caller's time.
    pub now: Timestamp,
    /// How long they are held from the store's time on.
    pub lease: Duration,
    /// Which.
    pub leases: Vec<LeaseKey>,
}

impl RenewLeases {
    /// A request to hold `leases` for another `lease`.
    #[must_use]
    pub const fn new(now: Timestamp, lease: Duration, leases: Vec<LeaseKey>) -> Self {
        Self { now, lease, leases }
    }
}

/// The reply to [`RenewLeases`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenewedLeases {
    /// The store's time.
    pub store_now: Timestamp,
    /// One status for each lease, in the order of the request.
    pub leases: Vec<LeaseStatus>,
}

/// What became of one lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LeaseStatus {
    /// Held on.
    Held,
    /// Held on, and the job is to be cancelled.
    CancelRequested,
    /// The claim is over: settled, recovered, claimed again, or the job is gone.
    Lost,
}

/// Somebody takes back jobs whose lease ran out.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RecoverJobs {
    /// The caller's time.
    pub now: Timestamp,
    /// The most jobs to take back.
    pub limit: u32,
    /// A recovered job waits this long times its crashes in a row.
    pub crash_backoff: Duration,
}

impl RecoverJobs {
    /// A request to take back at most `limit` jobs.
    #[must_use]
    pub const fn new(now: Timestamp, limit: u32, crash_backoff: Duration) -> Self {
        Self { now, limit, crash_backoff }
    }
}

/// The reply to [`RecoverJobs`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveredJobs {
    /// The store's time.
    pub store_now: Timestamp,
    /// The jobs that were taken back, those whose lease ended first in front.
    pub jobs: Vec<RecoveredJob>,
    /// The earliest end of a lease that is left; `None` when nothing runs. Not later than `store_now` only
    /// when `jobs` has as many as were asked for.
    pub next_expiry: Option<Timestamp>,
}

/// One job that was taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveredJob {
    /// Its id.
    pub id: JobId,
    /// What it is.
    pub kind: Kind,
    /// Where it waits.
    pub queue: QueueName,
    /// Leases it lost in a row, this one included.
    pub crashes: u16,
    /// Waiting, Failed or Cancelled.
    pub state: JobState,
    /// When it may start again, if it waits.
    pub run_at: Timestamp,
}
