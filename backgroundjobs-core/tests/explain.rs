//! Why is this job not running? Every reason there is, and its words.

#[allow(dead_code, reason = "this test uses a part of it")]
mod support;

use std::sync::Arc;
use std::time::Duration;

use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{
    ClaimId, ClaimJobs, Explanation, JobStore, Options, PutOff, QueueDemand, QueueName, Reason,
    StoreOperation, WorkerId,
};
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::TestKit;
use serde::{Deserialize, Serialize};

use self::support::{Trouble, TroubledStore};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Serialize, Deserialize)]
struct Work(String);

impl JobArgs for Work {
    const KIND: &'static str = "work";
}

fn work(name: &str) -> Work {
    Work(name.to_owned())
}

async fn handler(work: Work, ctx: JobContext) -> JobResult {
    match work.0.as_str() {
        "fails" => Err("connection refused".into()),
        "snoozes" => Err(JobError::snooze(SECOND * 10)),
        "deaf" => std::future::pending().await,
        _ => {
            ctx.sleep(SECOND * 60).await;
            Ok(())
        }
    }
}

struct Scene {
    kit: TestKit,
    store: MemoryStore,
    jobs: Arc<BackgroundJobs>,
}

async fn scene(options: impl FnOnce(Options) -> Options) -> Scene {
    let scene = unstarted(options);
    scene.jobs.start().await.expect("started");
    scene
}

fn unstarted(options: impl FnOnce(Options) -> Options) -> Scene {
    let (kit, store) = (TestKit::new(), MemoryStore::new());
    let builder =
        BackgroundJobs::builder(|start| options(start.use_store(store.clone()).queue("default", 1)));
    Scene { jobs: kit.build(builder.register_fn(handler)), kit, store }
}

impl Scene {
    async fn enqueue(&self, name: &str) -> JobId {
        self.jobs.manager().enqueue(work(name)).await.expect("enqueued").id
    }

    async fn settle(&self) {
        // Whether jobs ran says the explanation.
        _ = self.kit.settle().await;
    }

    async fn explain(&self, id: JobId) -> Explanation {
        self.jobs.explain(id).await.expect("answers")
    }

    /// The one reason, and the text behind the job's own.
    async fn reason(&self, id: JobId) -> (Reason, String) {
        let explanation = self.explain(id).await;
        let text = explanation.to_string();
        assert!(text.contains(&id.to_string()), "{text}");
        let [reason] = explanation.reasons.as_slice() else { panic!("{explanation:?}") };
        let (_, words) = text.split_once(": ").expect("the job stands in front");
        (reason.clone(), words.to_owned())
    }
}

#[tokio::test]
async fn unknown_and_finished() {
    let scene = scene(|options| options.retry(RetryPolicy::never())).await;
    let nobody: JobId = "01938f3a-7c1e-7000-8000-000000000001".parse().expect("an id");
    let (reason, words) = scene.reason(nobody).await;
    assert_eq!(reason, Reason::Unknown);
    assert!(words.starts_with("the store has no such job; it was never stored"), "{words}");

    let failed = scene.enqueue("fails").await;
    scene.settle().await;
    let (reason, words) = scene.reason(failed).await;
    assert!(matches!(reason, Reason::Finished { state: JobState::Failed, .. }), "{reason:?}");
    assert_eq!(words, format!("it is over: failed at {} (connection refused)", scene.kit.now()));
    scene.kit.finish().await;
}

#[tokio::test]
async fn running_and_told_to_stop() {
    let scene = scene(|options| options).await;
    let running = scene.enqueue("deaf").await;
    scene.settle().await;
    let since = scene.kit.now();
    let (reason, words) = scene.reason(running).await;
    assert_eq!(reason, Reason::Runs { since, told_to_stop: None });
    assert_eq!(words, format!("its handler runs here since {since}"));
    let full = scene.explain(running).await.to_string();
    assert!(full.starts_with(&format!("work {running} is running in queue default: ")), "{full}");

    scene.jobs.manager().cancel(running).await.expect("answers");
    scene.settle().await;
    let (_, words) = scene.reason(running).await;
    assert!(words.ends_with("and was told to stop because somebody cancelled it"), "{words}");
    scene.kit.finish().await;
}

#[tokio::test]
async fn read_ahead_and_no_free_slot() {
    let ahead = scene(|options| options).await;
    // Short runs make the worker claim ahead of its one slot.
    let builder = BackgroundJobs::builder(|options| options.use_in_memory().queue("default", 1));
    let jobs = ahead
        .kit
        .start(builder.register_fn(|_: Work, ctx: JobContext| async move {
            ctx.sleep(Duration::from_millis(10)).await;
            Ok(())
        }))
        .await;
    let many = jobs.manager().enqueue_many((0..50).map(|_| work("short"))).await.expect("enqueued");
    assert_eq!(ahead.kit.advance(Duration::from_millis(105)).await.succeeded, 10);
    let mut seen = Vec::new();
    for job in &many {
        seen.push(jobs.explain(job.id).await.expect("answers").reasons.remove(0));
    }
    assert!(seen.contains(&Reason::ReadAhead), "{seen:?}");

    let none = scene(|options| options.read_ahead(Duration::ZERO)).await;
    none.enqueue("deaf").await;
    none.settle().await;
    let behind = none.enqueue("any").await;
    none.settle().await;
    let (reason, _) = none.reason(behind).await;
    assert_eq!(reason, Reason::NoFreeSlot { queue: QueueName::default_queue(), slots: 1 });
    ahead.kit.finish().await;
    none.kit.finish().await;
}

#[tokio::test]
async fn put_off_by_whom() {
    let scene = scene(|options| options.retry(RetryPolicy::new().max_attempts(3))).await;
    let manager = scene.jobs.manager();
    let later = manager.enqueue_in(work("any"), SECOND * 5).await.expect("enqueued").id;
    let run_at = scene.kit.now() + SECOND * 5;
    let (reason, words) = scene.reason(later).await;
    assert_eq!(reason, Reason::Later { run_at, because: PutOff::Enqueued });
    assert_eq!(words, format!("it is due at {run_at}: it was enqueued for then"));

    let (failed, snoozed) = (scene.enqueue("fails").await, scene.enqueue("snoozes").await);
    scene.settle().await;
    let (_, words) = scene.reason(failed).await;
    assert!(words.ends_with(": attempt 1 of 3 failed (connection refused)"), "{words}");
    let (reason, words) = scene.reason(snoozed).await;
    let run_at = scene.kit.now() + SECOND * 10;
    assert_eq!(reason, Reason::Later { run_at, because: PutOff::Snoozed });
    assert!(words.ends_with("its handler asked for later"), "{words}");
    scene.kit.finish().await;
}

/// A worker of another process claims a job and is never heard of again.
async fn claim_elsewhere(scene: &Scene) -> WorkerId {
    let worker = WorkerId::from_uuid(uuid::Uuid::from_u128(7));
    let demand = QueueDemand { queue: QueueName::default_queue(), limit: 1 };
    let kinds = [backgroundjobs_core::Kind::new("work").expect("a kind")].into();
    let claim_id = ClaimId::from_uuid(uuid::Uuid::from_u128(8));
    let claim = ClaimJobs::new(scene.kit.now(), claim_id, worker, vec![demand], kinds, SECOND * 30);
    assert_eq!(scene.store.claim(&claim).await.expect("answers").queues[0].jobs.len(), 1);
    worker
}

#[tokio::test]
async fn claimed_elsewhere_its_lease_over_and_put_off_by_the_crash() {
    let scene = unstarted(|options| options);
    let id = scene.enqueue("any").await;
    let worker = claim_elsewhere(&scene).await;
    let until = scene.kit.now() + SECOND * 30;
    let (reason, words) = scene.reason(id).await;
    assert_eq!(reason, Reason::ClaimedElsewhere { worker, until });
    assert!(words.contains("is not in this process, has it until"), "{words}");

    // The jobs are not started: nobody takes it back.
    let report = scene.kit.advance(SECOND * 31).await;
    assert_eq!(report.recovered, 0);
    let (reason, words) = scene.reason(id).await;
    assert_eq!(reason, Reason::LeaseOver { worker, since: until });
    assert!(words.contains("let its lease run out"), "{words}");

    scene.jobs.start().await.expect("started");
    assert_eq!(scene.kit.settle().await.recovered, 1);
    let (reason, words) = scene.reason(id).await;
    let run_at = scene.kit.now() + SECOND * 30;
    assert_eq!(reason, Reason::Later { run_at, because: PutOff::Crashed { crashes: 1 } });
    assert!(words.ends_with("its worker died or lost the store while it ran, 1 times in a row"), "{words}");
    scene.kit.finish().await;
}

#[tokio::test]
async fn paused_and_not_due_at_once() {
    let scene = scene(|options| options).await;
    let admin = scene.jobs.admin().expect("the memory store has all of it");
    admin.pause("default").await.expect("paused");
    let since = scene.kit.now();
    let id = scene.jobs.manager().enqueue_in(work("any"), SECOND).await.expect("enqueued").id;
    let explanation = scene.explain(id).await;
    let [Reason::Later { .. }, Reason::Paused { since: at, .. }] = explanation.reasons.as_slice() else {
        panic!("{explanation:?}")
    };
    assert_eq!(*at, since);
    let text = explanation.to_string();
    assert!(text.contains(&format!("the queue default is paused since {since}")), "{text}");
    assert!(text.contains("resume(\"default\")"), "{text}");
    scene.kit.finish().await;
}

#[tokio::test]
async fn not_started_due_and_stopped() {
    let scene = unstarted(|options| options);
    let id = scene.enqueue("any").await;
    let (reason, words) = scene.reason(id).await;
    assert_eq!(reason, Reason::NotStarted);
    assert_eq!(words, "no worker was started here: call jobs.start().await");

    scene.jobs.start().await.expect("started");
    // Started, and the worker has not had its turn.
    let (reason, words) = scene.reason(id).await;
    assert_eq!(reason, Reason::Due);
    assert_eq!(words, "it is due and about to be claimed, in its turn");

    let left = scene.enqueue("any").await;
    scene.kit.run(scene.jobs.stop(Duration::ZERO)).await.expect("stopped");
    let (reason, words) = scene.reason(left).await;
    assert_eq!(reason, Reason::Stopped);
    assert_eq!(words, "the jobs of this program were stopped");
    scene.kit.abandon();
}

#[tokio::test]
async fn not_served_here() {
    let scene = scene(|options| options).await;
    let builder = BackgroundJobs::builder(|options| options.use_store(scene.store.clone()).producer_only());
    let producer = scene.kit.build(builder);
    let elsewhere = EnqueueOptions::new().queue("reports");
    let id = producer.manager().enqueue_with(work("any"), elsewhere).await.expect("enqueued").id;
    let (reason, words) = scene.reason(id).await;
    let queue = QueueName::new("reports").expect("a name");
    assert_eq!(reason, Reason::QueueNotServed { queue, served: vec!["default".into()], elsewhere: false });
    assert_eq!(
        words,
        "no worker here serves the queue reports (served: default); add options.queue(\"reports\", slots) to \
         jobs with handlers"
    );

    #[derive(Serialize, Deserialize)]
    struct Report;
    impl JobArgs for Report {
        const KIND: &'static str = "report";
    }
    let id = producer.manager().enqueue(Report).await.expect("enqueued").id;
    let (reason, words) = scene.reason(id).await;
    assert!(matches!(&reason, Reason::UnknownKind { known, .. } if *known == ["work"]), "{reason:?}");
    assert!(
        words == "no worker of its queue here has a handler for report (known: work); register one",
        "{words}"
    );
    scene.kit.finish().await;
}

#[tokio::test]
async fn the_store_does_not_let_it_claim() {
    let kit = TestKit::new();
    let store = TroubledStore::new(MemoryStore::new(), |operation, count, _| {
        (operation == StoreOperation::Claim && (2..9).contains(&count)).then_some(Trouble::Error)
    });
    let builder = BackgroundJobs::builder(|options| options.use_store(store).queue("default", 1));
    let jobs = kit.start(builder.register_fn(handler)).await;
    assert_eq!(kit.settle().await.claimed, 0);
    let id = jobs.manager().enqueue(work("any")).await.expect("enqueued").id;
    assert_eq!(kit.advance(SECOND).await.claimed, 0);
    let explanation = jobs.explain(id).await.expect("answers");
    let text = explanation.to_string();
    let failed = "the worker cannot claim: the store failed to claim: as the test says";
    assert!(text.ends_with(failed), "{text}");
    assert_eq!(kit.advance(SECOND * 60).await.claimed, 1);
    let explanation = jobs.explain(id).await.expect("answers");
    assert!(matches!(explanation.reasons[0], Reason::Runs { .. } | Reason::Finished { .. }), "{explanation}");
    kit.finish().await;
}

#[tokio::test]
async fn ended_and_not_settled() {
    let kit = TestKit::new();
    let store = TroubledStore::new(MemoryStore::new(), |operation, count, _| {
        (operation == StoreOperation::Settle && count < 3).then_some(Trouble::Error)
    });
    let builder = BackgroundJobs::builder(|options| options.use_store(store).queue("default", 1));
    let jobs = kit.start(builder.register_fn(|_: Work, _ctx| async { Ok(()) })).await;
    let id = jobs.manager().enqueue(work("any")).await.expect("enqueued").id;
    assert_eq!(kit.settle().await.succeeded, 0);
    let explanation = jobs.explain(id).await.expect("answers");
    assert_eq!(explanation.reasons, [Reason::Settling]);
    let text = explanation.to_string();
    assert!(text.ends_with("its handler has ended here, and the store has not been told yet"), "{text}");
    assert_eq!(kit.advance(SECOND).await.succeeded, 1);
    kit.finish().await;
}
