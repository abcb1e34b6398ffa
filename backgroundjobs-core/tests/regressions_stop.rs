//! Bugs of starting, stopping and dropping that were found and mended: each of these tests failed before.

mod support;

use std::time::Duration;

use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{Env, JobState, JobStore, StartError, StoreOperation};
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::TestKit;
use support::scene::{Log, SECOND, Scene, Script, Work, handler, no_trouble, scene, work};
use support::{Trouble, TroubledStore};

#[tokio::test]
async fn an_alarm_that_rings_during_a_stop_does_not_spin() {
    let scene = scene(no_trouble, |options| options).await;
    let running = scene.enqueue(work("long", 8)).await;
    let later = scene.jobs.manager().enqueue_in(work("later", 0), SECOND * 3).await.expect("enqueued").id;
    let _ = scene.kit.settle().await;
    let report = scene.kit.run(scene.jobs.stop(SECOND * 10)).await.expect("stopped");
    assert_eq!((report.finished, report.is_clean()), (1, true));
    assert_eq!(scene.record(running).await.state, JobState::Succeeded);
    assert_eq!(scene.record(later).await.state, JobState::Waiting);
    // Stopped with a job left waiting.
    scene.kit.abandon();
}

#[tokio::test]
async fn an_alarm_that_rings_after_a_drop_does_not_spin() {
    let Scene { kit, jobs, .. } = scene(no_trouble, |options| options).await;
    let _ = jobs.manager().enqueue_in(work("later", 0), SECOND * 3).await.expect("enqueued");
    let _ = kit.settle().await;
    drop(jobs);
    assert_eq!(kit.advance(SECOND * 60).await.steps.next_timer, None);
    // Dropped with a job left waiting.
    kit.abandon();
}

#[tokio::test]
async fn a_stop_during_the_start_wins() {
    let (kit, store) = (TestKit::new(), MemoryStore::new());
    let env = kit.env();
    let slow = TroubledStore::new(store.clone(), move |at, _, _| {
        (at == StoreOperation::Prepare).then(|| Trouble::Slow(env.clone(), SECOND))
    });
    let builder =
        BackgroundJobs::builder(|options| options.use_store(slow)).register_fn_with(Log::default(), handler);
    let jobs = kit.build(builder);
    let (started, stopped) = kit.run(async { tokio::join!(jobs.start(), jobs.stop(SECOND)) }).await;
    assert!(matches!(started, Err(StartError::Stopped)), "{started:?}");
    assert!(stopped.expect("stopped").is_clean());
    assert_eq!(kit.advance(SECOND * 60).await.claimed, 0);
    kit.finish().await;
}

#[tokio::test]
async fn without_a_grace_handlers_are_dropped_and_handed_back_all_the_same() {
    let scene = scene(no_trouble, |options| options.cancel_grace(Duration::ZERO)).await;
    let id = scene.enqueue(work("deaf", 0)).await;
    let _ = scene.kit.settle().await;
    let report = scene.kit.run(scene.jobs.stop(SECOND)).await.expect("stopped");
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(report.interrupted, [id]);
    assert_eq!(scene.log(), ["start deaf", "end deaf"]);
    assert_eq!(scene.record(id).await.state, JobState::Waiting);
    // Stopped with a job left waiting.
    scene.kit.abandon();
}

#[tokio::test]
async fn a_stop_names_a_claim_that_hangs_and_takes_no_longer_for_it() {
    let hangs = |env: Env| -> Script {
        Box::new(move |at, count, _| {
            (at == StoreOperation::Claim && count > 1).then(|| Trouble::Slow(env.clone(), SECOND * 3_600))
        })
    };
    let scene = scene(hangs, |options| options).await;
    let _ = scene.kit.settle().await;
    let id = scene.enqueue(work("a", 0)).await;
    let _ = scene.kit.settle().await;
    let begun = scene.kit.now();
    let report = scene.kit.run(scene.jobs.stop(SECOND * 5)).await.expect("stopped");
    assert_eq!(scene.kit.now().since(begun), SECOND * 6);
    assert!(!report.is_clean() && !report.calls_in_flight.is_empty(), "{report:?}");
    // What the claim hands out after all goes back.
    let _ = scene.kit.advance(SECOND * 3_600).await;
    let record = scene.record(id).await;
    assert_eq!((record.state, record.crashes, record.generation), (JobState::Waiting, 0, 1));
    assert!(scene.log().is_empty());
    // Stopped with a job left waiting.
    scene.kit.abandon();
}

#[tokio::test]
async fn a_stop_repeats_a_claim_whose_answer_was_lost_and_releases_its_jobs() {
    let lost = |_| -> Script {
        Box::new(|at, count, _| {
            (at == StoreOperation::Claim && (2..6).contains(&count)).then_some(Trouble::LostReply)
        })
    };
    let scene = scene(lost, |options| options).await;
    let _ = scene.kit.settle().await;
    let id = scene.enqueue(work("a", 0)).await;
    let _ = scene.kit.settle().await;
    assert_eq!(scene.record(id).await.state, JobState::Running, "handed out, and nobody knows");
    let report = scene.kit.run(scene.jobs.stop(SECOND * 25)).await.expect("stopped");
    assert!(report.is_clean(), "{report:?}");
    let record = scene.record(id).await;
    assert_eq!((record.state, record.crashes, record.attempts), (JobState::Waiting, 0, 0));
    // Stopped with a job left waiting.
    scene.kit.abandon();
}

#[tokio::test]
async fn a_stop_does_not_outlast_its_drain_because_the_store_is_down() {
    let down =
        |_| -> Script { Box::new(|at, _, _| (at == StoreOperation::Settle).then_some(Trouble::Error)) };
    let scene = scene(down, |options| options).await;
    let id = scene.enqueue(work("a", 0)).await;
    let _ = scene.kit.settle().await;
    let begun = scene.kit.now();
    let error = scene.kit.run(scene.jobs.stop(SECOND * 3)).await.expect_err("one is not stored");
    assert!(scene.kit.now().since(begun) <= SECOND * 4, "{}", scene.kit.now());
    assert_eq!((error.report.unsettled, error.report.interrupted), (vec![id], vec![]));
    // Stopped with a job left that the store was not told of.
    scene.kit.abandon();
}

#[tokio::test]
async fn an_outcome_that_comes_while_another_slot_settles_its_last_is_told_too() {
    let slow = |env: Env| -> Script {
        Box::new(move |at, _, _| (at == StoreOperation::Settle).then(|| Trouble::Slow(env.clone(), SECOND)))
    };
    let scene = scene(slow, |options| options.queue("other", 1).read_ahead(Duration::ZERO)).await;
    let first = scene.enqueue(work("first", 5)).await;
    let options = EnqueueOptions::new().queue("other");
    let second = scene.jobs.manager().enqueue_with(work("second", 5), options).await.expect("enqueued").id;
    let _ = scene.kit.settle().await;
    let report = scene.kit.run(scene.jobs.stop(SECOND * 25)).await.expect("both outcomes are stored");
    assert_eq!((report.finished, report.is_clean()), (2, true));
    assert_eq!(scene.record(first).await.state, JobState::Succeeded);
    assert_eq!(scene.record(second).await.state, JobState::Succeeded);
    scene.kit.finish().await;
}

#[tokio::test]
async fn a_claim_of_the_claimer_that_is_answered_after_the_stop_goes_back() {
    let hangs = |env: Env| -> Script {
        Box::new(move |at, count, _| {
            (at == StoreOperation::Claim && count > 1).then(|| Trouble::Slow(env.clone(), SECOND * 20))
        })
    };
    let scene = scene(hangs, |options| options).await;
    let _ = scene.kit.settle().await;
    let id = scene.jobs.manager().enqueue_in(work("a", 0), SECOND).await.expect("enqueued").id;
    let _ = scene.kit.advance(SECOND * 2).await;
    let report = scene.kit.run(scene.jobs.stop(SECOND * 5)).await.expect("stopped");
    assert_eq!(report.calls_in_flight, ["claimer"]);
    let _ = scene.kit.advance(SECOND * 20).await;
    let record = scene.record(id).await;
    assert_eq!((record.state, record.crashes, record.generation), (JobState::Waiting, 0, 1));
    // Stopped with a job left waiting.
    scene.kit.abandon();
}

#[tokio::test]
async fn a_dropped_worker_hands_back_even_without_a_grace_and_with_an_endless_one() {
    for (grace, left) in [(Duration::ZERO, JobState::Waiting), (Duration::MAX, JobState::Running)] {
        let slow = |env: Env| -> Script {
            Box::new(move |at, _, _| {
                let wait = || Trouble::Slow(env.clone(), Duration::from_millis(50));
                (at == StoreOperation::Settle).then(wait)
            })
        };
        let scene = scene(slow, |options| options.cancel_grace(grace)).await;
        let id = scene.enqueue(work("deaf", 0)).await;
        let _ = scene.kit.settle().await;
        let Scene { kit, store, jobs, .. } = scene;
        drop(jobs);
        let _ = kit.advance(SECOND * 20).await;
        let record = store.get(&[id]).await.expect("answers").remove(0).expect("kept");
        assert_eq!(record.state, left, "grace {grace:?}");
        // Nobody is left to run what was handed back.
        kit.abandon();
    }
}

#[tokio::test]
async fn a_run_that_its_user_had_cancelled_is_not_counted_as_interrupted() {
    let scene = scene(no_trouble, |options| options).await;
    let id = scene.enqueue(work("deaf", 0)).await;
    let _ = scene.kit.settle().await;
    let _ = scene.jobs.manager().cancel(id).await.expect("answers");
    let report = scene.kit.run(scene.jobs.stop(SECOND)).await.expect("stopped");
    assert!(report.interrupted.is_empty() && report.is_clean(), "{report:?}");
    assert_eq!(scene.record(id).await.state, JobState::Cancelled);
    scene.kit.finish().await;
}

/// The claimer's own claim, made by no slot, was given a second after everything else was over, whatever the drain.
#[tokio::test]
async fn a_stop_waits_for_a_slow_claim_of_the_claimer_as_long_as_it_may() {
    let kit = TestKit::builder().store_delay(SECOND * 8..=SECOND * 8).build();
    let store = MemoryStore::new();
    let shop = kit.build(BackgroundJobs::builder(|options| options.use_store(store.clone()).producer_only()));
    kit.run(shop.manager().enqueue(work("early", 0))).await.expect("enqueued");
    let builder = BackgroundJobs::builder(|options| options.use_store(store.clone()))
        .register_fn_with(Log::default(), handler);
    let jobs = kit.run(kit.start(builder)).await;
    // The first claim, the claimer's, is on its way.
    let report = kit.run(jobs.stop(SECOND * 60)).await.expect("the store was told of everything");
    assert!(report.is_clean(), "{report:?}");
    assert_eq!((jobs.stats().claimed, jobs.stats().released), (1, 1));
    kit.jobs().await.assert_enqueued::<Work>().state(JobState::Waiting).once();
    kit.abandon();
}
