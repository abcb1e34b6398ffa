//! Stop, drop and their leftovers, on the virtual clock.

use std::sync::Arc;
use std::time::Duration;

use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{DrainProgress, DrainStep, EnqueueError, JobStore, Options, StartError};
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::TestKit;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

const SECOND: Duration = Duration::from_secs(1);

/// Works for so many seconds, and stops when asked or not.
#[derive(Clone, Serialize, Deserialize)]
struct Work {
    seconds: u64,
    polite: bool,
}

impl JobArgs for Work {
    const KIND: &'static str = "work";
}

async fn handler(dropped: Arc<Mutex<u32>>, work: Work, ctx: JobContext) -> JobResult {
    struct CountDrop(Arc<Mutex<u32>>);
    impl Drop for CountDrop {
        fn drop(&mut self) {
            *self.0.lock() += 1;
        }
    }
    let _count = CountDrop(dropped);
    tokio::select! {
        biased;
        () = ctx.cancelled(), if work.polite => Err("asked to stop".into()),
        () = ctx.sleep(SECOND * u32::try_from(work.seconds)?) => Ok(()),
    }
}

struct Scene {
    kit: TestKit,
    store: MemoryStore,
    jobs: Arc<BackgroundJobs>,
    /// Handler runs that are over, by their own end or by being dropped.
    gone: Arc<Mutex<u32>>,
}

async fn scene(slots: usize) -> Scene {
    let (kit, store, gone) = (TestKit::new(), MemoryStore::new(), Arc::new(Mutex::new(0)));
    let builder = BackgroundJobs::builder(|options| options.use_store(store.clone()).queue("default", slots))
        .register_fn_with(gone.clone(), handler);
    Scene { jobs: kit.start(builder).await, kit, store, gone }
}

impl Scene {
    async fn enqueue(&self, seconds: u64, polite: bool) -> backgroundjobs_core::JobId {
        self.jobs.manager().enqueue(Work { seconds, polite }).await.expect("enqueued").id
    }

    async fn state(&self, id: backgroundjobs_core::JobId) -> (JobState, u16, u16) {
        let record = self.jobs.manager().get(id).await.expect("answers").expect("kept");
        (record.state, record.attempts, record.crashes)
    }
}

#[tokio::test]
async fn a_stop_lets_runs_end_and_leaves_waiting_jobs_alone() {
    let scene = scene(2).await;
    let (short, long) = (scene.enqueue(3, true).await, scene.enqueue(8, false).await);
    let waiting = scene.enqueue(1, true).await;
    assert_eq!(scene.kit.settle().await.claimed, 2);
    let begun = scene.kit.now();
    let report = scene.kit.run(scene.jobs.stop(SECOND * 25)).await.expect("stopped");
    assert_eq!(scene.kit.now().since(begun), SECOND * 8, "a stop takes no longer than the runs");
    assert!(report.is_clean() && report.interrupted.is_empty(), "{report:?}");
    assert_eq!(report.finished, 2);
    assert_eq!(scene.state(short).await.0, JobState::Succeeded);
    assert_eq!(scene.state(long).await.0, JobState::Succeeded);
    assert_eq!(scene.state(waiting).await, (JobState::Waiting, 0, 0));
    assert_eq!(scene.kit.advance(SECOND * 3600).await.steps.timers_fired, 0, "nothing is left running");
    scene.kit.abandon();
}

#[tokio::test]
async fn runs_that_outlast_the_drain_are_told_dropped_and_handed_back_at_no_cost() {
    let scene = scene(2).await;
    let (polite, deaf) = (scene.enqueue(600, true).await, scene.enqueue(600, false).await);
    assert_eq!(scene.kit.settle().await.claimed, 2);
    let begun = scene.kit.now();
    let report = scene.kit.run(scene.jobs.stop(SECOND * 25)).await.expect("stopped");
    assert_eq!(scene.kit.now().since(begun), SECOND * 30, "the drain and the grace");
    assert_eq!(report.interrupted.len(), 2);
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(*scene.gone.lock(), 2, "both handlers are gone");
    for id in [polite, deaf] {
        assert_eq!(scene.state(id).await, (JobState::Waiting, 0, 0), "no attempt, no crash");
    }
    // What was handed back runs at once elsewhere.
    let again = BackgroundJobs::builder(|options| options.use_store(scene.store.clone()))
        .register_fn_with(scene.gone.clone(), handler);
    let again = scene.kit.start(again).await;
    assert_eq!(scene.kit.advance(SECOND * 600).await.succeeded, 2);
    drop(again);
    scene.kit.finish().await;
}

#[tokio::test]
async fn what_was_read_ahead_goes_back_at_the_stop() {
    let scene = scene(1).await;
    for _ in 0..20 {
        let _ = scene.enqueue(0, true).await;
    }
    assert_eq!(scene.kit.settle().await.succeeded, 20);
    let long = scene.enqueue(3, true).await;
    let mut waiting = Vec::new();
    for _ in 0..5 {
        waiting.push(scene.enqueue(0, true).await);
    }
    let held = scene.kit.settle().await.claimed;
    assert!(held > 1, "short runs are read ahead: {held}");
    let report = scene.kit.run(scene.jobs.stop(SECOND * 25)).await.expect("stopped");
    assert_eq!(report.finished, 1);
    assert_eq!(scene.state(long).await.0, JobState::Succeeded);
    for id in waiting {
        assert_eq!(scene.state(id).await, (JobState::Waiting, 0, 0));
    }
    // Nobody is left to run what went back.
    scene.kit.abandon();
}

#[tokio::test]
async fn what_was_read_ahead_goes_back_after_a_second_if_no_slot_takes_it() {
    let scene = scene(1).await;
    for _ in 0..20 {
        let _ = scene.enqueue(0, true).await;
    }
    assert_eq!(scene.kit.settle().await.succeeded, 20);
    let _long = scene.enqueue(30, true).await;
    let second = scene.enqueue(0, true).await;
    assert_eq!(scene.kit.settle().await.claimed, 2);
    assert_eq!(scene.state(second).await.0, JobState::Running, "held, not started");
    assert_eq!(scene.kit.advance(SECOND).await.released, 1);
    assert_eq!(scene.state(second).await, (JobState::Waiting, 0, 0));
    assert_eq!(scene.kit.advance(SECOND * 29).await.succeeded, 2, "it ran when the slot was free");
    scene.kit.finish().await;
}

#[tokio::test]
async fn a_stop_is_harmless_before_the_start_again_and_from_two_sides() {
    let kit = TestKit::new();
    let build = || {
        let gone = Arc::new(Mutex::new(0));
        BackgroundJobs::builder(|options| options.use_in_memory()).register_fn_with(gone, handler)
    };
    let never = kit.build(build());
    assert!(kit.run(never.stop(SECOND)).await.expect("stopped").is_clean());
    assert!(matches!(never.start().await, Err(StartError::Stopped)));

    let jobs = kit.start(build()).await;
    assert!(matches!(jobs.start().await, Err(StartError::Twice)));
    jobs.manager().enqueue(Work { seconds: 2, polite: true }).await.expect("enqueued").id.to_string();
    assert_eq!(kit.settle().await.claimed, 1);
    let (one, two) = kit.run(async { tokio::join!(jobs.stop(SECOND * 5), jobs.stop(SECOND)) }).await;
    assert_eq!(one.expect("stopped"), two.expect("stopped"), "both share one stop");
    let refused = jobs.manager().enqueue(Work { seconds: 0, polite: true }).await.expect_err("it is stopped");
    assert!(matches!(refused, EnqueueError::Stopped { .. }));
    assert!(refused.to_string().contains("these jobs are stopped"), "{refused}");
    kit.finish().await;
}

#[tokio::test]
async fn jobs_dropped_without_a_stop_tell_their_runs_and_hand_them_back_while_they_can() {
    let scene = scene(2).await;
    let (polite, deaf) = (scene.enqueue(600, true).await, scene.enqueue(600, false).await);
    assert_eq!(scene.kit.settle().await.claimed, 2);
    let Scene { kit, store, jobs, gone } = scene;
    drop(jobs);
    kit.advance(SECOND * 5).await.steps.expect_clean();
    assert_eq!(kit.advance(SECOND * 60).await.steps.next_timer, None, "nothing is left of the worker");
    assert_eq!(*gone.lock(), 2, "one ended when told, the other was dropped after the grace");
    let again = BackgroundJobs::builder(|options| options.use_store(store.clone()))
        .register_fn_with(gone.clone(), handler);
    let again = kit.start(again).await;
    let report = kit.advance(SECOND * 1_000).await;
    assert_eq!((report.succeeded, report.recovered), (2, 0));
    for id in [polite, deaf] {
        let record = again.manager().get(id).await.expect("answers").expect("kept");
        assert_eq!((record.state, record.attempts, record.crashes), (JobState::Succeeded, 0, 0));
    }
    kit.finish().await;
}

/// The three steps of a stop while every slot is busy and 10,000 jobs wait: what ends in time succeeds, what is
/// told stops or is dropped, nothing that waits is touched; and a program can draw all of it.
#[tokio::test]
async fn a_stop_under_load_goes_through_its_three_steps_and_shows_them() {
    let (kit, store, gone) = (TestKit::new(), MemoryStore::new(), Arc::new(Mutex::new(0)));
    let seen: Arc<Mutex<Vec<DrainProgress>>> = Arc::default();
    let drawn = seen.clone();
    let options = |options: Options| {
        options
            .use_store(store.clone())
            .queue("default", 30)
            .read_ahead(Duration::ZERO)
            .on_drain_progress(move |progress| drawn.lock().push(*progress))
    };
    let jobs = kit.start(BackgroundJobs::builder(options).register_fn_with(gone.clone(), handler)).await;
    let scene = Scene { kit, store, jobs, gone };
    let mut running = Vec::new();
    for number in 0..30 {
        // A third ends within the drain, a third stops when told, a third must be dropped.
        let (seconds, polite) = [(3, false), (100, true), (100, false)][number % 3];
        running.push(scene.enqueue(seconds, polite).await);
    }
    assert_eq!(scene.kit.settle().await.claimed, 30);
    let waiting = (0..10_000).map(|_| Work { seconds: 1, polite: true });
    let waiting = scene.jobs.manager().enqueue_many(waiting).await.expect("enqueued");
    assert_eq!(scene.kit.settle().await.claimed, 0);

    let begun = scene.kit.now();
    // The second one, given less time, shares the first one's.
    let both = async { tokio::join!(scene.jobs.stop(SECOND * 4), scene.jobs.stop(Duration::ZERO)) };
    let (report, second) = scene.kit.run(both).await;
    let report = report.expect("stopped");
    assert_eq!(report, second.expect("stopped"));
    assert_eq!(scene.kit.now().since(begun), SECOND * 9, "the drain and the grace");
    assert!(report.is_clean(), "{report:?}");
    assert_eq!((report.finished, report.interrupted.len()), (10, 20));
    assert_eq!(report.left_waiting, 10_000 + 20);
    assert_eq!(*scene.gone.lock(), 30, "no handler is left");
    for (number, id) in running.iter().enumerate() {
        let expected = [JobState::Succeeded, JobState::Waiting, JobState::Waiting][number % 3];
        assert_eq!(scene.state(*id).await, (expected, 0, 0), "job {number}");
    }
    let ids: Vec<_> = waiting.iter().map(|job| job.id).collect();
    for record in scene.store.get(&ids).await.expect("answers").into_iter().flatten() {
        assert_eq!((record.state, record.generation), (JobState::Waiting, 0));
    }
    let seen = seen.lock();
    let steps: Vec<DrainStep> = seen.iter().map(|progress| progress.step).collect();
    assert!(steps.is_sorted(), "{steps:?}");
    let first = seen.first().expect("drawn");
    assert_eq!((first.step, first.running, first.remaining), (DrainStep::Finishing, 30, SECOND * 4));
    let last = seen.last().expect("drawn");
    assert_eq!((last.step, last.running, last.unsettled), (DrainStep::Done, 0, 0));
    assert!(steps.contains(&DrainStep::Interrupting) && steps.contains(&DrainStep::Settling), "{steps:?}");
    // Nobody is left to run what waits.
    scene.kit.abandon();
}
