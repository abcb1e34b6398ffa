//! Why a job could not be enqueued.

use crate::limits::{MAX_ARGS_BYTES, MAX_METADATA_BYTES, MAX_UNIQUE_KEY_BYTES};
use crate::manager::{Enqueued, NoManagerError};
use crate::{JobId, NameError, StoreError};

/// Why a job could not be enqueued.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum EnqueueError {
    /// Nothing here runs this kind.
    #[error(
        "nothing here runs jobs of kind {kind:?} (known: {known}){hint}; register a handler for it, or say \
         options.producer_only() where another program runs it",
        known = list(known), hint = hint(nearest)
    )]
    UnknownKind {
        /// The kind as given.
        kind: String,
        /// The kinds that are run here.
        known: Vec<String>,
        /// The known name that is most like it.
        nearest: Option<String>,
    },
    /// Nothing here serves this queue.
    #[error(
        "nothing here serves the queue {queue:?} for {kind} (served: {known}){hint}; add it with \
         options.queue({queue:?}, slots)",
        known = list(known), hint = hint(nearest)
    )]
    UnknownQueue {
        /// The kind of the job.
        kind: String,
        /// The queue as given.
        queue: String,
        /// The queues that are served here.
        known: Vec<String>,
        /// The served name that is most like it.
        nearest: Option<String>,
    },
    /// The jobs were stopped, and nothing else can run it.
    #[error(
        "{kind} was not enqueued: these jobs are stopped, and what is in the {store} store can only be run \
         by this program"
    )]
    Stopped {
        /// The kind of the job.
        kind: String,
        /// What the store is called.
        store: &'static str,
    },
    /// The static manager was used where none is current.
    #[error("{kind} was not enqueued: {reason}")]
    NoManager {
        /// The kind of the job.
        kind: String,
        /// Why there is none, and what to call.
        reason: NoManagerError,
    },
    /// The args cannot be written as JSON.
    #[error("the args of {kind} cannot be written as JSON")]
    Args {
        /// The kind of the job.
        kind: String,
        /// What `serde_json` says.
        source: serde_json::Error,
    },
    /// The args are too large.
    #[error(
        "the args of {kind} have {bytes} bytes of JSON, {MAX_ARGS_BYTES} are allowed; store what is large \
         elsewhere and enqueue where to find it"
    )]
    ArgsTooLarge {
        /// The kind of the job.
        kind: String,
        /// Their size.
        bytes: usize,
    },
    /// The name of the kind or the queue is none.
    #[error("the {what} of {kind:?} cannot be used: {reason}")]
    Name {
        /// `kind` or `queue`.
        what: &'static str,
        /// The kind as given; of one that is too long its first characters.
        kind: String,
        /// What is wrong.
        reason: NameError,
    },
    /// The unique key cannot be used.
    #[error(
        "the unique key of {kind} cannot be used: {bytes} bytes with the kind in front; 1 to \
         {MAX_UNIQUE_KEY_BYTES} without control characters are allowed"
    )]
    UniqueKey {
        /// The kind of the job.
        kind: String,
        /// Its size, the kind in front included.
        bytes: usize,
    },
    /// The metadata is too large.
    #[error("the metadata of {kind} has {bytes} bytes, {MAX_METADATA_BYTES} are allowed")]
    MetadataTooLarge {
        /// The kind of the job.
        kind: String,
        /// Its size.
        bytes: usize,
    },
    /// The id is taken by a job of another kind or other args.
    #[error("{kind} {id} was not enqueued: a job with this id but another kind or other args is there")]
    IdTaken {
        /// The kind of the job.
        kind: String,
        /// The id.
        id: JobId,
    },
    /// The store failed.
    #[error("{kind} was not enqueued, or it is not known whether it was; enqueue again with the id {id}")]
    Store {
        /// The kind of the job.
        kind: String,
        /// The id it was to have: enqueueing with it again stores the job once at most.
        id: JobId,
        /// What the store says.
        source: StoreError,
    },
    /// The store could not be prepared.
    #[error("the store could not be prepared, so {kind} was not enqueued")]
    Prepare {
        /// The kind of the job.
        kind: String,
        /// What the store says.
        source: StoreError,
    },
}

/// Why a batch was not stored: the error, and which job has it.
#[derive(thiserror::Error)]
#[error("job {index} of the batch")]
pub struct SubmitError {
    /// Which job, counted from 0; 0 where it is nobody's own fault.
    pub index: usize,
    /// Why.
    pub source: EnqueueError,
}

/// Why `enqueue_many` did not come to its end.
#[derive(thiserror::Error)]
#[error("job {index} was not enqueued ({} before it were)", stored.len())]
pub struct EnqueueManyError {
    /// What was stored before, in order: the jobs of each full chunk.
    pub stored: Vec<Enqueued>,
    /// Which job could not be, counted from 0. The jobs between the stored ones and it were not stored
    /// either.
    pub index: usize,
    /// Why.
    pub source: EnqueueError,
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn hint(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or_else(String::new, |name| format!("; did you mean {name:?}?"))
}

crate::readable::debug_is_text!(EnqueueError, SubmitError, EnqueueManyError);
