//! Several futures awaited together, in the task that awaits this.

use std::future::poll_fn;
use std::task::Poll;

use crate::BoxFuture;

/// Polls each future, in this order, until all have ended; answers what they answered, in this order.
pub(super) async fn join_all<T>(futures: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    let mut slots: Vec<Result<T, BoxFuture<'_, T>>> = futures.into_iter().map(Err).collect();
    poll_fn(|cx| {
        let mut pending = false;
        for slot in &mut slots {
            if let Err(future) = slot {
                match future.as_mut().poll(cx) {
                    Poll::Ready(answer) => *slot = Ok(answer),
                    Poll::Pending => pending = true,
                }
            }
        }
        if pending { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    slots.into_iter().filter_map(Result::ok).collect()
}
