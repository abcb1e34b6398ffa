//! [`Clock`], and [`SystemClock`], the one that follows the machine.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
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

/// The latest pair of readings that `now` was derived from.
#[derive(Debug)]
struct Anchor(Mutex<(Instant, Timestamp)>);

impl SystemClock {
    /// A clock that starts at the machine's present time.
    #[must_use]
    pub fn new() -> Self {
        Self { shared: std::sync::Arc::new(Anchor(Mutex::new(read()))) }
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

impl Anchor {
    fn now(&self) -> Timestamp {
        let mut last = self.0.lock();
        let next = advance(*last, read());
        *last = next;
        next.1
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
}
