//! What a job is before it is stored ([`NewJob`]) and as it lies in a store ([`JobRecord`]).

use std::sync::Arc;
use std::time::Duration;

use crate::failure::RecordedFailure;
use crate::limits::{DEFAULT_MAX_ATTEMPTS, DEFAULT_MAX_CRASHES};
use crate::{ClaimId, JobId, JobState, Kind, Metadata, Payload, QueueName, Timestamp, WorkerId};

/// How urgent a job is among the due ones of its queue: 0 to 9, higher first, 5 by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(u8);

impl Priority {
    /// 0, the least urgent.
    pub const LOWEST: Self = Self(0);
    /// 5, what a job has unless told otherwise.
    pub const NORMAL: Self = Self(5);
    /// 9, the most urgent.
    pub const HIGHEST: Self = Self(9);

    /// A priority of 0 to 9; `None` above.
    #[must_use]
    pub const fn new(level: u8) -> Option<Self> {
        if level <= Self::HIGHEST.0 { Some(Self(level)) } else { None }
    }

    /// The level, 0 to 9.
    #[must_use]
    pub const fn level(self) -> u8 {
        self.0
    }
}

impl Default for Priority {
    fn default() -> Self {
        Self::NORMAL
    }
}

/// When a job may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum RunAt {
    /// At the store's time of the insert.
    #[default]
    Now,
    /// This long after the store's time of the insert.
    In(Duration),
    /// At a calendar time that the user named; at once when it is past.
    At(Timestamp),
}

impl RunAt {
    /// The instant, given the store's time of the insert.
    #[must_use]
    pub fn instant(self, store_now: Timestamp) -> Timestamp {
        match self {
            Self::Now => store_now,
            Self::In(delay) => store_now + delay,
            Self::At(instant) => instant,
        }
    }
}

/// How long a unique key keeps others out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum KeyHold {
    /// Until the job is over.
    #[default]
    UntilFinished,
    /// Until the job is first claimed.
    UntilStarted,
    /// For this long from the insert on, whatever becomes of the job and its record.
    For(Duration),
}

/// A key that one job at a time may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UniqueKey {
    /// The flat text that stores compare; the runtime has put the kind in front unless told not to.
    pub key: Arc<str>,
    /// How long it is held.
    pub hold: KeyHold,
}

/// A job on its way into a store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewJob {
    /// Made by the caller, so that an insert can be repeated.
    pub id: JobId,
    /// What it is.
    pub kind: Kind,
    /// Where it waits.
    pub queue: QueueName,
    /// Its args.
    pub args: Payload,
    /// Its urgency.
    pub priority: Priority,
    /// When it may start.
    pub run_at: RunAt,
    /// Runs it may use up by failing, the first included; the runtime reads it, the store keeps it.
    pub max_attempts: u16,
    /// Lost leases in a row that end it.
    pub max_crashes: u16,
    /// The key it must hold to be stored.
    pub unique: Option<UniqueKey>,
    /// Notes that travel along.
    pub metadata: Metadata,
}

impl NewJob {
    /// A job due now, with the defaults of everything else.
    #[must_use]
    pub fn new(id: JobId, kind: Kind, queue: QueueName, args: Payload) -> Self {
        Self {
            id,
            kind,
            queue,
            args,
            priority: Priority::NORMAL,
            run_at: RunAt::Now,
            max_attempts: DEFAULT_MAX_ATTEMPTS,
            max_crashes: DEFAULT_MAX_CRASHES,
            unique: None,
            metadata: Metadata::new(),
        }
    }
}

/// What a running job is held by.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lease {
    /// Who claimed it.
    pub worker: WorkerId,
    /// With which claim.
    pub claim_id: ClaimId,
    /// Store time at which the job may be recovered.
    pub until: Timestamp,
}

impl Lease {
    /// A lease of `worker`, taken by `claim_id`, that lasts `until`.
    #[must_use]
    pub const fn new(worker: WorkerId, claim_id: ClaimId, until: Timestamp) -> Self {
        Self { worker, claim_id, until }
    }
}

/// A job as it lies in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobRecord {
    /// Its id.
    pub id: JobId,
    /// What it is.
    pub kind: Kind,
    /// Where it waits.
    pub queue: QueueName,
    /// Its args, byte for byte as given.
    pub args: Payload,
    /// Its urgency.
    pub priority: Priority,
    /// Where it stands.
    pub state: JobState,
    /// When it may start; of a running or finished job, when it last might.
    pub run_at: Timestamp,
    /// Attempts used up: handler failures that were settled as Retry or Fail.
    pub attempts: u16,
    /// Leases lost in a row.
    pub crashes: u16,
    /// Attempts it may use up.
    pub max_attempts: u16,
    /// Leases it may lose in a row.
    pub max_crashes: u16,
    /// Claims so far; never reset, so that it fences.
    pub generation: u64,
    /// The generation that was last settled; 0 before the first.
    pub settled: u64,
    /// What holds it, while it runs.
    pub lease: Option<Lease>,
    /// Whether somebody asked for it to be cancelled while it ran.
    pub cancel_requested: bool,
    /// Its key, held or not.
    pub unique: Option<UniqueKey>,
    /// Notes that travel along.
    pub metadata: Metadata,
    /// Store time of the insert.
    pub created_at: Timestamp,
    /// Store time of the latest claim.
    pub claimed_at: Option<Timestamp>,
    /// Store time at which it was over.
    pub finished_at: Option<Timestamp>,
    /// Its latest failures, oldest first, at most 25.
    pub failures: Vec<RecordedFailure>,
}

impl JobRecord {
    /// What the last failure said, if there was one; a job that succeeded after it keeps it.
    #[must_use]
    pub fn last_error(&self) -> Option<&str> {
        self.failures.last().map(|failed| failed.failure.text.as_str())
    }

    /// The record of `job` right after its insert at `store_now`.
    #[must_use]
    pub fn inserted(job: NewJob, store_now: Timestamp) -> Self {
        Self {
            run_at: job.run_at.instant(store_now),
            id: job.id,
            kind: job.kind,
            queue: job.queue,
            args: job.args,
            priority: job.priority,
            state: JobState::Waiting,
            attempts: 0,
            crashes: 0,
            max_attempts: job.max_attempts,
            max_crashes: job.max_crashes,
            generation: 0,
            settled: 0,
            lease: None,
            cancel_requested: false,
            unique: job.unique,
            metadata: job.metadata,
            created_at: store_now,
            claimed_at: None,
            finished_at: None,
            failures: Vec::new(),
        }
    }
}
