//! Bugs that were found and mended: each of these tests failed before.

mod support;

use std::sync::Arc;
use std::time::Duration;

use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{
    BoxFuture, CancelStatus, Clock, Env, JobExecutor, JobRun, JobState, JobStore, Options, RecoverJobs,
    StoreOperation, Timestamp,
};
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::{TestKit, VirtualClock};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use support::scene::{Log, SECOND, Script, handler, log_of_starts, no_trouble, scene, work};
use support::{Trouble, TroubledStore};

#[tokio::test]
async fn an_error_that_panics_when_it_is_written_fails_the_attempt_and_not_the_slot() {
    let scene = scene(no_trouble, |options| options).await;
    let id = scene.enqueue(work("unspeakable", 0)).await;
    let _ = scene.enqueue(work("next", 0)).await;
    let report = scene.kit.settle().await;
    assert_eq!((report.retried, report.succeeded), (1, 1));
    let text = scene.record(id).await.failures[0].failure.text.to_string();
    assert_eq!(text, "the handler panicked: no words");
    scene.kit.finish().await;
}

/// Panics before there is a future, which the macro for async traits would never do.
struct Eager(Arc<dyn JobExecutor>);

impl JobExecutor for Eager {
    fn execute<'a, 'b>(&'a self, run: JobRun) -> BoxFuture<'b, JobResult>
    where
        'a: 'b,
        Self: 'b,
    {
        assert!(run.context.attempt() > 1, "too eager");
        self.0.execute(run)
    }
}

#[tokio::test]
async fn an_executor_that_panics_at_once_fails_the_attempt_and_not_the_slot() {
    let scene = scene(no_trouble, |options| options.wrap_executor(Eager)).await;
    let _ = scene.enqueue(work("a", 0)).await;
    assert_eq!(scene.kit.settle().await.retried, 1);
    assert_eq!(scene.kit.advance(SECOND * 60).await.succeeded, 1);
    scene.kit.finish().await;
}

#[test]
fn an_endless_wait_can_be_spread_without_a_panic() {
    let policy = RetryPolicy::new().first(Duration::MAX).cap(Duration::MAX).jitter(1.0);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    for seed in 0..20 {
        runtime.block_on(async {
            let kit = TestKit::builder().seed(seed).jitter(true).build();
            let builder = BackgroundJobs::builder(|options| options.use_in_memory().queue("default", 1))
                .register_fn_with(Log::default(), handler)
                .retry(policy);
            let jobs = kit.start(builder).await;
            let _ = jobs.manager().enqueue(work("unspeakable", 0)).await.expect("enqueued");
            let _ = jobs.manager().enqueue(work("next", 0)).await.expect("enqueued");
            let report = kit.settle().await;
            assert_eq!((report.retried, report.succeeded), (1, 1), "seed {seed}");
            kit.finish().await;
        });
    }
}

#[tokio::test]
async fn a_store_that_panics_once_does_not_deafen_the_worker() {
    for operation in [StoreOperation::Claim, StoreOperation::Settle, StoreOperation::Prune] {
        let panics = move |_| -> Script {
            Box::new(move |at, count, _| (at == operation && count == 1).then_some(Trouble::Panic))
        };
        let scene = scene(panics, |options| options).await;
        for name in ["a", "b", "c"] {
            let _ = scene.enqueue(work(name, 0)).await;
        }
        let report = scene.kit.advance(SECOND).await;
        assert_eq!((report.succeeded, report.store_errors), (3, 1), "{operation}");
        scene.kit.finish().await;
    }
}

#[tokio::test]
async fn a_worker_that_was_asleep_does_not_take_its_own_jobs_back() {
    let lease = |options: Options| options.lease(SECOND * 5 / 2, SECOND);
    let scene = scene(no_trouble, lease).await;
    let id = scene.enqueue(work("long", 7_200)).await;
    let _ = scene.kit.advance(Duration::from_millis(2_100)).await;
    // An hour passes in which nobody gets a turn; then everything is late at once.
    let clock = scene.kit.scheduler().clock();
    clock.set(scene.kit.now() + SECOND * 3_600);
    let report = scene.kit.settle().await;
    assert_eq!((report.recovered, report.lost), (0, 0));
    assert_eq!(scene.kit.advance(SECOND * 3_700).await.succeeded, 1);
    assert_eq!(scene.record(id).await.generation, 1);
    assert_eq!(scene.log(), ["start long", "end long"]);
    scene.kit.finish().await;
}

#[tokio::test]
async fn leases_of_a_claim_that_was_answered_late_are_renewed_at_once() {
    let late = |_| -> Script {
        Box::new(|at, count, _| {
            (at == StoreOperation::Claim && (2..7).contains(&count)).then_some(Trouble::LostReply)
        })
    };
    let scene = scene(late, |options| options.lease(SECOND * 4, SECOND * 2)).await;
    let _ = scene.kit.settle().await;
    let id = scene.enqueue(work("long", 30)).await;
    let report = scene.kit.advance(SECOND * 60).await;
    assert_eq!((report.succeeded, report.recovered, report.store_errors), (1, 0, 5));
    assert_eq!(scene.record(id).await.generation, 1);
    assert_eq!(scene.log(), ["start long", "end long"]);
    scene.kit.finish().await;
}

#[tokio::test]
async fn a_run_displaced_by_a_newer_claim_of_its_job_is_dropped_after_the_grace() {
    let deaf_to_renews =
        |_| -> Script { Box::new(|at, _, _| (at == StoreOperation::Renew).then_some(Trouble::Error)) };
    let (kit, store, log) = (TestKit::new(), MemoryStore::new(), Log::default());
    let troubled = TroubledStore::new(store.clone(), deaf_to_renews(kit.env()));
    let builder = BackgroundJobs::builder(|options| options.use_store(troubled).queue("default", 2))
        .register_fn_with(log.clone(), handler);
    let jobs = kit.start(builder).await;
    let _ = jobs.manager().enqueue(work("deaf", 0)).await.expect("enqueued");
    let _ = kit.advance(SECOND * 31).await;
    let recover = RecoverJobs::new(kit.now(), 9, SECOND * 30);
    assert_eq!(store.recover(&recover).await.expect("answers").jobs.len(), 1);
    let _ = kit.advance(SECOND * 30).await;
    // Any job makes the worker look, and find its own job again.
    let _ = jobs.manager().enqueue(work("other", 0)).await.expect("enqueued");
    let _ = kit.settle().await;
    assert_eq!(*log.lock(), ["start deaf", "start deaf"], "the old run is told, and has its grace");
    let report = kit.advance(SECOND * 5).await;
    assert_eq!(report.lost, 1);
    assert_eq!(log.lock()[2], "end deaf", "the old run is gone; its slot has taken the other job");
    assert_eq!(report.succeeded, 1);
    kit.finish().await;
}

#[tokio::test]
async fn an_outcome_that_is_refused_for_a_while_is_not_turned_into_a_failure() {
    let refuses = |_| -> Script {
        Box::new(|at, count, _| (at == StoreOperation::Settle && count < 4).then_some(Trouble::Refused))
    };
    let scene = scene(refuses, |options| options).await;
    let (good, snoozes) = (scene.enqueue(work("good", 0)).await, scene.enqueue(work("snooze", 0)).await);
    let report = scene.kit.advance(SECOND * 30).await;
    assert_eq!((report.succeeded, report.snoozed, report.failed, report.lost), (2, 1, 0, 0));
    assert_eq!(scene.record(good).await.state, JobState::Succeeded);
    assert_eq!(scene.record(snoozes).await.state, JobState::Succeeded);
    scene.kit.finish().await;
}

#[tokio::test]
async fn nothing_is_claimed_for_a_slot_that_is_settling() {
    let down = |_| -> Script {
        Box::new(|at, count, _| (at == StoreOperation::Settle && count < 10).then_some(Trouble::Error))
    };
    let scene = scene(down, |options| options.queue("other", 1).read_ahead(Duration::ZERO)).await;
    let first = scene.enqueue(work("first", 0)).await;
    let _ = scene.kit.settle().await;
    let second = scene.enqueue(work("second", 0)).await;
    let options = EnqueueOptions::new().queue("other");
    let _ = scene.jobs.manager().enqueue_with(work("third", 0), options).await.expect("enqueued");
    let _ = scene.kit.settle().await;
    assert_eq!(scene.log(), ["start first", "end first", "start third", "end third"]);
    assert_eq!(scene.record(first).await.state, JobState::Running, "the store was not told");
    assert_eq!(scene.record(second).await.state, JobState::Waiting, "its slot has no time for it");
    let _ = scene.kit.advance(SECOND * 60).await;
    assert_eq!((scene.jobs.stats().succeeded, scene.jobs.stats().released), (3, 0));
    scene.kit.finish().await;
}

#[tokio::test]
async fn a_cancel_between_the_stores_claim_and_its_answer_reaches_the_job() {
    let slow = |env: Env| -> Script {
        Box::new(move |at, count, _| {
            (at == StoreOperation::Claim && count > 1).then(|| Trouble::SlowReply(env.clone(), SECOND))
        })
    };
    let scene = scene(slow, |options| options).await;
    let _ = scene.kit.settle().await;
    let id = scene.enqueue(work("long", 60)).await;
    let _ = scene.kit.settle().await;
    let status = scene.jobs.manager().cancel(id).await.expect("answers");
    assert_eq!(status, CancelStatus::Requested, "the store has handed it out");
    let report = scene.kit.advance(SECOND).await;
    assert_eq!((report.cancelled, scene.log().len()), (1, 0), "it never started");
    assert_eq!(scene.record(id).await.state, JobState::Cancelled);
    scene.kit.finish().await;
}

#[tokio::test]
async fn a_handler_that_answers_its_timeout_with_a_snooze_has_failed() {
    let (kit, log) = (TestKit::new(), Log::default());
    let builder = BackgroundJobs::builder(|options| options.use_in_memory())
        .register_fn_with(log, handler)
        .timeout(SECOND)
        .retry(RetryPolicy::new().max_attempts(2));
    let jobs = kit.start(builder).await;
    let _ = jobs.manager().enqueue(work("late", 0)).await.expect("enqueued");
    let report = kit.advance(SECOND * 600).await;
    assert_eq!((report.snoozed, report.retried, report.failed), (0, 1, 1));
    kit.finish().await;
}

#[tokio::test]
async fn a_registrations_policy_leaves_the_attempts_of_the_args_type_alone() {
    #[derive(Serialize, Deserialize)]
    struct Fragile;
    impl JobArgs for Fragile {
        const KIND: &'static str = "fragile";
        fn options() -> JobOptions {
            JobOptions::new().max_attempts(2)
        }
    }
    let kit = TestKit::new();
    let builder = BackgroundJobs::builder(|options| options.use_in_memory())
        .register_fn(async |_: Fragile, _| Err("broken".into()))
        .retry(RetryPolicy::new().first(SECOND));
    let jobs = kit.start(builder).await;
    let _ = jobs.manager().enqueue(Fragile).await.expect("enqueued");
    let report = kit.advance(SECOND * 60).await;
    assert_eq!((report.retried, report.failed), (1, 1));
    kit.finish().await;
}

#[tokio::test]
async fn a_wake_of_one_queue_while_another_is_claimed_for_is_not_lost() {
    let slow = |env: Env| -> Script {
        Box::new(move |at, count, _| {
            (at == StoreOperation::Claim && count == 2).then(|| Trouble::SlowReply(env.clone(), SECOND))
        })
    };
    let scene = scene(slow, |options| options.queue("other", 1)).await;
    let _ = scene.kit.settle().await;
    let _ = scene.enqueue(work("long", 3_600)).await;
    let _ = scene.kit.settle().await;
    let options = EnqueueOptions::new().queue("other");
    let other = scene.jobs.manager().enqueue_with(work("other", 0), options).await.expect("enqueued").id;
    let _ = scene.kit.advance(SECOND * 60).await;
    assert_eq!(scene.record(other).await.state, JobState::Succeeded);
    scene.kit.finish().await;
}

#[tokio::test]
async fn an_alarm_that_rings_while_a_claim_is_in_flight_does_not_spin() {
    let down = |_| -> Script {
        Box::new(|at, count, _| {
            (at == StoreOperation::Claim && (2..9).contains(&count)).then_some(Trouble::Error)
        })
    };
    let scene = scene(down, |options| options.queue("other", 1)).await;
    let _ = scene.kit.settle().await;
    let later = EnqueueOptions::new().queue("other").delay(SECOND * 3);
    let _ = scene.jobs.manager().enqueue_with(work("later", 0), later).await.expect("enqueued");
    let _ = scene.kit.settle().await;
    let _ = scene.enqueue(work("now", 0)).await;
    let report = scene.kit.advance(SECOND * 60).await;
    assert_eq!((report.succeeded, report.store_errors), (2, 7));
    scene.kit.finish().await;
}

#[tokio::test]
async fn a_lease_that_was_lost_takes_no_later_claim_of_its_job_along() {
    let slow = |env: Env| -> Script {
        Box::new(move |at, count, _| {
            let wait = || Trouble::Slow(env.clone(), Duration::from_millis(1_500));
            (at == StoreOperation::Renew && count == 1).then(wait)
        })
    };
    let options = |options: Options| options.read_ahead(SECOND * 100).lease(SECOND * 30, SECOND);
    let scene = scene(slow, options).await;
    for _ in 0..20 {
        let _ = scene.enqueue(work("quick", 0)).await;
    }
    let _ = scene.kit.settle().await;
    let id = scene.enqueue(work("again", 2)).await;
    let _ = scene.kit.advance(Duration::from_millis(1_500)).await;
    let _ = scene.enqueue(work("busy", 1)).await;
    let _ = scene.jobs.manager().enqueue_in(work("look", 0), SECOND * 3 / 5).await.expect("enqueued");
    let report = scene.kit.advance(SECOND * 12).await;
    let record = scene.record(id).await;
    assert_eq!((record.state, record.crashes, report.lost), (JobState::Succeeded, 0, 0));
    assert!(record.generation >= 2, "it was claimed again");
    scene.kit.finish().await;
}

#[tokio::test]
async fn a_cancel_is_not_remembered_against_a_job_that_was_put_back() {
    let (kit, store, log) = (TestKit::new(), MemoryStore::new(), Log::default());
    let build = || {
        BackgroundJobs::builder(|options| options.use_store(store.clone()).queue("default", 1))
            .register_fn_with(log.clone(), handler)
    };
    let one = kit.start(build()).await;
    let _ = kit.settle().await;
    let id = one.manager().enqueue(work("deaf", 0)).await.expect("enqueued").id;
    let _ = kit.settle().await;
    let two = kit.start(build()).await;
    let _ = kit.settle().await;
    assert_eq!(one.manager().cancel(id).await.expect("answers"), CancelStatus::Requested);
    assert_eq!(kit.advance(SECOND * 10).await.cancelled, 1);
    assert!(kit.run(one.stop(SECOND)).await.expect("stopped").is_clean());
    let _ = two.manager().requeue(id).await.expect("answers");
    let _ = kit.settle().await;
    assert_eq!(store.get(&[id]).await.expect("answers")[0].as_ref().expect("kept").state, JobState::Running);
    assert_eq!(log_of_starts(&log, "deaf"), 2);
    kit.finish().await;
}

#[tokio::test]
async fn refused_outcomes_do_not_hold_up_the_others() {
    let refuses = |_| -> Script {
        Box::new(|at, _, request| {
            (at == StoreOperation::Settle && request.contains("Release")).then_some(Trouble::Refused)
        })
    };
    let scene = scene(refuses, |options| options.queue("other", 1).read_ahead(SECOND * 100)).await;
    for _ in 0..20 {
        let _ = scene.enqueue(work("quick", 0)).await;
    }
    let _ = scene.kit.settle().await;
    let _ = scene.enqueue(work("long", 600)).await;
    for _ in 0..20 {
        let _ = scene.enqueue(work("quick", 0)).await;
    }
    assert!(scene.kit.advance(SECOND * 11 / 10).await.store_errors > 10, "what was read ahead is refused");
    let options = EnqueueOptions::new().queue("other");
    let _ = scene.jobs.manager().enqueue_with(work("good", 0), options).await.expect("enqueued");
    assert_eq!(scene.kit.settle().await.succeeded, 1, "at once");
    scene.kit.finish().await;
}

/// The clock of a store's server, which an operator may set back.
#[derive(Debug)]
struct ServerClock {
    clock: VirtualClock,
    behind: Mutex<Duration>,
}

impl Clock for ServerClock {
    fn now(&self) -> Timestamp {
        self.clock.now() - *self.behind.lock()
    }

    fn sleep_until(&self, instant: Timestamp) -> BoxFuture<'static, ()> {
        self.clock.sleep_until(instant + *self.behind.lock())
    }
}

#[tokio::test]
async fn a_store_whose_time_was_set_back_does_not_hide_the_leases_of_the_dead() {
    let kit = TestKit::new();
    let clock = Arc::new(ServerClock { clock: kit.clock(), behind: Mutex::default() });
    let store = MemoryStore::with_clock(clock.clone());
    let build = move || {
        BackgroundJobs::builder(|options| options.use_store(store.clone()).queue("default", 1))
            .register_fn_with(Log::default(), handler)
    };
    let nodes = kit.workers(2, build).await;
    // Both have heard what time it is in the store.
    let _ = kit.settle().await;
    *clock.behind.lock() = SECOND * 3_600;
    for name in ["long", "deaf"] {
        let _ = nodes[0].manager().enqueue(work(name, 1_000)).await.expect("enqueued");
    }
    assert_eq!(kit.settle().await.claimed, 2, "one each");
    nodes[0].crash();
    assert_eq!(kit.advance(SECOND * 30).await.recovered, 1);
    kit.abandon();
}
