//! How long a check waits for a store that does not answer.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;

use super::operations::Operations;
use crate::scheduler::real_time::{self, Ticker};

/// Awaits the check, unless none of its calls is answered for as long as `patience`: then it is what `give_up` says,
/// while the check still hangs. A check whose store answers at once starts no thread for it.
pub(super) async fn answered_within<T>(
    patience: Duration,
    operations: &Operations,
    check: impl Future<Output = T>,
    give_up: impl Fn() -> T,
) -> T {
    let (ticker, watch) = (Ticker::default(), Arc::new(Watch::new(patience, operations)));
    let mut check = pin!(check);
    poll_fn(|cx| {
        if let Poll::Ready(value) = check.as_mut().poll(cx) {
            return Poll::Ready(value);
        }
        if watch.is_over(ticker.now()) {
            return Poll::Ready(give_up());
        }
        *watch.waiting.lock() = Some(cx.waker().clone());
        ticker.start(|| {
            let watch = watch.clone();
            Box::new(move |tick| watch.tick(tick))
        });
        Poll::Pending
    })
    .await
}

/// Looks whether the store still answers.
struct Watch {
    operations: Operations,
    limit: u64,
    /// The answers at the last look, and the tick of the first look that saw as many.
    answers: AtomicU64,
    since: AtomicU64,
    waiting: Mutex<Option<Waker>>,
}

impl Watch {
    fn new(patience: Duration, operations: &Operations) -> Self {
        Self {
            operations: operations.clone(),
            limit: real_time::ticks(patience),
            answers: AtomicU64::new(0),
            since: AtomicU64::new(0),
            waiting: Mutex::new(None),
        }
    }

    fn tick(&self, tick: u64) {
        let answers = self.operations.answers();
        if self.answers.swap(answers, Ordering::SeqCst) != answers {
            self.since.store(tick, Ordering::SeqCst);
        }
        if self.is_over(tick)
            && let Some(waker) = self.waiting.lock().take()
        {
            waker.wake();
        }
    }

    fn is_over(&self, tick: u64) -> bool {
        tick.saturating_sub(self.since.load(Ordering::SeqCst)) >= self.limit
    }
}
