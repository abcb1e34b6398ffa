//! A sleep on the virtual clock.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use backgroundjobs_core::Timestamp;
use parking_lot::Mutex;

use super::timers::{Place, Timers};
use crate::current::{self, VirtualWait};

/// Said by a sleep that would never end.
const NOBODY_MOVES_IT: &str = "this waits for virtual time, outside of every verb of the test kit, and nobody moves the \
                               clock: await it inside kit.run(..), or together with a verb by tokio::join!";

/// Ends once the clock has reached its instant. Its timer is registered when it is first polled.
#[derive(Debug)]
pub(super) struct Sleep {
    timers: Arc<Mutex<Timers>>,
    until: Timestamp,
    armed: Option<Place>,
    wait: Option<VirtualWait>,
}

impl Sleep {
    pub(super) const fn new(timers: Arc<Mutex<Timers>>, until: Timestamp) -> Self {
        Self { timers, until, armed: None, wait: None }
    }

    fn disarm(&mut self) {
        self.wait = None;
        if let Some(place) = self.armed.take() {
            // Bound first: a waker must not be dropped under the lock, it may run foreign code.
            let timer = self.timers.lock().disarm(place);
            drop(timer);
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let owner = current::owner();
        let mut timers = self.timers.lock();
        if timers.now() >= self.until {
            drop(timers);
            self.disarm();
            return Poll::Ready(());
        }
        if owner.is_none() && timers.is_given_up() {
            drop(timers);
            panic!("{NOBODY_MOVES_IT}");
        }
        let (mut replaced, mut watcher) = (None, None);
        let place = match self.armed {
            Some(place) => {
                replaced = timers.rewire(place, cx.waker());
                place
            }
            None => {
                watcher = timers.watcher().filter(|_| owner.is_none());
                timers.arm(self.until, cx.waker().clone(), owner)
            }
        };
        drop(timers);
        drop(replaced);
        if let Some(watcher) = watcher {
            watcher();
        }
        self.armed = Some(place);
        // Begun anew at each poll: the sleep may have moved into another guard, or out of one.
        self.wait = Some(VirtualWait::begin());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.disarm();
    }
}
