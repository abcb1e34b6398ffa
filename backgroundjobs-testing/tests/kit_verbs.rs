//! The kit's verbs: what they let happen, and what they report.

#[path = "support/program.rs"]
mod program;

use std::sync::Arc;
use std::time::Duration;

use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{
    ClaimId, ClaimJobs, Clock, JobStore, Kind, QueueDemand, QueueName, StoreOperation, Timestamp, WorkerId,
};
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::{Attempt, Limits, TestKit, VirtualClock};
use uuid::Uuid;

use self::program::{
    Calls, Mail, SECOND, Scene, Watched, Work, mail, program, scene, scene_of, scene_with, work,
};

const MILLI: Duration = Duration::from_millis(1);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3_600);

#[tokio::test]
async fn a_kit_starts_when_it_is_told_to_and_ids_come_of_the_seed() {
    let instant = Timestamp::UNIX_EPOCH + YEAR;
    let kit = TestKit::builder().start_at(instant).build();
    assert_eq!((kit.now(), kit.clock().now()), (instant, instant));
    let scene = scene_of(kit, |options| options).await;
    let id = scene.enqueue(mail("masa")).await;
    assert_eq!(scene.record(id).await.created_at, instant);
    scene.kit.abandon();
    let kit = TestKit::default();
    assert_eq!(kit.now(), VirtualClock::START);
    kit.finish().await;
    let id_of = async |kit: TestKit| {
        let scene = scene_of(kit, |options| options).await;
        let id = scene.enqueue(mail("masa")).await;
        scene.kit.finish().await;
        id
    };
    let seeded = |seed| TestKit::builder().seed(seed).build();
    assert_eq!(id_of(seeded(1)).await, id_of(seeded(1)).await);
    assert_ne!(id_of(seeded(1)).await, id_of(seeded(2)).await);
    assert_eq!(id_of(TestKit::new()).await, id_of(TestKit::new()).await);
}

#[tokio::test]
async fn settle_moves_no_time_and_advance_includes_its_last_instant() {
    let scene = scene().await;
    let start = scene.kit.now();
    scene.enqueue(work("enqueue")).await;
    scene.manager.enqueue_in(mail("later"), SECOND * 3).await.expect("enqueued");
    let report = scene.kit.settle().await;
    assert_eq!((report.succeeded, report.enqueued, scene.kit.now()), (2, 1, start));
    assert_eq!(scene.kit.advance(SECOND * 3 - MILLI).await.succeeded, 0);
    let report = scene.kit.advance(MILLI).await;
    assert_eq!(
        (report.succeeded, report.steps.from, report.steps.to),
        (1, start + SECOND * 3 - MILLI, start + SECOND * 3)
    );
    let report = scene.kit.advance(SECOND).await;
    assert!(report.is_quiet(), "{report}");
    scene.kit.finish().await;
}

#[tokio::test]
async fn advance_to_next_goes_to_the_next_timer_and_only_settles_without_one() {
    let scene = scene().await;
    let start = scene.kit.now();
    for seconds in [5, 9] {
        scene.manager.enqueue_in(mail("later"), SECOND * seconds).await.expect("enqueued");
    }
    assert_eq!(scene.kit.settle().await.next_timer(), Some(start + SECOND * 5));
    let report = scene.kit.advance_to_next().await;
    assert_eq!((report.succeeded, report.timers_fired(), report.steps.to), (1, 1, start + SECOND * 5));
    // The worker has timers of its own in between.
    while scene.kit.advance_to_next().await.succeeded == 0 {}
    assert_eq!(scene.kit.now(), start + SECOND * 9);
    // Leases were held; the look for their end is the last timer.
    while scene.kit.advance_to_next().await.timers_fired() > 0 {}
    let now = scene.kit.now();
    let report = scene.kit.advance_to_next().await;
    assert_eq!((report.next_timer(), scene.kit.now()), (None, now));
    scene.kit.finish().await;
}

#[tokio::test]
async fn run_until_ends_at_the_instant_at_which_its_goal_is_met() {
    let scene = scene().await;
    let start = scene.kit.now();
    let id = scene.manager.enqueue_in(work("fail, ok"), SECOND * 5).await.expect("enqueued").id;
    scene.manager.enqueue_in(mail("later"), SECOND * 66).await.expect("enqueued");
    let goal = async || scene.record(id).await.state == JobState::Succeeded;
    let report = scene.kit.run_until(goal, SECOND * 65).await;
    assert_eq!((report.succeeded, report.retried, scene.kit.now()), (1, 1, start + SECOND * 65));
    let report = scene.kit.run_until(async || true, SECOND).await;
    assert!(report.is_quiet(), "it is asked before any time passes: {report}");
    scene.kit.finish().await;
}

#[tokio::test]
async fn drain_waits_for_delayed_and_failing_jobs_until_they_are_over() {
    let scene = scene().await;
    let start = scene.kit.now();
    scene.manager.enqueue_in(mail("later"), SECOND * 600).await.expect("enqueued");
    // Ten failures and the last attempt, by the default policy.
    let stubborn = format!("{}ok", "fail, ".repeat(10));
    scene.enqueue(work(&stubborn)).await;
    let report = scene.kit.drain(Limits::new()).await;
    assert_eq!((report.succeeded, report.retried, report.failed), (2, 10, 0));
    // 60 s, doubled nine times.
    assert_eq!(scene.kit.now(), start + SECOND * 60 * 1_023);
    assert_eq!((report.steps.from, report.steps.to), (start, scene.kit.now()), "one report of the whole");
    let again = scene.kit.drain(Limits::new()).await;
    assert!(again.is_quiet() && again.timers_fired() == 0, "{again}");
    scene.kit.finish().await;
}

/// Claims everything in the default queue as a worker that nobody knows.
async fn claim_elsewhere(scene: &Scene, lease: Duration) -> usize {
    let demand = QueueDemand { queue: QueueName::default_queue(), limit: 10 };
    let kinds: Arc<[Kind]> = [Kind::new("mail").expect("a name")].into();
    let (worker, claim) = (WorkerId::from_uuid(Uuid::max()), ClaimId::from_uuid(Uuid::max()));
    let request = ClaimJobs::new(scene.kit.now(), claim, worker, vec![demand], kinds, lease);
    let claimed = scene.store.claim(&request).await.expect("claimed");
    claimed.queues.iter().map(|queue| queue.jobs.len()).sum()
}

#[tokio::test]
async fn drain_waits_for_a_job_that_runs_elsewhere_until_it_is_taken_back_and_done() {
    let store = MemoryStore::new();
    let kit = TestKit::new();
    let shared = store.clone();
    let jobs = kit.build(program(|options| options.use_store(shared)));
    let scene = Scene { manager: jobs.manager(), jobs, kit, store };
    scene.enqueue(mail("masa")).await;
    assert_eq!(claim_elsewhere(&scene, SECOND * 30).await, 1);
    scene.jobs.start().await.expect("started");
    let report = scene.kit.drain(Limits::new()).await;
    assert_eq!((report.recovered, report.succeeded), (1, 1));
    // The lease, then the wait after a crash.
    assert_eq!(scene.kit.now(), VirtualClock::START + SECOND * 60);
    scene.kit.finish().await;
}

#[tokio::test]
async fn drain_is_not_held_up_by_paused_queues_and_jobs_that_nobody_serves() {
    let scene = scene_with(|options| options.queue("default", 1).queue("post", 1)).await;
    scene.jobs.admin().expect("the memory store has it").pause("post").await.expect("paused");
    let store = scene.store.clone();
    let producer =
        scene.kit.build(BackgroundJobs::builder(|options| options.use_store(store).producer_only()));
    let unserved = EnqueueOptions::new().queue("elsewhere");
    producer.manager().enqueue_with(mail("unserved"), unserved).await.expect("enqueued");
    scene.manager.enqueue_with(mail("paused"), EnqueueOptions::new().queue("post")).await.expect("enqueued");
    scene.manager.enqueue_in(mail("served"), SECOND * 5).await.expect("enqueued");
    let report = scene.kit.drain(Limits::new()).await;
    assert_eq!((report.succeeded, scene.kit.now()), (1, VirtualClock::START + SECOND * 5));
    let jobs = scene.kit.jobs().await;
    jobs.assert_enqueued::<Mail>().state(JobState::Waiting).times(2);
    scene.kit.finish().await;
}

#[tokio::test]
async fn drain_ends_with_the_last_handler_whatever_is_renewed_meanwhile() {
    let scene = scene().await;
    scene.enqueue(work("sleep 1000")).await;
    let report = scene.kit.drain(Limits::new()).await;
    assert_eq!(report.succeeded, 1);
    assert!(report.timers_fired() > 90, "its lease was renewed: {report}");
    assert_eq!(scene.kit.now(), VirtualClock::START + SECOND * 1_000);
    scene.kit.finish().await;
}

#[tokio::test]
async fn drain_works_on_a_store_that_cannot_count() {
    let kit = TestKit::new();
    let scene = scene_of(kit, |options| options.wrap_store(|inner| Arc::new(Watched::blind(inner)))).await;
    scene.enqueue(work("fail, snooze 5, ok")).await;
    scene.enqueue(work("permanent")).await;
    scene.enqueue(work("enqueue")).await;
    let called_off = scene.manager.enqueue_in(work("ok"), SECOND * 9_000).await.expect("enqueued").id;
    scene.manager.cancel(called_off).await.expect("answers");
    let report = scene.kit.drain(Limits::new()).await;
    assert_eq!((report.succeeded, report.failed, report.retried), (3, 1, 1));
    assert_eq!(scene.kit.now(), VirtualClock::START + SECOND * 65);
    let failed = scene.kit.jobs().await.assert_enqueued::<Work>().state(JobState::Failed).get().record.id;
    scene.manager.requeue(failed).await.expect("put back");
    assert_eq!(scene.kit.drain(Limits::new()).await.failed, 1);
    scene.kit.finish().await;
}

#[tokio::test]
async fn a_report_counts_what_happened_and_names_what_runs() {
    let scene = scene().await;
    assert!(scene.kit.settle().await.is_quiet());
    for does in ["ok", "fail", "permanent", "cancel", "snooze 1000", "enqueue"] {
        scene.enqueue(work(does)).await;
    }
    let long = scene.manager.enqueue_in(work("retry 5, sleep 100"), SECOND).await.expect("enqueued").id;
    let report = scene.kit.advance(SECOND * 10).await;
    assert_eq!((report.claimed, report.succeeded, report.retried, report.failed), (9, 3, 2, 1));
    assert_eq!((report.cancelled, report.snoozed, report.enqueued), (1, 1, 1));
    assert!(!report.is_quiet());
    let [running] = report.running.as_slice() else { panic!("one runs: {report}") };
    assert_eq!((running.id, running.kind.as_str(), running.attempt), (long, "work", 2));
    assert_eq!(running.since, VirtualClock::START + SECOND * 6);
    let text = report.to_string();
    let headline =
        "9 claimed, 3 succeeded, 2 retried, 1 failed, 1 cancelled, 1 enqueued; from 2030-01-01T00:00:00Z";
    assert!(text.starts_with(headline), "{text}");
    let running = format!("\n  still running: work {long}, attempt 2, since 2030-01-01T00:00:06Z");
    assert!(text.ends_with(&running), "{text}");
    let report = scene.kit.advance(SECOND * 96).await;
    assert!(report.running.is_empty() && report.retried == 1 && report.succeeded == 1, "{report}");
    scene.kit.finish().await;
}

#[tokio::test]
async fn what_the_test_stores_between_two_verbs_is_in_no_report() {
    let scene = scene().await;
    scene.manager.enqueue_in(mail("later"), SECOND * 100).await.expect("enqueued");
    assert_eq!(scene.kit.settle().await.enqueued, 0);
    let id = scene.kit.run(scene.manager.enqueue_in(mail("later"), SECOND * 100)).await.expect("enqueued").id;
    scene.manager.cancel(id).await.expect("answers");
    let report = scene.kit.advance(SECOND).await;
    assert!(report.is_quiet(), "{report}");
    scene.kit.finish().await;
}

#[tokio::test]
async fn a_report_sums_up_every_program_of_the_kit() {
    let scene = scene().await;
    let other = scene.kit.start(program(|options| options.use_in_memory())).await;
    scene.enqueue(work("ok")).await;
    other.manager().enqueue(work("fail")).await.expect("enqueued");
    let report = scene.kit.settle().await;
    assert_eq!((report.claimed, report.succeeded, report.retried), (2, 1, 1));
    let store = scene.store.clone();
    let node = scene
        .kit
        .node("a")
        .start(move || program(|options| options.use_store(store.clone()).queue("post", 1)));
    let node = node.await;
    node.manager().enqueue_with(mail("masa"), EnqueueOptions::new().queue("post")).await.expect("enqueued");
    assert_eq!(scene.kit.settle().await.succeeded, 1);
    node.crash();
    let report = scene.kit.advance(SECOND * 60).await;
    assert_eq!(
        (report.succeeded, report.retried),
        (0, 1),
        "what the crashed one had done is not new: {report}"
    );
    scene.kit.finish().await;
}

/// How many runs each settle call carries, of twenty jobs that are due one millisecond after the other.
async fn settled_at_a_time(delay: Duration) -> Vec<usize> {
    let (calls, kit) = (Calls::default(), TestKit::builder().seed(1).store_delay(delay..=delay).build());
    let watching = calls.clone();
    let scene = scene_of(kit, |options| {
        options.queue("default", 20).wrap_store(move |inner| Arc::new(Watched::new(inner, &watching)))
    });
    let scene = scene.await;
    for number in 1..=20 {
        scene.manager.enqueue_in(mail("many"), MILLI * number).await.expect("enqueued");
    }
    let report = scene.kit.drain(Limits::new()).await;
    assert_eq!(report.succeeded, 20, "it ends when the workers know: {report}");
    scene.kit.finish().await;
    let calls = calls.lock();
    let settles = calls.iter().filter(|(operation, _)| *operation == StoreOperation::Settle);
    settles.map(|(_, runs)| *runs).collect()
}

#[tokio::test]
async fn batches_form_where_store_calls_take_time() {
    assert_eq!(settled_at_a_time(Duration::ZERO).await, [1; 20]);
    let delayed = settled_at_a_time(MILLI * 5).await;
    assert!(delayed.iter().sum::<usize>() == 20 && delayed.iter().max() > Some(&1), "{delayed:?}");
}

#[tokio::test]
async fn a_store_call_takes_as_long_as_was_drawn() {
    let took = async |seed: Option<u64>| {
        let mut builder = TestKit::builder().store_delay(MILLI * 10..=MILLI * 30);
        if let Some(seed) = seed {
            builder = builder.seed(seed);
        }
        let scene = scene_of(builder.build(), |options| options).await;
        let before = scene.kit.now();
        scene.kit.run(scene.manager.enqueue_in(mail("masa"), YEAR)).await.expect("enqueued");
        let took = scene.kit.now().since(before);
        scene.kit.finish().await;
        took
    };
    assert_eq!(took(None).await, MILLI * 10, "without a seed the least");
    let drawn = [took(Some(1)).await, took(Some(2)).await];
    assert!(drawn.iter().all(|took| (MILLI * 10..=MILLI * 30).contains(took)), "{drawn:?}");
    assert!(drawn[0] != drawn[1] && drawn[0] == took(Some(1)).await, "{drawn:?}");
}

#[tokio::test]
async fn retries_are_spread_only_where_jitter_is_wished_for() {
    let second_attempt = async |builder: backgroundjobs_testing::TestKitBuilder| {
        let scene = scene_of(builder.build(), |options| options).await;
        scene.enqueue(work("fail, ok")).await;
        let _ = scene.kit.drain(Limits::new()).await;
        let jobs = scene.kit.jobs().await;
        let second = jobs.assert_ran::<Work>().ended(Attempt::Succeeded).get();
        scene.kit.finish().await;
        second.started.since(VirtualClock::START)
    };
    assert_eq!(second_attempt(TestKit::builder().seed(1)).await, SECOND * 60);
    let spread = second_attempt(TestKit::builder().seed(1).jitter(true)).await;
    assert!(spread != SECOND * 60 && (SECOND * 54..=SECOND * 66).contains(&spread), "{spread:?}");
    assert_eq!(spread, second_attempt(TestKit::builder().seed(1).jitter(true)).await);
    assert_ne!(spread, second_attempt(TestKit::builder().seed(2).jitter(true)).await);
}

#[tokio::test]
async fn an_idle_year_costs_no_store_call() {
    let calls = Calls::default();
    let watching = calls.clone();
    let scene =
        scene_with(move |options| options.wrap_store(move |inner| Arc::new(Watched::new(inner, &watching))));
    let scene = scene.await;
    scene.enqueue(work("fail, ok")).await;
    assert_eq!(scene.kit.drain(Limits::new()).await.succeeded, 1);
    // A lease was held; the look for its end is the last thing to do.
    let _ = scene.kit.advance(SECOND * 60).await;
    assert!(calls.lock().len() > 4, "the store is looked at: {:?}", calls.lock());
    calls.lock().clear();
    let report = scene.kit.advance(YEAR).await;
    assert!(report.is_quiet() && report.timers_fired() == 0, "{report}");
    assert_eq!(*calls.lock(), []);
    scene.kit.finish().await;
}

#[tokio::test]
async fn the_tests_own_calls_do_not_hang_where_store_calls_take_time() {
    let kit = TestKit::builder().store_delay(MILLI..=MILLI).build();
    let scene = scene_of(kit, |options| options).await;
    let admin = scene.jobs.admin().expect("the memory store has it");
    admin.pause("default").await.expect("paused");
    scene.enqueue(mail("masa")).await;
    assert_eq!(scene.kit.advance(SECOND).await.succeeded, 0);
    admin.resume("default").await.expect("resumed");
    assert_eq!(scene.kit.advance(SECOND).await.succeeded, 1);
    scene.enqueue(mail("taro")).await;
    // Explains what is left, which asks the store.
    scene.kit.finish().await;
}
