//! [`FaultyWakes`]: wakes of other processes that get lost, come twice, or come of nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use backgroundjobs_core::{JobStore, RemoteWakes, StoreError, StoreOperation};

use super::log::Fault;
use super::state::State;

/// The wakes of the store inside, less reliable.
pub(super) struct FaultyWakes {
    inner: Arc<dyn JobStore>,
    state: Arc<State>,
    /// The last one comes once more.
    again: AtomicBool,
}

impl FaultyWakes {
    pub(super) fn new(inner: Arc<dyn JobStore>, state: Arc<State>) -> Self {
        Self { inner, state, again: AtomicBool::new(false) }
    }

    fn met(&self, fault: Fault) {
        self.state.note(StoreOperation::NextWake, fault);
    }
}

#[async_trait]
impl RemoteWakes for FaultyWakes {
    async fn next_wake(&self) -> Result<(), StoreError> {
        if self.again.swap(false, Ordering::SeqCst) {
            return Ok(());
        }
        let inner = self.inner.remote_wakes().expect("asked only where the store inside has them");
        loop {
            let fault = self.state.wake();
            if fault == Some(Fault::SpuriousWake) {
                self.met(Fault::SpuriousWake);
                return Ok(());
            }
            self.state.around(StoreOperation::NextWake, inner.next_wake()).await?;
            match fault {
                Some(Fault::DroppedWake) => self.met(Fault::DroppedWake),
                Some(Fault::DoubledWake) => {
                    self.met(Fault::DoubledWake);
                    self.again.store(true, Ordering::SeqCst);
                    return Ok(());
                }
                _ => return Ok(()),
            }
        }
    }
}
