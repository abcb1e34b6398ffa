//! A host run from start to end: until it is told to stop, told twice, or asked by one of its services.

#[path = "support/services.rs"]
mod services;

use std::future::{pending, ready};

use backgroundjobs_core::hosting::{
    Host, HostError, HostPhase, ServiceResult, ServiceState, Slept, Stopping,
};
use backgroundjobs_testing::TestKit;
use services::{Act, HOUR, Log, SECOND, Scripted, Works, failures, noted};

#[tokio::test]
async fn it_runs_until_the_shutdown_ends() {
    let (kit, log) = (TestKit::new(), Log::default());
    let host = kit.host(Host::builder().background("one", Works { name: "one", log: log.clone() }));
    let (begun, env) = (kit.now(), kit.env());
    kit.run(host.run(env.sleep(HOUR * 2))).await.expect("it ends well");
    assert_eq!(kit.now().since(begun), HOUR * 2);
    assert_eq!(log.take(), ["one works", "one is told to stop"]);
    kit.finish().await;
}

#[tokio::test]
async fn a_sleep_says_whether_it_was_cut_short() {
    let (kit, log) = (TestKit::new(), Log::default());
    let seen = log.clone();
    let host = kit.host(Host::builder().background_fn("one", move |stopping: Stopping| {
        let seen = seen.clone();
        async move {
            loop {
                let slept = stopping.sleep(SECOND * 1_000).await;
                seen.note(format!("{slept:?} at {}, deadline {:?}", stopping.now(), stopping.deadline()));
                if slept == Slept::Stopped {
                    assert_eq!(stopping.sleep(HOUR).await, Slept::Stopped, "it does not sleep any more");
                    assert!(stopping.is_stopping());
                    return Ok(());
                }
            }
        }
    }));
    let env = kit.env();
    kit.run(host.run(env.sleep(SECOND * 2_500))).await.expect("it ends well");
    let slept = [
        "Elapsed at 2030-01-01T00:16:40Z, deadline None",
        "Elapsed at 2030-01-01T00:33:20Z, deadline None",
        "Stopped at 2030-01-01T00:41:40Z, deadline Some(2030-01-01T00:42:04Z)",
    ];
    assert_eq!(log.take(), slept);
    kit.finish().await;
}

#[tokio::test]
async fn a_shutdown_during_the_start_ends_the_start() {
    let (kit, log) = (TestKit::new(), Log::default());
    let host = kit.host(
        Host::builder()
            .service("one", noted(&kit, &log, "one"))
            .service("two", noted(&kit, &log, "two").on_start(Act::Hang)),
    );
    let (begun, env) = (kit.now(), kit.env());
    kit.run(host.run(env.sleep(SECOND))).await.expect("it was told to stop, and did");
    assert_eq!(kit.now().since(begun), SECOND);
    let calls = ["start one", "one is started", "start two", "stop one within 24s", "one is stopped"];
    assert_eq!(log.take(), calls);
    assert_eq!(host.health().services[1].state, ServiceState::Stopped);
    kit.finish().await;
}

#[tokio::test]
async fn a_failed_start_is_what_run_returns() {
    let (kit, log) = (TestKit::new(), Log::default());
    let host = kit.host(
        Host::builder()
            .service("one", noted(&kit, &log, "one").on_stop(Act::Take(SECOND * 3)))
            .service("two", noted(&kit, &log, "two").on_start(Act::Fail("no route"))),
    );
    // The word comes while what was started is stopped again; the failure is not forgotten over it.
    let env = kit.env();
    let failed = failures(kit.run(host.run(env.sleep(SECOND))).await);
    assert_eq!(failed, ["two failed as it was started: no route"]);
    assert_eq!(log.take()[3..], ["stop one within 24s", "one is stopped"]);
    kit.finish().await;
}

#[tokio::test]
async fn the_second_word_ends_it_at_once_and_the_error_names_what_was_left() {
    let (kit, log) = (TestKit::new(), Log::default());
    let deaf = kit.env();
    let host = kit.host(
        Host::builder()
            .service("first", noted(&kit, &log, "first"))
            .background_fn("deaf", move |_: Stopping| {
                let env = deaf.clone();
                async move { Act::Hang.act(&env).await }
            })
            .service("slow", noted(&kit, &log, "slow").on_stop(Act::Hang))
            .background("polite", Works { name: "polite", log: log.clone() }),
    );
    let (begun, env, later) = (kit.now(), kit.env(), kit.env());
    let error = kit
        .run(host.run_until(env.sleep(HOUR), later.sleep(SECOND * 3)))
        .await
        .expect_err("it was interrupted");
    assert_eq!(kit.now().since(begun), HOUR + SECOND * 3, "the second word is listened to after the first");
    assert_eq!(
        error.to_string(),
        "the host was told to end at once, before these services had stopped: first, deaf, slow"
    );
    assert!(
        matches!(&error, HostError::Interrupted { left, failures } if left.len() == 3 && failures.is_empty())
    );
    assert_eq!(host.health().phase, HostPhase::Stopped);
    kit.run(host.stop()).await.expect("there is nothing more to do");
    kit.finish().await;
}

#[tokio::test]
async fn while_a_failure_stops_it_both_words_are_needed_to_end_it_at_once() {
    let (kit, log) = (TestKit::new(), Log::default());
    let builder = || {
        Host::builder()
            .service("slow", noted(&kit, &log, "slow").on_stop(Act::Take(SECOND * 10)))
            .background("faulty", Scripted::new([(SECOND, Act::Fail("no route"))]))
    };
    let (host, env) = (kit.host(builder()), kit.env());
    let failed = failures(kit.run(host.run_until(env.sleep(SECOND * 2), pending())).await);
    assert_eq!(failed, ["faulty failed while it ran: no route"], "the first word changes nothing");

    let (host, begun, later) = (kit.host(builder()), kit.now(), kit.env());
    let error = kit
        .run(host.run_until(env.sleep(SECOND * 2), later.sleep(SECOND)))
        .await
        .expect_err("it was interrupted");
    assert_eq!(kit.now().since(begun), SECOND * 3, "a second after the first word");
    assert_eq!(
        error.to_string(),
        "the host was told to end at once, before these services had stopped: slow\n  - faulty failed while it ran: \
         no route"
    );
    kit.finish().await;
}

#[tokio::test]
async fn both_words_at_once_end_it_at_once() {
    let (kit, log) = (TestKit::new(), Log::default());
    let host = kit.host(Host::builder().service("slow", noted(&kit, &log, "slow").on_stop(Act::Hang)));
    let begun = kit.now();
    let error = kit.run(host.run_until(ready(()), ready(()))).await.expect_err("it was interrupted");
    assert!(matches!(error, HostError::Interrupted { left, .. } if left == ["slow"]));
    assert_eq!(kit.now(), begun);
    kit.finish().await;
}

#[tokio::test]
async fn nothing_is_started_any_more_once_a_service_has_asked_the_host_to_stop() {
    let (kit, log) = (TestKit::new(), Log::default());
    let asks = async |stopping: Stopping| {
        stopping.stop_host();
        Ok(())
    };
    let hosted = log.clone();
    let hosted = move |_: Stopping| {
        hosted.note("it was started");
        std::future::ready(Ok(()))
    };
    let builder = || Host::builder().service_fn("asks", asks, async |_| Ok(()));
    for builder in [
        builder().background("after it", Works { name: "after it", log: log.clone() }),
        builder().service_fn("after it", hosted, async |_| Ok(())),
        builder(),
    ] {
        let host = kit.host(builder);
        assert!(matches!(kit.run(host.start()).await, Err(HostError::Stopped)));
        assert!(log.take().is_empty());
        assert_eq!(host.health().services[0].state, ServiceState::Stopped);
    }
    kit.finish().await;
}

#[tokio::test]
async fn a_service_or_the_program_may_ask_the_host_to_stop() {
    let (kit, log) = (TestKit::new(), Log::default());
    async fn ten_seconds(stopping: Stopping) -> ServiceResult {
        _ = stopping.sleep(SECOND * 10).await;
        stopping.stop_host();
        stopping.cancelled().await;
        Ok(())
    }
    let host = kit.host(
        Host::builder()
            .background_fn("done", ten_seconds)
            .background("one", Works { name: "one", log: log.clone() }),
    );
    let begun = kit.now();
    kit.run(host.run(pending())).await.expect("its work is done");
    assert_eq!(kit.now().since(begun), SECOND * 10);
    assert_eq!(log.take(), ["one works", "one is told to stop"]);

    let host = kit.host(Host::builder().background("one", Works { name: "one", log: log.clone() }));
    let env = kit.env();
    let (ran, ()) = kit
        .run(async {
            tokio::join!(host.run(pending()), async {
                env.sleep(SECOND).await;
                host.request_stop();
            })
        })
        .await;
    ran.expect("it was asked to");

    // Before everything has started, too: that is no failed start.
    async fn at_once(stopping: Stopping) -> ServiceResult {
        stopping.stop_host();
        stopping.cancelled().await;
        Ok(())
    }
    let host = kit.host(
        Host::builder()
            .background_fn("done", at_once)
            .service("slow", noted(&kit, &log, "slow").on_start(Act::Hang)),
    );
    kit.run(host.run(pending())).await.expect("its work is done");
    kit.finish().await;
}
