//! Wakes that come from outside the kit.

mod support;

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};

use backgroundjobs_testing::StepScheduler;
use parking_lot::Mutex;
use support::{four_threads, in_store_call, logged, millis, one_thread, real_answer, seconds, texts};
use tokio::sync::Notify;

#[test]
fn a_wake_from_a_foreign_thread_is_heard_and_told() {
    for runtime in [four_threads(), one_thread()] {
        runtime.block_on(async {
            let scheduler = StepScheduler::builder().store_patience(seconds(60)).build();
            let (hooks, log) = (scheduler.hooks(), scheduler.trace_log());
            _ = scheduler.spawn("unguarded", async move {
                real_answer(millis(10)).await;
                log.log("*unguarded hears");
            });
            _ = scheduler.spawn("guarded", async move {
                in_store_call(&hooks, real_answer(millis(100))).await;
            });
            let report = scheduler.settle().await;
            assert_eq!(logged(&scheduler), ["0 unguarded hears"]);
            let [reason] = report.nondeterministic.as_slice() else { panic!("one reason: {report}") };
            assert!(reason.contains("task unguarded was woken by something outside"), "{reason}");
        });
    }
}

/// A task waits; somebody else's store call, in progress, may send it a wake too many. It ends either by a
/// timer or by being told after that call.
fn trace_with_a_wake_too_many(late: bool, told: bool) -> (u64, u64) {
    one_thread().block_on(async {
        let scheduler = StepScheduler::builder().seed(5).store_patience(seconds(60)).build();
        let left = Arc::new(Mutex::new(None::<Waker>));
        let end = Arc::new(Notify::new());
        let (env, leave, ended) = (scheduler.env(1), left.clone(), end.clone());
        _ = scheduler.spawn("waits", async move {
            let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
            *leave.lock() = Some(waker);
            if told { ended.notified().await } else { env.sleep(seconds(1)).await }
        });
        scheduler.settle().await.expect_clean();
        let hooks = scheduler.hooks();
        _ = scheduler.spawn("calls", async move {
            let call = async {
                real_answer(millis(5)).await;
                if late {
                    on_a_thread(|| left.lock().take().expect("a waker").wake());
                }
                real_answer(millis(5)).await;
            };
            in_store_call(&hooks, call).await;
            end.notify_one();
        });
        for number in 0..5 {
            _ = scheduler.spawn(format!("turns-{number}"), async { support::step_aside().await });
        }
        let report = scheduler.advance(seconds(1)).await;
        assert!(texts(&scheduler).contains(&"ended waits".to_owned()));
        let grants = report.grants;
        assert!(grants > 10, "{report}");
        report.expect_clean();
        (scheduler.trace_hash(), grants)
    })
}

#[test]
fn a_wake_too_many_changes_nothing() {
    assert_eq!(trace_with_a_wake_too_many(true, false), trace_with_a_wake_too_many(false, false));
    assert_eq!(trace_with_a_wake_too_many(true, true), trace_with_a_wake_too_many(false, true));
}

#[test]
fn a_wake_from_a_foreign_thread_in_mid_poll_is_not_lost() {
    one_thread().block_on(async {
        let scheduler = StepScheduler::new();
        let mut polls = 0;
        _ = scheduler.spawn("task", async move {
            poll_fn(|cx| {
                polls += 1;
                if polls == 3 {
                    return Poll::Ready(());
                }
                let waker = cx.waker().clone();
                on_a_thread(|| waker.wake());
                Poll::Pending
            })
            .await;
        });
        let report = scheduler.settle().await;
        assert!(texts(&scheduler).contains(&"ended task".to_owned()), "{report}");
    });
}

/// Acts where no scheduler knows it.
fn on_a_thread(act: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        scope.spawn(act);
    });
}
