//! [`VirtualClock`]: time that stands still until the test moves it.

mod skew;
mod sleep;
mod timers;

use std::fmt;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use backgroundjobs_core::{BoxFuture, Clock, Timestamp};
use parking_lot::Mutex;

pub use skew::Skew;
pub(crate) use skew::SkewedClock;
use sleep::Sleep;
use timers::Timers;
pub(crate) use timers::{Due, Purpose, Watcher};

use crate::current::Owner;

/// A clock that a test moves by hand, and only forward.
///
/// Its sleeps are timers in the order of their deadlines, equal ones in the order of their registration. They
/// fire one at a time, and at that moment [`now`](Clock::now) is the timer's own deadline. Clones show the
/// same time.
///
/// By itself it wakes sleepers and waits for nobody: after [`advance`](Self::advance) the woken tasks have yet
/// to run, and one that would have slept again meanwhile has not. A [`StepScheduler`](crate::StepScheduler)
/// lets everything settle after each timer; use its verbs where there is one.
///
/// ```
/// use std::time::Duration;
/// use backgroundjobs_core::Clock;
/// use backgroundjobs_testing::VirtualClock;
///
/// let clock = VirtualClock::new();
/// let before = clock.now();
/// clock.advance(Duration::from_secs(3));
/// assert_eq!(clock.now(), before + Duration::from_secs(3));
/// ```
#[derive(Clone)]
pub struct VirtualClock {
    timers: Arc<Mutex<Timers>>,
}

impl VirtualClock {
    /// Where a clock starts unless told otherwise: 2030-01-01T00:00:00Z.
    pub const START: Timestamp = Timestamp::from_micros(1_893_456_000_000_000);

    /// A clock that stands at [`START`](Self::START).
    #[must_use]
    pub fn new() -> Self {
        Self::starting_at(Self::START)
    }

    /// A clock that stands at `start`.
    #[must_use]
    pub fn starting_at(start: Timestamp) -> Self {
        Self { timers: Arc::new(Mutex::new(Timers::new(start))) }
    }

    /// Moves on by `duration`, waking one sleeper after the other, those at the end instant included. Answers
    /// how many it woke. Does not wait for what they do then.
    pub fn advance(&self, duration: Duration) -> usize {
        self.set(self.now() + duration)
    }

    /// Moves on to `instant`, as [`advance`](Self::advance) does.
    ///
    /// # Panics
    ///
    /// If `instant` is in the past: sleepers that woke cannot be put to sleep again.
    pub fn set(&self, instant: Timestamp) -> usize {
        let now = self.now();
        assert!(instant >= now, "a virtual clock cannot go back from {now} to {instant}");
        let mut woken = 0;
        while let Some(due) = self.take_due(instant, |_| 0) {
            due.waker.wake();
            woken += 1;
        }
        self.move_to(instant);
        woken
    }

    /// When the earliest armed timer fires.
    #[must_use]
    pub fn next_timer(&self) -> Option<Timestamp> {
        self.timers.lock().earliest()
    }

    pub(crate) fn take_due(&self, until: Timestamp, pick: impl FnOnce(usize) -> usize) -> Option<Due> {
        self.timers.lock().take_due(until, pick)
    }

    pub(crate) fn move_to(&self, instant: Timestamp) {
        self.timers.lock().move_to(instant);
    }

    pub(crate) fn registered(&self) -> u64 {
        self.timers.lock().registered()
    }

    /// `watcher` hears of each sleep of somebody whom no scheduler polls.
    pub(crate) fn watch(&self, watcher: Watcher) {
        self.timers.lock().set_watcher(watcher);
    }

    /// How many sleep whom no scheduler polls.
    pub(crate) fn sleepers_outside(&self) -> usize {
        self.timers.lock().outside()
    }

    /// Has them say that nobody moves the clock, once those whom this answers are woken.
    pub(crate) fn give_up_outside(&self) -> Vec<Waker> {
        self.timers.lock().give_up_outside()
    }

    /// Somebody moves it after all.
    pub(crate) fn is_moved_again(&self) {
        self.timers.lock().is_moved_again();
    }

    /// What the most important of the armed timers is there for.
    pub(crate) fn purpose(&self) -> Purpose {
        self.timers.lock().purpose()
    }

    /// Every armed timer, earliest first, with the task it belongs to.
    pub(crate) fn armed(&self) -> Vec<(Timestamp, Option<Owner>)> {
        self.timers.lock().list()
    }
}

impl Default for VirtualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        self.timers.lock().now()
    }

    fn sleep_until(&self, instant: Timestamp) -> BoxFuture<'static, ()> {
        Box::pin(Sleep::new(self.timers.clone(), instant))
    }
}

impl fmt::Debug for VirtualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VirtualClock")
            .field("now", &self.now())
            .field("next_timer", &self.next_timer())
            .finish_non_exhaustive()
    }
}
