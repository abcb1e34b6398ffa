//! Leaving others their turn.

use std::future::poll_fn;
use std::task::Poll;

/// Lets every other task that is ready have its turn: for loops that may never wait otherwise, and would keep their
/// thread; and for a store whose calls wait for each other, before a caller goes on with its answer.
///
/// Unlike `tokio::task::yield_now` it wakes itself, so a test kit sees who is to go on. Cancel safety: may be dropped.
pub async fn step_aside() {
    let mut is_again = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut is_again, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
