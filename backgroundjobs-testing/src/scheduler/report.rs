//! What one verb of the scheduler saw.

use std::fmt;

use backgroundjobs_core::Timestamp;

/// What happened while the scheduler settled, advanced or ran.
///
/// Two runs with one seed give equal reports, unless [`nondeterministic`](Self::nondeterministic) says why not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a report says whether tasks panicked and whether the run can be repeated"]
#[non_exhaustive]
pub struct Report {
    /// The virtual instant at the start.
    pub from: Timestamp,
    /// The virtual instant at the end.
    pub to: Timestamp,
    /// How many timers fired.
    pub timers_fired: u64,
    /// How many times a task was polled or dropped, but for polls that an answer from outside asked for:
    /// their number is up to the machine.
    pub grants: u64,
    /// The tasks that panicked.
    pub panicked: Vec<TaskPanic>,
    /// Why another run with the same seed may differ; empty when it may not.
    pub nondeterministic: Vec<String>,
    /// When the earliest timer fires that is still armed.
    pub next_timer: Option<Timestamp>,
}

/// The end of a task that panicked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskPanic {
    /// The task's name.
    pub task: String,
    /// What it panicked with.
    pub message: String,
}

impl Report {
    pub(super) const fn starting(from: Timestamp) -> Self {
        Self {
            from,
            to: from,
            timers_fired: 0,
            grants: 0,
            panicked: Vec::new(),
            nondeterministic: Vec::new(),
            next_timer: None,
        }
    }

    /// Whether nothing happened: no timer fired and no task was polled.
    #[must_use]
    pub const fn is_quiet(&self) -> bool {
        self.timers_fired == 0 && self.grants == 0
    }

    /// Takes the report, expecting that it holds no bad news.
    ///
    /// # Panics
    ///
    /// If a task panicked or the run cannot be repeated.
    #[track_caller]
    pub fn expect_clean(self) {
        assert!(self.panicked.is_empty() && self.nondeterministic.is_empty(), "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "from {} to {}: {} timers, {} grants", self.from, self.to, self.timers_fired, self.grants)?;
        for TaskPanic { task, message } in &self.panicked {
            write!(f, "\n  task {task} panicked: {message}")?;
        }
        for reason in &self.nondeterministic {
            write!(f, "\n  not repeatable: {reason}")?;
        }
        Ok(())
    }
}
