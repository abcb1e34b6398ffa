//! [`Explanation`]: why a job is not running, in words.

use std::fmt;

use crate::{ErrorText, JobId, JobState, JobSummary, Kind, QueueName, Timestamp, WorkerId};

/// Where a job stands and why it is not running (or no longer, or not yet): what
/// [`JobManager::explain`](super::JobManager::explain) answers. Written out it is one line for an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// The job that was asked about.
    pub id: JobId,
    /// The job as it is; `None` when the store has none of this id.
    pub job: Option<JobSummary>,
    /// Every reason that holds at this moment, at least one.
    pub reasons: Vec<Reason>,
}

/// Why a job is not running, or that it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The store has no job of this id: it was never stored, was deleted, or was cleared away after its end.
    Unknown,
    /// It is over.
    Finished {
        /// How it ended.
        state: JobState,
        /// When.
        at: Option<Timestamp>,
        /// Its last failure.
        error: Option<ErrorText>,
    },
    /// Its handler runs in this process.
    Runs {
        /// Since when.
        since: Timestamp,
        /// Why it was told to stop, if it was.
        told_to_stop: Option<&'static str>,
    },
    /// It was claimed ahead in this process and waits for a free slot.
    ReadAhead,
    /// Its handler has ended in this process, and the store has not been told yet.
    Settling,
    /// A worker of this process is about to start it, or about to say how it ended.
    ChangesHands,
    /// A worker outside this process has claimed it.
    ClaimedElsewhere {
        /// Which.
        worker: WorkerId,
        /// Until when it holds the job unless it renews its lease.
        until: Timestamp,
    },
    /// The worker that had claimed it has let its lease run out: the next worker that looks takes it back.
    LeaseOver {
        /// Which worker had it.
        worker: WorkerId,
        /// When the lease ended.
        since: Timestamp,
    },
    /// It is not due yet.
    Later {
        /// When it is.
        run_at: Timestamp,
        /// What put it off.
        because: PutOff,
    },
    /// Its queue is paused.
    Paused {
        /// The queue.
        queue: QueueName,
        /// Since when.
        since: Timestamp,
    },
    /// `start()` was not called here.
    NotStarted,
    /// The jobs of this program were stopped.
    Stopped,
    /// No worker of this process that serves its queue has a handler for its kind.
    UnknownKind {
        /// The kind.
        kind: Kind,
        /// The kinds that have one, of the workers that serve its queue.
        known: Vec<String>,
        /// Whether another process can reach the store, and may have one.
        elsewhere: bool,
    },
    /// No worker of this process serves its queue.
    QueueNotServed {
        /// The queue.
        queue: QueueName,
        /// The queues that are served.
        served: Vec<String>,
        /// Whether another process can reach the store, and may serve it.
        elsewhere: bool,
    },
    /// Every slot that might run it is taken.
    NoFreeSlot {
        /// The queue.
        queue: QueueName,
        /// Its slots in this process.
        slots: usize,
    },
    /// The store does not let the worker claim.
    StoreFails {
        /// What it said last.
        error: String,
    },
    /// Nothing stands in its way: it is about to be claimed, in its turn.
    Due,
}

/// What put a waiting job off.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PutOff {
    /// It was enqueued for later.
    Enqueued,
    /// An attempt failed, and it waits for the next.
    Failed {
        /// Attempts used up.
        attempts: u16,
        /// Attempts it may use up.
        max_attempts: u16,
        /// What the last one said.
        error: Option<ErrorText>,
    },
    /// Its handler asked for later.
    Snoozed,
    /// A worker that ran it let its lease run out.
    Crashed {
        /// How often in a row.
        crashes: u16,
    },
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.job {
            None => write!(f, "job {}: ", self.id)?,
            Some(job) => write!(f, "{} {} is {} in queue {}: ", job.kind, self.id, job.state, job.queue)?,
        }
        for (index, reason) in self.reasons.iter().enumerate() {
            let separator = if index > 0 { "; " } else { "" };
            write!(f, "{separator}{reason}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str(
                "the store has no such job; it was never stored, was deleted, or was cleared away after its end",
            ),
            Self::Finished { state, at, error } => {
                write!(f, "it is over: {state}")?;
                at.map_or(Ok(()), |at| write!(f, " at {at}"))?;
                error.as_ref().map_or(Ok(()), |error| write!(f, " ({error})"))
            }
            Self::Runs { since, told_to_stop } => {
                write!(f, "its handler runs here since {since}")?;
                told_to_stop.map_or(Ok(()), |why| write!(f, " and was told to stop because {why}"))
            }
            Self::ReadAhead => f.write_str("it was claimed ahead here and waits for a free slot"),
            Self::Settling => f.write_str("its handler has ended here, and the store has not been told yet"),
            Self::ChangesHands => {
                f.write_str("a worker here is about to start it, or about to say how it ended")
            }
            Self::ClaimedElsewhere { worker, until } => {
                write!(f, "worker {worker}, which is not in this process, has it until {until} unless it renews")
            }
            Self::LeaseOver { worker, since } => write!(
                f,
                "worker {worker} let its lease run out at {since}; the next worker that looks takes it back"
            ),
            Self::Later { run_at, because } => write!(f, "it is due at {run_at}: {because}"),
            Self::Paused { queue, since } => write!(
                f,
                "the queue {queue} is paused since {since}; resume it with jobs.admin() .resume({queue:?})"
            ),
            Self::NotStarted => f.write_str("no worker was started here: call jobs.start().await"),
            Self::Stopped => f.write_str("the jobs of this program were stopped"),
            Self::UnknownKind { kind, known, elsewhere } => write!(
                f,
                "no worker of its queue here has a handler for {kind} (known: {}); {}register one",
                list(known),
                hope(*elsewhere)
            ),
            Self::QueueNotServed { queue, served, elsewhere } => write!(
                f,
                "no worker here serves the queue {queue} (served: {}); {}add options.queue({queue:?}, slots) to \
                 jobs with handlers",
                list(served),
                hope(*elsewhere)
            ),
            Self::NoFreeSlot { queue, slots } => {
                write!(f, "no slot is free: all {slots} of queue {queue} are taken")
            }
            Self::StoreFails { error } => write!(f, "the worker cannot claim: {error}"),
            Self::Due => f.write_str("it is due and about to be claimed, in its turn"),
        }
    }
}

impl fmt::Display for PutOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Enqueued => f.write_str("it was enqueued for then"),
            Self::Failed { attempts, max_attempts, error } => {
                write!(f, "attempt {attempts} of {max_attempts} failed")?;
                error.as_ref().map_or(Ok(()), |error| write!(f, " ({error})"))
            }
            Self::Snoozed => f.write_str("its handler asked for later"),
            Self::Crashed { crashes } => {
                write!(f, "its worker died or lost the store while it ran, {crashes} times in a row")
            }
        }
    }
}

const fn hope(elsewhere: bool) -> &'static str {
    if elsewhere { "another process may, or " } else { "" }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
