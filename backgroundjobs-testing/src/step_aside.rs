//! Going last among those who are ready.

use std::future::poll_fn;
use std::task::Poll;

/// Is ready when it is polled again, and asks for that at once: whoever schedules the task decides who goes first.
pub(crate) async fn step_aside() {
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
