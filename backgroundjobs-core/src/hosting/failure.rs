//! [`HostError`] and [`ServiceFailure`]: what went wrong, with which service, and when.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::ErrorText;
use crate::failure::chain;
use crate::readable::debug_is_text;

/// Why a host did not start, run or stop well.
#[derive(Clone)]
#[non_exhaustive]
pub enum HostError {
    /// There is no tokio runtime.
    NoRuntime,
    /// It was started before.
    Twice,
    /// It was stopped, before its start or during it.
    Stopped,
    /// Services, or hooks of the host, failed: each of them, in the order in which they did.
    Failed {
        /// Each failure; at least one.
        failures: Vec<ServiceFailure>,
    },
    /// It was told to end at once, and did.
    Interrupted {
        /// The services that had not stopped; they are dropped where they wait.
        left: Vec<String>,
        /// What had failed before.
        failures: Vec<ServiceFailure>,
    },
}

impl HostError {
    /// What failed, of whichever kind the error is.
    #[must_use]
    pub fn failures(&self) -> &[ServiceFailure] {
        match self {
            Self::Failed { failures } | Self::Interrupted { failures, .. } => failures,
            _ => &[],
        }
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRuntime => f.write_str(
                "there is no tokio runtime here: call the host inside #[tokio::main] or Runtime::block_on",
            ),
            Self::Twice => f.write_str("this host was started before: call start() or run() once"),
            Self::Stopped => f.write_str("this host was stopped and cannot be started: build a new one"),
            Self::Failed { failures } => match failures.as_slice() {
                [only] => write!(f, "the host has failed: {only}"),
                several => {
                    write!(f, "the host has failed, for {} reasons:", several.len())?;
                    list(f, several)
                }
            },
            Self::Interrupted { left, failures } => {
                f.write_str("the host was told to end at once")?;
                if !left.is_empty() {
                    write!(f, ", before these services had stopped: {}", left.join(", "))?;
                }
                list(f, failures)
            }
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, failures: &[ServiceFailure]) -> fmt::Result {
    failures.iter().try_for_each(|failure| write!(f, "\n  - {}", chain(failure)))
}

impl Error for HostError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        // The text of several has that of each source.
        match self.failures() {
            [only] => only.source(),
            _ => None,
        }
    }
}

/// One service, or one hook of the host, that failed.
#[derive(Clone)]
#[non_exhaustive]
pub struct ServiceFailure {
    /// The service's name; of a hook its own, as `on_started`.
    pub service: String,
    /// What it was about.
    pub during: During,
    /// How it failed.
    pub cause: FailureCause,
}

/// What a service was about when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum During {
    /// It was to start.
    Start,
    /// It was at work.
    Run,
    /// It was told to stop.
    Stop,
}

/// How a service failed.
#[derive(Clone)]
#[non_exhaustive]
pub enum FailureCause {
    /// It returned this error.
    Error(Arc<dyn Error + Send + Sync + 'static>),
    /// It panicked, with this text.
    Panic(ErrorText),
    /// It returned, and was not told to stop.
    Returned,
    /// It had not ended after this time, and was dropped where it waited.
    TimedOut(Duration),
    /// It had not ended after this time, and cannot be dropped: it blocks its thread.
    Blocks(Duration),
}

impl ServiceFailure {
    pub(super) fn new(service: &str, during: During, cause: FailureCause) -> Self {
        Self { service: service.to_owned(), during, cause }
    }

    /// Its text with that of its sources.
    pub(super) fn text(&self) -> ErrorText {
        ErrorText::from_error(self)
    }
}

impl FailureCause {
    /// What became of a part of a service that was guarded against panics; none where it ended well.
    pub(super) fn of(ended: Result<super::ServiceResult, String>) -> Option<Self> {
        match ended {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(Self::Error(error.into())),
            Err(panic) => Some(Self::Panic(ErrorText::new(&panic))),
        }
    }
}

/// What a part of a service brought that was guarded against panics, or what went wrong in words.
pub(super) fn outcome<T>(ended: Result<super::ServiceResult<T>, String>) -> Result<T, ErrorText> {
    match ended {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(ErrorText::from_error(&*error)),
        Err(panic) => Err(ErrorText::new(&format!("it panicked: {panic}"))),
    }
}

impl fmt::Display for ServiceFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { service, during, cause } = self;
        let doing = match during {
            During::Start => "as it was started",
            During::Run => "while it ran",
            During::Stop => "as it was stopped",
        };
        match cause {
            FailureCause::Error(_) => write!(f, "{service} failed {doing}"),
            FailureCause::Panic(text) => write!(f, "{service} panicked {doing}: {text}"),
            FailureCause::Returned => write!(
                f,
                "{service} returned although nobody told it to stop: let it wait for stopping.cancelled(), or say \
                 .may_end() of it"
            ),
            FailureCause::TimedOut(limit) => {
                write!(f, "{service} had not ended {limit:?} after it was told to")?;
                if *during == During::Start {
                    return write!(f, " start, and was dropped");
                }
                write!(f, " stop, and was dropped: let it look at stopping, or at the limit of its stop")
            }
            FailureCause::Blocks(limit) => write!(
                f,
                "{service} had not ended {limit:?} after it was told to stop, and cannot be dropped, because it blocks \
                 its thread: let it .await, or look at stopping.is_stopping() between its steps"
            ),
        }
    }
}

impl Error for ServiceFailure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.cause {
            FailureCause::Error(error) => Some(&**error),
            _ => None,
        }
    }
}

impl fmt::Debug for FailureCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => f.debug_tuple("Error").field(&chain(&**error)).finish(),
            Self::Panic(text) => f.debug_tuple("Panic").field(text).finish(),
            Self::Returned => f.write_str("Returned"),
            Self::TimedOut(limit) => f.debug_tuple("TimedOut").field(limit).finish(),
            Self::Blocks(limit) => f.debug_tuple("Blocks").field(limit).finish(),
        }
    }
}

debug_is_text!(HostError, ServiceFailure);
