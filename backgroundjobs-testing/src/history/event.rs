//! One thing that happened, and how it reads.

use std::fmt;
use std::sync::Arc;

use backgroundjobs_core::{JobId, JobState, Kind, Outcome, Settled, Timestamp};

/// How many bytes of an error's text a list shows.
const ERROR_BYTES: usize = 200;

/// How one attempt at a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Attempt {
    /// The handler ended well.
    Succeeded,
    /// It returned an error, panicked, or ran out of time; whether another attempt follows or not.
    Failed,
    /// It asked for later.
    Snoozed,
    /// It was cancelled, or the handler said that the job is no longer wanted.
    Cancelled,
    /// It was handed back, as a stop does.
    Released,
    /// Its lease was lost: whatever it did, the store did not take its word.
    Lost,
    /// The store has not been told how it ended.
    Unfinished,
}

impl Attempt {
    /// What an outcome makes of an attempt, given the store's answer.
    pub(crate) const fn of(outcome: &Outcome, answer: Settled) -> Self {
        match (outcome, answer) {
            (_, Settled::Lost) => Self::Lost,
            (Outcome::Complete, _) => Self::Succeeded,
            (_, Settled::Applied { state: JobState::Cancelled }) | (Outcome::Cancel { .. }, _) => {
                Self::Cancelled
            }
            (Outcome::Retry { .. } | Outcome::Fail { .. }, _) => Self::Failed,
            (Outcome::Snooze { .. }, _) => Self::Snoozed,
            (Outcome::Release, _) => Self::Released,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Snoozed => "snoozed",
            Self::Cancelled => "cancelled",
            Self::Released => "was handed back",
            Self::Lost => "lost its lease",
            Self::Unfinished => "has not ended",
        }
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Something that happened.
pub(crate) struct Event {
    pub(crate) at: Timestamp,
    /// The task that did it.
    pub(crate) by: Option<Arc<str>>,
    pub(crate) what: What,
}

pub(crate) enum What {
    Enqueued { id: JobId, kind: Kind, run_at: Timestamp },
    Claimed { id: JobId, kind: Kind, node: Arc<str> },
    Started { id: JobId, kind: Kind, attempt: u16 },
    Settled { id: JobId, attempt: Attempt, error: Option<String> },
    Recovered { id: JobId, state: JobState },
    CancelAsked { id: JobId, at_once: bool },
    Requeued { id: JobId },
    Deleted { id: JobId },
    Node { node: Arc<str>, what: &'static str },
}

impl What {
    pub(crate) const fn job(&self) -> Option<JobId> {
        match self {
            Self::Enqueued { id, .. }
            | Self::Claimed { id, .. }
            | Self::Started { id, .. }
            | Self::Settled { id, .. }
            | Self::Recovered { id, .. }
            | Self::CancelAsked { id, .. }
            | Self::Requeued { id }
            | Self::Deleted { id } => Some(*id),
            Self::Node { .. } => None,
        }
    }
}

impl Event {
    /// The event in a line, with `name` for its job.
    pub(crate) fn text(&self, start: Timestamp, name: impl Fn(JobId) -> String) -> String {
        let job = self.what.job().map(name).unwrap_or_default();
        let what = match &self.what {
            What::Enqueued { kind, run_at, .. } if *run_at > self.at => {
                format!("enqueued {kind} {job}, due in {:?}", run_at.since(self.at))
            }
            What::Enqueued { kind, .. } => format!("enqueued {kind} {job}"),
            What::Claimed { kind, node, .. } => format!("{node} claimed {kind} {job}"),
            What::Started { kind, attempt, .. } => format!("{kind} {job} started, attempt {attempt}"),
            What::Settled { attempt, error: Some(error), .. } => format!("{job} {attempt}: {}", brief(error)),
            What::Settled { attempt, error: None, .. } => format!("{job} {attempt}"),
            What::Recovered { state, .. } => format!("{job} was taken back and is {state}"),
            What::CancelAsked { at_once: true, .. } => format!("{job} was cancelled"),
            What::CancelAsked { at_once: false, .. } => format!("{job} was asked to stop"),
            What::Requeued { .. } => format!("{job} was put back"),
            What::Deleted { .. } => format!("{job} was deleted"),
            What::Node { node, what } => format!("{node} {what}"),
        };
        let by = self.by.as_deref().map_or_else(String::new, |by| format!(" ({by})"));
        format!("{} {what}{by}", since(start, self.at))
    }
}

/// How long after the start of the kit, as every list of a failure shows it.
pub(crate) fn since(start: Timestamp, at: Timestamp) -> String {
    format!("+{:.3} s", at.since(start).as_secs_f64())
}

/// An error's text cut to what a list can show: its first line, and not all of a long one.
pub(crate) fn brief(error: &str) -> String {
    let line = error.lines().next().unwrap_or_default();
    let cut = &line[..line.floor_char_boundary(ERROR_BYTES)];
    if cut.len() < error.len() { format!("{cut} …") } else { cut.to_owned() }
}
