//! Panics of code that is not ours, handlers and stores, made into answers.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Polls a future and answers a panic as an error, its message. A panic in the future's own drop is caught
/// too: a slot outlives whatever its handlers do.
pub(crate) struct CatchPanic<F> {
    future: Result<Option<F>, String>,
}

impl<F> CatchPanic<F> {
    /// Makes the future; a panic in the making is answered as one in the future.
    pub(crate) fn new(make: impl FnOnce() -> F) -> Self {
        Self { future: catch_panic(make).map(Some) }
    }
}

/// Runs `code` and answers a panic as an error, its message.
pub(crate) fn catch_panic<T>(code: impl FnOnce() -> T) -> Result<T, String> {
    // What the code shares with the rest of the program is its own business, as it is for a task that panics.
    catch_unwind(AssertUnwindSafe(code)).map_err(|panic| {
        let message = message(&*panic);
        if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
            // What was thrown panics when it is dropped, and so may what that throws: it is left alone.
            std::mem::forget(again);
        }
        message
    })
}

impl<F: Future + Unpin> Future for CatchPanic<F> {
    type Output = Result<F::Output, String>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // The future is not polled again after a panic.
        let answer = match &mut self.future {
            Ok(Some(future)) => catch_panic(|| Pin::new(future).poll(cx).map(Ok))
                .unwrap_or_else(|panic| Poll::Ready(Err(panic))),
            Ok(None) => Poll::Ready(Err("polled after its end".to_owned())),
            Err(panic) => Poll::Ready(Err(std::mem::take(panic))),
        };
        if answer.is_ready() {
            self.drop_future();
        }
        answer
    }
}

impl<F> CatchPanic<F> {
    fn drop_future(&mut self) {
        let future = self.future.as_mut().map(Option::take);
        if let Err(panic) = catch_panic(|| drop(future)) {
            tracing::error!(panic, "a handler, a service or a store panicked while it was dropped");
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
