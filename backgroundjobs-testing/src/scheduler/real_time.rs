//! Real time, for the two limits that virtual time cannot set: patience with a guard, and the watchdog.
//!
//! It is counted in ticks of a thread of the scheduler's own. tokio's time would not do, a paused runtime
//! skips it; nor would the difference of two instants, since a process that was held up for a second has not
//! waited for a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// How often the waiting side looks up.
const TICK: Duration = Duration::from_millis(20);

/// The number of whole ticks that last at least as long as `duration`.
pub(crate) fn ticks(duration: Duration) -> u64 {
    // One more, since the first may be half over when the wait begins.
    u64::try_from(duration.as_nanos().div_ceil(TICK.as_nanos())).unwrap_or(u64::MAX - 1).saturating_add(1)
}

/// How long this many ticks last.
pub(super) fn duration(ticks: u64) -> Duration {
    TICK.saturating_mul(u32::try_from(ticks).unwrap_or(u32::MAX))
}

/// Ticks while the scheduler is at work; its thread starts with the first work and ends when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Ticker {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    ticks: AtomicU64,
    mode: Mutex<Mode>,
    changed: Condvar,
}

#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
enum Mode {
    #[default]
    Unstarted,
    Resting,
    Ticking,
    Ended,
}

impl Ticker {
    /// The ticks so far.
    pub(crate) fn now(&self) -> u64 {
        self.shared.ticks.load(Ordering::SeqCst)
    }

    /// Begins to tick. `on_tick` is that of the first call; the thread keeps it.
    pub(crate) fn start(&self, on_tick: impl FnOnce() -> Box<dyn Fn(u64) + Send>) {
        let before = std::mem::replace(&mut *self.shared.mode.lock(), Mode::Ticking);
        match before {
            Mode::Unstarted => run(self.shared.clone(), on_tick()),
            _ => _ = self.shared.changed.notify_one(),
        }
    }

    /// Stops to tick.
    pub(super) fn rest(&self) {
        *self.shared.mode.lock() = Mode::Resting;
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        *self.shared.mode.lock() = Mode::Ended;
        self.shared.changed.notify_one();
    }
}

#[expect(clippy::disallowed_methods, reason = "real time must pass while the runtime of the test stands")]
fn run(shared: Arc<Shared>, on_tick: Box<dyn Fn(u64) + Send>) {
    std::thread::spawn(move || {
        loop {
            let mut mode = shared.mode.lock();
            match *mode {
                Mode::Ended => return,
                Mode::Unstarted | Mode::Resting => shared.changed.wait(&mut mode),
                Mode::Ticking => {
                    let woken = !shared.changed.wait_for(&mut mode, TICK).timed_out();
                    if woken || *mode != Mode::Ticking {
                        continue;
                    }
                    drop(mode);
                    on_tick(shared.ticks.fetch_add(1, Ordering::SeqCst) + 1);
                }
            }
        }
    });
}
