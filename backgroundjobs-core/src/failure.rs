//! Why an attempt failed, as text that every store can keep.

use std::fmt;
use std::sync::Arc;

use crate::Timestamp;
use crate::limits::MAX_ERROR_BYTES;

/// Text for a store: without NUL (which PostgreSQL refuses) and at most 8 KiB, cut at a character.
///
/// Made before any store sees it, so that one bad text can never block a batch.
#[derive(Clone, PartialEq, Eq)]
pub struct ErrorText(Arc<str>);

impl ErrorText {
    /// Cleans and cuts `text`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        const MARK: &str = " …";
        let mut cut = text;
        if text.len() > MAX_ERROR_BYTES {
            cut = &text[..text.floor_char_boundary(MAX_ERROR_BYTES - MARK.len())];
        }
        let cleaned = if cut.contains('\0') { cut.replace('\0', " ") } else { cut.to_owned() };
        Self(if cut.len() < text.len() { cleaned + MARK } else { cleaned }.into())
    }

    /// Writes an error and the chain of its sources, joined by `: `.
    #[must_use]
    pub fn from_error(error: &(dyn std::error::Error + 'static)) -> Self {
        Self::new(&chain(error))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An error and its sources in one line. A source whose text already ends the line is not repeated: many
/// errors print their source themselves.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let more = source.to_string();
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        next = source.source();
    }
    text
}

impl fmt::Display for ErrorText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for ErrorText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl From<&str> for ErrorText {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

/// What kind of failure it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// The handler returned an error.
    Error,
    /// The handler panicked.
    Panic,
    /// The handler ran out of time.
    Timeout,
    /// The lease ran out: the worker died, or lost its store for too long.
    Crash,
    /// Somebody cancelled it, or the handler did; the text is the reason.
    Cancel,
}

impl FailureKind {
    /// The kind's name in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Panic => "panic",
            Self::Timeout => "timeout",
            Self::Crash => "crash",
            Self::Cancel => "cancel",
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One failure, as a settle carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind it was.
    pub kind: FailureKind,
    /// The error's text with its sources.
    pub text: ErrorText,
}

impl Failure {
    /// A failure of this kind.
    #[must_use]
    pub fn new(kind: FailureKind, text: impl Into<ErrorText>) -> Self {
        Self { kind, text: text.into() }
    }
}

/// One failure as the store keeps it, the newest 25 of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordedFailure {
    /// Store time at which it was recorded.
    pub at: Timestamp,
    /// Which attempt it was, counted from 1.
    pub attempt: u16,
    /// What went wrong.
    pub failure: Failure,
}

impl RecordedFailure {
    /// A failure of `attempt`, recorded `at`.
    #[must_use]
    pub const fn new(at: Timestamp, attempt: u16, failure: Failure) -> Self {
        Self { at, attempt, failure }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_text_is_cleaned_and_cut_at_a_character() {
        assert_eq!(ErrorText::new("a\0b").as_str(), "a b");
        let long = "é".repeat(MAX_ERROR_BYTES);
        let text = ErrorText::new(&long);
        assert!(text.as_str().len() <= MAX_ERROR_BYTES);
        assert!(text.as_str().ends_with('…'));
        assert_eq!(ErrorText::new("short").as_str(), "short");
    }

    #[test]
    fn the_chain_of_sources_is_written_once_each() {
        #[derive(Debug, thiserror::Error)]
        #[error("mail not sent")]
        struct Outer(#[source] std::io::Error);
        let error = Outer(std::io::Error::other("connection refused"));
        assert_eq!(ErrorText::from_error(&error).as_str(), "mail not sent: connection refused");
    }
}
