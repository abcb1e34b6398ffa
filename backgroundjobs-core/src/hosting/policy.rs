//! [`OnFailure`]: what follows when a background service fails.

use std::time::Duration;

use crate::limits::{RESTART_CAP, RESTART_FIRST, RESTART_LIMIT, RESTART_STEADY};
use crate::{Env, RetryPolicy};

/// What follows when a background service fails, panics, or returns before it was told to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum OnFailure {
    /// The host stops, and `run` returns the error: a program that is not whole should not go on unnoticed.
    #[default]
    StopHost,
    /// It is started again after a while; the host stops when that was too often.
    Restart(RestartPolicy),
    /// It is reported, and the rest goes on without it.
    Ignore,
}

/// How often, and how long apart, a service is started again.
///
/// The wait before the n-th restart in a row is `first * 2^(n - 1)`, at most `cap`, give or take 10 %: 1 s and 1 min
/// unless set. After 10 restarts in a row the next failure stops the host. A service that has run for 5 min begins
/// anew.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RestartPolicy {
    wait: RetryPolicy,
    limit: u16,
    steady: Duration,
}

impl RestartPolicy {
    /// The default policy.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            wait: RetryPolicy::new().first(RESTART_FIRST).cap(RESTART_CAP),
            limit: RESTART_LIMIT,
            steady: RESTART_STEADY,
        }
    }

    /// The wait before the first restart; 1 s unless set. Each further one in a row is twice as long.
    #[must_use]
    pub const fn first(mut self, first: Duration) -> Self {
        self.wait = self.wait.first(first);
        self
    }

    /// The longest wait; 1 min unless set.
    #[must_use]
    pub const fn cap(mut self, cap: Duration) -> Self {
        self.wait = self.wait.cap(cap);
        self
    }

    /// How many restarts in a row; 10 unless set. With 0 the first failure stops the host.
    #[must_use]
    pub const fn limit(mut self, restarts: u16) -> Self {
        self.limit = restarts;
        self
    }

    /// After how long a run the next failure is the first in a row again; 5 min unless set.
    #[must_use]
    pub const fn steady_after(mut self, run: Duration) -> Self {
        self.steady = run;
        self
    }

    /// How many restarts in a row there were, and how long to wait before the next; none when that was too often.
    pub(super) fn next(&self, before: u16, ran: Duration, env: &Env) -> Option<(u16, Duration)> {
        let before = if ran >= self.steady { 0 } else { before };
        (before < self.limit).then(|| (before + 1, self.wait.jittered_delay(before + 1, env)))
    }
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self::new()
    }
}
