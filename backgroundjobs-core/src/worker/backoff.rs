//! Waits between calls of a store that fails.

use std::time::Duration;

use crate::Env;
use crate::limits::{STORE_RETRY_BASE, STORE_RETRY_CAP, STORE_RETRY_JITTER};

/// Doubles from a tenth of a second to ten, each wait spread by half at random, so that the workers of a
/// store that comes back do not all come at once.
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(super) const fn new() -> Self {
        Self { next: STORE_RETRY_BASE }
    }

    /// The next wait.
    pub(super) fn next(&mut self, env: &Env) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(STORE_RETRY_CAP);
        env.jittered(wait, STORE_RETRY_JITTER)
    }
}
