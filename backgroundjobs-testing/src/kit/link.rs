//! [`Link`]: the way between a process and its store.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use backgroundjobs_core::{Clock, StoreError, StoreErrorKind, StoreOperation};
use fastrand::Rng;
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use super::life::Life;
use crate::VirtualClock;
use crate::current;
use crate::history::History;

/// How long a store call takes on the virtual clock: half of it on the way there, half on the way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Delay {
    pub(crate) least: Duration,
    pub(crate) most: Duration,
}

/// The way between one process and its store.
#[derive(Clone)]
pub(crate) struct Link {
    pub(super) clock: VirtualClock,
    pub(super) delay: Option<Delay>,
    /// Draws delays; without it each is the least.
    pub(super) chance: Option<Arc<Mutex<Rng>>>,
    pub(super) life: Arc<Life>,
    pub(super) history: History,
    /// How many calls of the kit's programs that settle runs are under way.
    pub(super) settling: Arc<AtomicUsize>,
    /// Set once the program has prepared its store.
    pub(super) prepared: Arc<OnceCell<()>>,
}

/// A call that settles runs, from its start until its answer is there or nobody waits for it any more.
pub(crate) struct Settling<'a>(&'a AtomicUsize);

impl Drop for Settling<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Link {
    /// A call that settles runs begins.
    pub(crate) fn settling(&self) -> Settling<'_> {
        self.settling.fetch_add(1, Ordering::SeqCst);
        Settling(&self.settling)
    }

    /// The program has prepared its store.
    pub(crate) fn has_prepared(&self) {
        // Again and again is harmless.
        _ = self.prepared.set(());
    }

    pub(crate) const fn history(&self) -> &History {
        &self.history
    }

    pub(crate) fn node(&self) -> &Arc<str> {
        self.life.node()
    }

    /// The request is on its way: an error means that nothing was done.
    pub(crate) async fn there(&self, operation: StoreOperation) -> Result<(), StoreError> {
        self.pass(operation, "nothing was done").await
    }

    /// The answer is on its way: an error means that it is lost, and what was done is done.
    pub(crate) async fn back(&self, operation: StoreOperation) -> Result<(), StoreError> {
        self.pass(operation, "the answer is lost").await
    }

    async fn pass(&self, operation: StoreOperation, what: &str) -> Result<(), StoreError> {
        if let Some(delay) = self.draw_half() {
            self.clock.sleep_until(self.clock.now() + delay).await;
        }
        let why = if !self.life.is_alive() {
            "has crashed"
        } else if self.life.is_cut_off() {
            "is cut off from its store"
        } else {
            return Ok(());
        };
        let node = self.node();
        let message = format!("{node} {why} under the test kit; {what}");
        Err(StoreError::new(operation, StoreErrorKind::Unavailable, message))
    }

    fn draw_half(&self) -> Option<Duration> {
        // Outside every task, between two verbs, nobody moves the clock: a call that waited for it never came back.
        current::owner()?;
        let Delay { least, most } = self.delay?;
        let spread = most.saturating_sub(least);
        let drawn = match &self.chance {
            Some(chance) => least + spread.mul_f64(chance.lock().f64()),
            None => least,
        };
        Some(drawn / 2)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("node", self.node()).field("delay", &self.delay).finish_non_exhaustive()
    }
}
