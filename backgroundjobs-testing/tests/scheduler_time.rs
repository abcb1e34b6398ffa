//! Virtual time under the scheduler.

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use backgroundjobs_core::{Clock, Timestamp};
use backgroundjobs_testing::{StepScheduler, VirtualClock};
use parking_lot::Mutex;
use support::{four_threads, logged, millis, one_thread, panic_text, seconds};

#[test]
fn a_day_of_ticks_of_one_second_each_at_its_own_second() {
    four_threads().block_on(async {
        let scheduler = StepScheduler::new();
        let ticks = Arc::new(Mutex::new(Vec::new()));
        let (env, seen) = (scheduler.env(1), ticks.clone());
        _ = scheduler.spawn("ticker", async move {
            loop {
                env.sleep(seconds(1)).await;
                seen.lock().push(env.now());
            }
        });
        let report = scheduler.advance(seconds(86_400)).await;
        let ticks = ticks.lock();
        assert_eq!(ticks.len(), 86_400, "the end instant is included");
        for (second, tick) in (1..).zip(ticks.iter()) {
            assert_eq!(*tick, VirtualClock::START + seconds(second));
        }
        assert_eq!(report.timers_fired, 86_400);
        assert_eq!(report.to, VirtualClock::START + seconds(86_400));
        assert_eq!(report.next_timer, Some(report.to + seconds(1)));
        report.expect_clean();
    });
}

#[test]
fn what_falls_due_in_the_course_of_an_advance_is_part_of_it_and_the_end_is_now() {
    one_thread().block_on(async {
        let scheduler = StepScheduler::new();
        let (env, log) = (scheduler.env(1), scheduler.trace_log());
        _ = scheduler.spawn("chain", async move {
            for millis in [100, 200, 700, 1] {
                env.sleep(support::millis(millis)).await;
                log.log("*wakes");
            }
        });
        scheduler.advance(millis(1_000)).await.expect_clean();
        assert_eq!(logged(&scheduler), ["100 wakes", "300 wakes", "1000 wakes"]);
        let report = scheduler.advance(millis(0)).await;
        assert!(report.is_quiet(), "{report}");
        scheduler.advance(seconds(1)).await.expect_clean();
        assert_eq!(logged(&scheduler).len(), 4);
        assert_eq!(scheduler.now(), VirtualClock::START + seconds(2));
    });
}

/// Six tasks sleep to one instant, registered in order; answers in which order they wake.
fn order_of_equal_deadlines(seed: Option<u64>) -> Vec<String> {
    one_thread().block_on(async {
        let builder = StepScheduler::builder();
        let scheduler = seed.map_or(builder.clone(), |seed| builder.seed(seed)).build();
        for number in 0..6 {
            let (env, log) = (scheduler.env(1), scheduler.trace_log());
            _ = scheduler.spawn(format!("sleeper-{number}"), async move {
                env.sleep(seconds(1)).await;
                log.log(format!("*{number}"));
            });
            // One at a time, so that the order of registration is known whatever the seed.
            scheduler.settle().await.expect_clean();
        }
        scheduler.advance(seconds(1)).await.expect_clean();
        logged(&scheduler)
    })
}

#[test]
fn equal_deadlines_go_by_registration_or_as_the_seed_says() {
    let registered = ["1000 0", "1000 1", "1000 2", "1000 3", "1000 4", "1000 5"];
    assert_eq!(order_of_equal_deadlines(None), registered);
    let orders: BTreeSet<_> = (0..50).map(|seed| order_of_equal_deadlines(Some(seed))).collect();
    assert!(orders.len() > 25, "50 seeds gave {} orders", orders.len());
    for mut order in orders {
        order.sort();
        assert_eq!(order, registered, "all of them wake, at their instant");
    }
    assert_eq!(order_of_equal_deadlines(Some(9)), order_of_equal_deadlines(Some(9)));
}

#[test]
fn advance_to_next_goes_to_the_next_instant_and_no_further() {
    one_thread().block_on(async {
        let scheduler = StepScheduler::new();
        for at in [3, 3, 5] {
            let (env, log) = (scheduler.env(1), scheduler.trace_log());
            _ = scheduler.spawn("sleeper", async move {
                env.sleep(seconds(at)).await;
                log.log("*wakes");
            });
        }
        let report = scheduler.advance_to_next().await;
        assert_eq!((report.timers_fired, report.to), (2, VirtualClock::START + seconds(3)));
        assert_eq!(report.next_timer, Some(VirtualClock::START + seconds(5)));
        let report = scheduler.advance_to_next().await;
        assert_eq!((report.timers_fired, report.to), (1, VirtualClock::START + seconds(5)));
        assert!(scheduler.advance_to_next().await.is_quiet(), "no timer is left");
        assert_eq!(logged(&scheduler), ["3000 wakes", "3000 wakes", "5000 wakes"]);
    });
}

#[test]
fn a_deadline_in_the_past_is_over_at_once() {
    one_thread().block_on(async {
        let scheduler = StepScheduler::new();
        let (env, log) = (scheduler.env(1), scheduler.trace_log());
        _ = scheduler.spawn("late", async move {
            env.sleep_until(env.now() - seconds(1)).await;
            env.sleep_until(Timestamp::MIN).await;
            env.sleep_until(env.now()).await;
            log.log("*woke");
        });
        let report = scheduler.settle().await;
        assert_eq!((report.timers_fired, logged(&scheduler)), (0, vec!["0 woke".to_owned()]));
    });
}

#[test]
fn a_task_sleeps_twice_and_a_dropped_sleep_is_forgotten() {
    one_thread().block_on(async {
        let scheduler = StepScheduler::new();
        let (env, log) = (scheduler.env(1), scheduler.trace_log());
        _ = scheduler.spawn("sleeper", async move {
            env.sleep(seconds(1)).await;
            log.log("*once");
            tokio::select! {
                biased;
                () = env.sleep(seconds(60)) => unreachable!("the other one is earlier"),
                () = env.sleep(seconds(2)) => log.log("*twice"),
            }
            env.sleep(seconds(1)).await;
            log.log("*thrice");
        });
        let report = scheduler.advance(seconds(3600)).await;
        assert_eq!(logged(&scheduler), ["1000 once", "3000 twice", "4000 thrice"]);
        assert_eq!((report.timers_fired, report.next_timer), (3, None));
    });
}

#[test]
fn run_moves_from_timer_to_timer_until_its_future_has_ended() {
    four_threads().block_on(async {
        let scheduler = StepScheduler::builder().seed(1).build();
        let (answer, question) = tokio::sync::oneshot::channel();
        let env = scheduler.env(1);
        _ = scheduler.spawn("thinker", async move {
            env.sleep(seconds(7_500_000)).await;
            answer.send(42).expect("the test waits");
        });
        let borrowed = String::from("the test's own");
        let answer = scheduler
            .run(async {
                assert_eq!(borrowed, "the test's own");
                question.await.expect("an answer")
            })
            .await;
        assert_eq!(answer, 42);
        assert_eq!(scheduler.now(), VirtualClock::START + seconds(7_500_000));
        let report = scheduler.last_report().expect("a report");
        assert_eq!(report.timers_fired, 1);
        report.expect_clean();
    });
}

#[test]
fn run_says_so_when_nothing_is_left_to_do_and_the_scheduler_survives_it() {
    let scheduler = StepScheduler::new();
    let env = scheduler.env(1);
    _ = scheduler.spawn("brief", async move { env.sleep(seconds(1)).await });
    _ = scheduler.spawn("idler", std::future::pending());
    let text = panic_text(|| one_thread().block_on(scheduler.run(std::future::pending())));
    for part in ["nothing is left to do, at virtual 2030-01-01T00:00:01Z", "idler, test", "timers: none"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let text = panic_text(|| one_thread().block_on(scheduler.run(async { panic!("an assertion") })));
    assert_eq!(text, "an assertion", "the test's own panic is passed on");
    assert_eq!(one_thread().block_on(scheduler.run(async { 5 })), 5);
}

#[test]
fn verbs_cannot_be_nested() {
    let scheduler = Arc::new(StepScheduler::new());
    let inner = scheduler.clone();
    let text =
        panic_text(|| one_thread().block_on(scheduler.run(async { inner.settle().await.expect_clean() })));
    assert!(text.contains("settle was called inside a task"), "{text}");
}

#[test]
fn a_clock_alone_wakes_sleepers_one_by_one_and_cannot_go_back() {
    let clock = VirtualClock::starting_at(Timestamp::UNIX_EPOCH);
    let mut sleeps: Vec<_> =
        [2, 1, 5].map(|at| clock.sleep_until(Timestamp::UNIX_EPOCH + seconds(at))).into_iter().collect();
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(sleeps.iter_mut().all(|sleep| sleep.as_mut().poll(&mut cx).is_pending()));
    assert_eq!(clock.next_timer(), Some(Timestamp::UNIX_EPOCH + seconds(1)));
    assert_eq!(clock.advance(seconds(2)), 2, "the end instant is included");
    let woken: Vec<_> = sleeps.iter_mut().map(|sleep| sleep.as_mut().poll(&mut cx).is_ready()).collect();
    assert_eq!(woken, [true, true, false]);
    let text = panic_text(|| _ = clock.set(Timestamp::UNIX_EPOCH));
    assert!(text.contains("cannot go back"), "{text}");
    assert_eq!(clock.now(), Timestamp::UNIX_EPOCH + seconds(2));
    drop(sleeps);
    assert_eq!(clock.next_timer(), None, "a dropped sleep is forgotten");
}
