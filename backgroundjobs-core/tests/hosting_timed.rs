//! Timed services: when they tick, what a slow tick does, and what a failed one does not.

#[path = "support/services.rs"]
mod services;

use std::sync::Arc;
use std::time::Duration;

use backgroundjobs_core::hosting::{
    Host, HostBuilder, Missed, ServiceResult, ServiceState, Tick, TimedService, TimedTask, Timer,
};
use backgroundjobs_testing::TestKit;
use parking_lot::Mutex;
use services::{HOUR, Log, SECOND, failures};

/// Notes each tick, which takes as long as the list says, and then no time.
struct Slow {
    log: Log,
    takes: Mutex<Vec<Duration>>,
}

impl Slow {
    fn new(log: &Log, takes: &[Duration]) -> Self {
        Self { log: log.clone(), takes: Mutex::new(takes.iter().rev().copied().collect()) }
    }
}

impl TimedTask for Slow {
    async fn tick(&self, tick: Tick) -> ServiceResult {
        let stopping = tick.stopping();
        let start = self.log.start_of(stopping.now());
        let (number, due, left_out) = (tick.number(), self.log.start_of(tick.due()), tick.left_out());
        self.log.note(format!("{number} at {start}, due {due}, left out {left_out}"));
        let takes = self.takes.lock().pop();
        if let Some(takes) = takes {
            _ = stopping.sleep(takes).await;
        }
        Ok(())
    }
}

impl Log {
    /// Seconds since the kit's first instant.
    fn start_of(&self, at: backgroundjobs_core::Timestamp) -> f64 {
        at.since("2030-01-01T00:00:00Z".parse().expect("an instant")).as_secs_f64()
    }
}

fn one(timer: Timer, task: impl TimedTask) -> HostBuilder {
    Host::builder().background("timer", timer.run(task))
}

#[tokio::test]
async fn a_timer_of_two_hours_ticks_twelve_times_a_day_on_its_grid() {
    let (kit, log) = (TestKit::new(), Log::default());
    let builder = one(TimedService::every(HOUR * 2), Slow::new(&log, &[SECOND * 30, SECOND * 90]));
    let host = kit.start_host(builder).await;
    _ = kit.advance(HOUR * 24).await;
    let lines = log.take();
    assert_eq!(lines.len(), 12);
    assert_eq!(lines[0], "1 at 7200, due 7200, left out 0");
    assert_eq!(lines[2], "3 at 21600, due 21600, left out 0", "what a tick takes does not move the next");
    kit.run(host.stop()).await.expect("it stops well");
    kit.finish().await;
}

#[tokio::test]
async fn the_first_tick_comes_at_once_or_after_a_period() {
    let (kit, log) = (TestKit::new(), Log::default());
    for (timer, first) in [
        (TimedService::every(HOUR).at_once(), "1 at 0, due 0, left out 0"),
        (TimedService::every(HOUR), "1 at 3600, due 3600, left out 0"),
    ] {
        let kit = TestKit::new();
        let host = kit.start_host(one(timer, Slow::new(&log, &[]))).await;
        _ = kit.advance(HOUR).await;
        assert_eq!(log.take()[0], first);
        kit.run(host.stop()).await.expect("it stops well");
        kit.finish().await;
    }
    kit.finish().await;
}

#[tokio::test]
async fn a_slow_tick_is_never_overlapped_and_missed_ones_merge_are_made_up_for_or_left_out() {
    for (missed, expected) in [
        (
            Missed::Merge,
            ["1 at 10, due 10, left out 0", "2 at 45, due 40, left out 2", "3 at 50, due 50, left out 0"]
                .as_slice(),
        ),
        (
            Missed::CatchUp,
            &[
                "1 at 10, due 10, left out 0",
                "2 at 45, due 20, left out 0",
                "3 at 45, due 30, left out 0",
                "4 at 45, due 40, left out 0",
                "5 at 50, due 50, left out 0",
            ],
        ),
        (Missed::Skip, &["1 at 10, due 10, left out 0", "2 at 50, due 50, left out 3"]),
    ] {
        let (kit, log) = (TestKit::new(), Log::default());
        let timer = TimedService::every(SECOND * 10).missed(missed);
        let host = kit.start_host(one(timer, Slow::new(&log, &[SECOND * 35]))).await;
        _ = kit.advance(SECOND * 55).await;
        assert_eq!(log.take(), expected, "{missed:?}");
        kit.run(host.stop()).await.expect("it stops well");
        kit.finish().await;
    }
}

#[tokio::test]
async fn jitter_makes_a_tick_later_by_up_to_its_part_and_the_grid_stays() {
    let log = Log::default();
    let kit = TestKit::builder().seed(7).jitter(true).build();
    let late = Arc::new(Mutex::new(Vec::new()));
    let seen = late.clone();
    let timer = TimedService::every(SECOND * 10).jitter(0.5).run_fn(move |tick: Tick| {
        seen.lock().push(tick.stopping().now().since(tick.due()));
        log.note(tick.due().to_string());
        async { Ok(()) }
    });
    let host = kit.start_host(Host::builder().background("timer", timer)).await;
    _ = kit.advance(SECOND * 10 * 200).await;
    let mut late = late.lock().clone();
    assert!((199..=200).contains(&late.len()), "{} ticks", late.len());
    assert!(late.iter().all(|late| *late <= SECOND * 5), "{late:?}");
    late.sort_unstable();
    late.dedup();
    assert!(late.len() > 190, "they differ");
    assert!(late[20] < SECOND && late[late.len() - 20] > SECOND * 4, "they are spread: {late:?}");
    kit.run(host.stop()).await.expect("it stops well");
    kit.finish().await;
}

#[tokio::test]
async fn periods_and_jitter_beyond_all_bounds_harm_nobody() {
    let kit = TestKit::builder().seed(7).jitter(true).build();
    let timer = |period: Duration, jitter: f64| {
        TimedService::every(period).jitter(jitter).run_fn(async |_: Tick| Ok(()))
    };
    let builder = Host::builder()
        .background("long", timer(Duration::MAX, 1.0))
        .background("cut", timer(HOUR, f64::INFINITY))
        .background("no number", timer(HOUR, f64::NAN))
        .background("short", timer(Duration::from_millis(1), 1.0));
    let host = kit.start_host(builder).await;
    _ = kit.advance(SECOND).await;
    assert!(host.health().is_ready());
    kit.run(host.stop()).await.expect("they stop well");
    kit.finish().await;
}

#[tokio::test]
async fn a_tick_that_fails_or_panics_is_reported_and_the_timer_lives_on() {
    let (kit, log) = (TestKit::new(), Log::default());
    let timer = TimedService::every(SECOND).run_fn(async |tick: Tick| match tick.number() {
        1 => Err("no route".into()),
        2 => panic!("fell over"),
        _ => Ok(()),
    });
    let host = kit.start_host(Host::builder().background("timer", timer).on_report(log.reports())).await;
    _ = kit.advance(SECOND * 10).await;
    assert_eq!(log.take(), ["timer: tick 1: no route", "timer: tick 2: it panicked: fell over"]);
    let health = host.health();
    assert!(health.is_ready() && health.is_live());
    assert_eq!((health.services[0].state, health.services[0].reports), (ServiceState::Running, 2));
    assert_eq!(health.services[0].last_report.as_ref().map(|report| report.what.as_str()), Some("tick 2"));
    kit.run(host.stop()).await.expect("it stops well");
    kit.finish().await;
}

#[tokio::test]
async fn a_stop_waits_for_a_tick_that_runs_up_to_the_deadline() {
    for (takes, waited, clean) in [(SECOND * 20, SECOND * 15, true), (HOUR, SECOND * 25, false)] {
        let kit = TestKit::new();
        let env = kit.env();
        let timer = TimedService::every(SECOND).at_once().run_fn(move |_: Tick| {
            let env = env.clone();
            async move {
                env.sleep(takes).await;
                Ok(())
            }
        });
        let host = kit.start_host(Host::builder().background("timer", timer)).await;
        _ = kit.advance(SECOND * 5).await;
        let begun = kit.now();
        let stopped = kit.run(host.stop()).await;
        assert_eq!(kit.now().since(begun), waited);
        if clean {
            stopped.expect("the tick came to its end");
        } else {
            assert!(failures(stopped)[0].starts_with("timer had not ended 25s after it was told to stop"));
        }
        kit.finish().await;
    }
}

/// Notes when it is made and dropped.
struct Scope {
    log: Log,
    number: u32,
}

impl TimedTask for Scope {
    async fn tick(&self, tick: Tick) -> ServiceResult {
        self.log.note(format!("tick {} in scope {}", tick.number(), self.number));
        match self.number {
            2 => panic!("fell over"),
            _ => Ok(()),
        }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        self.log.note(format!("drop {}", self.number));
    }
}

#[tokio::test]
async fn each_tick_has_a_fresh_scope_that_is_dropped_after_it() {
    let (kit, log) = (TestKit::new(), Log::default());
    let (made, seen) = (Arc::new(Mutex::new(0)), log.clone());
    let timer = TimedService::every(SECOND).run_scoped(move || {
        let (made, log) = (made.clone(), seen.clone());
        async move {
            let mut made = made.lock();
            *made += 1;
            match *made {
                3 => Err("no connection".into()),
                number => Ok(Scope { log, number }),
            }
        }
    });
    let host = kit.start_host(Host::builder().background("timer", timer).on_report(log.reports())).await;
    _ = kit.advance(SECOND * 4).await;
    let lines = [
        "tick 1 in scope 1",
        "drop 1",
        "tick 2 in scope 2",
        "drop 2",
        "timer: tick 2: it panicked: fell over",
        "timer: tick 3: no connection",
        "tick 4 in scope 4",
        "drop 4",
    ];
    assert_eq!(log.take(), lines);
    kit.run(host.stop()).await.expect("it stops well");
    kit.finish().await;
}

#[tokio::test]
async fn a_tick_gets_a_clone_of_its_state() {
    let (kit, log) = (TestKit::new(), Log::default());
    let timer = TimedService::every(SECOND).run_fn_with(log.clone(), async |log: Log, tick: Tick| {
        log.note(tick.stopping().service());
        Ok(())
    });
    let host = kit.start_host(Host::builder().background("timer", timer)).await;
    _ = kit.advance(SECOND * 2).await;
    assert_eq!(log.take(), ["timer", "timer"]);
    kit.run(host.stop()).await.expect("it stops well");
    kit.finish().await;
}

#[tokio::test]
async fn a_machine_that_slept_for_a_day_makes_up_for_a_thousand_ticks_at_most() {
    let (kit, log) = (TestKit::new(), Log::default());
    let timer = TimedService::every(SECOND).missed(Missed::CatchUp);
    let host = kit.start_host(one(timer, Slow::new(&log, &[HOUR * 24]))).await;
    _ = kit.advance(HOUR * 24 + SECOND * 2).await;
    let lines = log.take();
    let (first, rest) = (&lines[0], &lines[1..]);
    assert_eq!(first, "1 at 1, due 1, left out 0");
    assert_eq!(rest[0], "2 at 86401, due 85402, left out 85400");
    assert_eq!(rest.iter().filter(|line| line.contains(" at 86401, ")).count(), 1_000);
    assert_eq!(rest.last().map(String::as_str), Some("1002 at 86402, due 86402, left out 0"));
    kit.run(host.stop()).await.expect("it stops well");
    kit.finish().await;
}
