//! Puts a [`StepScheduler`] together.

use std::time::Duration;

use backgroundjobs_core::Timestamp;
use fastrand::Rng;

use super::StepScheduler;
use super::shared::Limits;
use super::state::Patience;
use crate::VirtualClock;

/// How long others wait in real time for a handler that is not woken: longer than a pause of a loaded machine,
/// short enough to have it in a test.
const HANDLER_PATIENCE: Duration = Duration::from_millis(100);

/// How long others wait in real time for a store call that is not woken. A handler may well wait for another
/// task; a store call waits for its database, and a slow disk must not make a run unrepeatable.
const STORE_PATIENCE: Duration = Duration::from_secs(2);

/// How long others wait in real time for a call on the blocking pool that does not return: it really works, most
/// likely, and on a loaded machine slowly. One that asks again and again whether it shall stop waits for that, and
/// has a handler's patience until it is told.
const THREAD_PATIENCE: Duration = Duration::from_secs(5);

/// How long nothing at all may happen in real time.
const WATCHDOG: Duration = Duration::from_secs(10);

/// Puts a [`StepScheduler`] together.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it builds"]
pub struct StepSchedulerBuilder {
    start: Timestamp,
    seed: Option<u64>,
    limits: Limits,
}

impl StepSchedulerBuilder {
    pub(super) const fn new() -> Self {
        let patience = Patience { handler: HANDLER_PATIENCE, store: STORE_PATIENCE, thread: THREAD_PATIENCE };
        Self { start: VirtualClock::START, seed: None, limits: Limits { patience, watchdog: WATCHDOG } }
    }

    /// Where the clock starts; [`VirtualClock::START`] unless given.
    pub const fn start_at(mut self, start: Timestamp) -> Self {
        self.start = start;
        self
    }

    /// Draws who is first among several ready tasks and among several timers with one deadline. Without a
    /// seed it is first come, first served.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// How long others wait in real time for a handler whose task is not woken; 100 ms unless given.
    pub const fn handler_patience(mut self, patience: Duration) -> Self {
        self.limits.patience.handler = patience;
        self
    }

    /// How long others wait in real time for a store call whose task is not woken; 2 s unless given.
    pub const fn store_patience(mut self, patience: Duration) -> Self {
        self.limits.patience.store = patience;
        self
    }

    /// How long others wait in real time for a blocking handler that does not return and does not do
    /// nothing but ask whether it shall stop; 5 s unless given.
    pub const fn thread_patience(mut self, patience: Duration) -> Self {
        self.limits.patience.thread = patience;
        self
    }

    /// How long nothing may happen in real time before a verb panics; 10 s unless given.
    pub const fn watchdog(mut self, limit: Duration) -> Self {
        self.limits.watchdog = limit;
        self
    }

    /// The scheduler.
    #[must_use]
    pub fn build(self) -> StepScheduler {
        StepScheduler::start(
            VirtualClock::starting_at(self.start),
            self.seed.map(Rng::with_seed),
            self.limits,
        )
    }
}
