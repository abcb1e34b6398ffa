//! Refreshing values: when they are refreshed, who waits, and what an expired one answers.

#[path = "support/services.rs"]
mod services;

use std::sync::Arc;
use std::time::Duration;

use backgroundjobs_core::hosting::{Fresh, Host, RefreshError, Refresher, Refreshing, ServiceResult};
use backgroundjobs_core::{Env, RetryPolicy};
use backgroundjobs_testing::TestKit;
use parking_lot::Mutex;
use services::{HOUR, Log, SECOND};

/// What one refresh does.
#[derive(Clone, Copy)]
enum Answer {
    /// A value that lives so long.
    Lives(Duration),
    /// The same, after so long.
    Takes(Duration, Duration),
    Fails,
    Panics,
}

/// A refresher that numbers its values and does as the list says, and the last of it for ever.
fn refresher(kit: &TestKit, log: &Log, answers: &[Answer]) -> Refresher<u32> {
    let (log, env, answers) = (log.clone(), kit.env(), Arc::new(answers.to_vec()));
    let calls = Arc::new(Mutex::new(0_usize));
    let begun = kit.now();
    Refresher::new(move || {
        let (log, env, answers, calls) = (log.clone(), env.clone(), answers.clone(), calls.clone());
        async move { answer(&log, &env, begun, &answers, &calls).await }
    })
}

async fn answer(
    log: &Log,
    env: &Env,
    begun: backgroundjobs_core::Timestamp,
    answers: &[Answer],
    calls: &Mutex<usize>,
) -> ServiceResult<Fresh<u32>> {
    let call = {
        let mut calls = calls.lock();
        *calls += 1;
        *calls
    };
    log.note(format!("refresh {call} at {}", env.now().since(begun).as_secs_f64()));
    let number = u32::try_from(call)?;
    match answers[(call - 1).min(answers.len() - 1)] {
        Answer::Lives(lifetime) => Ok(Fresh::new(number, lifetime)),
        Answer::Takes(time, lifetime) => {
            env.sleep(time).await;
            Ok(Fresh::new(number, lifetime))
        }
        Answer::Fails => Err("no route".into()),
        Answer::Panics => panic!("fell over"),
    }
}

async fn started(kit: &TestKit, log: &Log, refresher: Refresher<u32>) -> (Host, Refreshing<u32>) {
    let value = refresher.value();
    let host = kit.start_host(Host::builder().background("token", refresher).on_report(log.reports())).await;
    (host, value)
}

#[tokio::test]
async fn a_value_is_refreshed_when_ninety_percent_of_its_lifetime_have_passed() {
    let (kit, log) = (TestKit::new(), Log::default());
    let (host, value) = started(&kit, &log, refresher(&kit, &log, &[Answer::Lives(HOUR)])).await;
    _ = kit.settle().await;
    assert_eq!(*value.current().expect("it is filled at the start"), 1);
    _ = kit.advance(SECOND * 3_239).await;
    assert_eq!(*value.get().await.expect("it is valid"), 1);
    _ = kit.advance(SECOND).await;
    assert_eq!(*value.get().await.expect("it is valid"), 2);
    _ = kit.advance(HOUR).await;
    assert_eq!(log.take(), ["refresh 1 at 0", "refresh 2 at 3240", "refresh 3 at 6480"]);
    let begun = kit.now();
    kit.run(host.stop()).await.expect("it stops well");
    assert_eq!(kit.now(), begun);
    kit.finish().await;
}

#[tokio::test]
async fn readers_wait_for_the_first_value_and_never_again() {
    let (kit, log) = (TestKit::new(), Log::default());
    let slow = Answer::Takes(SECOND * 20, HOUR);
    let (host, value) = started(&kit, &log, refresher(&kit, &log, &[Answer::Fails, slow])).await;
    _ = kit.settle().await;
    let not_yet = value.current().expect_err("its first refresh failed");
    assert_eq!(
        not_yet.to_string(),
        "the value is not there yet: its first refresh failed, and is tried again: no route"
    );
    let begun = kit.now();
    let (first, second) = kit.run(async { tokio::join!(value.get(), value.get()) }).await;
    assert_eq!((*first.expect("it came"), *second.expect("it came")), (2, 2));
    assert_eq!(kit.now().since(begun), SECOND * 21, "the wait after the failure, and the refresh");
    // The next refresh takes 20 s, too. Nobody waits for it: an answer outside of a verb can only be there at once.
    _ = kit.advance(SECOND * 3_230).await;
    assert_eq!(log.take().last().map(String::as_str), Some("refresh 3 at 3241"));
    assert_eq!(*value.get().await.expect("it is valid"), 2);
    _ = kit.advance(SECOND * 20).await;
    assert_eq!(*value.get().await.expect("it is valid"), 3);
    kit.run(host.stop()).await.expect("it stops well");
    kit.finish().await;
}

#[tokio::test]
async fn failures_are_retried_with_backoff_while_the_old_value_is_valid_and_an_expired_one_is_an_error() {
    let (kit, log) = (TestKit::new(), Log::default());
    let lives = Answer::Lives(SECOND * 100);
    let mut answers = vec![lives, Answer::Panics];
    answers.extend([Answer::Fails; 4]);
    answers.extend([lives, Answer::Fails, Answer::Fails, lives]);
    let policy = RetryPolicy::new().first(SECOND).cap(SECOND * 8);
    let (host, value) = started(&kit, &log, refresher(&kit, &log, &answers).retry(policy)).await;
    _ = kit.advance(SECOND * 98).await;
    assert_eq!(*value.current().expect("still the old one"), 1);
    let seen = [
        "refresh 1 at 0",
        "refresh 2 at 90",
        "token: refresh: it panicked: fell over",
        "refresh 3 at 91",
        "token: refresh: no route",
        "refresh 4 at 93",
        "token: refresh: no route",
        "refresh 5 at 97",
        "token: refresh: no route",
    ];
    assert_eq!(log.take(), seen);
    _ = kit.advance(SECOND * 2).await;
    let expired = value.get().await.expect_err("its time is over");
    assert_eq!(
        expired.to_string(),
        "the value has expired at 2030-01-01T00:01:40Z, and its last refresh failed: no route"
    );
    assert!(matches!(value.current(), Err(RefreshError::Expired { .. })));
    _ = kit.advance(SECOND * 13).await;
    assert_eq!(log.take(), ["refresh 6 at 105", "token: refresh: no route", "refresh 7 at 113"]);
    assert_eq!(*value.get().await.expect("there is a new one"), 7);
    _ = kit.advance(SECOND * 100).await;
    let again = [
        "refresh 8 at 203",
        "token: refresh: no route",
        "refresh 9 at 204",
        "token: refresh: no route",
        "refresh 10 at 206",
    ];
    assert_eq!(log.take(), again, "the waits begin anew");
    assert!(host.health().is_ready());
    kit.run(host.stop()).await.expect("it stops well");
    kit.finish().await;
}

#[tokio::test]
async fn a_refresh_that_hangs_is_dropped_and_one_that_brings_what_has_expired_has_failed() {
    let (kit, log) = (TestKit::new(), Log::default());
    let answers = [
        Answer::Takes(HOUR, HOUR),
        Answer::Lives(Duration::ZERO),
        Answer::Takes(SECOND * 9, SECOND * 9),
        Answer::Takes(SECOND * 9, SECOND * 19),
    ];
    let (host, value) = started(&kit, &log, refresher(&kit, &log, &answers).timeout(SECOND * 10)).await;
    _ = kit.advance(SECOND * 36).await;
    let seen = [
        "refresh 1 at 0",
        "token: refresh: it had not ended after 10s, and was dropped",
        "refresh 2 at 11",
        "token: refresh: what it brought, with a lifetime of 0ns, had expired when it came",
        "refresh 3 at 13",
        "token: refresh: what it brought, with a lifetime of 9s, had expired when it came",
        "refresh 4 at 26",
    ];
    assert_eq!(log.take(), seen);
    assert_eq!(*value.current().expect("a lifetime counts from the call"), 4);
    _ = kit.advance(SECOND * 9).await;
    assert!(value.current().is_err(), "so it ends 19 s after it");
    kit.run(host.stop()).await.expect("it stops well");
    kit.finish().await;
}

#[tokio::test]
async fn all_who_want_a_refresh_share_one_and_a_service_in_trouble_is_not_hurried() {
    let (kit, log) = (TestKit::new(), Log::default());
    let answers = [Answer::Lives(HOUR), Answer::Takes(SECOND, HOUR), Answer::Fails, Answer::Lives(HOUR)];
    let (host, value) = started(&kit, &log, refresher(&kit, &log, &answers)).await;
    let env = kit.env();
    let (one, two, three) = kit
        .run(async {
            tokio::join!(value.refresh(), value.refresh(), async {
                env.sleep(SECOND / 2).await;
                value.refresh().await
            })
        })
        .await;
    for each in [one, two, three] {
        assert_eq!(*each.expect("it was refreshed"), 2, "also who came while it was under way");
    }
    _ = kit.advance(SECOND * 10).await;
    assert_eq!(log.take(), ["refresh 1 at 0", "refresh 2 at 0"], "and no third one after it");

    let failed = kit.run(value.refresh()).await.expect_err("it fails");
    assert_eq!(failed.to_string(), "the value could not be refreshed: no route");
    assert!(matches!(value.refresh().await, Err(RefreshError::Failed { .. })), "answered at once");
    assert_eq!(*value.current().expect("the old one is valid"), 2);
    _ = kit.advance(SECOND).await;
    assert_eq!(log.take().last().map(String::as_str), Some("refresh 4 at 12"));
    assert_eq!(*value.current().expect("there is a new one"), 4);
    kit.run(host.stop()).await.expect("it stops well");
    kit.finish().await;
}

#[tokio::test]
async fn after_the_stop_a_value_lives_to_its_end_and_nobody_waits_for_another() {
    let (kit, log) = (TestKit::new(), Log::default());
    let (host, value) = started(&kit, &log, refresher(&kit, &log, &[Answer::Lives(HOUR)])).await;
    _ = kit.settle().await;
    kit.run(host.stop()).await.expect("it stops well");
    assert_eq!(*value.get().await.expect("it is valid"), 1);
    assert_eq!(value.refresh().await, Err(RefreshError::Stopped));
    _ = kit.advance(HOUR).await;
    assert_eq!(
        value.get().await.expect_err("its time is over").to_string(),
        "the value has expired at 2030-01-01T01:00:00Z"
    );

    let (host, value) = started(&kit, &log, refresher(&kit, &log, &[Answer::Takes(SECOND * 20, HOUR)])).await;
    let env = kit.env();
    let (got, refreshed, stopped) = kit
        .run(async {
            tokio::join!(value.get(), value.refresh(), async {
                env.sleep(SECOND).await;
                host.stop().await
            })
        })
        .await;
    stopped.expect("a refresh under way is dropped");
    assert_eq!((got, refreshed), (Err(RefreshError::Stopped), Err(RefreshError::Stopped)));
    let dropped = refresher(&kit, &log, &[Answer::Fails]).value();
    assert_eq!(
        dropped.get().await.expect_err("its refresher is gone").to_string(),
        "nobody refreshes the value: its service is not in a host, or has stopped"
    );
    kit.finish().await;
}

#[tokio::test]
async fn an_ordinary_error_stops_no_host() {
    let (kit, log) = (TestKit::new(), Log::default());
    let host = kit.host(Host::builder().background("token", refresher(&kit, &log, &[Answer::Fails])));
    let env = kit.env();
    kit.run(host.run(env.sleep(HOUR * 24))).await.expect("it is tried for a day");
    assert!(log.take().len() > 1_400, "every minute");
    kit.finish().await;
}
