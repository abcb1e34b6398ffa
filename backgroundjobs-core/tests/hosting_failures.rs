//! Background services that fail, and what follows: the host stops, they are started again, or it is ignored.

#[path = "support/services.rs"]
mod services;

use std::future::pending;
use std::time::Duration;

use backgroundjobs_core::Timestamp;
use backgroundjobs_core::hosting::{
    Host, HostError, HostPhase, OnFailure, RestartPolicy, ServiceHealth, ServiceResult, ServiceState,
    Stopping,
};
use backgroundjobs_testing::TestKit;
use services::{Act, Log, SECOND, Scripted, Works, failures, noted};

fn health(host: &Host, name: &str) -> ServiceHealth {
    host.health().service(name).expect("there is such a service").clone()
}

#[tokio::test]
async fn a_service_that_fails_panics_or_returns_stops_the_host_and_run_returns_the_error() {
    for (act, text) in [
        (Act::Fail("no route"), "faulty failed while it ran: no route"),
        (Act::Panic("fell over"), "faulty panicked while it ran: fell over"),
        (
            Act::Well,
            "faulty returned although nobody told it to stop: let it wait for stopping.cancelled(), or say \
             .may_end() of it",
        ),
    ] {
        let (kit, log) = (TestKit::new(), Log::default());
        let host = kit.host(
            Host::builder()
                .service("before", noted(&kit, &log, "before"))
                .background("faulty", Scripted::new([(SECOND * 7, act)]))
                .background("after", Works { name: "after", log: log.clone() }),
        );
        let begun = kit.now();
        let failed = failures(kit.run(host.run(pending())).await);
        assert_eq!(failed, [text]);
        assert_eq!(kit.now().since(begun), SECOND * 7);
        let calls = [
            "start before",
            "before is started",
            "after works",
            "after is told to stop",
            "stop before within 24s",
            "before is stopped",
        ];
        assert_eq!(log.take(), calls);
        let faulty = health(&host, "faulty");
        assert_eq!((faulty.state, faulty.since), (ServiceState::Failed, begun + SECOND * 7));
        assert_eq!(faulty.why.expect("a reason").as_str(), text);
        assert_eq!(host.health().phase, HostPhase::Stopped);
        kit.finish().await;
    }
}

#[tokio::test]
async fn a_host_that_is_started_by_hand_says_that_it_shall_stop() {
    let kit = TestKit::new();
    let builder = Host::builder().background("faulty", Scripted::new([(SECOND, Act::Fail("no route"))]));
    let host = kit.start_host(builder).await;
    assert!(host.health().is_ready() && host.health().is_live());
    let begun = kit.now();
    kit.run(host.stop_requested()).await;
    assert_eq!(kit.now().since(begun), SECOND);
    assert_eq!(host.health().phase, HostPhase::Running, "nobody has stopped it yet");
    assert!(!host.health().is_ready() && !host.health().is_live());
    assert_eq!(failures(kit.run(host.stop()).await), ["faulty failed while it ran: no route"]);
    kit.finish().await;
}

#[tokio::test]
async fn a_service_is_started_again_after_waits_that_grow() {
    let (kit, log) = (TestKit::new(), Log::default());
    let seen = log.clone();
    let builder = Host::builder()
        .background_fn("faulty", move |stopping: Stopping| {
            seen.note(format!("{}", stopping.now()));
            async { Err("no route".into()) }
        })
        .on_failure(OnFailure::Restart(RestartPolicy::new().limit(3).cap(SECOND * 3)));
    let host = kit.host(builder.on_report(log.reports()));
    let failed = failures(kit.run(host.run(pending())).await);
    assert_eq!(failed, ["faulty failed while it ran: no route"]);
    let report = |number: u32, wait: &str| {
        format!(
            "faulty: execute: faulty failed while it ran: no route; restart {number} in a row comes in {wait}"
        )
    };
    let expected = [
        "2030-01-01T00:00:00Z".to_owned(),
        report(1, "1s"),
        "2030-01-01T00:00:01Z".to_owned(),
        report(2, "2s"),
        "2030-01-01T00:00:03Z".to_owned(),
        report(3, "3s"),
        "2030-01-01T00:00:06Z".to_owned(),
    ];
    assert_eq!(log.take(), expected, "1 s, 2 s, the cap, and then the limit");
    assert_eq!((health(&host, "faulty").restarts, health(&host, "faulty").reports), (3, 3));
    kit.finish().await;
}

#[tokio::test]
async fn a_service_that_waits_to_be_started_again_is_seen_and_the_host_is_not_ready_meanwhile() {
    let kit = TestKit::new();
    let builder = Host::builder()
        .background("faulty", Scripted::new([(SECOND, Act::Fail("no route"))]))
        .on_failure(OnFailure::Restart(RestartPolicy::new().first(SECOND * 10)));
    let host = kit.start_host(builder).await;
    let begun = kit.now();
    _ = kit.advance(SECOND * 5).await;
    let seen = health(&host, "faulty");
    assert_eq!((seen.state, seen.since, seen.restarts), (ServiceState::Restarting, begun + SECOND, 1));
    assert_eq!(
        seen.to_string(),
        "faulty is restarting since 2030-01-01T00:00:01Z: faulty failed while it ran: no route"
    );
    assert!(!host.health().is_ready() && host.health().is_live());
    _ = kit.advance(SECOND * 10).await;
    let seen = health(&host, "faulty");
    assert_eq!((seen.state, seen.since), (ServiceState::Running, begun + SECOND * 11));
    assert_eq!(seen.why.expect("it is kept").as_str(), "faulty failed while it ran: no route");
    assert!(host.health().is_ready());
    kit.run(host.stop()).await.expect("it stops well");
    kit.finish().await;
}

#[tokio::test]
async fn a_stop_does_not_wait_for_the_restart() {
    let kit = TestKit::new();
    let builder = Host::builder()
        .background("faulty", Scripted::always(Act::Panic("fell over")))
        .on_failure(OnFailure::Restart(RestartPolicy::new().first(SECOND * 60)));
    let host = kit.start_host(builder).await;
    _ = kit.settle().await;
    assert_eq!(health(&host, "faulty").state, ServiceState::Restarting);
    let begun = kit.now();
    kit.run(host.stop()).await.expect("what it failed with is mended by a restart");
    assert_eq!((kit.now(), health(&host, "faulty").state), (begun, ServiceState::Stopped));
    kit.finish().await;
}

#[tokio::test]
async fn restarts_are_counted_anew_after_a_run_that_was_steady() {
    let kit = TestKit::new();
    let minute = SECOND * 60;
    let runs = [SECOND, SECOND, minute * 5, SECOND, SECOND].map(|time| (time, Act::Fail("no route")));
    let builder = Host::builder()
        .background("faulty", Scripted::new(runs))
        .on_failure(OnFailure::Restart(RestartPolicy::new().limit(2)));
    let host = kit.host(builder);
    let begun = kit.now();
    assert_eq!(failures(kit.run(host.run(pending())).await).len(), 1);
    assert_eq!(health(&host, "faulty").restarts, 4, "two, and after five minutes two more");
    let runs: Duration = SECOND * 4 + minute * 5;
    assert_eq!(kit.now().since(begun), runs + SECOND * (1 + 2) * 2);
    kit.finish().await;
}

#[tokio::test]
async fn a_service_whose_failure_is_ignored_is_reported_and_the_rest_goes_on() {
    let (kit, log) = (TestKit::new(), Log::default());
    let builder = Host::builder()
        .background("faulty", Scripted::new([(SECOND, Act::Panic("fell over"))]))
        .on_failure(OnFailure::Ignore)
        .background("other", Works { name: "other", log: log.clone() });
    let host = kit.start_host(builder.on_report(log.reports())).await;
    _ = kit.advance(SECOND * 10).await;
    assert_eq!(log.take(), ["other works", "faulty: execute: faulty panicked while it ran: fell over"]);
    assert_eq!(health(&host, "faulty").state, ServiceState::Failed);
    assert!(host.health().is_ready() && host.health().is_live());
    kit.run(host.stop()).await.expect("it is ignored to the end");
    assert_eq!(log.take(), ["other is told to stop"]);
    kit.finish().await;
}

#[tokio::test]
async fn a_service_that_may_end_does_so_without_harm_and_may_not_fail() {
    let kit = TestKit::new();
    let ends = |act| Host::builder().background("warm-up", Scripted::new([(SECOND, act)])).may_end();
    let host = kit.start_host(ends(Act::Well)).await;
    _ = kit.advance(SECOND).await;
    assert_eq!(health(&host, "warm-up").state, ServiceState::Ended);
    assert!(host.health().is_ready());
    kit.run(host.stop()).await.expect("it has ended well");
    assert_eq!(health(&host, "warm-up").state, ServiceState::Ended, "that is how it ended");

    let host = kit.host(ends(Act::Fail("no route")));
    assert_eq!(failures(kit.run(host.run(pending())).await), ["warm-up failed while it ran: no route"]);
    kit.finish().await;
}

#[tokio::test]
async fn an_error_or_a_panic_on_the_way_out_is_a_failed_stop() {
    let kit = TestKit::new();
    async fn fails_late(stopping: Stopping) -> ServiceResult {
        stopping.cancelled().await;
        Err("could not flush".into())
    }
    async fn falls_late(stopping: Stopping) -> ServiceResult {
        stopping.cancelled().await;
        panic!("fell over at last")
    }
    let builder = Host::builder().background_fn("writer", fails_late).background_fn("reader", falls_late);
    let host = kit.start_host(builder).await;
    let failed = failures(kit.run(host.stop()).await);
    assert_eq!(
        failed,
        [
            "reader panicked as it was stopped: fell over at last",
            "writer failed as it was stopped: could not flush"
        ]
    );
    assert_eq!(health(&host, "writer").state, ServiceState::Failed);
    kit.finish().await;
}

#[tokio::test]
async fn what_a_service_reports_is_heard_and_counted() {
    let (kit, log) = (TestKit::new(), Log::default());
    async fn reports(stopping: Stopping) -> ServiceResult {
        let error = "x".parse::<u32>().expect_err("no number");
        while stopping.sleep(SECOND).await.has_elapsed() {
            stopping.report("line", &error);
        }
        Ok(())
    }
    let host =
        kit.start_host(Host::builder().background_fn("reader", reports).on_report(log.reports())).await;
    _ = kit.advance(SECOND * 2).await;
    assert_eq!(log.take(), ["reader: line: invalid digit found in string"; 2]);
    let seen = health(&host, "reader");
    assert_eq!((seen.reports, seen.state), (2, ServiceState::Running));
    let last = seen.last_report.expect("the second");
    assert_eq!(
        (last.at, last.what.as_str()),
        ("2030-01-01T00:00:02Z".parse::<Timestamp>().expect("an instant"), "line")
    );
    kit.run(host.stop()).await.expect("it stops well");
    kit.finish().await;
}

#[tokio::test]
async fn an_error_keeps_its_source_and_reads_well_where_main_returns_it() {
    let kit = TestKit::new();
    #[derive(Debug, thiserror::Error)]
    #[error("the cache could not be read")]
    struct Unread(#[source] std::io::Error);
    async fn fails(_: Stopping) -> ServiceResult {
        Err(Unread(std::io::Error::other("disk on fire")))?
    }
    let host = kit.host(Host::builder().background_fn("cache", fails));
    let error = kit.run(host.run(pending())).await.expect_err("it fails");
    assert!(matches!(&error, HostError::Failed { failures } if failures.len() == 1));
    assert_eq!(
        format!("{error:?}"),
        "the host has failed: cache failed while it ran: the cache could not be read: disk on fire"
    );
    kit.finish().await;
}
