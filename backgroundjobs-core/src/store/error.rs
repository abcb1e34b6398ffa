//! [`StoreError`]: the one error of every store.

use std::error::Error;
use std::fmt;

/// What a store was doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each is the method of its name")]
pub enum StoreOperation {
    Prepare,
    Close,
    Insert,
    Claim,
    Renew,
    Settle,
    Recover,
    Cancel,
    Get,
    Prune,
    NextWake,
    Count,
    List,
    Queues,
    Requeue,
    Delete,
    Pause,
    Resume,
}

impl fmt::Display for StoreOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Prepare => "prepare",
            Self::Close => "close",
            Self::Insert => "insert",
            Self::Claim => "claim",
            Self::Renew => "renew",
            Self::Settle => "settle",
            Self::Recover => "recover",
            Self::Cancel => "cancel",
            Self::Get => "get",
            Self::Prune => "prune",
            Self::NextWake => "next wake",
            Self::Count => "count",
            Self::List => "list",
            Self::Queues => "queues",
            Self::Requeue => "requeue",
            Self::Delete => "delete",
            Self::Pause => "pause",
            Self::Resume => "resume",
        })
    }
}

/// What went wrong, as far as the runtime cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The store cannot be reached, or did not answer in time.
    Unavailable,
    /// An inserted job's id belongs to a job of other content; nothing was inserted.
    Conflict {
        /// Which job of the request it was, counted from 0.
        index: usize,
    },
    /// The store refuses the request as it is; the same request will be refused again.
    Rejected,
    /// What lies in the store cannot be read.
    Corrupt,
    /// The store was closed.
    Closed,
    /// Anything else.
    Other,
}

/// An error of a store: what it was doing, what went wrong, and whether the same call may work later.
#[derive(Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    operation: StoreOperation,
    retryable: bool,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl StoreError {
    /// An error of this kind; [`Unavailable`](StoreErrorKind::Unavailable) and
    /// [`Other`](StoreErrorKind::Other) count as retryable, the rest does not.
    #[must_use]
    pub fn new(operation: StoreOperation, kind: StoreErrorKind, message: impl Into<String>) -> Self {
        let retryable = matches!(kind, StoreErrorKind::Unavailable | StoreErrorKind::Other);
        Self { kind, operation, retryable, message: message.into(), source: None }
    }

    /// Says whether the same call may work later.
    #[must_use]
    pub fn retryable(mut self, retryable: bool) -> Self {
        self.retryable = retryable;
        self
    }

    /// Keeps the error that caused this one.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What went wrong.
    #[must_use]
    pub const fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// What the store was doing.
    #[must_use]
    pub const fn operation(&self) -> StoreOperation {
        self.operation
    }

    /// Whether the same call may work later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        self.retryable
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the store failed to {}: {}", self.operation, self.message)
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}
