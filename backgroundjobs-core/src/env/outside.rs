//! A future that holds a guard of the kit while it waits for something outside the runtime.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::OutsideGuard;

/// Polls a future inside a guard; without a kit it only polls the future. Made by
/// [`Env::outside`](super::Env::outside).
#[must_use = "futures do nothing unless they are awaited"]
pub struct WithGuard<F> {
    future: F,
    guard: Option<Box<dyn OutsideGuard>>,
}

impl<F> WithGuard<F> {
    pub(super) fn new(future: F, guard: Option<Box<dyn OutsideGuard>>) -> Self {
        Self { future, guard }
    }
}

impl<F: Future + Unpin> Future for WithGuard<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        if let Some(guard) = &self.guard {
            guard.enter();
        }
        let answer = Pin::new(&mut self.future).poll(cx);
        if let Some(guard) = &self.guard {
            guard.leave(answer.is_pending());
        }
        if answer.is_ready() {
            // Closed at once, not when the caller drops the finished future.
            self.guard = None;
        }
        answer
    }
}

impl<F> fmt::Debug for WithGuard<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithGuard").field("has_guard", &self.guard.is_some()).finish_non_exhaustive()
    }
}
