//! A host that is built or called wrongly, and services that do what they should not.

#[path = "support/services.rs"]
mod services;

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use backgroundjobs_core::hosting::{
    Host, HostError, HostPhase, Missed, OnFailure, Refresher, ServiceState, Stopping, TaskQueue, Tick,
    TimedService, WhenFull,
};
use backgroundjobs_testing::TestKit;
use services::{Act, HOUR, Log, SECOND, Scripted, Works, failures, noted};

#[test]
fn every_mistake_is_told_at_once_with_what_to_write() {
    assert_eq!(
        Host::builder().build().expect_err("it is empty").to_string(),
        "the host cannot be built: there is no service: call .background(name, service) or .service(name, service)"
    );
    let (kit, log) = (TestKit::new(), Log::default());
    let timer = || TimedService::every(Duration::ZERO).missed(Missed::Skip).run_fn(async |_: Tick| Ok(()));
    let error = Host::builder()
        .may_end()
        .service("one", noted(&kit, &log, "one"))
        .on_failure(OnFailure::Ignore)
        .background("one", Works { name: "one", log: log.clone() })
        .background(" ", timer())
        .background("queue", TaskQueue::new(0, WhenFull::Wait).workers(1))
        .background("other queue", TaskQueue::new(1, WhenFull::Wait).workers(0))
        .background("token", Refresher::<u8>::new(async || Err("no".into())).timeout(Duration::ZERO))
        .build()
        .expect_err("nothing of it is right");
    let told: Vec<String> = error.problems().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            ".may_end(..) is about the service added last, and none was added before it",
            ".on_failure(..) is about services that work in the background, and \"one\" only starts and stops: a start \
             that fails always ends the start of the host",
            "two services are called \"one\": give each a name of its own",
            "\" \" cannot be the name of a service: the name is blank",
            "the settings of \" \" are wrong: its period is zero: let it tick every(Duration::from_secs(1)), or \
             whatever it shall be",
            "the settings of \"queue\" are wrong: its queue has a capacity of 0 and would take no task: give it 1 at \
             least",
            "the settings of \"other queue\" are wrong: its queue has no worker: call queue.workers(1), or more",
            "the settings of \"token\" are wrong: its timeout is zero, and no refresh could end in it: give it some \
             seconds",
        ]
    );
    assert!(error.to_string().starts_with("the host cannot be built, for 8 reasons:\n  - "), "{error}");
    kit.abandon();
}

#[tokio::test]
async fn a_host_is_started_once() {
    let (kit, log) = (TestKit::new(), Log::default());
    let host = kit.start_host(Host::builder().service("one", noted(&kit, &log, "one"))).await;
    let error = kit.run(host.start()).await.expect_err("it is started");
    assert_eq!(error.to_string(), "this host was started before: call start() or run() once");
    assert!(matches!(kit.run(host.run(async {})).await, Err(HostError::Twice)));
    assert_eq!(host.health().phase, HostPhase::Running, "and it runs on");
    kit.run(host.stop()).await.expect("it stops well");
    assert_eq!(log.take().len(), 4, "one start, one stop");
    kit.finish().await;
}

#[test]
fn outside_a_runtime_it_does_not_start() {
    let (kit, log) = (TestKit::new(), Log::default());
    let host = Host::builder().service("one", noted(&kit, &log, "one")).build().expect("it is built");
    let mut start = pin!(host.start());
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(matches!(start.as_mut().poll(&mut cx), Poll::Ready(Err(HostError::NoRuntime))));
    assert_eq!(host.health().phase, HostPhase::Built);
    kit.abandon();
}

#[tokio::test]
async fn a_stop_before_the_start_is_harmless_and_keeps_it_from_starting() {
    let (kit, log) = (TestKit::new(), Log::default());
    let host = kit.host(Host::builder().service("one", noted(&kit, &log, "one")));
    kit.run(host.stop()).await.expect("there is nothing to stop");
    kit.run(host.stop()).await.expect("nor now");
    let error = kit.run(host.start()).await.expect_err("it was stopped");
    assert_eq!(error.to_string(), "this host was stopped and cannot be started: build a new one");
    assert!(log.take().is_empty());
    kit.finish().await;
}

#[tokio::test]
async fn a_stop_during_the_start_wins_and_stops_what_was_started() {
    let (kit, log) = (TestKit::new(), Log::default());
    let host = kit.host(
        Host::builder()
            .service("one", noted(&kit, &log, "one").on_stop(Act::Take(SECOND)))
            .background("two", Works { name: "two", log: log.clone() })
            .service("three", noted(&kit, &log, "three").on_start(Act::Hang))
            .service("four", noted(&kit, &log, "four")),
    );
    let env = kit.env();
    let (started, stopped) = kit
        .run(async {
            tokio::join!(host.start(), async {
                env.sleep(SECOND * 5).await;
                host.stop().await
            })
        })
        .await;
    assert!(matches!(started, Err(HostError::Stopped)), "{started:?}");
    stopped.expect("it stops well");
    let calls = [
        "start one",
        "one is started",
        "start three",
        "two works",
        "two is told to stop",
        "stop one within 24s",
        "one is stopped",
    ];
    assert_eq!(log.take(), calls, "three was dropped where it waited");
    assert!(host.health().services[..3].iter().all(|service| service.state == ServiceState::Stopped));
    kit.finish().await;
}

#[tokio::test]
async fn a_start_that_is_dropped_leaves_what_it_started_to_the_stop() {
    let (kit, log) = (TestKit::new(), Log::default());
    let host = kit.host(
        Host::builder()
            .service("one", noted(&kit, &log, "one"))
            .service("two", noted(&kit, &log, "two").on_start(Act::Hang)),
    );
    let env = kit.env();
    kit.run(async {
        tokio::select! {
            biased;
            _ = host.start() => panic!("it hangs"),
            () = env.sleep(SECOND) => {}
        }
    })
    .await;
    assert!(matches!(kit.run(host.start()).await, Err(HostError::Twice)));
    let begun = kit.now();
    kit.run(host.stop()).await.expect("it stops well");
    assert_eq!(kit.now(), begun);
    assert_eq!(log.take()[3..], ["stop one within 24s", "one is stopped"]);
    kit.finish().await;
}

#[tokio::test]
async fn every_call_of_stop_answers_the_one_stop_and_one_that_was_dropped_goes_on() {
    let (kit, log) = (TestKit::new(), Log::default());
    let builder = Host::builder()
        .service("one", noted(&kit, &log, "one").on_stop(Act::Fail("disk full")))
        .service("two", noted(&kit, &log, "two").on_stop(Act::Take(SECOND * 2)))
        .service("three", noted(&kit, &log, "three"));
    let host = kit.start_host(builder).await;
    log.take();
    let env = kit.env();
    kit.run(async {
        tokio::select! {
            biased;
            _ = host.stop() => panic!("it takes two seconds"),
            () = env.sleep(SECOND) => {}
        }
    })
    .await;
    assert_eq!(log.take(), ["stop three within 24s", "three is stopped", "stop two within 24s"]);
    let (first, second) = kit.run(async { tokio::join!(host.stop(), host.stop()) }).await;
    assert_eq!(failures(first), ["one failed as it was stopped: disk full"]);
    assert_eq!(failures(second), ["one failed as it was stopped: disk full"]);
    assert_eq!(log.take(), ["stop two within 24s", "two is stopped", "stop one within 22s"]);
    assert_eq!(failures(kit.run(host.stop()).await).len(), 1);
    assert!(log.take().is_empty());
    kit.finish().await;
}

#[tokio::test]
async fn a_service_that_ignores_its_token_is_dropped_with_the_deadline_and_named() {
    let (kit, log) = (TestKit::new(), Log::default());
    let env = kit.env();
    let builder = Host::builder()
        .background("polite", Works { name: "polite", log: log.clone() })
        .background_fn("deaf", move |_: Stopping| {
            let env = env.clone();
            async move { Act::Hang.act(&env).await }
        });
    let host = kit.start_host(builder).await;
    log.take();
    let begun = kit.now();
    let failed = failures(kit.run(host.stop()).await);
    assert_eq!(kit.now().since(begun), SECOND * 25);
    assert_eq!(failed.len(), 1);
    assert!(
        failed[0].starts_with("deaf had not ended 25s after it was told to stop, and was dropped"),
        "{failed:?}"
    );
    assert_eq!(log.take(), ["polite is told to stop"]);
    kit.finish().await;
}

#[tokio::test]
async fn a_service_that_panics_before_its_first_await_does_not_take_the_start_with_it() {
    let (kit, log) = (TestKit::new(), Log::default());
    let builder = Host::builder()
        .background("hasty", Scripted::always(Act::Panic("no settings")))
        .service("next", noted(&kit, &log, "next").on_start(Act::Take(HOUR)));
    let host = kit.host(builder);
    let failed = failures(kit.run(host.start()).await);
    assert_eq!(failed, ["hasty panicked while it ran: no settings"]);
    assert_eq!(log.take(), ["start next"], "the start does not go on");

    let host = kit.host(Host::builder().background_fn("not even a future", |_: Stopping| {
        if true {
            panic!("no future");
        }
        std::future::ready(Ok(()))
    }));
    let failed = failures(kit.run(host.run(std::future::pending())).await);
    assert_eq!(failed, ["not even a future panicked while it ran: no future"]);
    kit.finish().await;
}

#[tokio::test]
async fn a_host_that_is_dropped_tells_its_services_to_stop() {
    let (kit, log) = (TestKit::new(), Log::default());
    let host =
        kit.start_host(Host::builder().background("one", Works { name: "one", log: log.clone() })).await;
    drop(host);
    _ = kit.settle().await;
    assert_eq!(log.take(), ["one works", "one is told to stop"]);
    kit.finish().await;
}
