//! Blocking handlers under the kit: real threads, which it cannot see, beside a clock that it moves.

use std::sync::Arc;
use std::time::Duration;

use backgroundjobs_core::prelude::*;
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::TestKit;
use serde::{Deserialize, Serialize};

const SECOND: Duration = Duration::from_secs(1);
/// Longer than the watchdog: a verb that waited for it would panic.
const FOR_EVER: Duration = Duration::from_secs(3_600);

#[derive(Serialize, Deserialize)]
struct Work;

impl JobArgs for Work {
    const KIND: &'static str = "work";
}

async fn start(
    kit: &TestKit,
    handler: impl Fn(JobContext) -> JobResult + Send + Sync + 'static,
) -> Arc<BackgroundJobs> {
    let builder = BackgroundJobs::builder(|options| options.use_in_memory().retry(RetryPolicy::never()))
        .register_blocking(move |_: Work, ctx| handler(ctx))
        .timeout(SECOND * 10);
    let jobs = kit.start(builder).await;
    jobs.manager().enqueue(Work).await.expect("enqueued");
    jobs
}

#[expect(clippy::disallowed_methods, reason = "a blocking handler blocks, and the kit shall wait for it")]
fn block(duration: Duration) {
    std::thread::sleep(duration);
}

/// Three times as long as others wait for an async handler that is not woken.
#[tokio::test]
async fn a_thread_that_works_is_waited_for() {
    let kit = TestKit::new();
    let _jobs = start(&kit, |_| {
        block(Duration::from_millis(300));
        Ok(())
    })
    .await;
    let report = kit.settle().await;
    assert_eq!(report.succeeded, 1);
    assert!(report.steps.nondeterministic.is_empty(), "{}", report.steps);
    kit.finish().await;
}

#[test]
fn without_a_tokio_runtime_a_thread_of_its_own_does() {
    let kit = TestKit::new();
    let report = block_on(async {
        let _jobs = start(&kit, |_| Ok(())).await;
        let report = kit.settle().await;
        kit.finish().await;
        report
    });
    assert_eq!(report.succeeded, 1);
}

/// It may be waiting for what only virtual time brings: time goes on, and once told it is waited for.
#[tokio::test]
async fn a_thread_that_asks_whether_to_stop_is_not_waited_for_until_it_is_told() {
    let kit = TestKit::builder().thread_patience(FOR_EVER).build();
    let _jobs = start(&kit, |ctx| {
        while !ctx.is_cancelled() {
            std::thread::yield_now();
        }
        block(Duration::from_millis(300));
        Err("told to stop".into())
    })
    .await;
    let report = kit.advance(SECOND * 10).await;
    assert_eq!(report.failed, 1, "the timeout came, and the thread had the time to end");
    assert!(!report.steps.nondeterministic.is_empty(), "when a thread ends no seed decides");
    kit.finish().await;
}

#[tokio::test]
async fn a_thread_that_hangs_holds_time_up_only_for_so_long() {
    let kit = TestKit::builder().thread_patience(Duration::from_millis(50)).build();
    let (open, gate) = std::sync::mpsc::channel::<()>();
    let gate = parking_lot::Mutex::new(gate);
    let jobs = start(&kit, move |_| {
        gate.lock().recv()?;
        Ok(())
    })
    .await;
    let report = kit.advance(SECOND * 60).await;
    assert_eq!((report.claimed, report.failed), (1, 0), "its run lasts as long as the thread");
    assert!(!report.steps.nondeterministic.is_empty(), "{}", report.steps);
    open.send(()).expect("the thread waits");
    // It takes the thread a moment, and the next verb waits for it anew: but not longer than the patience.
    while jobs.stats().succeeded == 0 {
        _ = kit.settle().await;
    }
    kit.finish().await;
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut future = std::pin::pin!(future);
    loop {
        if let std::task::Poll::Ready(output) =
            future.as_mut().poll(&mut std::task::Context::from_waker(&waker))
        {
            return output;
        }
        std::thread::park();
    }
}

struct Unpark(std::thread::Thread);

impl std::task::Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
