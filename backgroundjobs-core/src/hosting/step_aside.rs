//! Leaving others their turn.

use std::future::poll_fn;
use std::task::Poll;

/// Lets every other task have its turn: for loops that may never wait otherwise, and would keep their thread.
pub(super) async fn step_aside() {
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
