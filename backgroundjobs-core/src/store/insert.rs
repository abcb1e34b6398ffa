//! Storing jobs and cancelling them: requests and replies.

use crate::{JobId, JobState, NewJob, Timestamp};

/// Jobs to store, all or none.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct InsertJobs {
    /// The caller's time.
    pub now: Timestamp,
    /// The jobs, in order.
    pub jobs: Vec<NewJob>,
}

impl InsertJobs {
    /// A request to store `jobs`.
    #[must_use]
    pub const fn new(now: Timestamp, jobs: Vec<NewJob>) -> Self {
        Self { now, jobs }
    }
}

/// The reply to [`InsertJobs`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InsertedJobs {
    /// The store's time of the insert.
    pub store_now: Timestamp,
    /// What became of each job, in the order of the request.
    pub jobs: Vec<Inserted>,
}

/// What became of one inserted job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// It was stored.
    New,
    /// It was there already, or the named job holds its unique key; nothing was stored for it.
    Existing(JobId),
}

/// Somebody wants jobs not to run, or not to run on.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CancelJobs {
    /// The caller's time.
    pub now: Timestamp,
    /// Which.
    pub ids: Vec<JobId>,
}

impl CancelJobs {
    /// A request to cancel `ids`.
    #[must_use]
    pub const fn new(now: Timestamp, ids: Vec<JobId>) -> Self {
        Self { now, ids }
    }
}

/// What became of one cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CancelStatus {
    /// It was waiting and is Cancelled now.
    Cancelled,
    /// It is running; it was flagged and its worker will hear of it.
    Requested,
    /// It was over before, in this state; unchanged.
    Finished(JobState),
    /// No such job.
    Unknown,
}
