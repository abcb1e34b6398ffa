//! Hears of other processes' changes, where the store can tell.

use super::Shared;
use super::backoff::Backoff;
use crate::catch_panic::CatchPanic;
use crate::store::{StoreError, StoreErrorKind, StoreOperation};

/// Listens until the worker closes. What is missed here is found by polling.
pub(super) async fn keep(shared: &Shared) {
    let env = shared.door.env();
    let Some(wakes) = shared.door.store().remote_wakes() else { return };
    let mut backoff = Backoff::new();
    loop {
        let heard = tokio::select! {
            biased;
            () = shared.closing.cancelled() => return,
            heard = CatchPanic::new(|| wakes.next_wake()) => heard,
        };
        let heard = heard.unwrap_or_else(|panic| {
            let message = format!("it panicked: {panic}");
            Err(StoreError::new(StoreOperation::NextWake, StoreErrorKind::Other, message))
        });
        match heard {
            Ok(()) => {
                backoff = Backoff::new();
                shared.board.look_everywhere();
                if let Some(hub) = shared.door.hub() {
                    hub.announce_progress();
                }
            }
            Err(error) => {
                shared.stats.store_errors.add(1);
                tracing::warn!(
                    worker = %shared.id,
                    error = &error as &dyn std::error::Error,
                    "cannot hear of other processes' changes; polling goes on"
                );
                tokio::select! {
                    biased;
                    () = shared.closing.cancelled() => return,
                    () = env.sleep(backoff.next(env)) => {}
                }
            }
        }
    }
}
