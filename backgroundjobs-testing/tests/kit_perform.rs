//! `kit.perform`: one run of one handler, as a worker would make it, without a store.

#[path = "support/program.rs"]
mod program;

use std::sync::Arc;
use std::time::Duration;

use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{FailureKind, JobStore, Outcome, QueueName};
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::{Attempt, TestKit};
use parking_lot::Mutex;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use self::program::{Mail, SECOND, Work, panic_of, program, scene_with, work};

/// A kit with a program that is not started.
fn kit_with(options: impl FnOnce(backgroundjobs_core::Options) -> backgroundjobs_core::Options) -> Stage {
    let (kit, store) = (TestKit::new(), MemoryStore::new());
    let jobs = kit.build(program(|start| options(start.use_store(store.clone()))));
    Stage { kit, store, _jobs: jobs }
}

struct Stage {
    kit: TestKit,
    store: MemoryStore,
    _jobs: Arc<BackgroundJobs>,
}

#[tokio::test]
async fn each_way_a_handler_may_end_is_told_as_a_store_would_be() {
    let Stage { kit, _jobs, .. } = kit_with(|options| options);
    let cases = [
        ("ok", Attempt::Succeeded, None, None),
        ("fail", Attempt::Failed, Some("it failed"), Some(SECOND * 60)),
        ("retry 7", Attempt::Failed, Some("not yet"), Some(SECOND * 7)),
        ("snooze 8", Attempt::Snoozed, None, Some(SECOND * 8)),
        ("cancel", Attempt::Cancelled, Some("not wanted"), None),
        ("permanent", Attempt::Failed, Some("never"), None),
        ("panic", Attempt::Failed, Some("the handler panicked: a bug"), Some(SECOND * 60)),
    ];
    for (does, attempt, error, delay) in cases {
        let done = kit.perform(work(does)).await;
        assert_eq!((done.attempt(), done.error()), (attempt, error), "{does}");
        assert_eq!(done.outcome.delay(), delay.unwrap_or_default(), "{does}");
        assert_eq!(done.took(), Duration::ZERO, "{does}");
    }
    let kind = async |does| kit.perform(work(does)).await.failure().map(|failure| failure.kind);
    assert_eq!(kind("fail").await, Some(FailureKind::Error));
    assert_eq!(kind("panic").await, Some(FailureKind::Panic));
    assert_eq!(kind("cancel").await, Some(FailureKind::Cancel));
    assert!(matches!(kit.perform(work("permanent")).await.outcome, Outcome::Fail { .. }));
    kit.finish().await;
}

#[tokio::test]
async fn the_attempt_decides_on_the_wait_and_the_last_one_fails_for_good() {
    let Stage { kit, _jobs, .. } = kit_with(|options| options.retry(RetryPolicy::new().max_attempts(3)));
    let first = kit.perform(work("fail")).await;
    let second = kit.perform(work("fail")).attempt(2).await;
    let last = kit.perform(work("fail")).attempt(3).await;
    assert_eq!((first.outcome.delay(), second.outcome.delay()), (SECOND * 60, SECOND * 120));
    assert!(matches!(last.outcome, Outcome::Fail { .. }), "{last:?}");
    assert_eq!(last.attempt(), Attempt::Failed);
    let snoozed = kit.perform(work("snooze 5")).attempt(3).await;
    assert_eq!(snoozed.outcome, Outcome::Snooze { delay: SECOND * 5 });
    let zeroth = kit.perform(work("fail")).attempt(0).await;
    assert_eq!(zeroth.outcome, first.outcome, "0 counts as 1");
    let only = kit.perform(work("fail")).options(EnqueueOptions::new().max_attempts(1)).await;
    assert!(matches!(only.outcome, Outcome::Fail { .. }), "{only:?}");
    kit.finish().await;
}

#[tokio::test]
async fn a_run_takes_virtual_time_and_what_is_due_meanwhile_happens() {
    let scene = scene_with(|options| options).await;
    scene.manager.enqueue_in(work("ok"), SECOND * 30).await.expect("enqueued");
    let start = scene.kit.now();
    let done = scene.kit.perform(work("sleep 60")).await;
    assert_eq!((done.took(), done.from, done.to), (SECOND * 60, start, start + SECOND * 60));
    done.expect_success();
    assert_eq!(scene.jobs.stats().succeeded, 1, "the other one; what is performed is not counted");
    scene.kit.finish().await;
}

#[tokio::test]
async fn a_run_out_of_time_is_told_and_dropped_after_the_grace() {
    let Stage { kit, _jobs, .. } = kit_with(|options| options.timeout(SECOND * 10).cancel_grace(SECOND * 3));
    let hears = kit.perform(work("listen")).await;
    assert_eq!((hears.took(), hears.attempt()), (SECOND * 10, Attempt::Failed));
    assert_eq!(hears.error(), Some("ran longer than its timeout of 10s: told to stop"));
    let deaf = kit.perform(work("sleep 1000")).await;
    assert_eq!(deaf.took(), SECOND * 13);
    let expected =
        "ran longer than its timeout of 10s: the handler did not stop when asked and was dropped".to_owned();
    assert_eq!(deaf.error(), Some(&*expected));
    assert!(matches!(&deaf.outcome, Outcome::Retry { failure, .. } if failure.kind == FailureKind::Timeout));
    // One that ends well within the grace has succeeded.
    let slow = kit.perform(work("sleep 12")).await;
    assert_eq!(slow.took(), SECOND * 12);
    slow.expect_success();
    kit.finish().await;
}

#[tokio::test]
async fn wrappers_run_around_it() {
    struct Noting(Arc<dyn JobExecutor>, Arc<Mutex<Vec<String>>>);
    #[async_trait]
    impl JobExecutor for Noting {
        async fn execute(&self, run: JobRun) -> JobResult {
            self.1.lock().push(format!("{} {}", run.context.kind(), run.args.as_str()));
            self.0.execute(run).await
        }
    }
    let log = Arc::<Mutex<Vec<String>>>::default();
    let lines = log.clone();
    let Stage { kit, _jobs, .. } =
        kit_with(move |options| options.wrap_executor(move |inner| Noting(inner, lines)));
    kit.perform(work("ok")).await.expect_success();
    assert_eq!(*log.lock(), [r#"work {"does":"ok"}"#]);
    kit.finish().await;
}

/// Args that do not come back as they were: written as text, read as another.
#[derive(Debug)]
struct Lossy(String);

impl Serialize for Lossy {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format!("{} written", self.0))
    }
}

impl<'de> Deserialize<'de> for Lossy {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        if text.starts_with("bad") {
            return Err(serde::de::Error::custom("as the test says"));
        }
        Ok(Self(format!("{text} and read")))
    }
}

impl JobArgs for Lossy {
    const KIND: &'static str = "lossy";
}

#[tokio::test]
async fn the_args_are_written_and_read_back() {
    let kit = TestKit::new();
    let builder = BackgroundJobs::builder(|options| options.use_in_memory())
        .register_fn(async |args: Lossy, _: JobContext| Err(args.0.into()));
    let _jobs = kit.build(builder);
    assert_eq!(kit.perform(Lossy("args".into())).await.error(), Some("args written and read"));
    let bad = kit.perform(Lossy("bad".into())).await;
    assert!(bad.error().is_some_and(|error| error.contains("as the test says")), "{bad:?}");
    assert_eq!(bad.attempt(), Attempt::Failed);
    kit.finish().await;
}

#[tokio::test]
async fn what_an_enqueue_would_say_reaches_the_handler() {
    let kit = TestKit::new();
    let builder = BackgroundJobs::builder(|options| {
        options.use_in_memory().queue("default", 1).queue("post", 1).timeout(SECOND * 10)
    });
    let seen = Arc::<Mutex<Option<JobContext>>>::default();
    let seen_by_handler = seen.clone();
    let _jobs = kit.build(builder.register_fn(move |_: Mail, ctx: JobContext| {
        *seen_by_handler.lock() = Some(ctx);
        async { Ok(()) }
    }));
    let id = kit.env().job_id();
    let options = EnqueueOptions::new().id(id).queue("post").metadata("trace", "17").max_attempts(2);
    kit.perform(program::mail("masa")).options(options).attempt(2).await.expect_success();
    let ctx = seen.lock().take().expect("it ran");
    assert_eq!((ctx.id(), ctx.attempt(), ctx.is_last_attempt()), (id, 2, true));
    assert_eq!((ctx.kind().as_str(), ctx.queue().as_str()), ("mail", "post"));
    assert_eq!(ctx.metadata().get("trace").map(String::as_str), Some("17"));
    assert_eq!(ctx.deadline(), Some(kit.now() + SECOND * 10));
    drop(ctx);
    let nowhere = EnqueueOptions::new().queue("nowhere");
    let text = panic_of(kit.perform(program::mail("masa")).options(nowhere).into_future()).await;
    assert!(
        text.starts_with("mail cannot be performed: nothing here serves the queue \"nowhere\""),
        "{text}"
    );
    kit.finish().await;
}

#[tokio::test]
async fn what_the_handler_enqueues_is_stored_and_the_job_itself_is_not() {
    let scene = scene_with(|options| options).await;
    for does in ["enqueue", "enqueue_static"] {
        scene.kit.perform(work(does)).await.expect_success();
    }
    let jobs = scene.kit.jobs().await;
    jobs.assert_enqueued::<Mail>().with(|mail| mail.to == "from work").times(2);
    jobs.assert_enqueued::<Work>().never();
    jobs.assert_ran::<Work>().never();
    assert_eq!(jobs.count(), 2);
    let _ = scene.kit.settle().await;
    assert_eq!(scene.jobs.stats().succeeded, 2, "the worker ran what was enqueued");
    scene.kit.finish().await;
}

#[tokio::test]
async fn the_static_manager_inside_is_that_of_the_program_that_runs_it() {
    let Stage { kit, store, _jobs } = kit_with(|options| options);
    let other = MemoryStore::new();
    let shared = other.clone();
    let elsewhere = kit.build(program(|options| options.use_store(shared)));
    // The first program that has the handler runs it, whichever manager is current outside.
    let scoped =
        BackgroundJobManager::scope(elsewhere.manager(), kit.perform(work("enqueue_static")).into_future());
    scoped.await.expect_success();
    let queue = QueueName::default_queue();
    let count = async |store: &MemoryStore| {
        let inspect = store.inspect().expect("the memory store has it");
        let facts = inspect.queues(kit.now()).await.expect("answers");
        facts.iter().filter(|facts| facts.queue == queue).count()
    };
    assert_eq!((count(&store).await, count(&other).await), (1, 0));
    kit.abandon(); // What was enqueued waits in a program that is not started.
}

#[tokio::test]
async fn blocking_and_scoped_handlers_are_performed_before_a_start() {
    struct Scoped(u16);
    impl BackgroundJob<Work> for Scoped {
        async fn execute(&self, work: Work, ctx: JobContext) -> JobResult {
            ctx.sleep(SECOND * 2).await;
            Err(format!("{} in scope {}", work.does, self.0).into())
        }
    }
    let kit = TestKit::new();
    let builder = BackgroundJobs::builder(|options| options.use_in_memory())
        .register_scoped(async |ctx: JobContext| Ok(Scoped(ctx.attempt())))
        .register_blocking(|mail: Mail, ctx: JobContext| {
            let current = BackgroundJobManager::current().is_ok();
            Err(format!("{} blocks in attempt {}, manager {current}", mail.to, ctx.attempt()).into())
        });
    let jobs = kit.build(builder);
    let scoped = kit.perform(work("works")).attempt(4).await;
    assert_eq!((scoped.error(), scoped.took()), (Some("works in scope 4"), SECOND * 2));
    let blocking = kit.perform(program::mail("masa")).attempt(2).await;
    assert_eq!(blocking.error(), Some("masa blocks in attempt 2, manager true"));
    assert_eq!(jobs.stats().claimed, 0);
    kit.finish().await;
}

#[tokio::test]
async fn a_run_that_did_not_succeed_is_not_taken_for_one() {
    let Stage { kit, _jobs, .. } = kit_with(|options| options);
    let done = kit.perform(work("fail")).await;
    let text = panic_of(async { done.expect_success() }).await;
    let failure = r#"Failure { kind: Error, text: "it failed" }"#;
    assert_eq!(text, format!("the run did not succeed: Retry {{ delay: 60s, failure: {failure} }}"));
    let done = kit.perform(work("snooze 5")).await;
    let text = panic_of(async { done.expect_success() }).await;
    assert_eq!(text, "the run did not succeed: Snooze { delay: 5s }");
    kit.finish().await;
}
