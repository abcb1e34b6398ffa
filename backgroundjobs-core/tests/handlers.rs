//! Every form a handler may have.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{FailureKind, JobId, JobRecord, JobState, JobStore};
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::TestKit;
use parking_lot::{Condvar, Mutex};
use serde::{Deserialize, Serialize};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Serialize, Deserialize)]
struct Greet {
    name: String,
}

impl JobArgs for Greet {
    const KIND: &'static str = "greet";
}

fn greet(name: &str) -> Greet {
    Greet { name: name.to_owned() }
}

type Log = Arc<Mutex<Vec<String>>>;

struct Greeter {
    greeting: &'static str,
    log: Log,
}

impl BackgroundJob<Greet> for Greeter {
    async fn execute(&self, args: Greet, _ctx: JobContext) -> JobResult {
        self.log.lock().push(format!("{} {}", self.greeting, args.name));
        Ok(())
    }
}

impl Drop for Greeter {
    fn drop(&mut self) {
        self.log.lock().push("dropped".to_owned());
    }
}

async fn record(jobs: &BackgroundJobs, id: JobId) -> JobRecord {
    jobs.manager().get(id).await.expect("answers").expect("kept")
}

fn builder() -> backgroundjobs_core::Builder {
    BackgroundJobs::builder(|options| {
        options.use_in_memory().queue("default", 2).retry(RetryPolicy::new().max_attempts(2).first(SECOND))
    })
}

#[tokio::test]
async fn a_struct_runs_its_kind() {
    let (kit, log) = (TestKit::new(), Log::default());
    let jobs = kit.start(builder().register(Greeter { greeting: "hello", log: log.clone() })).await;
    jobs.manager().enqueue(greet("masa")).await.expect("enqueued");
    assert_eq!(kit.settle().await.succeeded, 1);
    assert_eq!(*log.lock(), ["hello masa"]);
    kit.finish().await;
}

#[tokio::test]
async fn one_struct_may_run_several_kinds() {
    #[derive(Serialize, Deserialize)]
    struct Part;
    impl JobArgs for Part {
        const KIND: &'static str = "part";
    }
    #[derive(Clone)]
    struct Both(Log);
    impl BackgroundJob<Greet> for Both {
        async fn execute(&self, _: Greet, ctx: JobContext) -> JobResult {
            self.0.lock().push(ctx.kind().to_string());
            Ok(())
        }
    }
    impl BackgroundJob<Part> for Both {
        async fn execute(&self, _: Part, ctx: JobContext) -> JobResult {
            self.0.lock().push(ctx.kind().to_string());
            Ok(())
        }
    }
    let (kit, both) = (TestKit::new(), Both(Log::default()));
    let builder = builder().register::<Greet, _>(both.clone()).register::<Part, _>(both.clone());
    let jobs = kit.start(builder).await;
    jobs.manager().enqueue(greet("a")).await.expect("enqueued");
    jobs.manager().enqueue(Part).await.expect("enqueued");
    assert_eq!(kit.settle().await.succeeded, 2);
    let mut kinds = both.0.lock().clone();
    kinds.sort();
    assert_eq!(kinds, ["greet", "part"]);
    kit.finish().await;
}

#[tokio::test]
async fn a_function_a_closure_and_a_function_with_state_run_theirs() {
    async fn plain(_: Greet, _: JobContext) -> JobResult {
        Ok(())
    }
    async fn with_state(log: Log, args: Greet, ctx: JobContext) -> JobResult {
        log.lock().push(format!("{} {}", args.name, ctx.attempt()));
        if ctx.attempt() == 1 { Err("not yet".into()) } else { Ok(()) }
    }
    let kit = TestKit::new();
    let jobs = kit.start(builder().register_fn(plain)).await;
    jobs.manager().enqueue(greet("a")).await.expect("enqueued");
    assert_eq!(kit.settle().await.succeeded, 1);

    let jobs = kit.start(builder().register_fn(|_: Greet, _ctx| async move { Ok(()) })).await;
    jobs.manager().enqueue(greet("b")).await.expect("enqueued");
    assert_eq!(kit.settle().await.succeeded, 1);

    let log = Log::default();
    let jobs = kit.start(builder().register_fn_with(log.clone(), with_state)).await;
    jobs.manager().enqueue(greet("c")).await.expect("enqueued");
    let report = kit.advance(SECOND).await;
    assert_eq!((report.retried, report.succeeded), (1, 1));
    assert_eq!(*log.lock(), ["c 1", "c 2"]);
    kit.finish().await;
}

#[tokio::test]
async fn a_blocking_function_runs_off_the_async_threads_and_its_result_counts() {
    let kit = TestKit::new();
    let here = std::thread::current().id();
    let elsewhere = Arc::new(AtomicUsize::new(0));
    let seen = elsewhere.clone();
    let jobs = kit
        .start(builder().register_blocking(move |args: Greet, ctx| {
            seen.fetch_add(usize::from(std::thread::current().id() != here), Ordering::SeqCst);
            match (args.name.as_str(), ctx.attempt()) {
                ("fails once", 1) => Err("not yet".into()),
                ("panics", _) => panic!("no such greeting"),
                _ => Ok(()),
            }
        }))
        .await;
    let manager = jobs.manager();
    let fails = manager.enqueue(greet("fails once")).await.expect("enqueued").id;
    let panics = manager.enqueue(greet("panics")).await.expect("enqueued").id;
    let report = kit.advance(SECOND * 2).await;
    assert_eq!((report.succeeded, report.retried, report.failed), (1, 2, 1));
    assert_eq!(elsewhere.load(Ordering::SeqCst), 4);
    assert_eq!(record(&jobs, fails).await.state, JobState::Succeeded);
    let panicked = record(&jobs, panics).await;
    assert_eq!((panicked.state, panicked.failures.len()), (JobState::Failed, 2));
    let failure = &panicked.failures[1].failure;
    assert_eq!(failure.kind, FailureKind::Panic);
    assert_eq!(failure.text.as_str(), "the handler panicked: no such greeting");
    kit.finish().await;
}

/// A gate that blocking handlers wait at.
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

/// For handlers that hang.
fn impatient_kit() -> TestKit {
    TestKit::builder().thread_patience(Duration::from_millis(500)).build()
}

/// It can be neither dropped nor given to another worker, so it is waited for: its job is run once.
#[tokio::test]
async fn a_blocking_function_that_outlives_its_timeout_keeps_its_job_and_its_result() {
    let (kit, gate) = (impatient_kit(), Arc::new(Gate::default()));
    let runs = Arc::new(AtomicUsize::new(0));
    let (inside, counted) = (gate.clone(), runs.clone());
    let builder = builder().register_blocking(move |_: Greet, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        inside.pass();
        Ok(())
    });
    let jobs = kit.start(builder.timeout(SECOND)).await;
    let id = jobs.manager().enqueue(greet("stuck")).await.expect("enqueued").id;
    // Far beyond timeout, grace and lease.
    assert_eq!(kit.advance(SECOND * 120).await.claimed, 1);
    let running = record(&jobs, id).await;
    assert_eq!((running.state, running.crashes), (JobState::Running, 0));
    assert!(running.lease.expect("leased").until > kit.now(), "the lease is renewed");
    gate.open();
    kit.run(jobs.wait_until_idle(SECOND)).await.expect("idle");
    assert_eq!(record(&jobs, id).await.state, JobState::Succeeded, "what it returned counts");
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    kit.finish().await;
}

#[tokio::test]
async fn a_blocking_function_can_see_that_it_shall_stop() {
    let kit = TestKit::new();
    let builder = builder().register_blocking(move |_: Greet, ctx| {
        while !ctx.is_cancelled() {
            std::thread::yield_now();
        }
        Err("stopped halfway".into())
    });
    let jobs = kit.start(builder.timeout(SECOND).retry(RetryPolicy::never())).await;
    let id = jobs.manager().enqueue(greet("long")).await.expect("enqueued").id;
    assert_eq!(kit.advance(SECOND * 2).await.claimed, 1);
    kit.run(jobs.wait_until_idle(SECOND)).await.expect("idle");
    let record = record(&jobs, id).await;
    assert_eq!((record.state, record.attempts), (JobState::Failed, 1));
    let text = record.failures[0].failure.text.as_str();
    assert_eq!(text, "ran longer than its timeout of 1s: stopped halfway");
    kit.finish().await;
}

/// The pool has fewer threads than the queue has slots: a call that waits for one is not begun any more.
#[test]
fn a_blocking_function_that_is_cancelled_before_a_thread_is_free_does_not_run() {
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build();
    runtime.expect("a runtime").block_on(async {
        let (kit, gate, ran) = (impatient_kit(), Arc::new(Gate::default()), Log::default());
        let (inside, log) = (gate.clone(), ran.clone());
        let builder = builder().register_blocking(move |args: Greet, _| {
            log.lock().push(args.name);
            inside.pass();
            Ok(())
        });
        let jobs = kit.start(builder).await;
        jobs.manager().enqueue(greet("first")).await.expect("enqueued");
        let second = jobs.manager().enqueue(greet("second")).await.expect("enqueued").id;
        assert_eq!(kit.settle().await.claimed, 2);
        jobs.manager().cancel(second).await.expect("answers");
        gate.open();
        kit.run(jobs.wait_until_idle(SECOND * 60)).await.expect("idle");
        assert_eq!(*ran.lock(), ["first"]);
        assert_eq!(record(&jobs, second).await.state, JobState::Cancelled);
        kit.finish().await;
    });
}

#[tokio::test]
async fn a_stop_names_a_blocking_function_that_will_not_end_and_touches_nothing_that_waits() {
    let (kit, gate, store) = (impatient_kit(), Arc::new(Gate::default()), MemoryStore::new());
    let inside = gate.clone();
    let builder = BackgroundJobs::builder(|options| options.use_store(store.clone()).queue("default", 1))
        .register_blocking(move |_: Greet, _| {
            inside.pass();
            Ok(())
        });
    let jobs = kit.start(builder).await;
    let stuck = jobs.manager().enqueue(greet("stuck")).await.expect("enqueued").id;
    assert_eq!(kit.settle().await.claimed, 1);
    let names = (0..10_000).map(|number| greet(&number.to_string()));
    let waiting = jobs.manager().enqueue_many(names).await.expect("enqueued");

    let report = kit.run(jobs.stop(SECOND * 25)).await.expect("stopped");
    let left: Vec<(JobId, &str)> = report.still_running.iter().map(|it| (it.id, it.kind.as_str())).collect();
    assert_eq!(left, [(stuck, "greet")]);
    assert!(report.interrupted.is_empty(), "it was told, and it was not handed back");
    assert!(report.unsettled.is_empty() && report.calls_in_flight.is_empty(), "{report:?}");
    assert_eq!(record(&jobs, stuck).await.state, JobState::Running, "it is left to its lease");
    let ids: Vec<JobId> = waiting.iter().map(|job| job.id).collect();
    for record in store.get(&ids).await.expect("answers").into_iter().flatten() {
        assert_eq!((record.state, record.attempts, record.generation), (JobState::Waiting, 0, 0));
    }
    gate.open();
    kit.abandon();
}

#[tokio::test]
async fn a_scoped_handler_is_made_for_each_run_and_dropped_after_it() {
    let (kit, log) = (TestKit::new(), Log::default());
    let scoped = log.clone();
    let jobs = kit
        .start(builder().register_scoped(move |ctx: JobContext| {
            let log = scoped.clone();
            async move {
                log.lock().push(format!("made for attempt {}", ctx.attempt()));
                match ctx.attempt() {
                    1 => Err("no connection".into()),
                    _ => Ok(Greeter { greeting: "hello", log }),
                }
            }
        }))
        .await;
    let id = jobs.manager().enqueue(greet("masa")).await.expect("enqueued").id;
    let report = kit.advance(SECOND).await;
    assert_eq!((report.retried, report.succeeded), (1, 1), "a factory that fails is a failed attempt");
    assert_eq!(*log.lock(), ["made for attempt 1", "made for attempt 2", "hello masa", "dropped"]);
    assert_eq!(record(&jobs, id).await.failures[0].failure.text.as_str(), "no connection");
    kit.finish().await;
}

#[tokio::test]
async fn a_factory_says_what_shall_follow() {
    let kit = TestKit::new();
    let builder = builder().register_scoped(|_| async move {
        if true {
            Err(JobError::permanent("no such tenant"))
        } else {
            Ok(Greeter { greeting: "", log: Log::default() })
        }
    });
    let jobs = kit.start(builder).await;
    jobs.manager().enqueue(greet("masa")).await.expect("enqueued");
    assert_eq!(kit.settle().await.failed, 1);
    kit.finish().await;
}
