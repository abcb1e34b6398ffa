//! A handler's future, whose panics stay inside.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Polls a future and answers a panic as an error, its message. A panic in the future's own drop is caught
/// too: a slot outlives whatever its handlers do.
pub(super) struct CatchPanic<F> {
    future: Option<F>,
}

impl<F> CatchPanic<F> {
    pub(super) const fn new(future: F) -> Self {
        Self { future: Some(future) }
    }
}

impl<F: Future + Unpin> Future for CatchPanic<F> {
    type Output = Result<F::Output, String>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // The future is not polled again after a panic, and what it shares with the rest of the program is
        // the handler's own business, as it is for a task that panics.
        let answer = catch_unwind(AssertUnwindSafe(|| match &mut self.future {
            Some(future) => Pin::new(future).poll(cx).map(Ok),
            None => Poll::Ready(Err("the run was polled after its end".to_owned())),
        }));
        let answer = answer.unwrap_or_else(|panic| Poll::Ready(Err(message(&*panic))));
        if answer.is_ready() {
            self.drop_future();
        }
        answer
    }
}

impl<F> CatchPanic<F> {
    fn drop_future(&mut self) {
        let future = self.future.take();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(future))) {
            tracing::error!(panic = message(&*panic), "the handler panicked while it was dropped");
        }
    }
}

impl<F> Drop for CatchPanic<F> {
    fn drop(&mut self) {
        self.drop_future();
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}
