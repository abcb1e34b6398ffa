//! Guards, and the lives of tasks and verbs.

mod support;

use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use backgroundjobs_core::{Checkpoint, TaskKind};
use backgroundjobs_testing::StepScheduler;
use support::{
    four_threads, in_handler, in_store_call, logged, millis, one_thread, real_answer, seconds, texts,
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
                let mut sleeps = [1, 2, 3].map(|at| Box::pin(env.sleep(seconds(at))));
                let mut woken = None::<usize>;
                // Polls each at first, then only the one that woke it, as a set of futures does.
                poll_fn(|cx| {
                    if let Some(woken) = &mut woken {
                        assert!(sleeps[*woken].as_mut().poll(cx).is_ready());
                        log.log("*wakes");
                        *woken += 1;
                    } else {
                        sleeps.iter_mut().for_each(|sleep| assert!(sleep.as_mut().poll(cx).is_pending()));
                        woken = Some(0);
                    }
                    if woken == Some(3) { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
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
#[expect(clippy::disallowed_methods, reason = "stands for a poll that takes long in real time")]
fn a_guard_polled_elsewhere_is_waited_for_until_it_is_left() {
    let scheduler = StepScheduler::builder().store_patience(millis(1)).build();
    let (hooks, log) = (scheduler.hooks(), scheduler.trace_log());
    let (entered, is_entered) = std::sync::mpsc::channel();
    let (settling, is_settling) = std::sync::mpsc::channel();
    _ = scheduler.spawn("task", async { support::step_aside().await });
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let call = async {
                entered.send(()).expect("the test waits");
                is_settling.recv().expect("the test settles");
                std::thread::sleep(millis(150));
                log.log("*leaves");
            };
            one_thread().block_on(in_store_call(&hooks, call));
        });
        is_entered.recv().expect("it enters");
        settling.send(()).expect("it waits");
        one_thread().block_on(async { scheduler.settle().await.expect_clean() });
        assert_eq!(logged(&scheduler), ["0 leaves"]);
        assert_eq!(texts(&scheduler).last().expect("an event"), "ended task", "nobody went before");
    });
}

#[test]
#[expect(clippy::disallowed_methods, reason = "stands for the runtime's own input and output")]
fn a_call_that_waits_by_polling_leaves_the_runtime_its_turn() {
    one_thread().block_on(async {
        let scheduler = StepScheduler::new();
        let (hooks, log) = (scheduler.hooks(), scheduler.trace_log());
        let answered = Arc::new(AtomicBool::new(false));
        let answer = answered.clone();
        tokio::spawn(async move { answer.store(true, Ordering::SeqCst) });
        _ = scheduler.spawn("store", async move {
            let call = async {
                while !answered.load(Ordering::SeqCst) {
                    support::step_aside().await;
                }
            };
            in_store_call(&hooks, call).await;
            log.log("*answered");
        });
        scheduler.settle().await.expect_clean();
        assert_eq!(logged(&scheduler), ["0 answered"]);
    });
}

#[test]
fn run_waits_for_a_handler_that_was_given_up_when_nothing_else_is_left() {
    four_threads().block_on(async {
        let scheduler = StepScheduler::new();
        let (hooks, env) = (scheduler.hooks(), scheduler.env(1));
        let (done, is_done) = tokio::sync::oneshot::channel();
        _ = scheduler.spawn("slot", async move {
            in_handler(&hooks, "slow", real_answer(millis(500))).await;
            done.send(()).expect("the test waits");
        });
        _ = scheduler.spawn("upkeep", async move { env.sleep(seconds(10)).await });
        scheduler.run(async { is_done.await.expect("the handler ends") }).await;
        let report = scheduler.last_report().expect("a report");
        assert_eq!(report.timers_fired, 1, "{report}");
        let [reason] = report.nondeterministic.as_slice() else { panic!("one reason: {report}") };
        assert!(reason.contains("handler of slow"), "{reason}");
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
    let end = hooks.spawn(TaskKind::Work, "too late".into(), Box::pin(async move { drop(second) }));
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
