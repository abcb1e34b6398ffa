//! Guards, wakes from outside, and the watchdog.

mod support;

use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use backgroundjobs_core::Checkpoint;
use backgroundjobs_testing::StepScheduler;
use parking_lot::Mutex;
use support::{
    four_threads, in_handler, in_store_call, logged, millis, one_thread, panic_text, real_answer, seconds,
    texts,
};

#[test]
fn a_suspended_guard_counts_again_once_its_task_was_woken() {
    for runtime in [four_threads(), one_thread()] {
        runtime.block_on(async {
            let scheduler = StepScheduler::builder().handler_patience(seconds(60)).build();
            let (hooks, env, log) = (scheduler.hooks(), scheduler.env(1), scheduler.trace_log());
            _ = scheduler.spawn("slot", async move {
                in_handler(&hooks, "send", async {
                    env.sleep(seconds(1)).await;
                    real_answer(millis(30)).await;
                    log.log("*answered");
                    env.sleep(seconds(1)).await;
                    log.log("*ends");
                })
                .await;
            });
            let (env, log) = (scheduler.env(1), scheduler.trace_log());
            _ = scheduler.spawn("other", async move {
                env.sleep(seconds(1)).await;
                log.log("*other wakes");
            });
            scheduler.advance(seconds(1)).await.expect_clean();
            assert_eq!(logged(&scheduler), ["1000 answered", "1000 other wakes"]);
            scheduler.advance(seconds(1)).await.expect_clean();
            assert_eq!(logged(&scheduler).last().expect("a line"), "2000 ends");
        });
    }
}

#[test]
fn a_guard_is_suspended_while_its_handler_waits_for_its_cancellation() {
    one_thread().block_on(async {
        let scheduler = StepScheduler::builder().handler_patience(Duration::MAX).build();
        let (cancel, mut cancelled) = tokio::sync::watch::channel(false);
        let (hooks, log) = (scheduler.hooks(), scheduler.trace_log());
        _ = scheduler.spawn("slot", async move {
            in_handler(&hooks, "send", async {
                let mut cancelled = Box::pin(cancelled.wait_for(|cancelled| *cancelled));
                poll_fn(|cx| {
                    let poll = cancelled.as_mut().poll(cx);
                    if poll.is_pending() {
                        hooks.waits_for_cancel();
                    }
                    poll.map(|_| ())
                })
                .await;
                log.log("*cancelled");
            })
            .await;
        });
        scheduler.settle().await.expect_clean();
        assert!(logged(&scheduler).is_empty());
        cancel.send(true).expect("the handler waits");
        scheduler.settle().await.expect_clean();
        assert_eq!(logged(&scheduler), ["0 cancelled"]);
    });
}

#[test]
fn sleeps_gathered_in_a_set_suspend_the_guard_though_only_one_is_polled() {
    one_thread().block_on(async {
        let scheduler = StepScheduler::builder().handler_patience(Duration::MAX).build();
        let (hooks, env, log) = (scheduler.hooks(), scheduler.env(1), scheduler.trace_log());
        _ = scheduler.spawn("slot", async move {
            in_handler(&hooks, "send", async {
                let mut sleeps: Vec<_> = [1, 2, 3].map(|at| Box::pin(env.sleep(seconds(at)))).into();
                // Each is polled at first, then only the next one, as a set of futures does it.
                poll_fn(|cx| {
                    sleeps.iter_mut().for_each(|sleep| assert!(sleep.as_mut().poll(cx).is_pending()));
                    Poll::Ready(())
                })
                .await;
                for sleep in sleeps {
                    sleep.await;
                    log.log("*wakes");
                }
            })
            .await;
        });
        scheduler.advance(seconds(3)).await.expect_clean();
        assert_eq!(logged(&scheduler), ["1000 wakes", "2000 wakes", "3000 wakes"]);
    });
}

#[test]
fn the_tests_own_task_may_poll_inside_a_guard() {
    for runtime in [four_threads(), one_thread()] {
        runtime.block_on(async {
            let scheduler = StepScheduler::new();
            let (hooks, env, log) = (scheduler.hooks(), scheduler.env(1), scheduler.trace_log());
            _ = scheduler.spawn("task", async move {
                env.sleep(seconds(1)).await;
                log.log("*wakes");
            });
            in_store_call(&hooks, real_answer(millis(1))).await;
            // Beside a verb: the verb waits for the answer, then goes on.
            let call = async {
                in_store_call(&hooks, real_answer(millis(30))).await;
                scheduler.log("*answered");
            };
            let ((), report) = tokio::join!(call, scheduler.advance(seconds(1)));
            report.expect_clean();
            assert_eq!(logged(&scheduler), ["0 answered", "1000 wakes"]);
        });
    }
}

#[test]
fn a_guard_whose_poll_panics_holds_nobody_up() {
    one_thread().block_on(async {
        let scheduler = StepScheduler::new();
        let (hooks, env) = (scheduler.hooks(), scheduler.env(1));
        _ = scheduler.spawn("slot", async move {
            let mut handler = in_handler(&hooks, "send", async { panic!("boom") });
            let run = std::panic::AssertUnwindSafe(&mut handler);
            let caught = poll_fn(|cx| {
                let run = std::panic::AssertUnwindSafe(|| std::pin::pin!(&mut *run.0).poll(cx).is_ready());
                Poll::Ready(std::panic::catch_unwind(run))
            });
            caught.await.expect_err("it panics");
            // The broken handler is still there, and so is its guard.
            env.sleep(seconds(1)).await;
            drop(handler);
        });
        let report = scheduler.advance(seconds(1)).await;
        assert_eq!(report.timers_fired, 1);
        report.expect_clean();
    });
}

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

#[test]
fn a_wake_that_comes_late_changes_nothing() {
    let run = |late: bool| {
        one_thread().block_on(async {
            let scheduler = StepScheduler::builder().seed(5).build();
            let left = Arc::new(Mutex::new(None::<Waker>));
            let (hooks, env, leave) = (scheduler.hooks(), scheduler.env(1), left.clone());
            _ = scheduler.spawn("leaves a waker", async move {
                poll_fn(|cx| Poll::Ready(*leave.lock() = Some(cx.waker().clone()))).await;
                env.sleep(seconds(1)).await;
            });
            _ = scheduler.spawn("store", async move {
                let call = async {
                    real_answer(millis(5)).await;
                    if late {
                        wake_on_a_thread(left.lock().take().expect("a waker"));
                    }
                };
                in_store_call(&hooks, call).await;
            });
            for number in 0..3 {
                _ = scheduler.spawn(format!("turns-{number}"), async { support::step_aside().await });
            }
            let report = scheduler.advance(seconds(1)).await;
            assert_eq!(report.timers_fired, 1);
            let grants = report.grants;
            report.expect_clean();
            (scheduler.trace_hash(), grants)
        })
    };
    assert_eq!(run(true), run(false));
}

#[expect(clippy::disallowed_methods, reason = "a wake must come from a thread that no scheduler knows")]
fn wake_on_a_thread(waker: Waker) {
    std::thread::spawn(move || waker.wake()).join().expect("it wakes");
}

#[test]
fn the_watchdog_names_the_instant_the_guard_the_others_and_the_timers() {
    for runtime in [four_threads(), one_thread()] {
        let scheduler = StepScheduler::builder().watchdog(millis(200)).handler_patience(seconds(60)).build();
        let (hooks, env) = (scheduler.hooks(), scheduler.env(1));
        _ = scheduler.spawn("slot", async move {
            env.sleep(seconds(3)).await;
            in_handler(&hooks, "hang", pending::<()>()).await;
        });
        let env = scheduler.env(1);
        _ = scheduler.spawn("upkeep", async move { env.sleep(seconds(33)).await });
        let text =
            panic_text(|| runtime.block_on(async { scheduler.advance(seconds(60)).await.expect_clean() }));
        for part in [
            "nothing happened for 200ms of real time, at virtual 2030-01-01T00:00:03Z",
            "handler of hang 01900000-0000-7000-8000-000000000001, attempt 1 in task slot waits for something outside",
            "since virtual 2030-01-01T00:00:03Z, for 2",
            "upkeep in 30s",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}

#[test]
fn a_handler_that_hangs_while_nothing_else_could_happen_is_the_watchdogs_too() {
    let scheduler = StepScheduler::builder().watchdog(millis(200)).build();
    let hooks = scheduler.hooks();
    _ = scheduler.spawn("slot", async move { in_handler(&hooks, "hang", pending::<()>()).await });
    let text = panic_text(|| one_thread().block_on(async { scheduler.settle().await.expect_clean() }));
    assert!(text.contains("handler of hang"), "{text}");
    assert!(text.contains("armed timers: none"), "{text}");
}

#[test]
fn the_watchdog_does_not_go_by_tokios_time() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let scheduler = StepScheduler::builder().store_patience(seconds(60)).build();
        let (hooks, log) = (scheduler.hooks(), scheduler.trace_log());
        _ = scheduler.spawn("store", async move {
            in_store_call(&hooks, real_answer(millis(50))).await;
            log.log("*answered");
        });
        scheduler.settle().await.expect_clean();
        assert_eq!(logged(&scheduler), ["0 answered"]);
    });
}

#[test]
fn ended_tasks_are_dropped_with_the_scheduler_and_nothing_starts_after_it() {
    let alive = Arc::new(());
    let (first, second) = (alive.clone(), alive.clone());
    let scheduler = StepScheduler::new();
    let hooks = scheduler.hooks();
    let (inner, env) = (hooks.clone(), scheduler.env(1));
    _ = scheduler.spawn("holds its own surroundings", async move {
        let _held = (first, inner, env);
        pending::<()>().await;
    });
    one_thread().block_on(async { scheduler.settle().await.expect_clean() });
    assert_eq!(Arc::strong_count(&alive), 3);
    drop(scheduler);
    assert_eq!(Arc::strong_count(&alive), 2, "the task is gone though it held its scheduler");
    let end = hooks.spawn("too late".into(), Box::pin(async move { drop(second) }));
    assert_eq!(Arc::strong_count(&alive), 1);
    end();
}

#[test]
fn a_verb_dropped_in_mid_way_leaves_the_scheduler_to_the_next() {
    one_thread().block_on(async {
        let scheduler = StepScheduler::builder().store_patience(seconds(60)).build();
        let (hooks, log) = (scheduler.hooks(), scheduler.trace_log());
        _ = scheduler.spawn("store", async move {
            in_store_call(&hooks, real_answer(millis(20))).await;
            log.log("*answered");
        });
        tokio::select! {
            biased;
            _ = scheduler.settle() => unreachable!("the answer takes a while"),
            () = std::future::ready(()) => {}
        }
        assert!(logged(&scheduler).is_empty());
        scheduler.settle().await.expect_clean();
        assert_eq!(logged(&scheduler), ["0 answered"]);
    });
}

#[test]
fn checkpoints_are_traced_but_for_answers_of_the_store() {
    one_thread().block_on(async {
        use backgroundjobs_core::StoreOperation::{Claim, Settle};
        let scheduler = StepScheduler::new();
        let hooks = scheduler.hooks();
        _ = scheduler.spawn("worker", async move {
            hooks.checkpoint(Checkpoint::BeforeStore(Claim)).await;
            hooks.checkpoint(Checkpoint::AfterStore(Claim)).await;
            hooks.checkpoint(Checkpoint::BeforeStore(Settle)).await;
        });
        scheduler.settle().await.expect_clean();
        assert_eq!(
            texts(&scheduler),
            [
                "spawned worker",
                "worker calls the store: claim",
                "worker calls the store: settle",
                "ended worker"
            ]
        );
    });
}
