//! Faults of the test kit that a review found; each failed before it was mended.

mod support;

use std::future::{IntoFuture, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;

use async_trait::async_trait;
use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{
    Builder, CancelStatus, ClaimJobs, ClaimedJobs, Clock, DeleteStatus, InsertJobs, JobId, JobRecord,
    JobState, JobStore, Kind, LeaseKey, NewJob, Outcome, Payload, QueueName, SettleJobs, Settlement,
    StoreError, StoreErrorKind, StoreOperation,
};
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::{Attempt, Ledger, Limits, StepScheduler, TestKit, crash_everywhere};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use support::disturbed::{Disturbance, DisturbedStore};
use support::{millis, one_thread, panic_text, seconds};

#[derive(Serialize, Deserialize)]
struct Work {
    number: u32,
}

impl JobArgs for Work {
    const KIND: &'static str = "work";
}

#[derive(Serialize, Deserialize)]
struct Other;

impl JobArgs for Other {
    const KIND: &'static str = "other";
}

async fn work(_: Work, _: JobContext) -> JobResult {
    Ok(())
}

async fn other(_: Other, _: JobContext) -> JobResult {
    Ok(())
}

fn program(store: &MemoryStore) -> Builder {
    BackgroundJobs::builder(|options| options.use_store(store.clone()).queue("default", 1)).register_fn(work)
}

struct Blind;

#[async_trait]
impl Disturbance for Blind {
    fn is_blind(&self) -> bool {
        true
    }
}

/// It was announced as a run before the slot looked whether it was to run at all.
#[tokio::test]
async fn a_job_that_is_cancelled_between_its_claim_and_its_start_has_not_run() {
    let kit = TestKit::new();
    let (ids, ran) = (Arc::new(Mutex::new(Vec::<JobId>::new())), Arc::new(AtomicUsize::new(0)));
    let (known, count) = (ids.clone(), ran.clone());
    let cancel_next = move |work: Work, ctx: JobContext| {
        let next = known.lock().get(work.number as usize + 1).copied();
        count.fetch_add(1, Ordering::SeqCst);
        async move {
            if let Some(next) = next
                && work.number == 20
            {
                assert_eq!(ctx.manager().cancel(next).await?, CancelStatus::Requested, "it is read ahead");
            }
            ctx.sleep(millis(1)).await;
            Ok(())
        }
    };
    let jobs = kit
        .start(
            BackgroundJobs::builder(|options| options.use_in_memory().queue("default", 1))
                .register_fn(cancel_next),
        )
        .await;
    for number in 0..40 {
        let id = jobs.manager().enqueue(Work { number }).await.expect("stored").id;
        ids.lock().push(id);
    }
    let report = kit.drain(Limits::new()).await;
    assert_eq!((report.succeeded, report.cancelled), (39, 1), "{report}");
    assert_eq!(ran.load(Ordering::SeqCst), 39);
    kit.jobs().await.assert_ran::<Work>().times(39);
    kit.finish().await;
}

/// The first program that knew the kind performed it, handler or not.
#[tokio::test]
async fn a_job_is_performed_by_a_program_that_has_its_handler() {
    let kit = TestKit::new();
    let store = MemoryStore::new();
    let _shop =
        kit.build(BackgroundJobs::builder(|options| options.use_store(store.clone()).producer_only()));
    let _front = kit.build(
        BackgroundJobs::builder(|options| options.use_store(store.clone()).produces::<Work>())
            .register_fn(other),
    );
    let _worker = kit.build(program(&store));
    kit.perform(Work { number: 0 }).await.expect_success();
    kit.finish().await;
}

/// It was given up and waited for again, for ever: no timer was there to move on to, and the watchdog was put back
/// each time.
#[test]
fn a_blocking_handler_that_hangs_under_perform_meets_the_watchdog() {
    let text = panic_text(|| {
        let kit = TestKit::builder().thread_patience(millis(100)).watchdog(millis(500)).build();
        // Ends after the gate has opened, and with it the thread.
        let runtime = one_thread();
        let gate = Arc::new(Mutex::new(()));
        let inside = gate.clone();
        let hang = move |_: Work, _: JobContext| {
            drop(inside.lock());
            Ok(())
        };
        let _closed = gate.lock();
        runtime.block_on(async {
            let builder = BackgroundJobs::builder(|options| options.use_in_memory()).register_blocking(hang);
            let _jobs = kit.build(builder);
            let (mut verb, mut polls) = (pin!(kit.perform(Work { number: 0 }).into_future()), 0);
            poll_fn(|cx| {
                // One for each 20 ms.
                polls += 1;
                assert!(polls < 200, "it hangs");
                verb.as_mut().poll(cx).map(drop)
            })
            .await;
        });
    });
    assert!(text.contains("nothing happened for 500ms of real time"), "{text}");
}

/// Deletions were not noted, so the ledger took the job for lost.
#[tokio::test]
async fn a_job_that_an_operator_deleted_is_not_lost() {
    let kit = TestKit::new();
    let jobs = kit.start(program(&MemoryStore::new())).await;
    let later = jobs.manager().enqueue_in(Work { number: 0 }, seconds(60)).await.expect("stored");
    let answer = jobs.admin().expect("it has both").delete(&[later.id]).await.expect("answers");
    assert_eq!(answer, [DeleteStatus::Deleted]);
    kit.ledger().await.assert_at_least_once();
    kit.finish().await;
}

/// The second job's claim looked like a repetition of the first one's.
#[tokio::test]
async fn a_job_with_the_id_of_one_that_was_deleted_is_a_job_of_its_own() {
    let kit = TestKit::new();
    let jobs = kit.start(program(&MemoryStore::new())).await;
    let id: JobId = "01900000-0000-7000-8000-000000000001".parse().expect("an id");
    for _ in 0..2 {
        let with_id = EnqueueOptions::new().id(id);
        let _ = jobs.manager().enqueue_with(Work { number: 0 }, with_id).await.expect("stored");
        assert_eq!(kit.settle().await.succeeded, 1);
        let _ = jobs.admin().expect("it has both").delete(&[id]).await.expect("answers");
    }
    kit.jobs().await.assert_ran::<Work>().ended(Attempt::Succeeded).times(2);
    kit.ledger().await.assert_at_least_once();
    kit.finish().await;
}

/// It had no look at a store that lists nothing.
#[test]
fn a_job_that_nobody_runs_in_a_store_that_lists_nothing_is_found_at_the_end() {
    let text = panic_text(|| {
        one_thread().block_on(async {
            let kit = TestKit::new();
            let store = DisturbedStore::new(MemoryStore::new(), Blind);
            let builder = BackgroundJobs::builder(|options| options.use_store(store)).register_fn(work);
            let jobs = kit.build(builder);
            let _ = jobs.manager().enqueue(Work { number: 0 }).await.expect("stored");
            kit.finish().await;
        });
    });
    assert!(text.contains("1 job is left that nobody could ever run"), "{text}");
}

fn by_hand(kit: &TestKit) -> InsertJobs {
    let kind = Kind::new("work").expect("a name");
    let args = Payload::from_args(&Work { number: 0 }).expect("json");
    InsertJobs::new(kit.now(), vec![NewJob::new(kit.env().job_id(), kind, QueueName::default_queue(), args)])
}

/// Nobody had looked for it by its id.
#[tokio::test]
async fn a_job_inserted_by_hand_into_a_store_that_lists_nothing_is_expected() {
    let kit = TestKit::new();
    let store = MemoryStore::new();
    store.prepare().await.expect("prepared");
    store.insert(&by_hand(&kit)).await.expect("inserted");
    let blind = DisturbedStore::new(store, Blind);
    let _jobs =
        kit.start(BackgroundJobs::builder(|options| options.use_store(blind)).register_fn(work)).await;
    assert_eq!(kit.settle().await.succeeded, 1);
    kit.ledger().await.assert_at_least_once();
    kit.finish().await;
}

/// `finish` and `jobs` pass over a closed store; `drain` did not.
#[tokio::test]
async fn a_store_that_is_closed_keeps_no_drain_from_its_end() {
    let kit = TestKit::new();
    let closed: Arc<dyn JobStore> = Arc::new(MemoryStore::new());
    let shared = closed.clone();
    let builder = BackgroundJobs::builder(|options| options.use_shared_store(shared)).register_fn(work);
    let old = kit.start(builder).await;
    let _ = kit.run(old.stop(seconds(1))).await.expect("stopped");
    closed.close().await.expect("closed");
    let jobs = kit.start(program(&MemoryStore::new())).await;
    let _ = jobs.manager().enqueue(Work { number: 0 }).await.expect("stored");
    assert_eq!(kit.drain(Limits::new()).await.succeeded, 1);
    kit.finish().await;
}

/// Whoever served the kind and queue counted, on whatever store.
#[tokio::test]
async fn a_job_in_one_store_is_not_waited_for_because_a_program_on_another_serves_its_kind() {
    let kit = TestKit::new();
    let here = kit.build(BackgroundJobs::builder(|options| options.use_in_memory().producer_only()));
    let _there = kit.start(program(&MemoryStore::new())).await;
    let _ = here.manager().enqueue(Work { number: 0 }).await.expect("stored");
    assert_eq!(kit.drain(Limits::new().span(seconds(600))).await.claimed, 0);
    kit.finish().await;
}

/// Says of the second attempt that it has succeeded before it begins.
struct SecondIsAcknowledgedEarly;

#[async_trait]
impl Disturbance for SecondIsAcknowledgedEarly {
    async fn claim(&self, store: &dyn JobStore, request: &ClaimJobs) -> Result<ClaimedJobs, StoreError> {
        let claimed = store.claim(request).await?;
        let second = claimed.queues.iter().flat_map(|queue| &queue.jobs).filter(|job| job.attempt() == 2);
        let done = second.map(|job| Settlement {
            lease: LeaseKey { id: job.id, generation: job.generation },
            outcome: Outcome::Complete,
        });
        let done: Vec<_> = done.collect();
        if !done.is_empty() {
            store.settle(&SettleJobs::new(request.now, done)).await?;
        }
        Ok(claimed)
    }
}

/// Any run that came to its end would do, a failed one too.
#[tokio::test]
async fn a_success_that_no_run_had_is_found_though_an_earlier_attempt_failed() {
    let kit = TestKit::new();
    let store = MemoryStore::new();
    let node = kit
        .node("a")
        .start(move || {
            let store = DisturbedStore::new(store.clone(), SecondIsAcknowledgedEarly);
            BackgroundJobs::builder(|options| options.use_store(store)).register_fn(
                async |_: Work, ctx: JobContext| {
                    if ctx.attempt() == 1 {
                        return Err("not yet".into());
                    }
                    ctx.sleep(seconds(5)).await;
                    Ok(())
                },
            )
        })
        .await;
    let _ = node.manager().enqueue(Work { number: 0 }).await.expect("stored");
    let ran_twice = async || kit.jobs().await.assert_ran::<Work>().all().len() == 2;
    let _ = kit.run_until(ran_twice, seconds(3_600)).await;
    node.crash();
    let _ = kit.settle().await;
    kit.jobs().await.assert_enqueued::<Work>().state(JobState::Succeeded).once();
    let ledger = kit.ledger().await;
    let text = panic_text(|| ledger.assert_at_least_once());
    assert!(text.contains("it counts as succeeded, and no run of it came to its end"), "{text}");
    kit.finish().await;
}

#[derive(Clone)]
struct Down(Arc<AtomicBool>);

#[async_trait]
impl Disturbance for Down {
    async fn get(&self, store: &dyn JobStore, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>, StoreError> {
        if self.0.load(Ordering::SeqCst) {
            return Err(StoreError::new(StoreOperation::Get, StoreErrorKind::Unavailable, "it is down"));
        }
        store.get(ids).await
    }
}

/// The ledger was made first, and what it said about the store hid what the scenario said.
#[test]
fn a_scenario_that_fails_with_its_store_in_trouble_says_what_failed() {
    let text = panic_text(|| {
        let scenario = async |kit: &TestKit| {
            let store = MemoryStore::new();
            let is_down = Arc::new(AtomicBool::new(false));
            let down = Down(is_down.clone());
            let make = move || {
                let store = DisturbedStore::new(store.clone(), down.clone());
                BackgroundJobs::builder(|options| options.use_store(store)).register_fn(work)
            };
            let node = kit.node("a").start(make).await;
            let _ = node.manager().enqueue(Work { number: 0 }).await.expect("stored");
            let _ = kit.settle().await;
            is_down.store(true, Ordering::SeqCst);
            panic!("the scenario's own words");
        };
        _ = one_thread().block_on(crash_everywhere(scenario, Ledger::assert_at_least_once));
    });
    assert!(text.contains("the scenario failed: the scenario's own words"), "{text}");
}

/// It was written down as one before the process died.
#[test]
fn a_run_before_which_its_process_crashes_has_not_begun() {
    let scenario = async |kit: &TestKit| {
        let store = MemoryStore::new();
        let node = kit.node("a").start(move || program(&store)).await;
        let _ = node.manager().enqueue(Work { number: 0 }).await.expect("stored");
        let _ = kit.drain(Limits::new()).await;
    };
    let report = one_thread().block_on(crash_everywhere(scenario, |ledger| {
        ledger.jobs().assert_ran::<Work>().times(usize::try_from(ledger.reruns()).expect("few") + 1);
    }));
    assert!(report.points.contains_key("a before a run of work, attempt 1"), "{report:?}");
}

#[expect(clippy::disallowed_methods, reason = "real time is what is measured")]
fn let_real_time_pass() {
    std::thread::sleep(millis(80));
}

/// Only verbs counted as moves of the clock, so who slept meanwhile was told that nobody moves it.
#[tokio::test]
async fn a_clock_that_is_moved_by_hand_is_moved() {
    let scheduler = StepScheduler::builder().watchdog(millis(400)).build();
    let clock = scheduler.clock();
    let mut sleep = clock.sleep_until(clock.now() + seconds(20));
    for _ in 0..20 {
        let is_over = poll_fn(|cx| Poll::Ready(sleep.as_mut().poll(cx).is_ready())).await;
        assert!(!is_over);
        let_real_time_pass();
        clock.advance(seconds(1));
    }
    sleep.await;
}

#[derive(Clone, Default)]
struct Unprepared(Arc<AtomicBool>);

#[async_trait]
impl Disturbance for Unprepared {
    fn prepare_is_called(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A program that only performs jobs has not prepared its store, and one on a database has no tables then.
#[tokio::test]
async fn a_store_is_prepared_before_the_kit_looks_into_it() {
    let kit = TestKit::new();
    let store = Unprepared::default();
    let is_prepared = store.0.clone();
    let store = DisturbedStore::new(MemoryStore::new(), store);
    let _jobs = kit.build(BackgroundJobs::builder(|options| options.use_store(store)).register_fn(work));
    kit.perform(Work { number: 0 }).await.expect_success();
    assert!(!is_prepared.load(Ordering::SeqCst), "nothing was stored");
    kit.finish().await;
    assert!(is_prepared.load(Ordering::SeqCst), "the kit has looked");
}
