//! The work of one job after another on the memory store, for counting instructions: `seam with 1000` goes through
//! the seam by which a test kit takes part, `seam without 1000` does the same with nothing between, and
//! `seam worker 1000` is a whole worker. `cargo xtask seam` runs all of them.
//!
//! One job at a time, so the seam is passed as often as a job ever passes it: a busy worker shares its claims and
//! settles among several jobs.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{
    BoxFuture, Checkpoint, ClaimId, ClaimJobs, Clock, CountJobs, Env, InsertJobs, JobFilter, JobId, JobState,
    JobStore, Kind, LeaseKey, NewJob, Outcome, Outside, Payload, QueueDemand, QueueName, Retention,
    SettleJobs, Settlement, StoreError, StoreOperation, SystemClock, Timestamp, WorkerId, limits,
};
use backgroundjobs_memory::MemoryStore;
use benchmarks::{Marks, Notice};

type Failed = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failed> {
    let mut arguments = std::env::args().skip(1);
    let mode = arguments.next().ok_or("with, without or worker?")?;
    let jobs: usize = arguments.next().ok_or("how many jobs?")?.parse()?;
    match mode.as_str() {
        "with" => one_by_one(&With(Env::system()), jobs).await,
        "without" => one_by_one(&Without(SystemClock::new()), jobs).await,
        "worker" => by_a_worker(jobs).await,
        _ => Err(format!("`{mode}` is none of with, without, worker").into()),
    }
}

/// What stands between the runtime and the rest of the world.
trait Seam {
    fn now(&self) -> Timestamp;
    /// Comes to a point where a kit may look.
    async fn checkpoint(&self, at: impl FnOnce() -> Checkpoint);
    /// Waits for something outside the runtime.
    async fn outside<T>(&self, what: impl FnOnce() -> Outside, future: BoxFuture<'_, T>) -> T;
}

/// As in a program.
struct With(Env);

impl Seam for With {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    async fn checkpoint(&self, at: impl FnOnce() -> Checkpoint) {
        self.0.checkpoint(at).await;
    }

    async fn outside<T>(&self, what: impl FnOnce() -> Outside, future: BoxFuture<'_, T>) -> T {
        self.0.outside(what, future).await
    }
}

/// As if there were no kit.
struct Without(SystemClock);

impl Seam for Without {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    async fn checkpoint(&self, _: impl FnOnce() -> Checkpoint) {}

    async fn outside<T>(&self, _: impl FnOnce() -> Outside, future: BoxFuture<'_, T>) -> T {
        future.await
    }
}

/// As the runtime's door to its store.
async fn call<'a, T>(
    seam: &impl Seam,
    operation: StoreOperation,
    call: impl FnOnce() -> BoxFuture<'a, Result<T, StoreError>>,
) -> Result<T, StoreError> {
    seam.checkpoint(|| Checkpoint::BeforeStore(operation)).await;
    let answer = seam.outside(|| Outside::Store(operation), call()).await;
    seam.checkpoint(|| Checkpoint::AfterStore(operation)).await;
    answer
}

/// How often the runtime reads the clock for one job that is alone, beside the readings that go into a request: the
/// look of a slot, the id of the claim, its reply, the taking in, the next expiry, the end of the run, the batch.
const READINGS: usize = 7;

async fn one_by_one(seam: &impl Seam, jobs: usize) -> Result<(), Failed> {
    let scene = Scene::new(jobs)?;
    let mut ids = Vec::with_capacity(jobs);
    for number in 0..jobs {
        ids.push(scene.one(seam, number).await?);
    }
    scene.marks.each_once()?;
    are_all_succeeded(&scene.store, &ids).await
}

struct Scene {
    store: MemoryStore,
    marks: Arc<Marks>,
    /// Only makes ids, the same for both.
    ids: Env,
    kinds: Arc<[Kind]>,
    worker: WorkerId,
}

impl Scene {
    fn new(jobs: usize) -> Result<Self, Failed> {
        let ids = Env::builder().seed(7).build();
        Ok(Self {
            store: MemoryStore::new(),
            marks: Arc::new(Marks::new(jobs)),
            kinds: [Kind::new(Notice::KIND)?].into(),
            worker: WorkerId::from_uuid(ids.job_id().as_uuid()),
            ids,
        })
    }

    /// A job from its insert to its end.
    async fn one(&self, seam: &impl Seam, number: usize) -> Result<JobId, Failed> {
        let queue = QueueName::default_queue();
        let args = Payload::from_args(&Notice::new(number))?;
        let job = NewJob::new(self.ids.job_id(), self.kinds[0].clone(), queue.clone(), args);
        let request = InsertJobs::new(seam.now(), vec![job]);
        call(seam, StoreOperation::Insert, || self.store.insert(&request)).await?;
        for _ in 0..READINGS {
            black_box(seam.now());
        }
        let claim = ClaimId::from_uuid(self.ids.job_id().as_uuid());
        let demands = vec![QueueDemand { queue, limit: 1 }];
        let request =
            ClaimJobs::new(seam.now(), claim, self.worker, demands, self.kinds.clone(), limits::LEASE);
        let reply = call(seam, StoreOperation::Claim, || self.store.claim(&request)).await?;
        let job = reply.queues.into_iter().flat_map(|queue| queue.jobs).next().ok_or("no job was due")?;
        let (id, attempt, generation, kind) = (job.id, job.attempt(), job.generation, job.kind);
        seam.checkpoint(|| Checkpoint::BeforeRun { id, kind: kind.clone(), attempt, generation }).await;
        let handler = self.handle(job.args);
        seam.outside(|| Outside::Handler { id, kind: kind.clone(), attempt }, handler).await?;
        seam.checkpoint(|| Checkpoint::AfterRun { id, kind: kind.clone(), attempt, generation }).await;
        let settlement = Settlement { lease: LeaseKey { id, generation }, outcome: Outcome::Complete };
        let request = SettleJobs::new(seam.now(), vec![settlement]);
        call(seam, StoreOperation::Settle, || self.store.settle(&request)).await?;
        Ok(id)
    }

    /// What a registered handler does: decodes its args, then reads them.
    fn handle(&self, args: Payload) -> BoxFuture<'_, Result<(), serde_json::Error>> {
        Box::pin(async move {
            self.marks.mark(&args.decode()?);
            Ok(())
        })
    }
}

async fn by_a_worker(jobs: usize) -> Result<(), Failed> {
    const LIMIT: Duration = Duration::from_secs(600);
    let store = Arc::new(MemoryStore::new());
    let marks = Arc::new(Marks::new(jobs));
    let (handler_marks, shared_store) = (marks.clone(), store.clone());
    let running = BackgroundJobs::builder(|options| {
        options.use_shared_store(shared_store).retention(Retention::FOREVER)
    })
    .register_fn(move |notice: Notice, _: JobContext| {
        handler_marks.mark(&notice);
        std::future::ready(Ok(()))
    })
    .build()?;
    running.start().await?;
    let manager = running.manager();
    let mut ids = Vec::with_capacity(jobs);
    for number in 0..jobs {
        ids.push(manager.enqueue(Notice::new(number)).await?.id);
    }
    running.wait_until_idle(LIMIT).await?;
    running.stop(LIMIT).await?;
    marks.each_once()?;
    are_all_succeeded(&store, &ids).await
}

/// Every so many jobs one is read back.
const READ_BACK: usize = 101;

async fn are_all_succeeded(store: &MemoryStore, ids: &[JobId]) -> Result<(), Failed> {
    let inspect = store.inspect().ok_or("the store cannot count")?;
    let counts = inspect.count(&CountJobs::new(Timestamp::UNIX_EPOCH, JobFilter::all())).await?;
    let found = (counts.total(&[JobState::Succeeded]), counts.total(&JobState::ALL));
    if found != (ids.len() as u64, ids.len() as u64) {
        return Err(format!("{} of {} jobs succeeded, of {} wanted", found.0, found.1, ids.len()).into());
    }
    for id in ids.iter().step_by(READ_BACK) {
        let record = store.get(&[*id]).await?.pop().flatten();
        if record.as_ref().map(|record| record.state) != Some(JobState::Succeeded) {
            return Err(format!("job {id} should have succeeded and is {record:?}").into());
        }
    }
    Ok(())
}
