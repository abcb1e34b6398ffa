//! What the kit leaves out: other processes' wakes, handlers that block their thread, and who shares one.

use std::future::{Ready, ready};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use backgroundjobs_core::hosting::{
    Host, Refresher, ServiceResult, Stopping, TaskQueue, Tick, TimedService, WhenFull,
};
use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{JobId, RemoteWakes, StoreError, StoreOperation, StoreProfile, WakeHub};
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::{LayeredStore, StoreLayer};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;

const HOUR: Duration = Duration::from_secs(3_600);

#[derive(Serialize, Deserialize)]
struct Work;

impl JobArgs for Work {
    const KIND: &'static str = "work";
}

/// The memory store as another process would see it: no hub, a poll an hour, and a bell.
struct Bell(Arc<Notify>);

impl StoreLayer for Bell {
    async fn around<T: Send>(
        &self,
        _: StoreOperation,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        call.await
    }

    fn profile(&self, _: StoreProfile) -> StoreProfile {
        StoreProfile::shared("remote").poll_interval(HOUR)
    }

    fn local_hub<'a>(&'a self, _: Option<&'a WakeHub>) -> Option<&'a WakeHub> {
        None
    }

    fn remote_wakes<'a>(&'a self, _: Option<&'a dyn RemoteWakes>) -> Option<&'a dyn RemoteWakes> {
        Some(self)
    }
}

#[async_trait]
impl RemoteWakes for Bell {
    async fn next_wake(&self) -> Result<(), StoreError> {
        self.0.notified().await;
        Ok(())
    }
}

async fn tell(ran: UnboundedSender<JobId>, _: Work, ctx: JobContext) -> JobResult {
    ran.send(ctx.id())?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_processs_wake_is_heard_before_the_poll() {
    let (inner, bell) = (MemoryStore::new(), Arc::new(Notify::new()));
    let store = || LayeredStore::with(Arc::new(inner.clone()), Bell(bell.clone()));
    let (sender, mut ran) = tokio::sync::mpsc::unbounded_channel();
    let jobs = BackgroundJobs::builder(|options| options.use_store(store()))
        .register_fn_with(sender, tell)
        .build()
        .expect("built");
    jobs.start().await.expect("started");
    let elsewhere =
        BackgroundJobs::builder(|options| options.use_store(store()).producer_only()).build().expect("built");
    for _ in 0..3 {
        let id = elsewhere.manager().enqueue(Work).await.expect("enqueued").id;
        bell.notify_one();
        assert_eq!(ran.recv().await, Some(id));
    }
    assert!(jobs.stop(HOUR).await.expect("stopped").is_clean());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_handler_that_blocks_its_thread_is_named_by_the_stop() {
    let (release, blocked) = mpsc::channel::<()>();
    let (started, mut has_started) = tokio::sync::mpsc::unbounded_channel();
    let state = Arc::new(Mutex::new(blocked));
    let handler = async |(state, started): (Arc<Mutex<mpsc::Receiver<()>>>, UnboundedSender<JobId>),
                         _: Work,
                         ctx: JobContext| {
        started.send(ctx.id())?;
        let _ = state.lock().expect("nobody panics").recv();
        Ok(())
    };
    let jobs = BackgroundJobs::builder(|options| {
        options.use_in_memory().queue("default", 2).cancel_grace(Duration::from_millis(5))
    })
    .register_fn_with((state, started), handler)
    .build()
    .expect("built");
    jobs.start().await.expect("started");
    let id = jobs.manager().enqueue(Work).await.expect("enqueued").id;
    assert_eq!(has_started.recv().await, Some(id));
    let report = jobs.stop(Duration::ZERO).await.expect("stopped");
    assert_eq!(report.still_running.len(), 1, "{report:?}");
    assert_eq!((report.still_running[0].id, report.still_running[0].kind.as_str()), (id, "work"));
    assert!(!report.is_clean());
    let record = jobs.manager().get(id).await.expect("answers").expect("kept");
    assert!(record.lease.is_some(), "it is left to its lease, not handed to somebody else");
    release.send(()).expect("the handler waits");
}

/// Counts calls, and says when there were a thousand.
#[derive(Default)]
struct Calls {
    count: AtomicU32,
    thousand: Notify,
}

impl Calls {
    fn count(&self) {
        if self.count.fetch_add(1, Ordering::SeqCst) + 1 == 1_000 {
            self.thousand.notify_one();
        }
    }

    fn expect_thousand(&self) {
        assert!(self.count.load(Ordering::SeqCst) >= 1_000);
    }
}

/// On one thread, where whoever does not step aside keeps everybody else from their turn.
#[tokio::test]
async fn a_timer_that_is_always_late_leaves_others_their_turn() {
    let calls = Arc::new(Calls::default());
    let seen = calls.clone();
    let timer = TimedService::every(Duration::from_micros(1)).at_once().run_fn(move |_: Tick| {
        seen.count();
        ready(Ok(()))
    });
    let host = Host::builder().background("timer", timer).build().expect("built");
    host.run(calls.thousand.notified()).await.expect("it stops well");
    calls.expect_thousand();
}

/// A task that puts the next one into the queue.
fn endless(
    queue: TaskQueue,
    calls: Arc<Calls>,
) -> impl FnOnce(Stopping) -> Ready<ServiceResult> + Send + 'static {
    move |_| {
        calls.count();
        let next = endless(queue.clone(), calls);
        // Refused once the host stops.
        _ = queue.try_enqueue("next", next);
        ready(Ok(()))
    }
}

#[tokio::test]
async fn a_queue_whose_tasks_never_wait_leaves_others_their_turn() {
    let calls = Arc::new(Calls::default());
    let queue = TaskQueue::new(1, WhenFull::Wait);
    queue.try_enqueue("first", endless(queue.clone(), calls.clone())).expect("there is room");
    let host = Host::builder().background("queue", queue.workers(1)).build().expect("built");
    host.run(calls.thousand.notified()).await.expect("it stops well");
    calls.expect_thousand();
}

#[tokio::test]
async fn a_refresher_that_fails_without_a_wait_leaves_others_their_turn() {
    let calls = Arc::new(Calls::default());
    let seen = calls.clone();
    let refresher = Refresher::<u8>::new(move || {
        seen.count();
        ready(Err("no route".into()))
    });
    let refresher = refresher.retry(RetryPolicy::new().first(Duration::ZERO));
    let host = Host::builder().background("token", refresher).build().expect("built");
    host.run(calls.thousand.notified()).await.expect("it stops well");
    calls.expect_thousand();
}
