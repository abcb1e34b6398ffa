//! What the scheduler's tests share: the runtime's part of a guard, real threads, runtimes.
#![allow(dead_code, reason = "every test file takes what it needs")]

pub(crate) mod disturbed;
pub(crate) mod real_store;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use backgroundjobs_core::{Hooks, JobId, Kind, Outside, OutsideGuard, StoreOperation};
use backgroundjobs_testing::StepScheduler;
use tokio::runtime::{Builder, Runtime};

pub(crate) fn four_threads() -> Runtime {
    Builder::new_multi_thread().worker_threads(4).enable_all().build().expect("a runtime")
}

pub(crate) fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Runs a test as a task of the runtime, on one of its threads.
#[expect(clippy::disallowed_methods, reason = "the test itself is no task of a program")]
pub(crate) fn on_a_worker(runtime: &Runtime, test: impl Future<Output = ()> + Send + 'static) {
    runtime.block_on(runtime.spawn(test)).expect("the test passes");
}

pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A future polled inside a guard, as the runtime does it.
pub(crate) struct Guarded<F> {
    future: Pin<Box<F>>,
    guard: Box<dyn OutsideGuard>,
}

impl<F: Future> Future for Guarded<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.guard.enter();
        let poll = self.future.as_mut().poll(cx);
        self.guard.leave(poll.is_pending());
        poll
    }
}

pub(crate) fn in_handler<F: Future>(hooks: &Arc<dyn Hooks>, kind: &'static str, future: F) -> Guarded<F> {
    let kind = Kind::new(kind).expect("a good name");
    let id: JobId = "01900000-0000-7000-8000-000000000001".parse().expect("an id");
    let guard = hooks.outside(Outside::Handler { id, kind, attempt: 1 });
    Guarded { future: Box::pin(future), guard }
}

pub(crate) fn in_store_call<F: Future>(hooks: &Arc<dyn Hooks>, future: F) -> Guarded<F> {
    Guarded { future: Box::pin(future), guard: hooks.outside(Outside::Store(StoreOperation::Claim)) }
}

/// Real input and output: a thread that answers after a while.
#[expect(clippy::disallowed_methods, reason = "stands for a database, which answers when it likes")]
pub(crate) async fn real_answer(after: Duration) {
    let (answer, answered) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        std::thread::sleep(after);
        // Nobody may be left to hear it.
        _ = answer.send(());
    });
    answered.await.expect("the thread answers");
}

/// Between 0 and 400 µs, another each time, so that answers come in another order in each run.
pub(crate) fn some_time() -> Duration {
    use std::hash::BuildHasher;
    let draw = std::collections::hash_map::RandomState::new().hash_one(1_u8);
    Duration::from_micros(draw % 400)
}

/// Goes last among the ready once.
pub(crate) async fn step_aside() {
    let mut aside = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut aside, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// The texts of the trace.
pub(crate) fn texts(scheduler: &StepScheduler) -> Vec<String> {
    scheduler.trace().into_iter().map(|event| event.text).collect()
}

/// What the test itself logged, as "instant since the start in ms: text".
pub(crate) fn logged(scheduler: &StepScheduler) -> Vec<String> {
    let start = backgroundjobs_testing::VirtualClock::START;
    let events = scheduler.trace().into_iter().filter(|event| event.text.starts_with('*'));
    events.map(|event| format!("{} {}", event.at.since(start).as_millis(), &event.text[1..])).collect()
}

/// The text that a future panics with.
pub(crate) fn panic_text(run: impl FnOnce()) -> String {
    let payload = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).expect_err("it panics");
    payload
        .downcast_ref::<String>()
        .cloned()
        .unwrap_or_else(|| (*payload.downcast_ref::<&str>().expect("a text")).to_owned())
}
