//! Nothing is enqueued and silently never run: what is warned of, when, and in which words.

#[path = "support/log_lines.rs"]
mod log_lines;
#[allow(dead_code, reason = "this test uses a part of it")]
mod support;

use std::sync::Arc;
use std::time::Duration;

use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{JobStore, LeaseKey, Options, Outcome, SettleJobs, Settlement};
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::TestKit;
use serde::{Deserialize, Serialize};

use self::log_lines::LogLines;
use self::support::TroubledStore;

const SECOND: Duration = Duration::from_secs(1);

#[derive(Serialize, Deserialize)]
struct Mail;

impl JobArgs for Mail {
    const KIND: &'static str = "mail";
}

#[derive(Serialize, Deserialize)]
struct Report;

impl JobArgs for Report {
    const KIND: &'static str = "report";
}

async fn send(_: Mail, _: JobContext) -> JobResult {
    Ok(())
}

fn sender(kit: &TestKit, options: impl FnOnce(Options) -> Options) -> Arc<BackgroundJobs> {
    kit.build(BackgroundJobs::builder(options).register_fn(send))
}

#[tokio::test]
async fn an_enqueue_that_nobody_starts_to_serve_is_warned_of_once_after_five_seconds() {
    let (lines, _guard) = LogLines::listen();
    let kit = TestKit::new();
    let jobs = sender(&kit, |options| options.use_in_memory());
    for _ in 0..3 {
        jobs.manager().enqueue(Mail).await.expect("enqueued");
    }
    assert_eq!(kit.advance(Duration::from_millis(4_999)).await.claimed, 0);
    assert_eq!(lines.take(), [""; 0]);
    assert_eq!(kit.advance(Duration::from_millis(1)).await.claimed, 0);
    assert_eq!(
        lines.take(),
        ["WARN jobs wait, and no worker here has served their queue for 5s: call jobs.start().await \
          kind=mail queue=default"]
    );
    jobs.manager().enqueue(Mail).await.expect("enqueued");
    assert_eq!(kit.advance(SECOND * 50).await.claimed, 0);
    assert_eq!(lines.take(), [""; 0], "once for each kind and queue");
    jobs.start().await.expect("started");
    assert_eq!(kit.advance(SECOND * 600).await.succeeded, 4);
    assert_eq!(lines.take(), [""; 0]);
    kit.finish().await;
}

#[tokio::test]
async fn an_enqueue_before_a_start_that_comes_in_time_is_not_warned_of() {
    let (lines, _guard) = LogLines::listen();
    let kit = TestKit::new();
    let jobs = sender(&kit, |options| options.use_in_memory());
    jobs.manager().enqueue(Mail).await.expect("enqueued");
    assert_eq!(kit.advance(SECOND * 4).await.claimed, 0);
    jobs.start().await.expect("started");
    assert_eq!(kit.advance(SECOND * 600).await.succeeded, 1);
    assert_eq!(lines.take(), [""; 0]);
    kit.finish().await;
}

/// In memory a timer of the enqueueing manager looks after what no worker of the process knows.
#[tokio::test]
async fn in_memory_jobs_that_nobody_claims_are_warned_of_when_a_minute_overdue() {
    let (lines, _guard) = LogLines::listen();
    let (kit, store) = (TestKit::new(), MemoryStore::new());
    let worker = sender(&kit, |options| options.use_store(store.clone()));
    worker.start().await.expect("started");
    let producer =
        kit.build(BackgroundJobs::builder(|options| options.use_store(store.clone()).producer_only()));
    producer.manager().enqueue_in(Report, SECOND * 100).await.expect("enqueued");
    producer.manager().enqueue_in(Report, SECOND * 130).await.expect("enqueued");
    producer.manager().enqueue(Mail).await.expect("enqueued");
    let due = kit.now() + SECOND * 100;
    assert_eq!(kit.advance(Duration::from_millis(159_999)).await.succeeded, 1);
    assert_eq!(lines.take(), [""; 0], "the queue is served, and nothing is overdue by a minute");
    assert_eq!(kit.advance(Duration::from_millis(1)).await.claimed, 0);
    assert_eq!(
        lines.take(),
        [format!(
            "WARN jobs are overdue, and no worker of this process claims them: start jobs that have a handler \
             for report and serve the queue default kind=report queue=default jobs=2 since={due}"
        )]
    );
    producer.manager().enqueue(Report).await.expect("enqueued");
    assert_eq!(kit.advance(SECOND * 600).await.claimed, 0);
    assert_eq!(lines.take(), [""; 0], "once for each kind and queue");
    kit.finish().await;
}

/// Where other processes write to the store, every worker looks at what nobody claims, once a minute.
#[tokio::test]
async fn on_a_shared_store_jobs_that_nobody_claims_are_warned_of_by_the_worker() {
    let (lines, _guard) = LogLines::listen();
    let (kit, store) = (TestKit::new(), MemoryStore::new());
    let worker = sender(&kit, |options| options.use_store(TroubledStore::deaf(store.clone())));
    worker.start().await.expect("started");
    let elsewhere = kit.build(BackgroundJobs::builder(|options| {
        options.use_store(TroubledStore::deaf(store.clone())).producer_only()
    }));
    elsewhere.manager().enqueue(Report).await.expect("enqueued");
    let paused = EnqueueOptions::new().queue("paused");
    elsewhere.manager().enqueue_with(Report, paused).await.expect("enqueued");
    elsewhere.admin().expect("there").pause("paused").await.expect("paused");
    elsewhere.manager().enqueue(Mail).await.expect("enqueued");
    assert_eq!(kit.advance(SECOND * 59).await.succeeded, 1);
    assert_eq!(lines.take(), [""; 0]);
    assert_eq!(kit.advance(SECOND * 600).await.claimed, 0);
    assert_eq!(
        lines.take(),
        ["WARN jobs are overdue, and no worker of this process claims them: see that some process has a \
          handler for report and serves the queue default kind=report queue=default jobs=1 overdue=60s"]
    );
    kit.finish().await;
}

#[tokio::test]
async fn on_a_shared_store_an_enqueue_after_the_stop_is_taken_with_one_warning() {
    let (lines, _guard) = LogLines::listen();
    let (kit, store) = (TestKit::new(), MemoryStore::new());
    let jobs = sender(&kit, |options| options.use_store(TroubledStore::deaf(store)));
    jobs.start().await.expect("started");
    kit.run(jobs.stop(SECOND)).await.expect("stopped");
    assert!(jobs.manager().enqueue(Mail).await.expect("enqueued").is_new);
    assert!(jobs.manager().enqueue(Mail).await.expect("enqueued").is_new);
    let first = lines.take();
    assert_eq!(
        first,
        [
            "WARN enqueued after these jobs were stopped: it waits for another process that serves it kind=mail \
          queue=default"
        ]
    );
    // Stopped here; they wait for another process.
    kit.abandon();
}

/// Where another process is said to run it, nobody here has to.
#[tokio::test]
async fn what_is_meant_for_other_processes_is_not_warned_of() {
    let (lines, _guard) = LogLines::listen();
    let (kit, store) = (TestKit::new(), MemoryStore::new());
    let shared = || TroubledStore::deaf(store.clone());
    let producer = kit.build(BackgroundJobs::builder(|options| options.use_store(shared()).producer_only()));
    producer.manager().enqueue(Mail).await.expect("enqueued");
    let jobs = sender(&kit, |options| {
        options.use_store(shared()).queue("default", 1).queue("far", 0).produces::<Report>()
    });
    jobs.manager().enqueue(Report).await.expect("enqueued");
    let far = EnqueueOptions::new().queue("far");
    jobs.manager().enqueue_with(Mail, far).await.expect("enqueued");
    assert_eq!(kit.advance(SECOND * 50).await.claimed, 0);
    assert_eq!(lines.take(), [""; 0]);
    // Its own kind in its own queue, and no start: that is warned of on every store.
    jobs.manager().enqueue(Mail).await.expect("enqueued");
    assert_eq!(kit.advance(SECOND * 50).await.claimed, 0);
    let warned = lines.take();
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert!(warned[0].contains("call jobs.start().await kind=mail queue=default"), "{warned:?}");
    kit.finish().await;
}

#[tokio::test]
async fn an_outcome_that_comes_after_the_lease_was_lost_is_dropped_with_a_warning() {
    let (lines, _guard) = LogLines::listen();
    let (kit, store) = (TestKit::new(), MemoryStore::new());
    let slow = async |_: Mail, ctx: JobContext| {
        ctx.sleep(SECOND * 3).await;
        Ok(())
    };
    let builder = BackgroundJobs::builder(|options| options.use_store(store.clone())).register_fn(slow);
    let jobs = kit.start(builder).await;
    let id = jobs.manager().enqueue(Mail).await.expect("enqueued").id;
    assert_eq!(kit.settle().await.claimed, 1);
    // Somebody else, who had it too, was faster.
    let lease = LeaseKey { id, generation: 1 };
    let settle = SettleJobs::new(kit.now(), vec![Settlement { lease, outcome: Outcome::Release }]);
    store.settle(&settle).await.expect("answers");
    let delete = jobs.admin().expect("there").delete(&[id]).await.expect("answers");
    assert_eq!(delete.len(), 1);
    let report = kit.advance(SECOND * 3).await;
    assert_eq!((report.succeeded, report.lost), (0, 1));
    let warned = lines.take();
    assert_eq!(
        warned,
        [format!(
            "WARN the lease was lost before the run was settled; its outcome is dropped, and the job may run \
             again id={id}"
        )]
    );
    kit.finish().await;
}

#[tokio::test]
async fn a_drop_without_a_stop_is_warned_of() {
    let (lines, _guard) = LogLines::listen();
    let kit = TestKit::new();
    let jobs = sender(&kit, |options| options.use_in_memory());
    jobs.start().await.expect("started");
    drop(jobs);
    let warned = lines.take();
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert!(warned[0].contains("background jobs were dropped without stop()"), "{warned:?}");
    assert!(warned[0].contains("call jobs.stop(..).await before"), "{warned:?}");
    kit.finish().await;
}

/// What waits in memory when the jobs stop is lost with the process, and that is said.
#[tokio::test]
async fn a_stop_says_how_many_jobs_are_lost_with_the_process() {
    let (lines, _guard) = LogLines::listen();
    let (kit, store) = (TestKit::new(), MemoryStore::new());
    let jobs = sender(&kit, |options| options.use_store(store.clone()));
    jobs.start().await.expect("started");
    for _ in 0..3 {
        jobs.manager().enqueue_in(Mail, SECOND * 60).await.expect("enqueued");
    }
    let other = sender(&kit, |options| options.use_store(store.clone()));
    other.start().await.expect("started");
    assert_eq!(kit.run(jobs.stop(SECOND)).await.expect("stopped").left_waiting, 0, "the other one runs them");
    let report = kit.run(other.stop(SECOND)).await.expect("stopped");
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(report.left_waiting, 3);
    assert_eq!(
        lines.take(),
        [
            "WARN the jobs are stopped, and jobs wait in a store that is lost with the process: nobody runs them \
          unless the program starts jobs again before it ends jobs=3 store=\"memory\""
        ]
    );
    kit.abandon();
}
