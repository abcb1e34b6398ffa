//! Faults of explanations, waits, pauses and warnings that a review found; each failed before it was mended.

#[path = "support/log_lines.rs"]
mod log_lines;
#[allow(dead_code, reason = "this test uses a part of it")]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use backgroundjobs_core::prelude::*;
use backgroundjobs_core::*;
use backgroundjobs_memory::MemoryStore;
use backgroundjobs_testing::TestKit;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use self::log_lines::LogLines;
use self::support::{Trouble, TroubledStore};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Serialize, Deserialize)]
struct Work(u32);
impl JobArgs for Work {
    const KIND: &'static str = "work";
}
#[derive(Serialize, Deserialize)]
struct Other;
impl JobArgs for Other {
    const KIND: &'static str = "other";
}

async fn work(work: Work, ctx: JobContext) -> JobResult {
    tokio::select! {
        biased;
        () = ctx.cancelled() => Err("told".into()),
        () = ctx.sleep(SECOND * work.0) => Ok(()),
    }
}

async fn other(_: Other, _: JobContext) -> JobResult {
    Ok(())
}

/// A store whose answers to claims take this long from the moment on in which the switch is set.
fn slow_claims(kit: &TestKit, time: Duration) -> (TroubledStore, Arc<AtomicBool>) {
    let (env, slow) = (kit.env(), Arc::new(AtomicBool::new(false)));
    let is_slow = slow.clone();
    let store = TroubledStore::new(MemoryStore::new(), move |operation, _, _| {
        let slow = operation == StoreOperation::Claim && is_slow.load(Ordering::SeqCst);
        slow.then(|| Trouble::SlowReply(env.clone(), time))
    });
    (store, slow)
}

/// The kinds named as known are those of the workers that serve the job's queue. Those of every worker were
/// named.
#[tokio::test]
async fn an_unknown_kind_is_not_named_as_known() {
    let (kit, store) = (TestKit::new(), MemoryStore::new());
    let has_kind = BackgroundJobs::builder(|options| options.use_store(store.clone()).queue("a", 1));
    let _has_kind = kit.start(has_kind.register_fn(work)).await;
    let has_queue =
        BackgroundJobs::builder(|options| options.use_store(store.clone()).queue("b", 1).produces::<Work>());
    let has_queue = kit.start(has_queue.register_fn(other)).await;
    let there = EnqueueOptions::new().queue("b");
    let id = has_queue.manager().enqueue_with(Work(1), there).await.expect("enqueued").id;
    _ = kit.settle().await;
    let text = has_queue.explain(id).await.expect("answers").to_string();
    assert!(!text.contains("a handler for work (known: other, work)"), "{text}");
    kit.finish().await;
}

/// `start()` of jobs without a handler for the kind was advised.
#[tokio::test]
async fn a_start_is_advised_only_where_it_helps() {
    let (kit, store) = (TestKit::new(), MemoryStore::new());
    let worker = kit.build(
        BackgroundJobs::builder(|options| options.use_store(store.clone()).queue("a", 1)).register_fn(work),
    );
    let there = EnqueueOptions::new().queue("a");
    let id = worker.manager().enqueue_with(Work(1), there).await.expect("enqueued").id;
    // Knows neither the queue nor the kind.
    let stranger = kit.build(
        BackgroundJobs::builder(|options| options.use_store(store.clone()).queue("b", 1)).register_fn(other),
    );
    let text = stranger.explain(id).await.expect("answers").to_string();
    assert!(text.contains("no worker here serves the queue a"), "{text}");
    assert!(!text.contains("call jobs.start()"), "{text}");
    // Nobody was started.
    kit.abandon();
}

/// The worker of this program whose claim the store has made and not answered yet was said to be of another
/// process.
#[tokio::test]
async fn the_own_worker_is_not_called_another_process() {
    let kit = TestKit::new();
    let (store, slow) = slow_claims(&kit, SECOND * 5);
    let jobs = kit
        .start(
            BackgroundJobs::builder(|options| options.use_store(store).queue("default", 1)).register_fn(work),
        )
        .await;
    _ = kit.settle().await;
    slow.store(true, Ordering::SeqCst);
    let id = jobs.manager().enqueue(Work(1)).await.expect("enqueued").id;
    _ = kit.advance(SECOND).await;
    let text = jobs.explain(id).await.expect("answers").to_string();
    assert!(!text.contains("is not in this process"), "{text}");
    kit.finish().await;
}

/// A claim that the store had answered before the pause, and that arrived after it, filled the board all the
/// same.
#[tokio::test]
async fn a_claim_in_flight_starts_nothing_after_the_pause() {
    let kit = TestKit::new();
    let (store, slow) = slow_claims(&kit, SECOND);
    let starts = Arc::new(AtomicUsize::new(0));
    let count = starts.clone();
    let builder = BackgroundJobs::builder(|options| options.use_store(store).queue("default", 4));
    let jobs = kit
        .start(builder.register_fn(move |_: Work, _| {
            count.fetch_add(1, Ordering::SeqCst);
            async { Ok(()) }
        }))
        .await;
    _ = kit.settle().await;
    slow.store(true, Ordering::SeqCst);
    jobs.manager().enqueue_many((0..4).map(Work)).await.expect("enqueued");
    _ = kit.advance(SECOND / 2).await;
    jobs.admin().expect("there").pause("default").await.expect("paused");
    _ = kit.advance(SECOND * 60).await;
    assert_eq!(starts.load(Ordering::SeqCst), 0, "jobs started half a second after pause() had answered");
    kit.finish().await;
}

/// The waiter heard of it only when its limit was over, and a run only by its next renewal.
#[tokio::test]
async fn a_cancel_whose_answer_is_lost_wakes_who_waits() {
    let kit = TestKit::new();
    let store = TroubledStore::new(MemoryStore::new(), |operation, _, _| {
        (operation == StoreOperation::Cancel).then_some(Trouble::LostReply)
    });
    let jobs = kit
        .start(
            BackgroundJobs::builder(|options| options.use_store(store).queue("default", 1)).register_fn(work),
        )
        .await;
    let manager = jobs.manager();
    let id = manager.enqueue_in(Work(1), SECOND * 7200).await.expect("enqueued").id;
    let begun = kit.now();
    let (state, cancelled) =
        kit.run(async { tokio::join!(manager.wait(id, SECOND * 3600), manager.cancel(id)) }).await;
    assert!(cancelled.is_err());
    assert_eq!(state.expect("over"), JobState::Cancelled);
    assert!(kit.now().since(begun) < SECOND * 60, "heard of it after {:?}", kit.now().since(begun));
    kit.finish().await;
}

/// A memory store that counts with the test's leave, and notes what was called before `prepare`.
#[derive(Debug)]
struct Watched {
    inner: MemoryStore,
    hangs: bool,
    durable: bool,
    polled: Option<Duration>,
    gets: Arc<AtomicUsize>,
    /// Before the so manyth look at a job somebody cancels it.
    cancelled_before: usize,
    prepared: AtomicBool,
    unprepared: Arc<Mutex<Vec<&'static str>>>,
}

impl Watched {
    fn new(hangs: bool) -> Self {
        let (prepared, unprepared) = (AtomicBool::new(false), Arc::default());
        Self {
            inner: MemoryStore::new(),
            hangs,
            durable: false,
            polled: None,
            gets: Arc::default(),
            cancelled_before: 0,
            prepared,
            unprepared,
        }
    }
}

#[async_trait]
impl InspectStore for Watched {
    async fn count(&self, request: &CountJobs) -> Result<JobCounts, StoreError> {
        if !self.prepared.load(Ordering::SeqCst) {
            self.unprepared.lock().push("count");
        }
        if self.hangs {
            std::future::pending::<()>().await;
        }
        self.inner.inspect().expect("there").count(request).await
    }
    async fn list(&self, request: &ListJobs) -> Result<JobPage, StoreError> {
        self.inner.inspect().expect("there").list(request).await
    }
    async fn queues(&self, now: Timestamp) -> Result<Vec<QueueFacts>, StoreError> {
        self.inner.inspect().expect("there").queues(now).await
    }
}

macro_rules! forward {
    ($($method:ident($request:ty) -> $reply:ty;)*) => {
        #[async_trait]
        impl JobStore for Watched {
            fn profile(&self) -> StoreProfile {
                match (self.durable, self.polled) {
                    (true, _) => StoreProfile::in_process("file").lasting(),
                    (_, Some(interval)) => StoreProfile::shared("polled").poll_interval(interval),
                    _ => self.inner.profile(),
                }
            }
            async fn prepare(&self) -> Result<(), StoreError> {
                self.prepared.store(true, Ordering::SeqCst);
                Ok(())
            }
            async fn close(&self) -> Result<(), StoreError> { Ok(()) }
            async fn get(&self, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>, StoreError> {
                if self.gets.fetch_add(1, Ordering::SeqCst) + 1 == self.cancelled_before {
                    let now = Env::system().now();
                    self.inner.cancel(&CancelJobs::new(now, ids.to_vec())).await?;
                }
                self.inner.get(ids).await
            }
            fn local_hub(&self) -> Option<&WakeHub> { self.inner.local_hub() }
            fn remote_wakes(&self) -> Option<&dyn RemoteWakes> { None }
            fn inspect(&self) -> Option<&dyn InspectStore> { Some(self) }
            fn control(&self) -> Option<&dyn ControlStore> { self.inner.control() }
            $(async fn $method(&self, request: &$request) -> Result<$reply, StoreError> {
                self.inner.$method(request).await
            })*
        }
    };
}
forward! {
    insert(InsertJobs) -> InsertedJobs;
    claim(ClaimJobs) -> ClaimedJobs;
    renew(RenewLeases) -> RenewedLeases;
    settle(SettleJobs) -> SettledJobs;
    recover(RecoverJobs) -> RecoveredJobs;
    cancel(CancelJobs) -> Vec<CancelStatus>;
    prune(PruneJobs) -> PrunedJobs;
}

/// A stop is bounded by its drain and graces. Its count of what is left had no deadline.
#[tokio::test]
async fn a_stop_does_not_wait_for_ever_for_a_count() {
    let kit = TestKit::new();
    let builder =
        BackgroundJobs::builder(|options| options.use_store(Watched::new(true)).queue("default", 1));
    let jobs = kit.start(builder.register_fn(work)).await;
    let env = kit.env();
    let stopped = kit
        .run(async {
            tokio::select! {
                biased;
                report = jobs.stop(Duration::ZERO) => { println!("{report:?}"); true }
                () = env.sleep(SECOND * 3600) => false,
            }
        })
        .await;
    assert!(stopped, "stop(0) goes on after an hour");
    kit.finish().await;
}

/// `prepare` is what creates a schema. Waiting for idleness, and a stop, counted without it.
#[tokio::test]
async fn a_store_is_prepared_before_it_is_asked_to_count() {
    let kit = TestKit::new();
    let (idle, stop) = (Watched::new(false), Watched::new(false));
    let (by_idle, by_stop) = (idle.unprepared.clone(), stop.unprepared.clone());
    let jobs = kit.build(BackgroundJobs::builder(|options| options.use_store(idle)).register_fn(work));
    kit.run(jobs.wait_until_idle(SECOND)).await.expect("idle");
    let jobs = kit.build(BackgroundJobs::builder(|options| options.use_store(stop)).register_fn(work));
    kit.run(jobs.stop(SECOND)).await.expect("stopped");
    let (by_idle, by_stop) = (by_idle.lock().clone(), by_stop.lock().clone());
    assert!(by_idle.is_empty() && by_stop.is_empty(), "by idle: {by_idle:?}, by stop: {by_stop:?}");
    kit.finish().await;
}

/// A store that only this process writes to may be a file, and jobs in it wait for the next start. All of it was
/// called lost.
#[tokio::test]
async fn a_store_of_one_process_that_lasts_is_not_said_to_be_lost() {
    let (lines, _guard) = LogLines::listen();
    let kit = TestKit::new();
    let store = Watched { durable: true, ..Watched::new(false) };
    let jobs = kit.start(BackgroundJobs::builder(|options| options.use_store(store)).register_fn(work)).await;
    jobs.manager().enqueue_in(Work(1), SECOND * 60).await.expect("enqueued");
    let report = kit.run(jobs.stop(SECOND)).await.expect("stopped");
    assert_eq!(report.left_waiting, 1);
    assert_eq!(lines.take(), [""; 0]);
    // Stopped with a job left.
    kit.abandon();
}

/// It ended only when its sleep was over: a minute after the job is due, which may be years ahead.
#[tokio::test]
async fn a_watch_ends_with_its_manager() {
    let kit = TestKit::new();
    let builder = BackgroundJobs::builder(|options| options.use_store(MemoryStore::new()).producer_only());
    let jobs = kit.build(builder);
    jobs.manager().enqueue_in(Other, SECOND * 86_400 * 365).await.expect("enqueued");
    _ = kit.advance(SECOND * 120).await;
    drop(jobs);
    let report = kit.advance(SECOND * 120).await;
    assert_eq!(report.steps.next_timer, None, "a task still sleeps");
    // Dropped with a job left, which the watch was of.
    kit.abandon();
}

/// Two programs share a store. The other one serves its queue and is merely behind, and this one warned of
/// it.
#[tokio::test]
async fn a_backlog_of_another_process_is_not_called_unserved() {
    let (lines, _guard) = LogLines::listen();
    let (kit, store) = (TestKit::new(), MemoryStore::new());
    let here = BackgroundJobs::builder(|options| {
        options.use_store(TroubledStore::deaf(store.clone())).queue("here", 1)
    });
    let _here = kit.start(here.register_fn(other)).await;
    let elsewhere = BackgroundJobs::builder(|options| {
        options.use_store(TroubledStore::deaf(store.clone())).queue("there", 1)
    });
    let elsewhere = kit.start(elsewhere.register_fn(work)).await;
    for _ in 0..10 {
        let there = EnqueueOptions::new().queue("there");
        elsewhere.manager().enqueue_with(Work(30), there).await.expect("enqueued");
    }
    assert!(kit.advance(SECOND * 200).await.succeeded > 3);
    let warned = lines.take();
    assert!(warned.is_empty(), "{warned:?}");
    kit.finish().await;
}

/// The manager told its own worker nothing; that heard by its next renewal or poll.
#[tokio::test]
async fn on_a_store_without_a_hub_the_own_worker_hears_at_once() {
    let kit = TestKit::new();
    let builder = BackgroundJobs::builder(|options| {
        options.use_store(TroubledStore::deaf(MemoryStore::new())).queue("default", 1)
    });
    let jobs = kit.start(builder.register_fn(work)).await;
    let id = jobs.manager().enqueue(Work(3600)).await.expect("enqueued").id;
    _ = kit.advance(SECOND * 6).await;
    jobs.manager().cancel(id).await.expect("answers");
    _ = kit.settle().await;
    let state = jobs.manager().get(id).await.expect("answers").expect("kept").state;
    assert_eq!(state, JobState::Cancelled);
    kit.finish().await;
}

/// "Not over within 1s: it is over: cancelled" was answered as an error.
#[tokio::test]
async fn a_wait_whose_last_look_finds_the_end_answers_it() {
    let store = Watched { cancelled_before: 2, ..Watched::new(false) };
    let jobs =
        BackgroundJobs::builder(|options| options.use_store(store)).register_fn(work).build().expect("built");
    let id = jobs.manager().enqueue_in(Work(1), SECOND * 60).await.expect("enqueued").id;
    let answer = jobs.manager().wait(id, Duration::ZERO).await;
    assert!(matches!(answer, Ok(JobState::Cancelled)), "{answer:?}");
}

/// Each settle woke every waiter, and each asked the store: 20,300 looks of 200 waiters for 200 jobs.
#[tokio::test]
async fn waiters_do_not_ask_for_each_end_of_another_job() {
    let kit = TestKit::new();
    let store = Watched::new(false);
    let gets = store.gets.clone();
    let builder = BackgroundJobs::builder(|options| options.use_store(store).queue("default", 1));
    let jobs = kit.start(builder.register_fn(work)).await;
    let many = jobs.manager().enqueue_many((0..200).map(|_| Work(1))).await.expect("enqueued");
    kit.run(async {
        let waits = many.iter().map(|job| {
            let manager = jobs.manager();
            async move { manager.wait(job.id, SECOND * 3600).await.expect("over") }
        });
        let mut waits: Vec<_> = waits.map(Box::pin).collect();
        std::future::poll_fn(|cx| {
            waits.retain_mut(|wait| wait.as_mut().poll(cx).is_pending());
            if waits.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
    })
    .await;
    let gets = gets.load(Ordering::SeqCst);
    assert!(gets < 200 * 10, "{gets} looks at the store for 200 jobs");
    kit.finish().await;
}

/// It was taken, and a wait then never yielded its thread.
#[tokio::test]
async fn a_poll_interval_of_zero_is_refused() {
    let store = Watched { polled: Some(Duration::ZERO), ..Watched::new(false) };
    let built = BackgroundJobs::builder(|options| options.use_store(store)).register_fn(work).build();
    let error = built.expect_err("nobody polls all the time");
    assert!(error.to_string().contains("its profile needs a poll interval above zero"), "{error}");
    let options = |options: Options| options.use_store(MemoryStore::new()).poll_interval(Duration::ZERO);
    let error = BackgroundJobs::builder(options).register_fn(work).build().expect_err("nor by option");
    assert!(error.to_string().contains("options.poll_interval(..) needs a time above zero"), "{error}");
}

/// A producer with a queue for each tenant was warned of each, twice, without end.
#[tokio::test]
async fn warnings_of_what_nobody_serves_are_bounded() {
    let (lines, _guard) = LogLines::listen();
    let kit = TestKit::new();
    let jobs =
        kit.build(BackgroundJobs::builder(|options| options.use_store(MemoryStore::new()).producer_only()));
    for batch in 0..3 {
        for tenant in 0..1_000 {
            let queue = EnqueueOptions::new().queue(format!("tenant-{batch}-{tenant}"));
            jobs.manager().enqueue_with(Other, queue).await.expect("enqueued");
        }
        _ = kit.advance(SECOND * 120).await;
    }
    let warned = lines.take().len();
    assert!(warned <= 2_000, "{warned} warnings");
    kit.finish().await;
}

/// No other process reaches the memory store. "Another process may" was said of it all the same.
#[tokio::test]
async fn no_other_process_is_hoped_for_in_memory() {
    let (kit, store) = (TestKit::new(), MemoryStore::new());
    let _worker = kit
        .start(BackgroundJobs::builder(|options| options.use_store(store.clone())).register_fn(work))
        .await;
    let producer = kit.build(BackgroundJobs::builder(|options| options.use_store(store).producer_only()));
    let kind = producer.manager().enqueue(Other).await.expect("enqueued").id;
    let there = EnqueueOptions::new().queue("there");
    let queue = producer.manager().enqueue_with(Work(1), there).await.expect("enqueued").id;
    for id in [kind, queue] {
        let text = producer.explain(id).await.expect("answers").to_string();
        assert!(!text.contains("another process may"), "{text}");
    }
    kit.finish().await;
}

/// The store had put the job back and nobody was told of it; without a poll interval it waited for ever.
#[tokio::test]
async fn a_job_taken_back_by_a_recover_whose_answer_is_lost_runs() {
    let (kit, inner) = (TestKit::new(), MemoryStore::new());
    let store = TroubledStore::new(inner.clone(), |operation, count, _| {
        (operation == StoreOperation::Recover && count == 1).then_some(Trouble::LostReply)
    });
    let builder = BackgroundJobs::builder(|options| options.use_store(store).queue("default", 1));
    let jobs = kit.build(builder.register_fn(work));
    let id = jobs.manager().enqueue(Work(1)).await.expect("enqueued").id;
    // A worker claims it and dies.
    let demand = QueueDemand { queue: QueueName::default_queue(), limit: 1 };
    let ids = (ClaimId::from_uuid(uuid::Uuid::from_u128(8)), WorkerId::from_uuid(uuid::Uuid::from_u128(7)));
    let kinds = [Kind::new("work").expect("a kind")].into();
    let claim = ClaimJobs::new(kit.now(), ids.0, ids.1, vec![demand], kinds, SECOND * 30);
    assert_eq!(inner.claim(&claim).await.expect("answers").queues[0].jobs.len(), 1);
    jobs.start().await.expect("started");
    _ = kit.advance(SECOND * 3600).await;
    let text = jobs.explain(id).await.expect("answers").to_string();
    assert!(text.contains("it is over: succeeded"), "an hour later: {text}");
    kit.finish().await;
}
