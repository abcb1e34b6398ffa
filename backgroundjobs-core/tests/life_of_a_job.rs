//! One job from enqueue to its end, on the virtual clock.

use std::sync::Arc;
use std::time::Duration;

use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{Builder, CancelStatus, FailureKind, JobState};
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::TestKit;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Serialize, Deserialize)]
struct Work {
    name: String,
}

impl JobArgs for Work {
    const KIND: &'static str = "work";
}

fn work(name: &str) -> Work {
    Work { name: name.to_owned() }
}

/// What handlers saw: (seconds since the start, text).
type Log = Arc<Mutex<Vec<(u64, String)>>>;

fn jobs<Fut>(
    log: &Log,
    kit: &TestKit,
    handler: impl Fn(Work, JobContext) -> Fut + Send + Sync + 'static,
) -> Builder
where
    Fut: Future<Output = JobResult> + Send + 'static,
{
    let (log, start) = (log.clone(), kit.now());
    let handler = Arc::new(handler);
    BackgroundJobs::builder(|options| options.use_in_memory().queue("default", 4)).register_fn(
        move |work: Work, ctx: JobContext| {
            let (log, handler) = (log.clone(), handler.clone());
            async move {
                log.lock()
                    .push((ctx.now().since(start).as_secs(), format!("{}#{}", work.name, ctx.attempt())));
                handler(work, ctx).await
            }
        },
    )
}

fn seen(log: &Log) -> Vec<(u64, String)> {
    std::mem::take(&mut log.lock())
}

fn at(seconds: u64, text: &str) -> (u64, String) {
    (seconds, text.to_owned())
}

#[tokio::test]
async fn a_job_runs_when_it_is_due_and_not_before() {
    let (kit, log) = (TestKit::new(), Log::default());
    let jobs = kit.start(jobs(&log, &kit, |_, _| async { Ok(()) })).await;
    let manager = jobs.manager();
    let id = manager.enqueue_in(work("later"), SECOND * 3).await.expect("enqueued").id;
    manager.enqueue(work("now")).await.expect("enqueued").id.to_string();
    assert_eq!(kit.settle().await.succeeded, 1);
    assert_eq!(kit.advance(Duration::from_micros(2_999_999)).await.claimed, 0);
    assert_eq!(kit.advance(Duration::from_micros(1)).await.succeeded, 1);
    assert_eq!(seen(&log), [at(0, "now#1"), at(3, "later#1")]);
    let record = manager.get(id).await.expect("the store answers").expect("it is kept");
    assert_eq!((record.state, record.generation, record.attempts), (JobState::Succeeded, 1, 0));
    kit.finish().await;
}

#[tokio::test]
async fn a_failing_job_is_tried_again_at_the_policys_instants_and_then_failed() {
    let (kit, log) = (TestKit::new(), Log::default());
    let policy = RetryPolicy::new().max_attempts(4);
    let jobs = kit.start(jobs(&log, &kit, |_, _| async { Err("no luck".into()) }).retry(policy)).await;
    let id = jobs.manager().enqueue(work("flaky")).await.expect("enqueued").id;
    let report = kit.advance(SECOND * 1_000).await;
    assert_eq!((report.retried, report.failed), (3, 1));
    let minutes = [0, 60, 180, 420];
    let expected: Vec<_> = (1..).zip(minutes).map(|(n, s)| at(s, &format!("flaky#{n}"))).collect();
    assert_eq!(seen(&log), expected);
    let record = jobs.manager().get(id).await.expect("the store answers").expect("it is kept");
    assert_eq!((record.state, record.attempts, record.failures.len()), (JobState::Failed, 4, 4));
    assert_eq!(record.failures[3].failure.text.as_str(), "no luck");
    kit.finish().await;
}

#[tokio::test]
async fn a_handler_says_what_shall_follow() {
    let (kit, log) = (TestKit::new(), Log::default());
    let outcome = |work: Work, ctx: JobContext| async move {
        match (work.name.as_str(), ctx.attempt()) {
            ("retry_in", 1) => Err(JobError::retry_in(SECOND * 7, "busy")),
            ("snooze", 1) if ctx.now().as_micros() % 10_000_000 == 0 => Err(JobError::snooze(SECOND * 5)),
            ("cancel", _) => Err(JobError::cancel("no longer wanted")),
            ("permanent", _) => Err(JobError::permanent("will never work")),
            ("panic", 1) => panic!("boom {}", work.name),
            _ => Ok(()),
        }
    };
    let jobs = kit.start(jobs(&log, &kit, outcome)).await;
    let mut ids = Vec::new();
    for name in ["retry_in", "snooze", "cancel", "permanent", "panic"] {
        ids.push(jobs.manager().enqueue(work(name)).await.expect("enqueued").id);
    }
    let report = kit.advance(SECOND * 61).await;
    let counts = (report.succeeded, report.retried, report.snoozed, report.cancelled, report.failed);
    assert_eq!(counts, (3, 2, 1, 1, 1));
    let mut ran = seen(&log);
    ran.drain(..5);
    assert_eq!(ran, [at(5, "snooze#1"), at(7, "retry_in#2"), at(60, "panic#2")]);
    let mut ends = Vec::new();
    for id in ids {
        let record = jobs.manager().get(id).await.expect("the store answers").expect("it is kept");
        let last = record.failures.last().map(|failure| failure.failure.clone());
        ends.push((
            record.state,
            record.attempts,
            last.map(|failure| (failure.kind, failure.text.to_string())),
        ));
    }
    let failure = |kind, text: &str| Some((kind, text.to_owned()));
    assert_eq!(
        ends,
        [
            (JobState::Succeeded, 1, failure(FailureKind::Error, "busy")),
            (JobState::Succeeded, 0, None),
            (JobState::Cancelled, 0, failure(FailureKind::Cancel, "no longer wanted")),
            (JobState::Failed, 1, failure(FailureKind::Error, "will never work")),
            (JobState::Succeeded, 1, failure(FailureKind::Panic, "the handler panicked: boom panic")),
        ]
    );
    kit.finish().await;
}

#[tokio::test]
async fn a_run_that_takes_too_long_is_told_dropped_and_tried_again() {
    let (kit, log) = (TestKit::new(), Log::default());
    let told = Arc::new(Mutex::new(Vec::new()));
    let handler = {
        let told = told.clone();
        move |work: Work, ctx: JobContext| {
            let told = told.clone();
            async move {
                if work.name == "polite" {
                    ctx.cancelled().await;
                    told.lock().push(ctx.deadline().expect("it has a timeout") == ctx.now());
                    return Err("stopped in time".into());
                }
                std::future::pending::<JobResult>().await
            }
        }
    };
    let builder = jobs(&log, &kit, handler).timeout(SECOND * 10).retry(RetryPolicy::never());
    let jobs = kit.start(builder).await;
    let polite = jobs.manager().enqueue(work("polite")).await.expect("enqueued").id;
    assert_eq!(kit.advance(SECOND * 10).await.failed, 1);
    assert_eq!(*told.lock(), [true]);
    let failure = &jobs.manager().get(polite).await.expect("answers").expect("kept").failures[0].failure;
    assert_eq!(failure.kind, FailureKind::Timeout);
    assert!(failure.text.as_str().contains("timeout of 10s: stopped in time"), "{}", failure.text);
    drop(jobs);
    kit.finish().await;
}

#[tokio::test]
async fn cancel_reaches_a_waiting_and_a_running_job_at_once() {
    let (kit, log) = (TestKit::new(), Log::default());
    let handler = |_: Work, ctx: JobContext| async move {
        ctx.cancelled().await;
        Err("asked to stop".into())
    };
    let jobs = kit.start(jobs(&log, &kit, handler)).await;
    let manager = jobs.manager();
    let waiting = manager.enqueue_in(work("waiting"), SECOND).await.expect("enqueued").id;
    let running = manager.enqueue(work("running")).await.expect("enqueued").id;
    assert_eq!(kit.settle().await.claimed, 1);
    assert_eq!(manager.cancel(waiting).await.expect("answers"), CancelStatus::Cancelled);
    assert_eq!(manager.cancel(running).await.expect("answers"), CancelStatus::Requested);
    let report = kit.settle().await;
    assert_eq!((report.cancelled, report.steps.timers_fired), (1, 0), "at once, without a timer");
    assert_eq!(manager.cancel(running).await.expect("answers"), CancelStatus::Finished(JobState::Cancelled));
    assert_eq!(kit.advance(SECOND * 600).await.claimed, 0);
    assert_eq!(seen(&log), [at(0, "running#1")]);
    kit.finish().await;
}

#[tokio::test]
async fn an_idle_year_costs_no_store_call() {
    let (kit, log) = (TestKit::new(), Log::default());
    let jobs = kit.start(jobs(&log, &kit, |_, _| async { Ok(()) })).await;
    jobs.manager().enqueue(work("once")).await.expect("enqueued").id.to_string();
    assert_eq!(kit.advance(SECOND * 60).await.succeeded, 1);
    let calls =
        || kit.scheduler().trace().iter().filter(|event| event.text.contains("calls the store")).count();
    let before = calls();
    assert!(before > 3, "the trace shows store calls: {before}");
    let year = kit.advance(SECOND * 365 * 24 * 3600).await;
    assert_eq!((calls() - before, year.steps.timers_fired), (0, 0));
    kit.finish().await;
}
