//! What the kit leaves out: other processes' wakes, and handlers that block their thread.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{
    CancelJobs, CancelStatus, ClaimJobs, ClaimedJobs, ControlStore, InsertJobs, InsertedJobs, InspectStore,
    JobId, JobRecord, JobStore, PruneJobs, PrunedJobs, RecoverJobs, RecoveredJobs, RemoteWakes, RenewLeases,
    RenewedLeases, SettleJobs, SettledJobs, StoreError, StoreProfile, WakeHub,
};
use backgroundjobs_memory::prelude::*;
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
#[derive(Clone, Debug)]
struct Remote {
    inner: MemoryStore,
    bell: Arc<Notify>,
}

#[async_trait]
impl RemoteWakes for Remote {
    async fn next_wake(&self) -> Result<(), StoreError> {
        self.bell.notified().await;
        Ok(())
    }
}

#[async_trait]
impl JobStore for Remote {
    fn profile(&self) -> StoreProfile {
        StoreProfile::shared("remote").poll_interval(HOUR)
    }
    async fn prepare(&self) -> Result<(), StoreError> {
        self.inner.prepare().await
    }
    async fn close(&self) -> Result<(), StoreError> {
        self.inner.close().await
    }
    async fn insert(&self, request: &InsertJobs) -> Result<InsertedJobs, StoreError> {
        self.inner.insert(request).await
    }
    async fn claim(&self, request: &ClaimJobs) -> Result<ClaimedJobs, StoreError> {
        self.inner.claim(request).await
    }
    async fn renew(&self, request: &RenewLeases) -> Result<RenewedLeases, StoreError> {
        self.inner.renew(request).await
    }
    async fn settle(&self, request: &SettleJobs) -> Result<SettledJobs, StoreError> {
        self.inner.settle(request).await
    }
    async fn recover(&self, request: &RecoverJobs) -> Result<RecoveredJobs, StoreError> {
        self.inner.recover(request).await
    }
    async fn cancel(&self, request: &CancelJobs) -> Result<Vec<CancelStatus>, StoreError> {
        self.inner.cancel(request).await
    }
    async fn get(&self, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>, StoreError> {
        self.inner.get(ids).await
    }
    async fn prune(&self, request: &PruneJobs) -> Result<PrunedJobs, StoreError> {
        self.inner.prune(request).await
    }
    fn local_hub(&self) -> Option<&WakeHub> {
        None
    }
    fn remote_wakes(&self) -> Option<&dyn RemoteWakes> {
        Some(self)
    }
    fn inspect(&self) -> Option<&dyn InspectStore> {
        self.inner.inspect()
    }
    fn control(&self) -> Option<&dyn ControlStore> {
        self.inner.control()
    }
}

async fn tell(ran: UnboundedSender<JobId>, _: Work, ctx: JobContext) -> JobResult {
    ran.send(ctx.id())?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_processs_wake_is_heard_before_the_poll() {
    let store = Remote { inner: MemoryStore::new(), bell: Arc::default() };
    let (sender, mut ran) = tokio::sync::mpsc::unbounded_channel();
    let jobs = BackgroundJobs::builder(|options| options.use_store(store.clone()))
        .register_fn_with(sender, tell)
        .build()
        .expect("built");
    jobs.start().await.expect("started");
    let elsewhere = BackgroundJobs::builder(|options| options.use_store(store.clone()).producer_only())
        .build()
        .expect("built");
    for _ in 0..3 {
        let id = elsewhere.manager().enqueue(Work).await.expect("enqueued").id;
        store.bell.notify_one();
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
