//! A program's jobs as a service of its host, and the manager that services find.

#[path = "support/services.rs"]
mod services;

use std::sync::Arc;

use backgroundjobs_core::hosting::{
    BackgroundService, Host, ServiceResult, Stopping, TaskQueue, Tick, TimedService, WhenFull,
};
use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{BackgroundJobManager, JobFilter};
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::{TestKit, explore};
use serde::{Deserialize, Serialize};
use services::{HOUR, Log, SECOND, failures, noted};

#[derive(Serialize, Deserialize)]
struct Work {
    seconds: u32,
}

impl JobArgs for Work {
    const KIND: &'static str = "work";
}

fn program(log: &Log) -> Builder {
    let log = log.clone();
    BackgroundJobs::builder(|options| options.use_in_memory().queue("default", 2)).register_fn_with(
        log,
        async |log: Log, work: Work, ctx: JobContext| {
            ctx.sleep(SECOND * work.seconds).await;
            log.note(format!("worked {} s", work.seconds));
            Ok(())
        },
    )
}

/// Enqueues a job every so often, through the manager that is current.
struct Feeder;

impl BackgroundService for Feeder {
    async fn execute(&self, stopping: Stopping) -> ServiceResult {
        while stopping.sleep(SECOND * 10).await.has_elapsed() {
            BackgroundJobManager::enqueue(Work { seconds: 1 }).await?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn jobs_are_a_service_and_drain_after_what_feeds_them() {
    let (kit, log) = (TestKit::new(), Log::default());
    let jobs = kit.build(program(&log));
    let manager = jobs.manager();
    let host = kit
        .start_host(Host::builder().shared_service("jobs", jobs.clone()).background("feeder", Feeder))
        .await;
    assert_eq!(kit.advance(SECOND * 25).await.succeeded, 2, "two were fed");
    manager.enqueue(Work { seconds: 12 }).await.expect("it is taken");
    manager.enqueue(Work { seconds: 600 }).await.expect("it is taken");
    assert_eq!(kit.settle().await.claimed, 2);

    let begun = kit.now();
    kit.run(host.stop()).await.expect("a job that was handed back is no fault");
    assert_eq!(kit.now().since(begun), SECOND * 19, "14 s of drain, then the grace of 5 s");
    assert_eq!(log.take(), ["worked 1 s", "worked 1 s", "worked 12 s"]);
    assert_eq!((jobs.stats().succeeded, jobs.stats().claimed), (3, 4));
    kit.abandon(); // the job of ten minutes was handed back
}

#[tokio::test]
async fn jobs_that_cannot_start_fail_the_start_of_the_host() {
    let (kit, log) = (TestKit::new(), Log::default());
    let jobs = kit.build(program(&log));
    kit.run(jobs.stop(SECOND)).await.expect("nothing runs");
    let host =
        kit.host(Host::builder().service("before", noted(&kit, &log, "before")).shared_service("jobs", jobs));
    assert_eq!(
        failures(kit.run(host.start()).await),
        [
            "jobs failed as it was started: these jobs were stopped and cannot be started again: build new ones"
        ]
    );
    assert_eq!(log.take()[2..], ["stop before within 24s", "before is stopped"]);
    kit.finish().await;
}

#[tokio::test]
async fn every_part_of_every_service_finds_the_manager_of_the_jobs() {
    let (kit, log) = (TestKit::new(), Log::default());
    let jobs = kit.build(program(&log));
    let enqueue = async || -> ServiceResult {
        BackgroundJobManager::enqueue(Work { seconds: 0 }).await?;
        Ok(())
    };
    let queue = TaskQueue::new(10, WhenFull::Wait);
    queue.try_enqueue("one", move |_: Stopping| enqueue()).expect("there is room");
    let host = kit
        .start_host(
            Host::builder()
                .shared_service("jobs", jobs.clone())
                .service_fn("hosted", move |_: Stopping| enqueue(), move |_| enqueue())
                .background_fn("background", move |stopping: Stopping| async move {
                    enqueue().await?;
                    stopping.cancelled().await;
                    Ok(())
                })
                .background("timed", TimedService::every(HOUR).at_once().run_fn(move |_: Tick| enqueue()))
                .background("queue", queue.workers(1))
                .on_started(enqueue)
                .on_stopping(enqueue),
        )
        .await;
    _ = kit.settle().await;
    assert_eq!(log.take().len(), 5, "a start, a background service, a tick, a task and a hook");
    kit.run(host.stop()).await.expect("all stop well");
    assert_eq!(log.take().len(), 1, "the hook before the stop");
    let waiting = jobs.admin().expect("in memory").count(JobFilter::all()).await.expect("it is counted");
    assert_eq!(
        waiting.total(&[JobState::Waiting]),
        1,
        "what came from the stop of the service before the jobs"
    );
    kit.abandon();
}

#[tokio::test]
async fn with_two_programs_of_jobs_none_is_the_current_one_unless_named() {
    let (kit, log) = (TestKit::new(), Log::default());
    let two = || {
        let (jobs, other) = (kit.build(program(&log)), kit.build(program(&log)));
        let manager = jobs.manager();
        let builder = Host::builder().shared_service("jobs", jobs).shared_service("other jobs", other);
        let seen = log.clone();
        let builder = builder.background_fn("looks", move |stopping: Stopping| {
            let current = BackgroundJobManager::current();
            seen.note(if current.is_ok() { "there is one" } else { "there is none" });
            async move {
                stopping.cancelled().await;
                Ok(())
            }
        });
        (builder, manager)
    };
    let (builder, _) = two();
    let host = kit.start_host(builder).await;
    _ = kit.settle().await;
    assert_eq!(log.take(), ["there is none"]);
    kit.run(host.stop()).await.expect("all stop well");

    let (builder, manager) = two();
    let host = kit.start_host(builder.manager(manager)).await;
    _ = kit.settle().await;
    assert_eq!(log.take(), ["there is one"]);
    kit.run(host.stop()).await.expect("all stop well");
    kit.finish().await;
}

#[tokio::test]
async fn in_any_order_no_job_is_lost_between_the_services() {
    let seen = explore(0..100, async |kit| {
        let log = Log::default();
        let jobs = kit.build(program(&log));
        let queue = TaskQueue::new(2, WhenFull::Wait);
        let manager: Arc<dyn JobManager> = jobs.manager();
        let host = kit
            .start_host(
                Host::builder()
                    .shared_service("jobs", jobs.clone())
                    .background("queue", queue.workers(2))
                    .background("feeder", Feeder),
            )
            .await;
        for number in 0..6 {
            let manager = manager.clone();
            let task = async move |_: Stopping| {
                manager.enqueue(Work { seconds: 1 }).await?;
                Ok(())
            };
            kit.run(queue.enqueue(format!("task {number}"), task)).await.expect("the queue is open");
        }
        _ = kit.advance(SECOND * 35).await;
        kit.run(host.stop()).await.expect("all stop well");
        assert_eq!((log.take().len(), jobs.stats().succeeded), (9, 9));
        kit.finish().await;
    })
    .await;
    assert!(seen.seeds == 100, "{seen:?}");
}
