//! Faults of runs, blocking calls and panics that a review found; each failed before it was mended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{JobExecutor, JobId, JobRecord, JobRun, JobState, Timestamp};
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::TestKit;
use parking_lot::{Condvar, Mutex};
use serde::{Deserialize, Serialize};

/// What a blocking handler that works does.
#[expect(clippy::disallowed_methods, reason = "real threads, whose moments no virtual clock decides")]
fn block(duration: Duration) {
    std::thread::sleep(duration);
}

#[expect(clippy::disallowed_methods, reason = "real threads, whose moments no virtual clock decides")]
async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}

const SECOND: Duration = Duration::from_secs(1);

#[derive(Serialize, Deserialize)]
struct Work(String);
impl JobArgs for Work {
    const KIND: &'static str = "work";
}
fn work(name: &str) -> Work {
    Work(name.to_owned())
}

#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
}
impl Gate {
    fn open(&self) {
        *self.open.lock() = true;
        self.changed.notify_all();
    }
    fn pass(&self) {
        let mut open = self.open.lock();
        while !*open {
            self.changed.wait(&mut open);
        }
    }
}

async fn record(jobs: &BackgroundJobs, id: JobId) -> JobRecord {
    jobs.manager().get(id).await.expect("answers").expect("kept")
}

fn impatient_kit() -> TestKit {
    TestKit::builder().thread_patience(Duration::from_millis(300)).build()
}

fn builder() -> backgroundjobs_core::Builder {
    BackgroundJobs::builder(|options| {
        options.use_in_memory().queue("default", 1).retry(RetryPolicy::new().max_attempts(2).first(SECOND))
    })
}

struct Bomb(Arc<AtomicBool>);
impl Drop for Bomb {
    fn drop(&mut self) {
        if self.0.load(Ordering::SeqCst) && !std::thread::panicking() {
            panic!("boom in the drop of a panic's payload");
        }
    }
}

/// The payload was dropped outside the guard: the slot's task died and the run never ended.
#[tokio::test]
async fn a_panic_whose_payload_panics_when_dropped_kills_no_slot() {
    // Without the kit, which itself reports dead tasks.
    let armed = Arc::new(AtomicBool::new(true));
    let bomb = armed.clone();
    let builder = builder().register_fn(move |work: Work, _| {
        let bomb = bomb.clone();
        async move {
            if work.0 == "bomb" {
                std::panic::panic_any(Bomb(bomb));
            }
            Ok(())
        }
    });
    let jobs = builder.build().expect("built");
    jobs.start().await.expect("started");
    let manager = jobs.manager();
    let bad = manager.enqueue(work("bomb")).await.expect("enqueued").id;
    let good = manager.enqueue(work("good")).await.expect("enqueued").id;
    let answer = manager.wait(good, SECOND * 2).await;
    println!("explain bad: {}", jobs.explain(bad).await.expect("answers"));
    armed.store(false, Ordering::SeqCst);
    assert!(matches!(answer, Ok(JobState::Succeeded)), "{answer:?}");
}

/// Lets the blocking call end right after the poll in which the handler was still pending, and before the slot
/// looks whether there is a call: what any thread may do by chance.
struct EndsInTheGap {
    inner: Arc<dyn JobExecutor>,
    gate: Arc<Gate>,
    at: Timestamp,
}
#[async_trait]
impl JobExecutor for EndsInTheGap {
    async fn execute(&self, run: JobRun) -> JobResult {
        let context = run.context.clone();
        let mut inner = self.inner.execute(run);
        std::future::poll_fn(|cx| {
            let answer = inner.as_mut().poll(cx);
            if answer.is_pending() && context.now() >= self.at {
                self.gate.open();
                block(Duration::from_millis(200));
            }
            answer
        })
        .await
    }
}

/// The handler had returned Ok, and its job was told that it was dropped.
#[tokio::test]
async fn a_result_that_comes_in_the_moment_of_the_drop_counts() {
    let (kit, gate) = (impatient_kit(), Arc::new(Gate::default()));
    let (inside, wrapper) = (gate.clone(), gate.clone());
    // Timeout 1 s, grace 5 s.
    let at = kit.now() + SECOND * 6;
    let builder = builder()
        .configure(|options| options.wrap_executor(move |inner| EndsInTheGap { inner, gate: wrapper, at }))
        .register_blocking(move |_: Work, _| {
            inside.pass();
            Ok(())
        })
        .timeout(SECOND)
        .retry(RetryPolicy::never());
    let jobs = kit.start(builder).await;
    let id = jobs.manager().enqueue(work("late")).await.expect("enqueued").id;
    _ = kit.advance(SECOND * 10).await;
    let record = record(&jobs, id).await;
    assert_eq!(record.state, JobState::Succeeded, "{:?}", record.failures);
    kit.finish().await;
}

/// The slot that waited for the thread was aborted, so the result was lost and the job ran again.
#[tokio::test]
async fn a_late_result_counts_after_a_drop_without_stop() {
    let (kit, gate, store) = (impatient_kit(), Arc::new(Gate::default()), MemoryStore::new());
    let runs = Arc::new(AtomicUsize::new(0));
    let build = || {
        let (inside, counted) = (gate.clone(), runs.clone());
        BackgroundJobs::builder(|options| options.use_store(store.clone()).queue("default", 1))
            .register_blocking(move |_: Work, _| {
                counted.fetch_add(1, Ordering::SeqCst);
                inside.pass();
                Ok(())
            })
    };
    let jobs = kit.start(build()).await;
    let manager = jobs.manager();
    let id = manager.enqueue(work("stuck")).await.expect("enqueued").id;
    assert_eq!(kit.settle().await.claimed, 1);
    drop(jobs);
    _ = kit.advance(SECOND * 12).await;
    gate.open();
    block(Duration::from_millis(100));
    _ = kit.advance(SECOND).await;
    let state = manager.get(id).await.expect("answers").expect("kept").state;
    assert_eq!(state, JobState::Succeeded);
    kit.finish().await;
}

/// Every thread of the pool is taken. The call that waits for one was named as still running and left to its
/// lease.
#[test]
fn a_blocking_call_that_has_not_begun_goes_back_at_a_stop() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let gate = Arc::new(Gate::default());
    let started = Arc::new(Mutex::new(Vec::new()));
    let (inside, log) = (gate.clone(), started.clone());
    runtime.block_on(async {
        let jobs = BackgroundJobs::builder(|options| {
            options.use_in_memory().queue("default", 2).cancel_grace(Duration::from_millis(100))
        })
        .register_blocking(move |work: Work, _| {
            log.lock().push(work.0);
            inside.pass();
            Ok(())
        })
        .build()
        .expect("built");
        jobs.start().await.expect("started");
        let manager = jobs.manager();
        manager.enqueue(work("first")).await.expect("enqueued");
        let second = manager.enqueue(work("second")).await.expect("enqueued").id;
        pause(Duration::from_millis(300)).await;
        assert_eq!(started.lock().len(), 1);
        let report = jobs.stop(Duration::ZERO).await.expect("stopped");
        let state = manager.get(second).await.expect("answers").expect("kept").state;
        let never_began = if started.lock()[0] == "first" { second } else { return gate.open() };
        gate.open();
        assert!(
            report.still_running.iter().all(|left| left.id != never_began) && state == JobState::Waiting,
            "a job whose function was never called: {state:?}, {report:?}"
        );
    });
}

/// A handler that enqueues with `?` during the drain paid with an attempt; at its last the job was failed.
#[tokio::test]
async fn a_handler_that_the_stop_refuses_an_enqueue_pays_nothing() {
    let kit = TestKit::new();
    let builder = builder()
        .register_fn(|work: Work, ctx: JobContext| async move {
            ctx.sleep(SECOND).await;
            if work.0 == "first" {
                ctx.manager().enqueue(Work("next".into())).await?;
            }
            Ok(())
        })
        .retry(RetryPolicy::never());
    let jobs = kit.start(builder).await;
    let id = jobs.manager().enqueue(work("first")).await.expect("enqueued").id;
    assert_eq!(kit.settle().await.claimed, 1);
    kit.run(jobs.stop(SECOND * 10)).await.expect("stopped");
    let record = record(&jobs, id).await;
    assert_eq!((record.state, record.attempts), (JobState::Waiting, 0), "{:?}", record.failures);
    // Stopped with the job handed back.
    kit.abandon();
}

/// The second call found every run told already: it named none, and counted the dropped handler as finished.
#[tokio::test]
async fn a_stop_that_goes_on_reports_what_the_dropped_one_interrupted() {
    let kit = TestKit::new();
    let builder = builder().register_fn(|_: Work, _| std::future::pending::<JobResult>());
    let jobs = kit.start(builder).await;
    let id = jobs.manager().enqueue(work("deaf")).await.expect("enqueued").id;
    assert_eq!(kit.settle().await.claimed, 1);
    let env = kit.env();
    kit.run(async {
        tokio::select! {
            biased;
            _ = jobs.stop(Duration::ZERO) => panic!("the grace is 5 s"),
            () = env.sleep(SECOND) => {}
        }
    })
    .await;
    let report = kit.run(jobs.stop(Duration::ZERO)).await.expect("stopped");
    assert_eq!((report.finished, report.interrupted.as_slice()), (0, [id].as_slice()), "{report:?}");
    // Stopped with the job handed back.
    kit.abandon();
}

/// The task that tells the store died with outcomes in flight, and nothing was settled any more.
#[tokio::test]
async fn a_listener_whose_panic_panics_when_dropped_ends_no_settling() {
    let armed = Arc::new(AtomicBool::new(true));
    let bomb = armed.clone();
    let builder = builder()
        .configure(|options| {
            options.on_finished(move |run| {
                if run.attempt == 1 && bomb.load(Ordering::SeqCst) {
                    std::panic::panic_any(Bomb(bomb.clone()));
                }
            })
        })
        .register_fn(|_: Work, _| async { Ok(()) });
    let jobs = builder.build().expect("built");
    jobs.start().await.expect("started");
    let manager = jobs.manager();
    manager.enqueue(work("a")).await.expect("enqueued");
    pause(Duration::from_millis(200)).await;
    armed.store(false, Ordering::SeqCst);
    let id = manager.enqueue(work("b")).await.expect("enqueued").id;
    let answer = manager.wait(id, SECOND * 2).await;
    assert!(matches!(answer, Ok(JobState::Succeeded)), "{answer:?}");
}

/// Tries again in place, as middleware does.
struct TriesAgain(Arc<dyn JobExecutor>);
#[async_trait]
impl JobExecutor for TriesAgain {
    async fn execute(&self, run: JobRun) -> JobResult {
        loop {
            if self.0.execute(run.clone()).await.is_ok() {
                return Ok(());
            }
        }
    }
}

/// The next call began before the slot saw that there was none, so the run was never dropped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrapper_that_calls_a_blocking_handler_again_is_dropped_after_the_grace() {
    let over = Arc::new(AtomicBool::new(false));
    let end = over.clone();
    let builder = builder()
        .configure(|options| options.wrap_executor(TriesAgain).cancel_grace(Duration::from_millis(200)))
        .register_blocking(move |_: Work, _| {
            block(Duration::from_millis(5));
            if end.load(Ordering::SeqCst) { Ok(()) } else { Err("no luck".into()) }
        })
        .timeout(Duration::from_millis(100))
        .retry(RetryPolicy::never());
    let jobs = builder.build().expect("built");
    jobs.start().await.expect("started");
    let manager = jobs.manager();
    let id = manager.enqueue(work("again")).await.expect("enqueued").id;
    let answer = manager.wait(id, SECOND * 3).await;
    over.store(true, Ordering::SeqCst);
    assert!(matches!(answer, Ok(JobState::Failed)), "{answer:?}");
}

/// After one look the kit took it for one that waits: on a slow machine virtual time ran on and the timeout
/// fired.
#[tokio::test]
async fn a_blocking_handler_that_looks_between_its_steps_is_waited_for() {
    let kit = TestKit::new();
    let builder = builder()
        .register_blocking(|_: Work, ctx| {
            for _ in 0..3 {
                if ctx.is_cancelled() {
                    return Err("told to stop".into());
                }
                block(Duration::from_millis(250));
            }
            Ok(())
        })
        .timeout(SECOND)
        .retry(RetryPolicy::never());
    let jobs = kit.start(builder).await;
    let id = jobs.manager().enqueue(work("steps")).await.expect("enqueued").id;
    let report = kit.advance(SECOND * 10).await;
    let record = record(&jobs, id).await;
    assert_eq!(
        record.state,
        JobState::Succeeded,
        "{:?}, {:?}",
        record.failures,
        report.steps.nondeterministic
    );
    kit.finish().await;
}

/// The runtime lives on. Every slot was aborted at once, and the job counted as a crash of its worker.
#[test]
fn a_drop_outside_the_runtime_hands_back_too() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let (jobs, id) = runtime.block_on(async {
        let builder = builder().register_fn(|_: Work, ctx: JobContext| async move {
            ctx.cancelled().await;
            ctx.sleep(Duration::from_millis(50)).await;
            Err("told to stop".into())
        });
        let jobs = builder.build().expect("built");
        jobs.start().await.expect("started");
        let id = jobs.manager().enqueue(work("polite")).await.expect("enqueued").id;
        pause(Duration::from_millis(200)).await;
        (jobs, id)
    });
    let manager = jobs.manager();
    drop(jobs);
    block(Duration::from_millis(500));
    let state = runtime.block_on(manager.get(id)).expect("answers").expect("kept").state;
    assert_eq!(state, JobState::Waiting);
}

/// What a handler holds; does something through the current manager when the handler goes.
struct AsksWhoIsCurrent(Arc<Mutex<Vec<bool>>>);
impl Drop for AsksWhoIsCurrent {
    fn drop(&mut self) {
        self.0.lock().push(BackgroundJobManager::current().is_ok());
    }
}

/// A guard that enqueues a clean-up found no manager, or the installed one, which may be another.
#[tokio::test]
async fn a_handler_that_is_dropped_still_has_its_manager() {
    let kit = TestKit::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let builder = builder()
        .register_fn(move |work: Work, _| {
            let guard = AsksWhoIsCurrent(log.clone());
            async move {
                if work.0 == "deaf" {
                    std::future::pending::<()>().await;
                }
                drop(guard);
                Ok(())
            }
        })
        .timeout(SECOND)
        .retry(RetryPolicy::never());
    let jobs = kit.start(builder).await;
    for name in ["ends", "deaf"] {
        jobs.manager().enqueue(work(name)).await.expect("enqueued");
        _ = kit.advance(SECOND * 10).await;
    }
    assert_eq!(*seen.lock(), [true, true]);
    kit.finish().await;
}

/// Middleware that gives each run 30 s.
struct GivesTime(Arc<dyn JobExecutor>);
#[async_trait]
impl JobExecutor for GivesTime {
    async fn execute(&self, run: JobRun) -> JobResult {
        let context = run.context.clone();
        tokio::select! {
            biased;
            result = self.0.execute(run) => result,
            () = context.sleep(SECOND * 30) => Err("too slow for the middleware".into()),
        }
    }
}

/// A timeout in middleware made the guard count as one that waits for time only, and time ran on.
#[tokio::test]
async fn a_thread_is_waited_for_also_beside_a_sleep() {
    let kit = TestKit::new();
    let builder = builder()
        .configure(|options| options.wrap_executor(GivesTime))
        .register_blocking(move |_: Work, _| {
            block(Duration::from_millis(50));
            Ok(())
        })
        .retry(RetryPolicy::never());
    let jobs = kit.start(builder).await;
    let id = jobs.manager().enqueue(work("quick")).await.expect("enqueued").id;
    _ = kit.advance(SECOND * 60).await;
    let record = record(&jobs, id).await;
    assert_eq!(record.state, JobState::Succeeded, "{:?}", record.failures);
    kit.finish().await;
}

/// Middleware has given up on it and answered. The slot waited for a thread that was not told, and nothing
/// was logged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocking_call_that_its_wrapper_gave_up_is_told_to_stop() {
    let saw = Arc::new(AtomicBool::new(false));
    let told = saw.clone();
    let builder = builder()
        .configure(|options| options.wrap_executor(GivesUpAtOnce))
        .register_blocking(move |_: Work, ctx| {
            for _ in 0..100 {
                if ctx.is_cancelled() {
                    told.store(true, Ordering::SeqCst);
                    return Err("told to stop".into());
                }
                block(Duration::from_millis(10));
            }
            Ok(())
        })
        .retry(RetryPolicy::never());
    let jobs = builder.build().expect("built");
    jobs.start().await.expect("started");
    let manager = jobs.manager();
    let id = manager.enqueue(work("long")).await.expect("enqueued").id;
    _ = manager.wait(id, SECOND * 5).await;
    assert!(saw.load(Ordering::SeqCst), "it worked to its end for nobody");
}

struct GivesUpAtOnce(Arc<dyn JobExecutor>);
#[async_trait]
impl JobExecutor for GivesUpAtOnce {
    async fn execute(&self, run: JobRun) -> JobResult {
        tokio::select! {
            _ = self.0.execute(run) => {}
            () = pause(Duration::from_millis(50)) => {}
        }
        Err("too slow for the middleware".into())
    }
}
