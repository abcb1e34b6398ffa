//! What is said when nothing happens any more.

mod support;

use std::future::pending;

use backgroundjobs_testing::StepScheduler;
use support::{
    four_threads, in_handler, in_store_call, logged, millis, one_thread, panic_text, real_answer, seconds,
};

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
