//! The states of a job and the one table of steps between them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a job stands.
///
/// "Scheduled", "ready" and "retrying" are views of `Waiting`: its `run_at` lies ahead, has come, or was set
/// by a failed attempt. Drawn in `docs/job-states.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum JobState {
    /// To be claimed from its `run_at` on.
    Waiting,
    /// Claimed; its lease says until when.
    Running,
    /// Its handler ended well.
    Succeeded,
    /// Given up: out of attempts, out of crashes, or failed for good.
    Failed,
    /// Ended by a user's cancel or by its own handler's.
    Cancelled,
}

impl JobState {
    /// Every state, in the order of a job's life.
    pub const ALL: [Self; 5] = [Self::Waiting, Self::Running, Self::Succeeded, Self::Failed, Self::Cancelled];

    /// Whether the job is over.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    /// The state's name in lower case, as users and logs read it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether [`STEPS`] allows `step` to lead from this state to `to`.
    #[must_use]
    pub fn allows(self, step: Step, to: Self) -> bool {
        STEPS.contains(&(self, step, to))
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What moves a job from one state to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Step {
    /// A worker took it.
    Claim,
    /// Settled: the handler ended well.
    Complete,
    /// Settled: the attempt failed, another follows.
    Retry,
    /// Settled: later, at no cost.
    Snooze,
    /// Settled: handed back unstarted or unfinished, at no cost.
    Release,
    /// Settled: failed for good.
    Fail,
    /// Settled: the handler ended because it was cancelled; or a user's cancel of a waiting job.
    Cancel,
    /// Its lease ran out and somebody took it back.
    Recover,
    /// An operator put a finished job back.
    Requeue,
}

/// Every allowed step: from, by, to. What is not listed does not happen.
///
/// A job with a cancel request never returns to `Waiting`: the steps that would take it there end it in
/// `Cancelled`, which is why Retry, Snooze, Release and Recover are listed twice and more.
pub const STEPS: [(JobState, Step, JobState); 17] = {
    use JobState::{Cancelled, Failed, Running, Succeeded, Waiting};
    [
        (Waiting, Step::Claim, Running),
        (Waiting, Step::Cancel, Cancelled),
        (Running, Step::Complete, Succeeded),
        (Running, Step::Retry, Waiting),
        (Running, Step::Retry, Cancelled),
        (Running, Step::Snooze, Waiting),
        (Running, Step::Snooze, Cancelled),
        (Running, Step::Release, Waiting),
        (Running, Step::Release, Cancelled),
        (Running, Step::Fail, Failed),
        (Running, Step::Cancel, Cancelled),
        (Running, Step::Recover, Waiting),
        (Running, Step::Recover, Failed),
        (Running, Step::Recover, Cancelled),
        (Succeeded, Step::Requeue, Waiting),
        (Failed, Step::Requeue, Waiting),
        (Cancelled, Step::Requeue, Waiting),
    ]
};

/// The state a job is recovered to after its lease ran out, `crashes` being counted with this one.
#[must_use]
pub const fn recovered_state(crashes: u16, max_crashes: u16, cancel_requested: bool) -> JobState {
    if cancel_requested {
        JobState::Cancelled
    } else if crashes >= max_crashes {
        JobState::Failed
    } else {
        JobState::Waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_step_leaves_a_final_state_but_requeue() {
        for (from, step, _) in STEPS {
            assert_eq!(from.is_final(), step == Step::Requeue, "{from} {step:?}");
        }
    }

    #[test]
    fn every_recover_answer_is_in_the_table() {
        for (crashes, flagged) in [(1, false), (3, false), (1, true), (3, true)] {
            let to = recovered_state(crashes, 3, flagged);
            assert!(JobState::Running.allows(Step::Recover, to));
        }
    }
}
