//! Looking after jobs: waiting for one, hearing of runs, pausing, listing, deleting, putting back.

use std::sync::Arc;
use std::time::Duration;

use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{
    DeleteStatus, FailureKind, FinishedRun, JobFilter, JobStore, Kind, ListJobs, Options, QueueName,
    WaitError,
};
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::TestKit;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Serialize, Deserialize)]
struct Work {
    seconds: u32,
    /// Runs that fail before one that does not.
    failures: u16,
}

impl JobArgs for Work {
    const KIND: &'static str = "work";
}

fn work(seconds: u32, failures: u16) -> Work {
    Work { seconds, failures }
}

async fn handler(work: Work, ctx: JobContext) -> JobResult {
    ctx.sleep(SECOND * work.seconds).await;
    if ctx.attempt() <= work.failures { Err("no luck".into()) } else { Ok(()) }
}

async fn start(kit: &TestKit, options: impl FnOnce(Options) -> Options) -> Arc<BackgroundJobs> {
    let policy = RetryPolicy::new().max_attempts(2).first(SECOND);
    let builder =
        BackgroundJobs::builder(|start| options(start.use_in_memory().queue("default", 2).retry(policy)));
    kit.start(builder.register_fn(handler)).await
}

#[tokio::test]
async fn a_wait_answers_the_final_state_whatever_it_is() {
    let kit = TestKit::new();
    let jobs = start(&kit, |options| options).await;
    let manager = jobs.manager();
    let good = manager.enqueue(work(3, 1)).await.expect("enqueued").id;
    let begun = kit.now();
    assert_eq!(kit.run(manager.wait(good, SECOND * 60)).await.expect("over"), JobState::Succeeded);
    assert_eq!(kit.now().since(begun), SECOND * 7, "two runs and the wait between them, and no longer");
    let bad = manager.enqueue(work(1, 9)).await.expect("enqueued").id;
    assert_eq!(kit.run(manager.wait(bad, SECOND * 60)).await.expect("over"), JobState::Failed);
    let cancelled = manager.enqueue_in(work(1, 0), SECOND * 60).await.expect("enqueued").id;
    let (state, _) = kit
        .run(async { tokio::join!(manager.wait(cancelled, SECOND * 60), manager.cancel(cancelled)) })
        .await;
    assert_eq!(state.expect("over"), JobState::Cancelled);
    kit.finish().await;
}

#[tokio::test]
async fn a_wait_that_ends_without_it_says_why() {
    let kit = TestKit::new();
    let jobs = start(&kit, |options| options).await;
    let manager = jobs.manager();
    let later = manager.enqueue_in(work(1, 0), SECOND * 60).await.expect("enqueued").id;
    let error = kit.run(manager.wait(later, SECOND * 5)).await.expect_err("not over");
    let text = error.to_string();
    assert!(
        text.starts_with(&format!("not over within 5s: work {later} is waiting in queue default: ")),
        "{text}"
    );
    assert!(text.ends_with("it was enqueued for then"), "{text}");
    assert!(matches!(error, WaitError::TimedOut { limit, .. } if limit == SECOND * 5));

    let nobody: JobId = "01938f3a-7c1e-7000-8000-000000000001".parse().expect("an id");
    let error = manager.wait(nobody, SECOND).await.expect_err("no such job");
    assert!(error.to_string().starts_with(&format!("there is no job {nobody}")), "{error}");
    kit.finish().await;
}

#[tokio::test]
async fn each_applied_outcome_is_heard_once() {
    let kit = TestKit::new();
    let heard: Arc<Mutex<Vec<FinishedRun>>> = Arc::default();
    let (listener, also) = (heard.clone(), Arc::new(Mutex::new(0)));
    let count = also.clone();
    let jobs = start(&kit, |options| {
        options
            .on_finished(|_| panic!("a listener with a bug"))
            .on_finished(move |run| listener.lock().push(run.clone()))
            .on_finished(move |_| *count.lock() += 1)
    })
    .await;
    let manager = jobs.manager();
    let id = manager.enqueue(work(0, 9)).await.expect("enqueued").id;
    let report = kit.advance(SECOND * 10).await;
    assert_eq!((report.retried, report.failed), (1, 1), "a listener that panics harms nothing");
    let runs: Vec<FinishedRun> = std::mem::take(&mut *heard.lock());
    let told: Vec<_> = runs.iter().map(|run| (run.id, run.kind.as_str(), run.state, run.attempt)).collect();
    assert_eq!(told, [(id, "work", JobState::Waiting, 1), (id, "work", JobState::Failed, 2)]);
    let (kind, text) = runs[1].error.as_ref().expect("it failed");
    assert_eq!((*kind, text.as_str()), (FailureKind::Error, "no luck"));

    let good = manager.enqueue(work(0, 0)).await.expect("enqueued").id;
    assert_eq!(kit.settle().await.succeeded, 1);
    let last = heard.lock().pop().expect("heard");
    assert_eq!((last.id, last.state, last.error), (good, JobState::Succeeded, None));
    assert_eq!(*also.lock(), 3);
    kit.finish().await;
}

/// Only runs are heard: what was read ahead and goes back has not run.
#[tokio::test]
async fn what_goes_back_unstarted_is_not_heard() {
    let kit = TestKit::new();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listener = heard.clone();
    let builder = BackgroundJobs::builder(|options| {
        options.use_in_memory().queue("default", 1).on_finished(move |run| listener.lock().push(run.state))
    });
    let jobs = kit.start(builder.register_fn(handler)).await;
    jobs.manager().enqueue_many((0..500).map(|_| work(0, 0))).await.expect("enqueued");
    assert_eq!(kit.settle().await.succeeded, 500);
    jobs.manager().enqueue_many((0..20).map(|_| work(5, 0))).await.expect("enqueued");
    let report = kit.advance(SECOND * 2).await;
    assert!(report.released > 0, "nothing was read ahead: {report:?}");
    assert_eq!(*heard.lock(), [JobState::Succeeded; 500]);
    kit.finish().await;
}

#[tokio::test]
async fn a_paused_queue_starts_nothing_until_it_is_resumed() {
    let kit = TestKit::new();
    let jobs = start(&kit, |options| options).await;
    let admin = jobs.admin().expect("the memory store has all of it");
    admin.pause("default").await.expect("paused");
    jobs.manager().enqueue(work(0, 0)).await.expect("enqueued");
    assert_eq!(kit.advance(SECOND * 600).await.claimed, 0);
    let queues = admin.queues().await.expect("answers");
    assert!(queues[0].paused_since.is_some(), "{queues:?}");
    admin.resume("default").await.expect("resumed");
    assert_eq!(kit.settle().await.succeeded, 1);
    let error = admin.pause(" ").await.expect_err("no name");
    assert_eq!(error.to_string(), "no queue can be called so: the name is blank");
    kit.finish().await;
}

/// What is read ahead would start after the pause; it goes back at once.
#[tokio::test]
async fn a_pause_hands_back_what_was_read_ahead() {
    let kit = TestKit::new();
    let builder = BackgroundJobs::builder(|options| options.use_in_memory().queue("default", 1));
    let jobs = kit.start(builder.register_fn(handler)).await;
    jobs.manager().enqueue_many((0..500).map(|_| work(0, 0))).await.expect("enqueued");
    assert_eq!(kit.settle().await.succeeded, 500);
    jobs.manager().enqueue_many((0..20).map(|_| work(5, 0))).await.expect("enqueued");
    assert!(kit.settle().await.claimed > 1, "nothing was read ahead");
    jobs.admin().expect("there").pause("default").await.expect("paused");
    let report = kit.settle().await;
    assert!(report.released > 0, "{report:?}");
    let left = jobs.admin().expect("there").count(JobFilter::all().states([JobState::Running])).await;
    assert_eq!(left.expect("answers").total(&[JobState::Running]), 1, "the run runs on");
    assert_eq!(kit.advance(SECOND * 60).await.succeeded, 1, "and nothing else starts");
    kit.finish().await;
}

#[tokio::test]
async fn jobs_are_listed_counted_deleted_and_put_back() {
    let kit = TestKit::new();
    let jobs = start(&kit, |options| options.retry(RetryPolicy::never())).await;
    let (manager, admin) = (jobs.manager(), jobs.admin().expect("there"));
    let mut failed = Vec::new();
    for _ in 0..250 {
        failed.push(manager.enqueue(work(0, 1)).await.expect("enqueued").id);
    }
    let good = manager.enqueue(work(0, 0)).await.expect("enqueued").id;
    let running = manager.enqueue(work(600, 0)).await.expect("enqueued").id;
    assert_eq!(kit.settle().await.failed, 250);

    let filter = || JobFilter::all().states([JobState::Failed]);
    let (mut after, mut listed) = (None, Vec::new());
    loop {
        let page = admin.list(filter(), after).await.expect("answers");
        assert!(page.jobs.len() <= 100);
        listed.extend(page.jobs.iter().map(|job| job.id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    failed.reverse();
    assert_eq!(listed, failed, "newest first, each once");
    let queue = QueueName::default_queue();
    let kinds = [Kind::new("work").expect("a kind")];
    let counts = admin.count(JobFilter::all().queues([queue]).kinds(kinds)).await.expect("answers");
    assert_eq!(counts.total(&[JobState::Failed]), 250);

    let deleted = admin.delete(&[failed[0], running, failed[0]]).await.expect("answers");
    assert_eq!(deleted, [DeleteStatus::Deleted, DeleteStatus::Running, DeleteStatus::Unknown]);

    let some = admin.requeue_where(filter(), 120).await.expect("answers");
    assert_eq!(some.requeued, failed[1..=120]);
    assert!(some.conflicts.is_empty());
    assert_eq!(kit.settle().await.failed, 120, "they run at once, and fail again");
    let all = admin.requeue_where(JobFilter::all(), usize::MAX).await.expect("answers");
    assert_eq!(all.requeued.len(), 249, "without states: the failed and the cancelled ones");
    assert!(!all.requeued.contains(&good));
    let succeeded = JobFilter::all().states([JobState::Succeeded, JobState::Running]);
    let again = admin.requeue_where(succeeded, 10).await.expect("answers");
    assert_eq!(again.requeued, [good], "a job that runs is left alone");
    kit.finish().await;
}

/// A page of no job could not say where the next one starts, and the jobs seemed to be at their end.
#[tokio::test]
async fn a_page_of_at_most_no_job_has_one() {
    let (kit, store) = (TestKit::new(), MemoryStore::new());
    let jobs = kit.build(BackgroundJobs::builder(|options| options.use_store(store.clone()).producer_only()));
    jobs.manager().enqueue_many((0..3).map(|_| work(0, 0))).await.expect("enqueued");
    let (mut after, mut seen) = (None, 0);
    for _ in 0..4 {
        let request = ListJobs::new(kit.now(), JobFilter::all(), after, 0);
        let page = store.inspect().expect("there").list(&request).await.expect("answers");
        seen += page.jobs.len();
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!((seen, after), (3, None));
    kit.finish().await;
}

#[tokio::test]
async fn a_requeue_leaves_jobs_whose_key_another_holds() {
    let kit = TestKit::new();
    let jobs = start(&kit, |options| options.retry(RetryPolicy::never())).await;
    let (manager, admin) = (jobs.manager(), jobs.admin().expect("there"));
    let options = || EnqueueOptions::new().unique("one");
    let failed = manager.enqueue_with(work(0, 1), options()).await.expect("enqueued").id;
    assert_eq!(kit.settle().await.failed, 1);
    let holder = manager.enqueue_with(work(60, 0), options()).await.expect("enqueued").id;
    let done = admin.requeue_where(JobFilter::all(), 10).await.expect("answers");
    assert_eq!((done.requeued.len(), done.conflicts), (0, vec![(failed, holder)]));
    kit.finish().await;
}
