//! What a worker does beside running one job: order, queues, polling, pruning.

mod support;

use std::sync::Arc;
use std::time::Duration;

use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{JobFilter, JobStore, Keep, ListJobs, Priority, Retention};
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::TestKit;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use support::TroubledStore;

const SECOND: Duration = Duration::from_secs(1);

#[derive(Serialize, Deserialize)]
struct Work {
    name: String,
    seconds: u32,
}

impl JobArgs for Work {
    const KIND: &'static str = "work";
    const ALIASES: &'static [&'static str] = &["old_work"];
}

fn work(name: &str, seconds: u32) -> Work {
    Work { name: name.to_owned(), seconds }
}

/// (seconds since the start of the kit, name)
type Log = Arc<Mutex<Vec<(u64, String)>>>;

async fn handler(log: Log, work: Work, ctx: JobContext) -> JobResult {
    let start = backgroundjobs_testing::VirtualClock::START;
    log.lock().push((ctx.now().since(start).as_secs(), work.name.clone()));
    ctx.sleep(SECOND * work.seconds).await;
    if work.name == "flaky" && ctx.attempt() == 1 { Err("once".into()) } else { Ok(()) }
}

fn names(log: &Log) -> Vec<String> {
    log.lock().iter().map(|(_, name)| name.clone()).collect()
}

#[tokio::test]
async fn urgent_jobs_go_first_then_the_older_ones() {
    let (kit, log) = (TestKit::new(), Log::default());
    let builder = BackgroundJobs::builder(|options| options.use_in_memory().queue("default", 1))
        .register_fn_with(log.clone(), handler);
    let jobs = kit.build(builder);
    let manager = jobs.manager();
    for (name, priority) in [("a", 5), ("b", 0), ("c", 9), ("d", 5), ("e", 9)] {
        let options = EnqueueOptions::new().priority(Priority::new(priority).expect("0 to 9"));
        assert!(manager.enqueue_with(work(name, 1), options).await.expect("enqueued").is_new);
    }
    jobs.start().await.expect("started");
    assert_eq!(kit.advance(SECOND * 10).await.succeeded, 5);
    assert_eq!(names(&log), ["c", "e", "a", "d", "b"]);
    kit.finish().await;
}

#[tokio::test]
async fn a_full_queue_does_not_hold_up_another() {
    let (kit, log) = (TestKit::new(), Log::default());
    let options =
        |options: backgroundjobs_core::Options| options.use_in_memory().queue("mail", 2).queue("reports", 1);
    let jobs = kit.start(BackgroundJobs::builder(options).register_fn_with(log.clone(), handler)).await;
    let to = |queue: &str| EnqueueOptions::new().queue(queue);
    for name in ["m1", "m2", "m3"] {
        assert!(jobs.manager().enqueue_with(work(name, 100), to("mail")).await.expect("enqueued").is_new);
    }
    assert!(jobs.manager().enqueue_with(work("r1", 1), to("reports")).await.expect("enqueued").is_new);
    let report = kit.advance(SECOND * 2).await;
    assert_eq!((report.succeeded, names(&log).len()), (1, 3));
    assert!(names(&log).contains(&"r1".to_owned()) && !names(&log).contains(&"m3".to_owned()));
    assert_eq!(kit.advance(SECOND * 200).await.succeeded, 3);
    kit.finish().await;
}

#[tokio::test]
async fn two_workers_on_one_store_share_the_work_and_run_each_job_once() {
    let (kit, log, store) = (TestKit::new(), Log::default(), MemoryStore::new());
    let mut workers = Vec::new();
    for _ in 0..2 {
        let builder = BackgroundJobs::builder(|options| options.use_store(store.clone()).queue("default", 1))
            .register_fn_with(log.clone(), handler);
        workers.push(kit.start(builder).await);
    }
    let _ = kit.settle().await;
    // Enqueued through one, heard by both.
    for number in 0..4 {
        let _ = workers[0].manager().enqueue(work(&number.to_string(), 10)).await.expect("enqueued");
    }
    let report = kit.advance(SECOND * 20).await;
    assert_eq!((report.claimed, report.succeeded), (4, 4), "two at a time, in two rounds");
    assert_eq!((workers[0].stats().succeeded, workers[1].stats().succeeded), (2, 2));
    kit.finish().await;
}

#[tokio::test]
async fn a_store_that_announces_nothing_is_polled_and_own_retries_are_not_waited_for() {
    let (kit, log) = (TestKit::new(), Log::default());
    let store = MemoryStore::new();
    let elsewhere = TroubledStore::deaf(store.clone());
    let builder = BackgroundJobs::builder(|options| options.use_store(TroubledStore::deaf(store)))
        .register_fn_with(log.clone(), handler)
        .retry(RetryPolicy::new().first(SECOND * 2));
    let jobs = kit.start(builder).await;
    let elsewhere = BackgroundJobs::builder(|options| options.use_store(elsewhere).producer_only());
    let elsewhere = kit.build(elsewhere);
    let _ = kit.advance(SECOND).await;
    let _ = elsewhere.manager().enqueue(work("flaky", 0)).await.expect("enqueued");
    let report = kit.advance(SECOND * 10).await;
    assert_eq!((report.retried, report.succeeded), (1, 1));
    let expected = [(5, "flaky".to_owned()), (7, "flaky".to_owned())];
    assert_eq!(*log.lock(), expected, "found by the poll at 5 s, and again after 2 s");
    kit.run(jobs.wait_until_idle(SECOND)).await.expect("idle");
    kit.finish().await;
}

#[tokio::test]
async fn a_program_says_how_often_its_store_is_polled() {
    let (kit, log, store) = (TestKit::new(), Log::default(), MemoryStore::new());
    let deaf = TroubledStore::deaf(store.clone());
    let builder = BackgroundJobs::builder(|options| options.use_store(deaf).poll_interval(SECOND * 60))
        .register_fn_with(log.clone(), handler);
    let _worker = kit.start(builder).await;
    let elsewhere = TroubledStore::deaf(store);
    let elsewhere = BackgroundJobs::builder(|options| options.use_store(elsewhere).producer_only());
    let elsewhere = kit.build(elsewhere);
    let _ = kit.advance(SECOND).await;
    let _ = elsewhere.manager().enqueue(work("late", 0)).await.expect("enqueued");
    assert_eq!(kit.advance(SECOND * 100).await.succeeded, 1);
    assert_eq!(*log.lock(), [(60, "late".to_owned())]);
    kit.finish().await;
}

#[tokio::test]
async fn old_finished_jobs_are_cleared_away_as_jobs_end() {
    let (kit, log, store) = (TestKit::new(), Log::default(), MemoryStore::new());
    let keep = Retention { succeeded: Keep::latest(10), ..Retention::FOREVER };
    let builder = BackgroundJobs::builder(|options| options.use_store(store.clone()).retention(keep))
        .register_fn_with(log, handler);
    let jobs = kit.start(builder).await;
    let many: Vec<Work> = (0..2_500).map(|number| work(&number.to_string(), 0)).collect();
    assert_eq!(jobs.manager().enqueue_many(many).await.expect("enqueued").len(), 2_500);
    assert_eq!(kit.advance(SECOND * 60).await.succeeded, 2_500);
    let list = ListJobs::new(kit.now(), JobFilter::all(), None, 5_000);
    let left = store.inspect().expect("memory can").list(&list).await.expect("answers").jobs.len();
    assert!((10..=510).contains(&left), "{left} are left after 2,500: pruned at each 1,000");
    kit.finish().await;
}

#[tokio::test]
async fn a_job_stored_under_an_old_name_is_run_by_the_new_one() {
    let (kit, log) = (TestKit::new(), Log::default());
    let builder =
        BackgroundJobs::builder(|options| options.use_in_memory()).register_fn_with(log.clone(), handler);
    let jobs = kit.start(builder).await;
    let args = backgroundjobs_core::Payload::from_args(&work("old", 0)).expect("JSON");
    let draft = backgroundjobs_core::JobDraft::untyped("old_work", args, EnqueueOptions::new());
    assert!(jobs.manager().submit(vec![draft]).await.expect("stored")[0].is_new);
    assert_eq!(kit.settle().await.succeeded, 1);
    kit.finish().await;
}
