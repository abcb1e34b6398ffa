//! What tasks, wakers, guards and verbs share.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;

use backgroundjobs_core::{Clock, Timestamp};
use fastrand::Rng;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::explain::explain;
use super::real_time::{self, Ticker};
use super::state::{Patience, State};
use super::trace::TraceLog;
use crate::VirtualClock;

/// What tasks, wakers and guards reach.
pub(super) struct Shared {
    pub(super) clock: VirtualClock,
    pub(super) trace: TraceLog,
    pub(super) state: Mutex<State>,
    /// Something outside has answered, or a tick is over.
    pub(super) changed: Notify,
    pub(super) ticker: Ticker,
    pub(super) limits: Limits,
    /// Ticks since the last verb or move of the clock while somebody sleeps whom no verb polls.
    unmoved: AtomicU64,
    /// The instant, in microseconds, at which the clock was seen then.
    unmoved_at: AtomicI64,
    /// One more than the tick at which the present poll began; 0 between polls.
    polling_since: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) patience: Patience,
    pub(super) watchdog: Duration,
}

impl Shared {
    pub(super) fn new(clock: VirtualClock, chance: Option<Rng>, limits: Limits) -> Self {
        Self {
            trace: TraceLog::new(clock.clone()),
            clock,
            state: Mutex::new(State::new(chance)),
            changed: Notify::new(),
            ticker: Ticker::default(),
            limits,
            unmoved: AtomicU64::new(0),
            unmoved_at: AtomicI64::new(0),
            polling_since: AtomicU64::new(0),
        }
    }

    /// Tells this scheduler from others on the same thread.
    pub(super) fn identity(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn poll_begins(&self) {
        self.polling_since.store(self.ticker.now() + 1, Ordering::SeqCst);
    }

    pub(super) fn poll_ends(&self) {
        self.polling_since.store(0, Ordering::SeqCst);
    }

    /// Sees to it that nobody sleeps for ever on a clock that nobody moves.
    pub(super) fn watch_sleepers_outside(self: &Arc<Self>) {
        let shared = Arc::downgrade(self);
        self.clock.watch(Arc::new(move || {
            if let Some(shared) = shared.upgrade() {
                shared.start_ticking();
            }
        }));
    }

    /// A verb begins.
    pub(super) fn verb_begins(self: &Arc<Self>) {
        self.clock.is_moved_again();
        self.start_ticking();
    }

    /// A verb is over.
    pub(super) fn verb_ends(&self) {
        self.unmoved.store(0, Ordering::SeqCst);
        if self.clock.sleepers_outside() == 0 {
            self.rest_between_verbs();
        }
    }

    /// Ends the ticking, unless a verb has begun meanwhile, which needs it.
    fn rest_between_verbs(&self) {
        let state = self.state.lock();
        if !state.is_driven() {
            self.ticker.rest();
        }
    }

    /// A tick while no verb is at work.
    fn tick_unmoved(&self) {
        if self.clock.sleepers_outside() == 0 {
            return self.rest_between_verbs();
        }
        let now = self.now().as_micros();
        if self.unmoved_at.swap(now, Ordering::SeqCst) != now {
            // By hand.
            self.unmoved.store(0, Ordering::SeqCst);
        }
        let ticks = self.unmoved.fetch_add(1, Ordering::SeqCst) + 1;
        if ticks < real_time::ticks(self.limits.watchdog) {
            return;
        }
        let state = self.state.lock();
        if state.is_driven() {
            return;
        }
        self.ticker.rest();
        // Under the lock: a verb that begins takes it back after this, not before.
        let given_up = self.clock.give_up_outside();
        drop(state);
        given_up.into_iter().for_each(Waker::wake);
    }

    fn start_ticking(self: &Arc<Self>) {
        self.ticker.start(|| {
            let shared = Arc::downgrade(self);
            Box::new(move |tick| {
                if let Some(shared) = shared.upgrade() {
                    if !shared.state.lock().is_driven() {
                        return shared.tick_unmoved();
                    }
                    shared.changed.notify_one();
                    shared.print_stuck_poll(tick);
                }
            })
        });
    }

    /// A poll that does not return blocks the verb as well, so all that is left is to say whose it is.
    fn print_stuck_poll(&self, tick: u64) {
        let since = self.polling_since.load(Ordering::SeqCst);
        let watchdog = self.limits.watchdog;
        if since > 0 && tick.saturating_sub(since - 1) == real_time::ticks(watchdog) {
            let headline = format!("a task has blocked its thread for {watchdog:?} of real time");
            eprintln!("{}", explain(self, &headline));
        }
    }
}
