//! A sleep on the virtual clock.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use backgroundjobs_core::Timestamp;
use parking_lot::Mutex;

use super::timers::{Place, Timers};
use crate::current::{self, VirtualWait};

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
        let (place, replaced) = match self.armed {
            Some(place) => (place, timers.rewire(place, cx.waker())),
            None => (timers.arm(self.until, cx.waker().clone(), owner), None),
        };
        drop(timers);
        drop(replaced);
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
