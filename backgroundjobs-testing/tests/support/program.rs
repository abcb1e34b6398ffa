//! One program for the tests of the kit: jobs that do what their args say, and a store that looks on.
#![allow(dead_code, reason = "every test file takes what it needs")]

use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{
    Builder, CancelJobs, CancelStatus, ClaimJobs, ClaimedJobs, ControlStore, CountJobs, InsertJobs,
    InsertedJobs, InspectStore, JobCounts, JobPage, JobRecord, JobStore, ListJobs, Options, PruneJobs,
    PrunedJobs, QueueFacts, RecoverJobs, RecoveredJobs, RemoteWakes, RenewLeases, RenewedLeases, SettleJobs,
    SettledJobs, StoreError, StoreOperation, StoreProfile, Timestamp, WakeHub,
};
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::TestKit;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// A job that does what it says, run by run, and the last of it ever after: `"fail, snooze 5, ok"`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Work {
    pub(crate) does: String,
}

impl JobArgs for Work {
    const KIND: &'static str = "work";
}

pub(crate) fn work(does: &str) -> Work {
    Work { does: does.to_owned() }
}

/// A job that succeeds, which was called `letter` before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mail {
    pub(crate) to: String,
}

impl JobArgs for Mail {
    const KIND: &'static str = "mail";
    const ALIASES: &'static [&'static str] = &["letter"];
}

pub(crate) fn mail(to: &str) -> Mail {
    Mail { to: to.to_owned() }
}

/// How often each job has run.
type Runs = Arc<Mutex<BTreeMap<JobId, usize>>>;

async fn do_work(runs: Runs, work: Work, ctx: JobContext) -> JobResult {
    let run = {
        let mut runs = runs.lock();
        let run = runs.entry(ctx.id()).or_default();
        *run += 1;
        *run - 1
    };
    let steps: Vec<&str> = work.does.split(", ").collect();
    let step = steps[run.min(steps.len() - 1)];
    let (what, number) = step.split_once(' ').unwrap_or((step, "0"));
    let time = SECOND * number.parse().expect("a number of seconds");
    match what {
        "ok" => Ok(()),
        "fail" => Err("it failed".into()),
        "retry" => Err(JobError::retry_in(time, "not yet")),
        "snooze" => Err(JobError::snooze(time)),
        "cancel" => Err(JobError::cancel("not wanted")),
        "permanent" => Err(JobError::permanent("never")),
        "panic" => panic!("a bug"),
        "sleep" => {
            ctx.sleep(time).await;
            Ok(())
        }
        "hang" => pending().await,
        "listen" => {
            ctx.cancelled().await;
            Err("told to stop".into())
        }
        "enqueue" => {
            ctx.manager().enqueue(mail("from work")).await?;
            Ok(())
        }
        "enqueue_static" => {
            BackgroundJobManager::enqueue(mail("from work")).await?;
            Ok(())
        }
        other => panic!("no work is called {other:?}"),
    }
}

/// Handlers of both kinds.
pub(crate) fn program(options: impl FnOnce(Options) -> Options) -> Builder {
    BackgroundJobs::builder(options)
        .register_fn_with(Runs::default(), do_work)
        .register_fn(async |_: Mail, _: JobContext| Ok(()))
}

/// A kit with one started program on a memory store that the test holds, too.
pub(crate) struct Scene {
    pub(crate) kit: TestKit,
    pub(crate) store: MemoryStore,
    pub(crate) jobs: Arc<BackgroundJobs>,
    pub(crate) manager: Arc<dyn JobManager>,
}

pub(crate) async fn scene() -> Scene {
    scene_with(|options| options).await
}

pub(crate) async fn scene_with(options: impl FnOnce(Options) -> Options) -> Scene {
    scene_of(TestKit::new(), options).await
}

pub(crate) async fn scene_of(kit: TestKit, options: impl FnOnce(Options) -> Options) -> Scene {
    let store = MemoryStore::new();
    let jobs = kit.start(program(|start| options(start.use_store(store.clone())))).await;
    Scene { kit, store, manager: jobs.manager(), jobs }
}

impl Scene {
    pub(crate) async fn enqueue(&self, args: impl JobArgs) -> JobId {
        self.manager.enqueue(args).await.expect("enqueued").id
    }

    pub(crate) async fn record(&self, id: JobId) -> JobRecord {
        self.store.get(&[id]).await.expect("answers").remove(0).expect("kept")
    }
}

/// The text that a future panics with.
pub(crate) async fn panic_of<T>(future: impl Future<Output = T>) -> String {
    let mut future = Box::pin(future);
    let payload = poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(poll) => poll.map(|_| None),
        Err(payload) => Poll::Ready(Some(payload)),
    });
    let payload = payload.await.expect("it panics");
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => (*payload.downcast::<&str>().expect("a text")).to_owned(),
    }
}

/// What passed between a program and its store: each call, with how many items it carried.
pub(crate) type Calls = Arc<Mutex<Vec<(StoreOperation, usize)>>>;

/// A store that writes down what it is asked.
pub(crate) struct Watched {
    inner: Arc<dyn JobStore>,
    calls: Calls,
    /// It cannot count or list.
    is_blind: bool,
    /// It says nothing of its hub.
    is_deaf: bool,
}

impl Watched {
    pub(crate) fn new(inner: Arc<dyn JobStore>, calls: &Calls) -> Self {
        Self { inner, calls: calls.clone(), is_blind: false, is_deaf: false }
    }

    pub(crate) fn blind(inner: Arc<dyn JobStore>) -> Self {
        Self { is_blind: true, ..Self::new(inner, &Calls::default()) }
    }

    pub(crate) fn deaf(inner: Arc<dyn JobStore>) -> Self {
        Self { is_deaf: true, ..Self::new(inner, &Calls::default()) }
    }

    fn note(&self, operation: StoreOperation, items: usize) {
        self.calls.lock().push((operation, items));
    }

    fn inspect_inner(&self) -> &dyn InspectStore {
        self.inner.inspect().expect("the memory store has it")
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watched")
    }
}

#[async_trait]
impl JobStore for Watched {
    fn profile(&self) -> StoreProfile {
        self.inner.profile()
    }

    async fn prepare(&self) -> Result<(), StoreError> {
        self.note(StoreOperation::Prepare, 0);
        self.inner.prepare().await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.close().await
    }

    async fn insert(&self, request: &InsertJobs) -> Result<InsertedJobs, StoreError> {
        self.note(StoreOperation::Insert, request.jobs.len());
        self.inner.insert(request).await
    }

    async fn claim(&self, request: &ClaimJobs) -> Result<ClaimedJobs, StoreError> {
        self.note(StoreOperation::Claim, request.queues.len());
        self.inner.claim(request).await
    }

    async fn renew(&self, request: &RenewLeases) -> Result<RenewedLeases, StoreError> {
        self.note(StoreOperation::Renew, request.leases.len());
        self.inner.renew(request).await
    }

    async fn settle(&self, request: &SettleJobs) -> Result<SettledJobs, StoreError> {
        self.note(StoreOperation::Settle, request.outcomes.len());
        self.inner.settle(request).await
    }

    async fn recover(&self, request: &RecoverJobs) -> Result<RecoveredJobs, StoreError> {
        self.note(StoreOperation::Recover, 0);
        self.inner.recover(request).await
    }

    async fn cancel(&self, request: &CancelJobs) -> Result<Vec<CancelStatus>, StoreError> {
        self.note(StoreOperation::Cancel, request.ids.len());
        self.inner.cancel(request).await
    }

    async fn get(&self, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>, StoreError> {
        self.note(StoreOperation::Get, ids.len());
        self.inner.get(ids).await
    }

    async fn prune(&self, request: &PruneJobs) -> Result<PrunedJobs, StoreError> {
        self.note(StoreOperation::Prune, 0);
        self.inner.prune(request).await
    }

    fn local_hub(&self) -> Option<&WakeHub> {
        self.inner.local_hub().filter(|_| !self.is_deaf)
    }

    fn remote_wakes(&self) -> Option<&dyn RemoteWakes> {
        self.inner.remote_wakes()
    }

    fn inspect(&self) -> Option<&dyn InspectStore> {
        (!self.is_blind).then_some(self as &dyn InspectStore)
    }

    fn control(&self) -> Option<&dyn ControlStore> {
        self.inner.control()
    }
}

#[async_trait]
impl InspectStore for Watched {
    async fn count(&self, request: &CountJobs) -> Result<JobCounts, StoreError> {
        self.note(StoreOperation::Count, 0);
        self.inspect_inner().count(request).await
    }

    async fn list(&self, request: &ListJobs) -> Result<JobPage, StoreError> {
        self.note(StoreOperation::List, 0);
        self.inspect_inner().list(request).await
    }

    async fn queues(&self, now: Timestamp) -> Result<Vec<QueueFacts>, StoreError> {
        self.note(StoreOperation::Queues, 0);
        self.inspect_inner().queues(now).await
    }
}
