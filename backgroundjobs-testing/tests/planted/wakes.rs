//! How handles hear of each other's changes, and the bugs of that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use backgroundjobs_core::{RemoteWakes, StoreError, StoreErrorKind, StoreOperation};
use tokio::sync::Notify;

use super::{Mutant, PlantedStore};

/// Joins the handles on one table.
#[derive(Clone, Debug, Default)]
pub(super) struct Wakes {
    changed: Arc<Notify>,
    is_marked: Arc<AtomicBool>,
}

impl Wakes {
    pub(super) fn tell(&self) {
        self.changed.notify_waiters();
    }
}

#[async_trait]
impl RemoteWakes for PlantedStore {
    async fn next_wake(&self) -> Result<(), StoreError> {
        let refused = |kind, message: &str| Err(StoreError::new(StoreOperation::NextWake, kind, message));
        let is_closed = || self.closed.load(Ordering::SeqCst);
        let listens_on = self.mutant == Mutant::ClosedStoreListens;
        let heard = self.wakes.changed.notified();
        if is_closed() && !listens_on {
            return refused(StoreErrorKind::Closed, "it was closed");
        }
        let marks = self.mutant == Mutant::WaitLeavesItsMark;
        if marks && self.wakes.is_marked.swap(true, Ordering::SeqCst) {
            return refused(StoreErrorKind::Other, "somebody waits already");
        }
        heard.await;
        if self.mutant == Mutant::WaitOutlivesClose && is_closed() {
            return std::future::pending().await;
        }
        self.wakes.is_marked.store(false, Ordering::SeqCst);
        if is_closed() { refused(StoreErrorKind::Closed, "it was closed") } else { Ok(()) }
    }
}
