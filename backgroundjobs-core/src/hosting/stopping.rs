//! [`Stopping`]: what a service knows of its host, first of all whether it shall stop.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::cell::ServiceCell;
use crate::env::Outside;
use crate::{ErrorText, Timestamp};

/// What a service is given: whether it shall stop, the host's clock to sleep on, and whom to tell of trouble.
///
/// Cloning is cheap, and makes another handle on the same.
#[derive(Clone)]
pub struct Stopping {
    cell: Arc<ServiceCell>,
}

/// How a sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a loop that does not look at it goes on after it was told to stop"]
pub enum Slept {
    /// The whole time has passed.
    Elapsed,
    /// The service shall stop; the sleep was cut short.
    Stopped,
}

impl Slept {
    /// Whether the whole time has passed: the condition of a loop,
    /// `while stopping.sleep(period).await.has_elapsed() { .. }`.
    pub const fn has_elapsed(self) -> bool {
        matches!(self, Self::Elapsed)
    }
}

impl Stopping {
    pub(super) const fn new(cell: Arc<ServiceCell>) -> Self {
        Self { cell }
    }

    pub(super) const fn cell(&self) -> &Arc<ServiceCell> {
        &self.cell
    }

    /// The service's name.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.cell.name
    }

    /// The present instant on the clock that the host runs on.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.cell.env.now()
    }

    /// Whether this service shall stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.cell.token.is_cancelled()
    }

    /// Until when this service has time to stop by itself; `None` while it shall not stop. A second later at most
    /// it is dropped where it waits.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        self.cell.stop_deadline()
    }

    /// Waits until this service shall stop.
    ///
    /// Cancel safety: may be dropped and called again.
    pub async fn cancelled(&self) {
        let mut cancelled = pin!(self.cell.token.cancelled());
        poll_fn(|cx| {
            let answer = cancelled.as_mut().poll(cx);
            if answer.is_pending()
                && let Some(hooks) = self.cell.env.hooks()
            {
                hooks.waits_for_cancel();
            }
            answer
        })
        .await;
    }

    /// Sleeps for `duration` on the clock that the host runs on, or until this service shall stop, and says which.
    /// One that shall stop already does not sleep.
    ///
    /// Cancel safety: dropping it forgets the sleep and nothing else.
    pub async fn sleep(&self, duration: Duration) -> Slept {
        self.sleep_until(self.now() + duration).await
    }

    /// As [`sleep`](Self::sleep), until `instant`.
    ///
    /// Cancel safety: dropping it forgets the sleep and nothing else.
    pub async fn sleep_until(&self, instant: Timestamp) -> Slept {
        tokio::select! {
            biased;
            () = self.cell.token.cancelled() => Slept::Stopped,
            () = self.cell.env.sleep_until(instant) => Slept::Elapsed,
        }
    }

    /// Says that something went wrong that this service survives. It is logged as an error, counted in the
    /// service's [health](super::ServiceHealth), and told to those who
    /// [listen](super::HostBuilder::on_report). `what` names what failed: `tick 3`, `task mail`.
    pub fn report(&self, what: impl fmt::Display, error: &(dyn std::error::Error + 'static)) {
        self.cell.report(what.to_string(), ErrorText::from_error(error));
    }

    /// Asks the host to stop, as its `shutdown` would: for a service that knows that the program's work is done.
    /// [`Host::run`](super::Host::run) then ends without an error.
    pub fn stop_host(&self) {
        self.cell.alarm.ring();
    }

    /// Marks `future` as a wait for something outside the program: an answer over a network, a thread. A test kit
    /// then lets no time pass before it has come. A program has no use for it, and it costs nothing there.
    ///
    /// Without it a kit takes a service that waits for one that waits for another task of the program.
    ///
    /// Cancel safety: that of `future`.
    pub async fn outside<F: Future + Send>(&self, future: F) -> F::Output {
        self.cell.guarded("execute", Box::pin(future)).await
    }
}

impl fmt::Debug for Stopping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stopping")
            .field("service", &self.cell.name)
            .field("is_stopping", &self.is_stopping())
            .finish_non_exhaustive()
    }
}

impl ServiceCell {
    /// Runs one finite part of a service: a kit waits for what it waits for outside.
    pub(super) fn guarded<F: Future + Unpin>(
        &self,
        part: &'static str,
        future: F,
    ) -> impl Future<Output = F::Output> + use<F> {
        self.env.outside(|| Outside::Service { service: self.name.to_string(), part }, future)
    }
}
