//! A store that fails, and workers that die: nothing is lost, nothing runs twice without a reason.

mod support;

use std::sync::Arc;
use std::time::Duration;

use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{
    ClaimJobs, EnqueueError, FailureKind, JobId, JobRecord, JobState, JobStore, Kind, QueueDemand, QueueName,
    StartError, StoreOperation, WorkerId,
};
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::TestKit;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use support::{Trouble, TroubledStore};

const SECOND: Duration = Duration::from_secs(1);

/// Works for so many seconds, then does as its name says.
#[derive(Serialize, Deserialize)]
struct Work {
    name: String,
    seconds: u32,
}

impl JobArgs for Work {
    const KIND: &'static str = "work";
}

fn work(name: &str, seconds: u32) -> Work {
    Work { name: name.to_owned(), seconds }
}

type Runs = Arc<Mutex<Vec<String>>>;

async fn handler(runs: Runs, work: Work, ctx: JobContext) -> JobResult {
    runs.lock().push(work.name.clone());
    tokio::select! {
        biased;
        () = ctx.cancelled() => return Err("told to stop".into()),
        () = ctx.sleep(SECOND * work.seconds) => {}
    }
    if work.name.starts_with("fail") { Err(JobError::permanent(work.name)) } else { Ok(()) }
}

struct Scene {
    kit: TestKit,
    store: MemoryStore,
    jobs: Arc<BackgroundJobs>,
    runs: Runs,
}

async fn scene(script: impl FnMut(StoreOperation, u32, &str) -> Option<Trouble> + Send + 'static) -> Scene {
    let (kit, store, runs) = (TestKit::new(), MemoryStore::new(), Runs::default());
    let troubled = TroubledStore::new(store.clone(), script);
    let builder = BackgroundJobs::builder(|options| options.use_store(troubled).queue("default", 4))
        .register_fn_with(runs.clone(), handler);
    Scene { jobs: kit.start(builder).await, kit, store, runs }
}

impl Scene {
    async fn enqueue(&self, work: Work) -> JobId {
        self.jobs.manager().enqueue(work).await.expect("enqueued").id
    }

    async fn record(&self, id: JobId) -> JobRecord {
        self.store.get(&[id]).await.expect("answers").remove(0).expect("kept")
    }

    /// Claims as a worker would that is never heard of again.
    async fn claim_and_die(&self) {
        let env = self.kit.env();
        let queue = QueueDemand { queue: QueueName::default_queue(), limit: 1 };
        let kinds = [Kind::new("work").expect("a kind")];
        let request = ClaimJobs::new(
            env.now(),
            backgroundjobs_core::ClaimId::from_uuid(env.job_id().as_uuid()),
            WorkerId::from_uuid(env.job_id().as_uuid()),
            vec![queue],
            kinds.into(),
            SECOND * 30,
        );
        assert_eq!(self.store.claim(&request).await.expect("answers").queues[0].jobs.len(), 1);
    }
}

#[tokio::test]
async fn a_claim_whose_answer_is_lost_is_repeated_and_its_jobs_run_once() {
    let scene = scene(|operation, count, _| {
        (operation == StoreOperation::Claim && (2..5).contains(&count)).then_some(Trouble::LostReply)
    })
    .await;
    let _ = scene.kit.settle().await;
    let ids = [scene.enqueue(work("a", 0)).await, scene.enqueue(work("b", 0)).await];
    let report = scene.kit.advance(SECOND * 5).await;
    assert_eq!((report.succeeded, report.store_errors, report.recovered), (2, 3, 0));
    assert_eq!(*scene.runs.lock(), ["a", "b"]);
    for id in ids {
        let record = scene.record(id).await;
        assert_eq!((record.generation, record.crashes), (1, 0), "nothing was stranded");
    }
    scene.kit.finish().await;
}

#[tokio::test]
async fn a_settle_whose_answer_is_lost_is_repeated_and_changes_nothing() {
    let scene = scene(|operation, count, _| {
        (operation == StoreOperation::Settle && count < 4).then_some(Trouble::LostReply)
    })
    .await;
    let id = scene.enqueue(work("a", 0)).await;
    let report = scene.kit.advance(SECOND * 5).await;
    assert_eq!((report.succeeded, report.lost, report.store_errors), (1, 0, 3));
    assert_eq!(scene.record(id).await.state, JobState::Succeeded);
    scene.kit.finish().await;
}

#[tokio::test]
async fn a_lease_is_renewed_until_its_settle_is_answered() {
    // No settle gets through in the first two minutes: four leases long.
    let mut down = 0;
    let scene = scene(move |operation, _, _| {
        (operation == StoreOperation::Settle).then(|| down += 1);
        (operation == StoreOperation::Settle && down < 19).then_some(Trouble::Error)
    })
    .await;
    let id = scene.enqueue(work("a", 0)).await;
    let other = BackgroundJobs::builder(|options| options.use_store(scene.store.clone()))
        .register_fn_with(scene.runs.clone(), handler);
    let other = scene.kit.start(other).await;
    let report = scene.kit.advance(SECOND * 100).await;
    assert_eq!((report.succeeded, report.recovered), (0, 0));
    let report = scene.kit.advance(SECOND * 100).await;
    assert_eq!((report.succeeded, report.recovered, report.lost), (1, 0, 0));
    assert_eq!(*scene.runs.lock(), ["a"], "it ran once, though its outcome waited two minutes");
    assert_eq!(scene.record(id).await.generation, 1);
    drop(other);
    scene.kit.finish().await;
}

#[tokio::test]
async fn one_outcome_that_the_store_refuses_does_not_hold_up_the_others() {
    let scene = scene(|operation, _, request| {
        (operation == StoreOperation::Settle && request.contains("fail poison")).then_some(Trouble::Refused)
    })
    .await;
    let mut ids = Vec::new();
    for name in ["a", "fail poison", "b", "fail well"] {
        ids.push(scene.enqueue(work(name, 1)).await);
    }
    let report = scene.kit.advance(SECOND * 60).await;
    assert_eq!((report.succeeded, report.failed, report.lost), (2, 2, 0));
    let poison = scene.record(ids[1]).await;
    let text = poison.failures[0].failure.text.as_str();
    assert_eq!((poison.state, text), (JobState::Failed, "the store refused the text of this failure"));
    assert_eq!(scene.record(ids[3]).await.failures[0].failure.text.as_str(), "fail well");
    scene.kit.finish().await;
}

#[tokio::test]
async fn a_renew_that_fails_cancels_nothing() {
    let scene = scene(|operation, _, _| (operation == StoreOperation::Renew).then_some(Trouble::Error)).await;
    let id = scene.enqueue(work("long", 20)).await;
    let report = scene.kit.advance(SECOND * 20).await;
    assert!(report.store_errors > 1);
    assert_eq!((report.succeeded, report.lost), (1, 0));
    assert_eq!(scene.record(id).await.generation, 1);
    scene.kit.finish().await;
}

#[tokio::test]
async fn a_job_whose_lease_is_lost_is_told_to_stop_and_its_outcome_is_dropped() {
    // No renew gets through for 40 s; another worker takes the job back at 30 s.
    let scene = scene(|operation, count, _| {
        (operation == StoreOperation::Renew && count < 11).then_some(Trouble::Error)
    })
    .await;
    let id = scene.enqueue(work("long", 300)).await;
    assert_eq!(scene.kit.settle().await.claimed, 1);
    let other = BackgroundJobs::builder(|options| options.use_store(scene.store.clone()))
        .register_fn_with(scene.runs.clone(), handler);
    let other = scene.kit.start(other).await;
    let report = scene.kit.advance(SECOND * 55).await;
    assert_eq!((report.recovered, report.lost), (1, 1), "told by the first renew that got through");
    let record = scene.record(id).await;
    assert_eq!((record.state, record.crashes, record.attempts), (JobState::Waiting, 1, 0));
    assert_eq!(scene.kit.advance(SECOND * 400).await.succeeded, 1, "and it ran again");
    assert_eq!(scene.runs.lock().len(), 2);
    drop(other);
    scene.kit.finish().await;
}

#[tokio::test]
async fn a_dead_workers_job_is_found_by_its_lease_and_one_that_kills_workers_is_failed() {
    let scene = scene(|_, _, _| None).await;
    let _ = scene.kit.settle().await;
    let id = {
        // Stored behind the manager's back, so that nobody is woken for it.
        let id = scene.kit.env().job_id();
        let job = backgroundjobs_core::NewJob::new(
            id,
            Kind::new("work").expect("a kind"),
            QueueName::default_queue(),
            backgroundjobs_core::Payload::from_args(&work("killer", 0)).expect("JSON"),
        );
        let request = backgroundjobs_core::InsertJobs::new(scene.kit.now(), vec![job]);
        scene.store.insert(&request).await.expect("stored");
        id
    };
    scene.claim_and_die().await;
    // Any job makes a worker look, and see when the first lease ends.
    let _ = scene.enqueue(work("other", 0)).await;
    assert_eq!(scene.kit.advance(SECOND * 29).await.recovered, 0);
    assert_eq!(scene.kit.advance(SECOND).await.recovered, 1);
    let record = scene.record(id).await;
    assert_eq!((record.state, record.crashes, record.attempts), (JobState::Waiting, 1, 0));
    assert_eq!(record.run_at, scene.kit.now() + SECOND * 30, "the back-off of one crash");
    assert_eq!(record.failures[0].failure.kind, FailureKind::Crash);
    for crash in 2..=3 {
        // The clock alone moves on, so that this worker does not get the job first.
        let clock = scene.kit.scheduler().clock();
        clock.set(scene.record(id).await.run_at);
        scene.claim_and_die().await;
        let _ = scene.enqueue(work("other", 0)).await;
        assert_eq!(scene.kit.advance(SECOND * 30).await.recovered, 1, "crash {crash}");
    }
    let record = scene.record(id).await;
    assert_eq!((record.state, record.crashes), (JobState::Failed, 3), "it is likely what kills workers");
    assert!(!scene.runs.lock().contains(&"killer".to_owned()));
    scene.kit.finish().await;
}

#[tokio::test]
async fn a_start_on_a_store_that_is_down_says_so_and_can_be_tried_again() {
    let (kit, store) = (TestKit::new(), MemoryStore::new());
    let troubled = TroubledStore::new(store, |operation, count, _| {
        (operation == StoreOperation::Prepare && count < 3).then_some(Trouble::Error)
    });
    let jobs = kit.build(
        BackgroundJobs::builder(|options| options.use_store(troubled))
            .register_fn_with(Runs::default(), handler),
    );
    let refused = jobs.manager().enqueue(work("early", 0)).await.expect_err("the store is down");
    assert!(matches!(refused, EnqueueError::Prepare { .. }), "{refused}");
    let error = jobs.start().await.expect_err("the store is down");
    assert!(matches!(error, StartError::Prepare { store: "memory", .. }), "{error}");
    jobs.start().await.expect("the store is back");
    assert!(jobs.manager().enqueue(work("late", 0)).await.expect("enqueued").is_new);
    assert_eq!(kit.settle().await.succeeded, 1);
    kit.finish().await;
}

#[tokio::test]
async fn a_worker_outlives_a_store_that_is_down_in_mid_run() {
    let mut down = 0..40;
    let scene = scene(move |operation, _, _| {
        let hit = operation != StoreOperation::Insert && operation != StoreOperation::Prepare;
        (hit && down.next().is_some()).then_some(Trouble::Error)
    })
    .await;
    for number in 0..10 {
        let _ = scene.enqueue(work(&number.to_string(), 1)).await;
    }
    let report = scene.kit.advance(SECOND * 600).await;
    assert_eq!((report.succeeded, report.store_errors), (10, 40));
    assert_eq!(scene.runs.lock().len(), 10);
    let stopped = scene.kit.run(scene.jobs.stop(SECOND)).await.expect("stopped");
    assert!(stopped.is_clean());
    scene.kit.finish().await;
}

#[tokio::test]
async fn a_stop_while_the_store_is_down_names_what_could_not_be_settled() {
    let scene =
        scene(|operation, _, _| (operation == StoreOperation::Settle).then_some(Trouble::Error)).await;
    let id = scene.enqueue(work("a", 0)).await;
    let _ = scene.kit.settle().await;
    let error = scene.kit.run(scene.jobs.stop(SECOND * 25)).await.expect_err("one outcome is not stored");
    assert_eq!(error.report.unsettled, [id]);
    assert!(error.report.still_running.is_empty() && error.report.calls_in_flight.is_empty(), "{error:?}");
    assert!(error.to_string().contains("how 1 jobs ended"), "{error}");
    assert_eq!(scene.kit.advance(SECOND * 600).await.steps.next_timer, None);
    // Stopped with a job left that the store was not told of.
    scene.kit.abandon();
}

#[tokio::test]
async fn an_outcome_that_is_refused_for_ever_is_left_to_its_lease() {
    let scene =
        scene(|operation, _, _| (operation == StoreOperation::Settle).then_some(Trouble::Refused)).await;
    let id = scene.enqueue(work("good", 0)).await;
    let report = scene.kit.advance(SECOND * 29).await;
    assert_eq!((report.lost, report.succeeded), (1, 0));
    assert_eq!(scene.record(id).await.state, JobState::Running);
    assert_eq!(scene.kit.advance(SECOND).await.recovered, 1, "nothing is lost: it runs again");
    scene.kit.finish().await;
}
