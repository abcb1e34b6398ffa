//! What stores are asked, and what they answer: one request and one reply for each method of
//! [`JobStore`](crate::JobStore).

use std::sync::Arc;
use std::time::Duration;

use crate::failure::Failure;
use crate::state::Step;
use crate::{
    ClaimId, JobId, JobState, Kind, Metadata, NewJob, Payload, Priority, QueueName, Timestamp, WorkerId,
};

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

/// How many jobs of one queue are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueDemand {
    /// The queue.
    pub queue: QueueName,
    /// The most jobs to hand out.
    pub limit: usize,
}

/// A worker asks for due jobs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClaimJobs {
    /// The caller's time.
    pub now: Timestamp,
    /// Names this claim; the same again only to repeat it.
    pub claim_id: ClaimId,
    /// Whether this claim was sent before and its answer is not known. A store may skip looking for the
    /// claim's earlier jobs when it was not.
    pub repeated: bool,
    /// Who asks.
    pub worker: WorkerId,
    /// From which queues, and how many of each; a queue stands here once.
    pub queues: Vec<QueueDemand>,
    /// The kinds the worker knows; no other is handed out.
    pub kinds: Arc<[Kind]>,
    /// How long the jobs are held.
    pub lease: Duration,
}

impl ClaimJobs {
    /// A first claim of `worker`.
    #[must_use]
    pub const fn new(
        now: Timestamp,
        claim_id: ClaimId,
        worker: WorkerId,
        queues: Vec<QueueDemand>,
        kinds: Arc<[Kind]>,
        lease: Duration,
    ) -> Self {
        Self { now, claim_id, repeated: false, worker, queues, kinds, lease }
    }
}

/// The reply to [`ClaimJobs`].
#[derive(Clone, Debug)]
pub struct ClaimedJobs {
    /// The store's time of the claim.
    pub store_now: Timestamp,
    /// One reply for each queue asked, in the order of the request.
    pub queues: Vec<ClaimedQueue>,
    /// The earliest end of a lease in the whole store, any worker's; `None` when nothing runs.
    pub next_expiry: Option<Timestamp>,
}

/// The part of a claim's reply that is about one queue.
#[derive(Clone, Debug, Default)]
pub struct ClaimedQueue {
    /// The jobs, in the order in which they should start.
    pub jobs: Vec<ClaimedJob>,
    /// Whether more jobs may be due right now: beyond the limit, held by other claims at this moment, or
    /// not looked for because the claim was a repeated one.
    pub more: bool,
    /// When the next job that this worker may claim falls due; `None` when there is none. To be believed,
    /// and later than `store_now`, only when `more` is false.
    pub next_due: Option<Timestamp>,
    /// Whether the queue is paused: no new jobs then, and no `next_due`.
    pub paused: bool,
}

/// A job that was handed to a worker.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClaimedJob {
    /// Its id.
    pub id: JobId,
    /// What it is.
    pub kind: Kind,
    /// Where it waited.
    pub queue: QueueName,
    /// Its args.
    pub args: Payload,
    /// Its urgency.
    pub priority: Priority,
    /// When it might start.
    pub run_at: Timestamp,
    /// The fencing token: to be named in each renew and settle of this claim.
    pub generation: u64,
    /// Attempts used up before this one.
    pub attempts: u16,
    /// Leases lost in a row.
    pub crashes: u16,
    /// Attempts it may use up.
    pub max_attempts: u16,
    /// Whether it is to be cancelled; only in the reply to a repeated claim.
    pub cancel_requested: bool,
    /// Notes that travel along.
    pub metadata: Metadata,
    /// Store time of the insert.
    pub created_at: Timestamp,
}

impl ClaimedJob {
    /// What a worker is handed of `record`.
    #[must_use]
    pub fn from_record(record: &crate::JobRecord) -> Self {
        Self {
            id: record.id,
            kind: record.kind.clone(),
            queue: record.queue.clone(),
            args: record.args.clone(),
            priority: record.priority,
            run_at: record.run_at,
            generation: record.generation,
            attempts: record.attempts,
            crashes: record.crashes,
            max_attempts: record.max_attempts,
            cancel_requested: record.cancel_requested,
            metadata: record.metadata.clone(),
            created_at: record.created_at,
        }
    }

    /// Which attempt this run is, counted from 1.
    #[must_use]
    pub const fn attempt(&self) -> u16 {
        self.attempts.saturating_add(1)
    }
}

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

/// How one claim ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The handler ended well.
    Complete,
    /// The attempt failed; another follows after `delay`.
    Retry {
        /// From the store's time on.
        delay: Duration,
        /// Why.
        failure: Failure,
    },
    /// The handler asked for later; uses no attempt.
    Snooze {
        /// From the store's time on.
        delay: Duration,
    },
    /// Handed back, due as before; uses no attempt.
    Release,
    /// Failed for good.
    Fail {
        /// Why.
        failure: Failure,
    },
    /// Ended because it was cancelled.
    Cancel {
        /// The reason, where one was given.
        failure: Option<Failure>,
    },
}

impl Outcome {
    /// The step of the state table that this outcome takes.
    #[must_use]
    pub const fn step(&self) -> Step {
        match self {
            Self::Complete => Step::Complete,
            Self::Retry { .. } => Step::Retry,
            Self::Snooze { .. } => Step::Snooze,
            Self::Release => Step::Release,
            Self::Fail { .. } => Step::Fail,
            Self::Cancel { .. } => Step::Cancel,
        }
    }

    /// The failure to record, where there is one.
    #[must_use]
    pub const fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Retry { failure, .. } | Self::Fail { failure } => Some(failure),
            Self::Cancel { failure } => failure.as_ref(),
            Self::Complete | Self::Snooze { .. } | Self::Release => None,
        }
    }
}

/// The end of one claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// Which claim.
    pub lease: LeaseKey,
    /// How it ended.
    pub outcome: Outcome,
}

/// A worker says how claims ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SettleJobs {
    /// The caller's time.
    pub now: Timestamp,
    /// The ends, in order.
    pub outcomes: Vec<Settlement>,
}

impl SettleJobs {
    /// A request to settle `outcomes`.
    #[must_use]
    pub const fn new(now: Timestamp, outcomes: Vec<Settlement>) -> Self {
        Self { now, outcomes }
    }
}

/// The reply to [`SettleJobs`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettledJobs {
    /// The store's time.
    pub store_now: Timestamp,
    /// What became of each outcome, in the order of the request.
    pub jobs: Vec<Settled>,
}

/// What became of one outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Settled {
    /// It stands: applied now, or by an earlier call that was repeated.
    Applied {
        /// The state the job is in. Differs from what the outcome asks for when a cancel request turned it
        /// into Cancelled, or when a repeat found the job moved on.
        state: JobState,
    },
    /// The claim was over before; nothing changed.
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
    /// When there is more to delete: not later than `store_now` when the limit was reached, later when a job
    /// kept by age will be too old, `None` when only further finished jobs can bring work.
    pub next_prune: Option<Timestamp>,
}
