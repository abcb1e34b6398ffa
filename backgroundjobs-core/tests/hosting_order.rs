//! How a host starts and stops its services: in which order, and what happens when one fails or hangs.

#[path = "support/services.rs"]
mod services;

use std::time::Duration;

use backgroundjobs_core::hosting::{
    During, FailureCause, Host, HostBuilder, HostError, HostPhase, ServiceState, Stopping,
};
use backgroundjobs_testing::TestKit;
use services::{Act, HOUR, Log, SECOND, Works, failures, noted};

fn three(kit: &TestKit, log: &Log, second: impl FnOnce(services::Noted) -> services::Noted) -> HostBuilder {
    Host::builder()
        .service("one", noted(kit, log, "one"))
        .service("two", second(noted(kit, log, "two")))
        .service("three", noted(kit, log, "three"))
}

#[tokio::test]
async fn services_start_in_order_each_when_the_one_before_is_ready_and_stop_in_reverse() {
    let (kit, log) = (TestKit::new(), Log::default());
    let builder = three(&kit, &log, |two| two.on_start(Act::Take(SECOND)).on_stop(Act::Take(SECOND * 2)));
    let begun = kit.now();
    let host = kit.start_host(builder.background("four", Works { name: "four", log: log.clone() })).await;
    assert_eq!(kit.now().since(begun), SECOND);
    let started = [
        "start one",
        "one is started",
        "start two",
        "two is started",
        "start three",
        "three is started",
        "four works",
    ];
    assert_eq!(log.take(), started);
    assert_eq!(host.health().phase, HostPhase::Running);
    assert!(host.health().is_ready() && host.health().is_live());

    kit.run(host.stop()).await.expect("all stop well");
    let stopped = [
        "four is told to stop",
        "stop three within 24s",
        "three is stopped",
        "stop two within 24s",
        "two is stopped",
        "stop one within 22s",
        "one is stopped",
    ];
    assert_eq!(log.take(), stopped, "each is told what is left of the time that all share");
    assert!(host.health().services.iter().all(|service| service.state == ServiceState::Stopped));
    assert!(!host.health().is_ready() && !host.health().is_live());
    kit.finish().await;
}

#[tokio::test]
async fn a_failed_start_stops_those_already_started_in_reverse_and_returns_the_error() {
    let (kit, log) = (TestKit::new(), Log::default());
    let host = kit.host(
        Host::builder()
            .service("one", noted(&kit, &log, "one"))
            .service("two", noted(&kit, &log, "two").on_stop(Act::Fail("two is stuck")))
            .service("three", noted(&kit, &log, "three").on_start(Act::Fail("no route")))
            .service("four", noted(&kit, &log, "four")),
    );
    let failed = failures(kit.run(host.start()).await);
    assert_eq!(
        failed,
        ["three failed as it was started: no route", "two failed as it was stopped: two is stuck"]
    );
    let calls = [
        "start one",
        "one is started",
        "start two",
        "two is started",
        "start three",
        "stop two within 24s",
        "stop one within 24s",
        "one is stopped",
    ];
    assert_eq!(log.take(), calls, "three has not started, and four was not reached");
    assert_eq!(host.health().phase, HostPhase::Stopped);
    let health = host.health();
    assert_eq!(health.service("three").expect("it is there").state, ServiceState::Failed);
    assert_eq!(health.service("four").expect("it is there").state, ServiceState::Built);
    assert!(matches!(kit.run(host.start()).await, Err(HostError::Stopped)));
    kit.finish().await;
}

#[tokio::test]
async fn a_start_that_panics_is_a_start_that_failed() {
    let (kit, log) = (TestKit::new(), Log::default());
    let host = kit.host(three(&kit, &log, |two| two.on_start(Act::Panic("two fell over"))));
    assert_eq!(failures(kit.run(host.start()).await), ["two panicked as it was started: two fell over"]);
    assert_eq!(log.take().last().map(String::as_str), Some("one is stopped"));
    kit.finish().await;
}

#[tokio::test]
async fn a_start_that_hangs_ends_with_the_start_timeout() {
    let (kit, log) = (TestKit::new(), Log::default());
    let host = kit.host(three(&kit, &log, |two| two.on_start(Act::Hang)).start_timeout(SECOND * 10));
    let begun = kit.now();
    let failed = failures(kit.run(host.start()).await);
    assert_eq!(failed, ["two had not ended 10s after it was told to start, and was dropped"]);
    assert_eq!(kit.now().since(begun), SECOND * 10);
    assert_eq!(log.take().last().map(String::as_str), Some("one is stopped"));
    kit.finish().await;
}

#[tokio::test]
async fn a_failing_or_panicking_stop_does_not_skip_the_others_and_all_errors_are_gathered() {
    let (kit, log) = (TestKit::new(), Log::default());
    let builder = Host::builder()
        .service("one", noted(&kit, &log, "one").on_stop(Act::Fail("disk full")))
        .service("two", noted(&kit, &log, "two"))
        .service("three", noted(&kit, &log, "three").on_stop(Act::Panic("three fell over")));
    let host = kit.start_host(builder).await;
    log.take();
    let error = kit.run(host.stop()).await.expect_err("two fail");
    assert_eq!(
        error.to_string(),
        "the host has failed, for 2 reasons:\n  - three panicked as it was stopped: three fell over\n  - one failed as \
         it was stopped: disk full"
    );
    assert_eq!(error.failures()[1].during, During::Stop);
    assert!(matches!(error.failures()[0].cause, FailureCause::Panic(_)));
    assert_eq!(log.take().iter().filter(|line| line.starts_with("stop ")).count(), 3);
    kit.finish().await;
}

#[tokio::test]
async fn one_deadline_is_shared_and_who_comes_after_a_hanging_stop_still_gets_the_last_second() {
    let (kit, log) = (TestKit::new(), Log::default());
    let builder = Host::builder()
        .service("one", noted(&kit, &log, "one").on_stop(Act::Take(SECOND / 2)))
        .service("two", noted(&kit, &log, "two"))
        .service("three", noted(&kit, &log, "three").on_stop(Act::Hang))
        .background("four", Works { name: "four", log: log.clone() });
    let host = kit.start_host(builder.stop_timeout(SECOND * 20)).await;
    log.take();
    let begun = kit.now();
    let failed = failures(kit.run(host.stop()).await);
    assert_eq!(kit.now().since(begun), SECOND * 20, "no longer than all were given");
    assert_eq!(
        failed,
        [
            "three had not ended 20s after it was told to stop, and was dropped: let it look at stopping, or at \
          the limit of its stop"
        ]
    );
    let calls = [
        "four is told to stop",
        "stop three within 19s",
        "stop two within 0ns",
        "two is stopped",
        "stop one within 0ns",
        "one is stopped",
    ];
    assert_eq!(log.take(), calls);
    kit.finish().await;
}

#[tokio::test]
async fn services_that_start_together_overlap_and_their_errors_are_gathered() {
    let (kit, log) = (TestKit::new(), Log::default());
    let builder = three(&kit, &log, |two| two.on_start(Act::Take(SECOND * 3)));
    let builder = builder.service("four", noted(&kit, &log, "four").on_start(Act::Take(SECOND * 2)));
    let begun = kit.now();
    let host = kit.start_host(builder.start_concurrently().stop_concurrently()).await;
    assert_eq!(kit.now().since(begun), SECOND * 3, "and not 5 s");
    let lines = log.take();
    let starts: Vec<&str> =
        lines.iter().map(String::as_str).filter(|line| line.starts_with("start ")).collect();
    assert_eq!(starts, ["start one", "start two", "start three", "start four"], "they begin in order");
    assert_eq!(lines[lines.len() - 1], "two is started");
    kit.run(host.stop()).await.expect("all stop well");

    let host = kit.host(
        Host::builder()
            .service("one", noted(&kit, &log, "one").on_start(Act::Fail("no route")))
            .service("two", noted(&kit, &log, "two").on_start(Act::Take(SECOND)))
            .service("three", noted(&kit, &log, "three").on_start(Act::Panic("three fell over")))
            .start_concurrently(),
    );
    log.take();
    let failed = failures(kit.run(host.start()).await);
    assert_eq!(
        failed,
        ["one failed as it was started: no route", "three panicked as it was started: three fell over"]
    );
    assert_eq!(log.take()[4..], ["stop two within 24s", "two is stopped"], "the one that did start");
    kit.finish().await;
}

#[tokio::test]
async fn services_that_stop_together_overlap() {
    let (kit, log) = (TestKit::new(), Log::default());
    let builder = Host::builder()
        .service("one", noted(&kit, &log, "one").on_stop(Act::Take(SECOND * 10)))
        .service("two", noted(&kit, &log, "two").on_stop(Act::Hang))
        .service("three", noted(&kit, &log, "three").on_stop(Act::Take(SECOND * 10)));
    let host = kit.start_host(builder.stop_concurrently()).await;
    log.take();
    let begun = kit.now();
    let failed = failures(kit.run(host.stop()).await);
    assert_eq!((failed.len(), kit.now().since(begun)), (1, SECOND * 25));
    let lines = log.take();
    assert_eq!(lines[..3], ["stop three within 24s", "stop two within 24s", "stop one within 24s"]);
    assert_eq!(lines[3..], ["three is stopped", "one is stopped"]);
    kit.finish().await;
}

#[tokio::test]
async fn the_hooks_come_at_their_points_those_of_the_stop_in_reverse() {
    let (kit, log) = (TestKit::new(), Log::default());
    let hook = |line: &'static str| {
        let log = log.clone();
        move || {
            log.note(line);
            std::future::ready(Ok(()))
        }
    };
    let builder = Host::builder()
        .service("one", noted(&kit, &log, "one"))
        .on_starting(hook("starting"))
        .on_starting(hook("starting, too"))
        .on_started(hook("started"))
        .on_stopping(hook("stopping, last"))
        .on_stopping(hook("stopping, first"))
        .on_stopped(hook("stopped"));
    let host = kit.start_host(builder).await;
    kit.run(host.stop()).await.expect("all stop well");
    let calls = [
        "starting",
        "starting, too",
        "start one",
        "one is started",
        "started",
        "stopping, first",
        "stopping, last",
        "stop one within 24s",
        "one is stopped",
        "stopped",
    ];
    assert_eq!(log.take(), calls);
    kit.finish().await;
}

#[tokio::test]
async fn a_hook_that_fails_ends_the_start_and_not_the_stop() {
    let (kit, log) = (TestKit::new(), Log::default());
    let builder = || Host::builder().service("one", noted(&kit, &log, "one"));
    let host = kit.host(builder().on_starting(async || Err("not today".into())));
    assert_eq!(failures(kit.run(host.start()).await), ["on_starting failed as it was started: not today"]);
    assert!(log.take().is_empty());

    let host = kit.host(builder().on_started(async || panic!("no luck")));
    assert_eq!(failures(kit.run(host.start()).await), ["on_started panicked as it was started: no luck"]);
    assert_eq!(log.take()[1..], ["one is started", "stop one within 24s", "one is stopped"]);

    let env = kit.env();
    let hang = move || {
        let env = env.clone();
        async move { Act::Hang.act(&env).await }
    };
    let host = kit.start_host(builder().on_stopping(async || Err("no".into())).on_stopped(hang)).await;
    log.take();
    let failed = failures(kit.run(host.stop()).await);
    assert_eq!(failed[0], "on_stopping failed as it was stopped: no");
    assert!(failed[1].starts_with("on_stopped had not ended 25s after"), "{failed:?}");
    assert_eq!(log.take(), ["stop one within 24s", "one is stopped"]);
    kit.finish().await;
}

#[tokio::test]
async fn a_hook_that_hangs_leaves_the_services_their_last_second() {
    let (kit, log) = (TestKit::new(), Log::default());
    let env = kit.env();
    let hang = move || {
        let env = env.clone();
        async move { Act::Hang.act(&env).await }
    };
    let builder = Host::builder()
        .service("one", noted(&kit, &log, "one"))
        .background("two", Works { name: "two", log: log.clone() })
        .on_stopping(hang);
    let host = kit.start_host(builder).await;
    log.take();
    let begun = kit.now();
    let failed = failures(kit.run(host.stop()).await);
    assert_eq!(kit.now().since(begun), SECOND * 24);
    assert!(failed[0].starts_with("on_stopping had not ended 24s after it was told to stop"), "{failed:?}");
    assert_eq!(failed.len(), 1);
    let mut told = log.take();
    told.sort();
    assert_eq!(told, ["one is stopped", "stop one within 0ns", "two is told to stop"]);
    kit.finish().await;
}

#[tokio::test]
async fn a_service_of_two_functions_starts_and_stops() {
    let (kit, log) = (TestKit::new(), Log::default());
    let (starts, stops) = (log.clone(), log.clone());
    let builder = Host::builder().service_fn(
        "pool",
        move |stopping: Stopping| {
            starts.note(format!("connect {}", stopping.service()));
            async { Ok(()) }
        },
        move |limit: Duration| {
            stops.note(format!("close within {limit:?}"));
            async { Ok(()) }
        },
    );
    let host = kit.start_host(builder.stop_timeout(HOUR)).await;
    kit.run(host.stop()).await.expect("it stops well");
    assert_eq!(log.take(), ["connect pool", "close within 3599s"]);
    kit.finish().await;
}
