//! Puts a [`TestKit`] together.

use std::ops::RangeInclusive;
use std::time::Duration;

use backgroundjobs_core::Timestamp;

use super::TestKit;
use super::link::Delay;
use super::shared::{KitShared, Surroundings};
use crate::scheduler::StepScheduler;

/// Puts a [`TestKit`] together.
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until it builds"]
pub struct TestKitBuilder {
    seed: Option<u64>,
    start_at: Option<Timestamp>,
    jitter: bool,
    store_delay: Option<Delay>,
    handler_patience: Option<Duration>,
    thread_patience: Option<Duration>,
    watchdog: Option<Duration>,
    is_explored: bool,
}

impl TestKitBuilder {
    pub(super) const fn new() -> Self {
        Self {
            seed: None,
            start_at: None,
            jitter: false,
            store_delay: None,
            handler_patience: None,
            thread_patience: None,
            watchdog: None,
            is_explored: false,
        }
    }

    /// Decides whose turn it is among several, and the ids, the jitter and the delays. Without a seed: first
    /// come, first served, and always the same ids.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The first instant; 2030-01-01T00:00:00Z unless set.
    pub const fn start_at(mut self, instant: Timestamp) -> Self {
        self.start_at = Some(instant);
        self
    }

    /// Whether retries and polls are spread at random, by the seed; no unless set.
    pub const fn jitter(mut self, jitter: bool) -> Self {
        self.jitter = jitter;
        self
    }

    /// How long each store call takes on the virtual clock, drawn from this range by the seed (its start, without
    /// one): half of it before the store does its work, half after. No time unless set; then calls are never
    /// under way together, and no batches form.
    ///
    /// The test's own calls of managers take their time, too: await them inside [`TestKit::run`]. What the kit asks
    /// itself, as when it starts a program, lets that time pass.
    pub const fn store_delay(mut self, delay: RangeInclusive<Duration>) -> Self {
        self.store_delay = Some(Delay { least: *delay.start(), most: *delay.end() });
        self
    }

    /// How long in real time a verb waits for a handler that waits for something outside the kit, when others
    /// could go on; 100 ms unless set. While nothing else is left to do it is waited for in any case, up to the
    /// [`watchdog`](Self::watchdog).
    pub const fn handler_patience(mut self, patience: Duration) -> Self {
        self.handler_patience = Some(patience);
        self
    }

    /// How long in real time a verb waits for a blocking handler that does not return, before virtual time goes
    /// on without it; 5 s unless set. For tests of handlers that hang.
    pub const fn thread_patience(mut self, patience: Duration) -> Self {
        self.thread_patience = Some(patience);
        self
    }

    /// How long nothing may happen in real time before a verb panics, and names who waits for what; 10 s unless
    /// set.
    pub const fn watchdog(mut self, limit: Duration) -> Self {
        self.watchdog = Some(limit);
        self
    }

    /// Its seed is one of an exploration.
    pub(crate) const fn explored(mut self) -> Self {
        self.is_explored = true;
        self
    }

    /// The kit.
    #[must_use]
    pub fn build(self) -> TestKit {
        let mut scheduler = StepScheduler::builder();
        if let Some(seed) = self.seed {
            scheduler = scheduler.seed(seed);
        }
        if let Some(instant) = self.start_at {
            scheduler = scheduler.start_at(instant);
        }
        if let Some(patience) = self.handler_patience {
            scheduler = scheduler.handler_patience(patience);
        }
        if let Some(patience) = self.thread_patience {
            scheduler = scheduler.thread_patience(patience);
        }
        if let Some(limit) = self.watchdog {
            scheduler = scheduler.watchdog(limit);
        }
        let scheduler = scheduler.build();
        let surroundings = Surroundings {
            seed: self.seed,
            jitter: self.jitter,
            store_delay: self.store_delay,
            is_explored: self.is_explored,
        };
        let shared = KitShared::new(scheduler.steps(), scheduler.clock(), surroundings);
        TestKit::of(scheduler, shared)
    }
}
