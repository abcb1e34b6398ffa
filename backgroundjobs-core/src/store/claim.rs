//! Claiming jobs: request and reply.

use std::sync::Arc;
use std::time::Duration;

use crate::limits::DEFAULT_MAX_ATTEMPTS;
use crate::{ClaimId, JobId, Kind, Metadata, Payload, Priority, QueueName, Timestamp, WorkerId};

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
    /// Whether this claim was sent before and its answer is not known. A store whose calls cannot overtake each
    /// other may skip looking for the claim's earlier jobs when it was not.
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
    /// A job that was handed out with this generation, due and inserted at the beginning of time, with the
    /// defaults of everything else: a store that has no whole [`JobRecord`](crate::JobRecord) at hand sets the
    /// rest.
    #[must_use]
    pub const fn new(id: JobId, kind: Kind, queue: QueueName, args: Payload, generation: u64) -> Self {
        Self {
            id,
            kind,
            queue,
            args,
            priority: Priority::NORMAL,
            run_at: Timestamp::UNIX_EPOCH,
            generation,
            attempts: 0,
            crashes: 0,
            max_attempts: DEFAULT_MAX_ATTEMPTS,
            cancel_requested: false,
            metadata: Metadata::new(),
            created_at: Timestamp::UNIX_EPOCH,
        }
    }

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
