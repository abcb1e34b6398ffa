//! Saying how claims ended: request and reply.

use std::time::Duration;

use super::LeaseKey;
use crate::failure::Failure;
use crate::state::Step;
use crate::{JobState, Timestamp};

/// How one claim ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The handler ended well.
    Complete,
    /// The attempt failed; another follows after `delay`.
    Retry {
        /// From the store's time on.
        delay: Duration,
        /// Why.
        failure: Failure,
    },
    /// The handler asked for later; uses no attempt.
    Snooze {
        /// From the store's time on.
        delay: Duration,
    },
    /// Handed back, due as before; uses no attempt.
    Release,
    /// Failed for good.
    Fail {
        /// Why.
        failure: Failure,
    },
    /// Ended because it was cancelled.
    Cancel {
        /// The reason, where one was given.
        failure: Option<Failure>,
    },
}

impl Outcome {
    /// The step of the state table that this outcome takes.
    #[must_use]
    pub const fn step(&self) -> Step {
        match self {
            Self::Complete => Step::Complete,
            Self::Retry { .. } => Step::Retry,
            Self::Snooze { .. } => Step::Snooze,
            Self::Release => Step::Release,
            Self::Fail { .. } => Step::Fail,
            Self::Cancel { .. } => Step::Cancel,
        }
    }

    /// The state it takes a running job to, given whether the job carries a cancel request.
    #[must_use]
    pub const fn settles_to(&self, cancel_requested: bool) -> JobState {
        match (self, cancel_requested) {
            (Self::Complete, _) => JobState::Succeeded,
            (Self::Fail { .. }, _) => JobState::Failed,
            (Self::Cancel { .. }, _) | (Self::Retry { .. } | Self::Snooze { .. } | Self::Release, true) => {
                JobState::Cancelled
            }
            (Self::Retry { .. } | Self::Snooze { .. } | Self::Release, false) => JobState::Waiting,
        }
    }

    /// How long the job waits before it may start again, where it does.
    #[must_use]
    pub const fn delay(&self) -> Duration {
        match self {
            Self::Retry { delay, .. } | Self::Snooze { delay } => *delay,
            Self::Complete | Self::Release | Self::Fail { .. } | Self::Cancel { .. } => Duration::ZERO,
        }
    }

    /// The failure to record, where there is one.
    #[must_use]
    pub const fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Retry { failure, .. } | Self::Fail { failure } => Some(failure),
            Self::Cancel { failure } => failure.as_ref(),
            Self::Complete | Self::Snooze { .. } | Self::Release => None,
        }
    }
}

/// The end of one claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// Which claim.
    pub lease: LeaseKey,
    /// How it ended.
    pub outcome: Outcome,
}

/// A worker says how claims ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SettleJobs {
    /// The caller's time.
    pub now: Timestamp,
    /// The ends, in order.
    pub outcomes: Vec<Settlement>,
}

impl SettleJobs {
    /// A request to settle `outcomes`.
    #[must_use]
    pub const fn new(now: Timestamp, outcomes: Vec<Settlement>) -> Self {
        Self { now, outcomes }
    }
}

/// The reply to [`SettleJobs`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettledJobs {
    /// The store's time.
    pub store_now: Timestamp,
    /// What became of each outcome, in the order of the request.
    pub jobs: Vec<Settled>,
}

/// What became of one outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Settled {
    /// It stands: applied now, or by an earlier call that was repeated.
    Applied {
        /// The state the job is in. Differs from what the outcome asks for when a cancel request turned it
        /// into Cancelled, or when a repeat found the job moved on.
        state: JobState,
    },
    /// The claim was over before; nothing changed.
    Lost,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FailureKind;

    #[test]
    fn every_settle_answer_is_in_the_table_of_steps() {
        let failure = Failure::new(FailureKind::Error, "no");
        let delay = Duration::ZERO;
        let outcomes = [
            Outcome::Complete,
            Outcome::Retry { delay, failure: failure.clone() },
            Outcome::Snooze { delay },
            Outcome::Release,
            Outcome::Fail { failure },
            Outcome::Cancel { failure: None },
        ];
        for (outcome, flagged) in outcomes.iter().flat_map(|outcome| [(outcome, false), (outcome, true)]) {
            let to = outcome.settles_to(flagged);
            assert!(JobState::Running.allows(outcome.step(), to), "{outcome:?} to {to}");
            assert!(!(flagged && to == JobState::Waiting), "a flagged job went back by {outcome:?}");
        }
    }
}
