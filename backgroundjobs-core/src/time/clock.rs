//! [`Clock`], and [`SystemClock`], the one that follows the machine.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;

use super::Timestamp;

/// A boxed future that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where the runtime's time comes from: all that a clock of your own must do.
///
/// `now` must never step back. A sleep must not end before `now` has reached its instant; it may end later.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a clock: it lacks `impl Clock`",
    label = "does not implement `Clock`",
    note = "the machine's clock is `SystemClock::new()`; a test's clock comes with `TestKit`, of the crate `backgroundjobs-testing`",
    note = "for a clock of your own write `impl Clock for YourClock` with `now` and `sleep_until`"
)]
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The present instant.
    fn now(&self) -> Timestamp;

    /// A future that ends once [`now`](Self::now) is at or after `instant`.
    ///
    /// Cancel safety: dropping it forgets the sleep and nothing else.
    fn sleep_until(&self, instant: Timestamp) -> BoxFuture<'static, ()>;
}

/// The longest that one sleep of the runtime lasts before the wall clock is read again: a suspended laptop
/// or a corrected clock is noticed within it.
const RECHECK: Duration = Duration::from_secs(60);

/// The machine's wall clock, made safe to sleep on.
///
/// It never steps back: when the wall clock is set back, the last instant stands, carried on by the monotonic
/// clock, until the wall has caught up. A step forward (NTP, waking from suspend) is followed at once by
/// `now`, and by sleepers within a minute. Needs a tokio runtime with time enabled to sleep.
#[derive(Debug)]
pub struct SystemClock {
    shared: std::sync::Arc<Anchor>,
}

/// What `now` is derived from.
#[derive(Debug)]
struct Anchor {
    /// The latest answer, in microseconds: no later one is before it.
    last: AtomicI64,
    /// The latest reading of both clocks, taken in the millisecond of the latest answer.
    pair: Mutex<(Instant, Timestamp)>,
}

impl SystemClock {
    /// A clock that starts at the machine's present time.
    #[must_use]
    pub fn new() -> Self {
        Self { shared: std::sync::Arc::new(Anchor::at(read())) }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one clock that reads the machine's")]
fn read() -> (Instant, Timestamp) {
    (Instant::now(), SystemTime::now().into())
}

#[expect(clippy::disallowed_methods, reason = "this is the one clock that reads the machine's")]
fn read_wall() -> Timestamp {
    SystemTime::now().into()
}

impl Anchor {
    fn at(pair: (Instant, Timestamp)) -> Self {
        Self { last: AtomicI64::new(pair.1.as_micros()), pair: Mutex::new(pair) }
    }

    fn now(&self) -> Timestamp {
        self.quick_now(read_wall()).unwrap_or_else(|| self.exact_now(read))
    }

    /// The wall's word, unless it was set back or both clocks have not been read in this millisecond: one clock
    /// and no lock, because every run of every slot asks for the time.
    fn quick_now(&self, wall: Timestamp) -> Option<Timestamp> {
        let micros = wall.as_micros();
        let last = self.last.load(Ordering::Acquire);
        if micros < last || micros.div_euclid(1_000) != last.div_euclid(1_000) {
            return None;
        }
        let before = self.last.fetch_max(micros, Ordering::AcqRel);
        (before <= micros).then_some(wall)
    }

    /// Reads both clocks and makes them the anchor.
    fn exact_now(&self, read: impl FnOnce() -> (Instant, Timestamp)) -> Timestamp {
        let mut pair = self.pair.lock();
        let (instant, next) = advance(*pair, read());
        // Since the anchor was set, others may have answered a later time.
        let last = Timestamp::from_micros(self.last.fetch_max(next.as_micros(), Ordering::AcqRel));
        *pair = (instant, next.max(last));
        pair.1
    }
}

/// The next anchor: the wall clock where it has moved on at least as far as the monotonic clock, else the
/// monotonic clock's word.
fn advance(last: (Instant, Timestamp), (instant, wall): (Instant, Timestamp)) -> (Instant, Timestamp) {
    let steady = last.1 + instant.saturating_duration_since(last.0);
    // A wall clock that runs a little slow (NTP slewing) must still win in the end, so a wall reading between
    // the last answer and the steady one is taken; only a step behind the last answer is not.
    if wall >= last.1 { (instant, wall) } else { (instant, steady) }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        self.shared.now()
    }

    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'static, ()> {
        let shared = self.shared.clone();
        Box::pin(async move {
            loop {
                let left = at.since(shared.now());
                if left.is_zero() {
                    return;
                }
                sleep(left.min(RECHECK)).await;
            }
        })
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one clock that sleeps in real time")]
async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_clock_set_back_is_not_followed_and_one_set_forward_is() {
        let (start, wall) = read();
        let second = Duration::from_secs(1);
        let set_back = advance((start, wall), (start + second, wall - Duration::from_secs(3600)));
        assert_eq!(set_back.1, wall + second, "the monotonic clock carries on");
        let set_forward = advance(set_back, (start + second * 2, wall + Duration::from_secs(3600)));
        assert_eq!(set_forward.1, wall + Duration::from_secs(3600));
    }

    #[test]
    fn the_wall_alone_is_believed_within_a_millisecond_of_a_reading_of_both_and_not_when_set_back() {
        let (start, _) = read();
        let wall = Timestamp::from_micros(1_700_000_000_000_000);
        let (micro, second, hour) =
            (Duration::from_micros(1), Duration::from_secs(1), Duration::from_secs(3600));
        let anchor = Anchor::at((start, wall));
        assert_eq!(anchor.quick_now(wall + micro * 900), Some(wall + micro * 900));
        assert_eq!(anchor.quick_now(wall + micro * 899), None, "a microsecond back");
        assert_eq!(anchor.quick_now(wall + micro * 1_000), None, "the next millisecond");
        let stands = anchor.exact_now(|| (start + micro * 500, wall - hour));
        assert_eq!(stands, wall + micro * 900, "never before the last answer");
        let set_back = anchor.exact_now(|| (start + second, wall - hour));
        assert!(set_back >= wall + second && set_back <= wall + second + micro * 1_000, "{set_back}");
        assert_eq!(anchor.quick_now(wall - hour + second), None);
        assert_eq!(anchor.exact_now(|| (start + second * 2, wall + hour)), wall + hour);
    }

    #[test]
    fn no_thread_sees_it_step_back_behind_another() {
        let (clock, latest) = (SystemClock::new(), AtomicI64::new(i64::MIN));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50_000 {
                        let seen = latest.load(Ordering::SeqCst);
                        let now = clock.now().as_micros();
                        assert!(now >= seen, "{now} after {seen}");
                        latest.fetch_max(now, Ordering::SeqCst);
                    }
                });
            }
        });
    }
}
