//! [`JobError`]: how a handler says that it did not succeed, and what shall follow.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::failure::chain;

type BoxError = Box<dyn Error + Send + Sync + 'static>;

/// What a handler returns.
pub type JobResult = Result<(), JobError>;

/// Why a run did not succeed, and what shall follow.
///
/// `?` turns any error into one that means "try again by the retry policy": a `std::error::Error`, an
/// `anyhow::Error`, a text. The constructors say otherwise. For that conversion to exist `JobError` is not
/// itself a `std::error::Error`.
///
/// ```
/// use std::time::Duration;
/// use backgroundjobs_core::{JobError, JobResult};
///
/// fn deliver(address: &str) -> JobResult {
///     let port: u16 = address.parse()?; // a bad port is tried again by policy
///     match port {
///         0 => Err(JobError::permanent("port 0 will never work")),
///         25 => Err(JobError::snooze(Duration::from_secs(60))),
///         _ => Ok(()),
///     }
/// }
/// assert_eq!(deliver("0").unwrap_err().to_string(), "port 0 will never work");
/// ```
pub struct JobError {
    verdict: Verdict,
    source: BoxError,
}

/// What shall follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Another attempt, when the retry policy says, if one is left.
    Retry,
    /// Another attempt after this time, if one is left.
    RetryIn(Duration),
    /// The same attempt again after this time; uses nothing up.
    Snooze(Duration),
    /// No more: Cancelled.
    Cancel,
    /// No more: Failed.
    Permanent,
}

impl JobError {
    /// Failed; try again after `delay` instead of what the policy says. Uses an attempt.
    pub fn retry_in(delay: Duration, error: impl Into<BoxError>) -> Self {
        Self { verdict: Verdict::RetryIn(delay), source: error.into() }
    }

    /// Not now; run this again after `delay`. Uses no attempt.
    #[must_use]
    pub fn snooze(delay: Duration) -> Self {
        Self { verdict: Verdict::Snooze(delay), source: "snoozed".into() }
    }

    /// No longer wanted: the job ends as Cancelled.
    pub fn cancel(reason: impl Into<BoxError>) -> Self {
        Self { verdict: Verdict::Cancel, source: reason.into() }
    }

    /// Will never work: the job ends as Failed, whatever attempts are left.
    pub fn permanent(error: impl Into<BoxError>) -> Self {
        Self { verdict: Verdict::Permanent, source: error.into() }
    }

    /// What shall follow.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// The error behind it.
    #[must_use]
    pub fn source(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.source
    }

    /// The error and its sources in one line.
    pub(crate) fn chain(&self) -> String {
        chain(&*self.source)
    }
}

impl<E: Into<BoxError>> From<E> for JobError {
    fn from(error: E) -> Self {
        Self { verdict: Verdict::Retry, source: error.into() }
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.source, f)
    }
}

impl fmt::Debug for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobError").field("verdict", &self.verdict).field("source", &self.source).finish()
    }
}
