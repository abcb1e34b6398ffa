//! A clock that is wrong by a fixed time.

use std::time::Duration;

use backgroundjobs_core::{BoxFuture, Clock, Timestamp};

use crate::VirtualClock;

/// How wrong a node's clock is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Skew {
    /// It shows the kit's time.
    #[default]
    None,
    /// It is ahead of it by this much.
    Ahead(Duration),
    /// It is behind it by this much.
    Behind(Duration),
}

/// A virtual clock as a machine sees it whose clock is wrong.
#[derive(Clone, Debug)]
pub(crate) struct SkewedClock {
    pub(crate) clock: VirtualClock,
    pub(crate) skew: Skew,
}

impl Clock for SkewedClock {
    fn now(&self) -> Timestamp {
        let now = self.clock.now();
        match self.skew {
            Skew::None => now,
            Skew::Ahead(by) => now + by,
            Skew::Behind(by) => now - by,
        }
    }

    fn sleep_until(&self, instant: Timestamp) -> BoxFuture<'static, ()> {
        let instant = match self.skew {
            Skew::None => instant,
            Skew::Ahead(by) => instant - by,
            Skew::Behind(by) => instant + by,
        };
        self.clock.sleep_until(instant)
    }
}
