//! From how a run ended to what the store is told: the retry policy is applied here.

use std::error::Error;
use std::time::Duration;

use super::run::{CancelCause, Run};
use crate::failure::{Failure, FailureKind};
use crate::store::Outcome;
use crate::{EnqueueError, Env, JobError, JobResult, RetryPolicy, Verdict};

/// How a run ended.
pub(super) enum Ended {
    /// The handler returned.
    Returned(JobResult),
    /// The handler panicked, with this message.
    Panicked(String),
    /// The handler was dropped where it waited.
    Dropped,
}

/// What a run's outcome depends on beside its end.
pub(super) struct Circumstances<'a> {
    pub(super) run: &'a Run,
    /// Why it was told to stop, if it was.
    pub(super) cause: Option<CancelCause>,
    /// Whether the program stops.
    pub(super) is_stopping: bool,
    pub(super) policy: RetryPolicy,
    pub(super) timeout: Option<Duration>,
    pub(super) env: &'a Env,
}

/// What the store is told.
///
/// A run that ended well has succeeded, whoever had asked it to stop. One that was asked to stop because the
/// program stops, and then failed, is handed back: a clean shutdown costs no attempt.
pub(super) fn outcome(ended: Ended, at: &Circumstances<'_>) -> Outcome {
    let (failure, delay) = match ended {
        Ended::Returned(Ok(())) => return Outcome::Complete,
        Ended::Returned(Err(error)) => {
            let failure = Failure::new(FailureKind::Error, &*error.chain());
            match error.verdict() {
                Verdict::Permanent => return Outcome::Fail { failure },
                // One that ran out of time has failed, whatever it asks for: it might ask for ever.
                Verdict::Snooze(delay) if at.cause != Some(CancelCause::Timeout) => {
                    return Outcome::Snooze { delay };
                }
                Verdict::Cancel => {
                    return Outcome::Cancel {
                        failure: Some(Failure { kind: FailureKind::Cancel, ..failure }),
                    };
                }
                Verdict::RetryIn(delay) | Verdict::Snooze(delay) => (failure, Some(delay)),
                // It wanted to enqueue and the stop did not let it: a clean stop costs no attempt.
                Verdict::Retry if at.is_stopping && is_refused_by_stop(&error) => return Outcome::Release,
                Verdict::Retry => (failure, None),
            }
        }
        Ended::Panicked(message) => {
            (Failure::new(FailureKind::Panic, &*format!("the handler panicked: {message}")), None)
        }
        Ended::Dropped => {
            (Failure::new(FailureKind::Cancel, "the handler did not stop when asked and was dropped"), None)
        }
    };
    match at.cause {
        Some(CancelCause::Stop) if failure.kind != FailureKind::Panic => Outcome::Release,
        Some(CancelCause::Lost) => Outcome::Release,
        Some(CancelCause::User) => {
            Outcome::Cancel { failure: Some(Failure { kind: FailureKind::Cancel, ..failure }) }
        }
        Some(CancelCause::Timeout) => {
            let text = format!(
                "ran longer than its timeout of {:?}: {}",
                at.timeout.unwrap_or_default(),
                failure.text
            );
            retry_or_fail(Failure::new(FailureKind::Timeout, &*text), delay, at)
        }
        Some(CancelCause::Stop | CancelCause::GivenUp) | None => retry_or_fail(failure, delay, at),
    }
}

fn is_refused_by_stop(error: &JobError) -> bool {
    let mut next: Option<&(dyn Error + 'static)> = Some(error.source());
    while let Some(error) = next {
        if let Some(EnqueueError::Stopped { .. }) = error.downcast_ref::<EnqueueError>() {
            return true;
        }
        next = error.source();
    }
    false
}

fn retry_or_fail(failure: Failure, delay: Option<Duration>, at: &Circumstances<'_>) -> Outcome {
    let attempt = at.run.attempt;
    if attempt >= at.run.max_attempts {
        return Outcome::Fail { failure };
    }
    let delay = delay.unwrap_or_else(|| at.policy.jittered_delay(attempt, at.env));
    Outcome::Retry { delay, failure }
}
