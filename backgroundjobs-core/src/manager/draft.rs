//! What a program says of one job when it enqueues it.

use std::borrow::Cow;
use std::time::Duration;

use crate::{JobArgs, JobId, JobOptions, KeyHold, Metadata, Payload, Priority, RunAt, Timestamp};

/// A job as a program hands it to a manager: args written, options as said, nothing resolved yet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobDraft {
    /// The kind's name.
    pub kind: Cow<'static, str>,
    /// The args.
    pub args: Payload,
    /// What the args type says.
    pub defaults: JobOptions,
    /// What the enqueue says; comes before the defaults.
    pub options: EnqueueOptions,
}

impl JobDraft {
    /// A draft of a job of a type.
    ///
    /// # Errors
    /// What `serde_json` says when the args cannot be written.
    pub fn of<A: JobArgs>(args: &A, options: EnqueueOptions) -> Result<Self, serde_json::Error> {
        Ok(Self {
            kind: Cow::Borrowed(A::KIND),
            args: Payload::from_args(args)?,
            defaults: A::options(),
            options,
        })
    }

    /// A draft of a job whose type is not known here.
    #[must_use]
    pub fn untyped(kind: impl Into<Cow<'static, str>>, args: Payload, options: EnqueueOptions) -> Self {
        Self { kind: kind.into(), args, defaults: JobOptions::new(), options }
    }
}

/// What one enqueue says beyond the args. What is not set is left to the registration, the args type, the
/// program's options and the defaults, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnqueueOptions {
    pub(crate) id: Option<JobId>,
    pub(crate) queue: Option<String>,
    pub(crate) priority: Option<Priority>,
    pub(crate) run_at: RunAt,
    pub(crate) max_attempts: Option<u16>,
    pub(crate) unique: Option<Unique>,
    pub(crate) metadata: Metadata,
}

/// A unique key as the program names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unique {
    pub(crate) key: String,
    pub(crate) hold: KeyHold,
    pub(crate) across_kinds: bool,
}

impl EnqueueOptions {
    /// Nothing said: now, in the kind's queue.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The job's id, for an enqueue that can be repeated: the same id with the same args is stored once, for
    /// as long as the job's record is kept. A new id unless set.
    #[must_use]
    pub const fn id(mut self, id: JobId) -> Self {
        self.id = Some(id);
        self
    }

    /// The queue.
    #[must_use]
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.queue = Some(queue.into());
        self
    }

    /// The priority.
    #[must_use]
    pub const fn priority(mut self, priority: Priority) -> Self {
        self.priority = Some(priority);
        self
    }

    /// Not before this long from now, on the store's clock.
    #[must_use]
    pub const fn delay(mut self, delay: Duration) -> Self {
        self.run_at = RunAt::In(delay);
        self
    }

    /// Not before this instant; at once when it is past.
    #[must_use]
    pub const fn at(mut self, instant: Timestamp) -> Self {
        self.run_at = RunAt::At(instant);
        self
    }

    /// Runs the job may use up by failing, the first included. 0 counts as 1.
    #[must_use]
    pub const fn max_attempts(mut self, attempts: u16) -> Self {
        self.max_attempts = Some(attempts);
        self
    }

    /// Stores the job only if no job of its kind holds this key, and holds it until the job is over.
    #[must_use]
    pub fn unique(self, key: impl Into<String>) -> Self {
        self.unique_for(key, KeyHold::UntilFinished)
    }

    /// Stores the job only if no job of its kind holds this key, and holds it as `hold` says.
    #[must_use]
    pub fn unique_for(mut self, key: impl Into<String>, hold: KeyHold) -> Self {
        self.unique = Some(Unique { key: key.into(), hold, across_kinds: false });
        self
    }

    /// As [`unique_for`](Self::unique_for), but the key is shared with every other kind that says so too.
    #[must_use]
    pub fn unique_across_kinds(mut self, key: impl Into<String>, hold: KeyHold) -> Self {
        self.unique = Some(Unique { key: key.into(), hold, across_kinds: true });
        self
    }

    /// Adds a note that travels with the job.
    #[must_use]
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(name.into(), value.into());
        self
    }
}
