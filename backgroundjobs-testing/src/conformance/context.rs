//! What checks are written with: made-up instants, ids and jobs, and calls that fail with a clause's number.

use std::future::Future;
use std::ops::Deref;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use backgroundjobs_core::{
    CancelJobs, CancelStatus, ClaimId, ClaimJobs, ClaimedJob, ClaimedJobs, ClaimedQueue, Failure,
    FailureKind, InsertJobs, Inserted, JobId, JobRecord, JobState, JobStore, KeyHold, Kind, LeaseKey,
    LeaseStatus, NewJob, Outcome, Payload, PruneJobs, PrunedJobs, QueueDemand, QueueName, RecoverJobs,
    RecoveredJobs, RenewLeases, Retention, SettleJobs, Settled, Settlement, Timestamp, UniqueKey, WorkerId,
};
use tokio::sync::Barrier;
use uuid::Uuid;

pub(super) use super::expect::{answer, broken, holds, same, shown, told};
use super::operations::{Operations, Watched};
use super::{Capability, FreshStore, OwnClock, StoreUnderTest};

/// The queue of a job that a check says nothing else about.
pub(super) const QUEUE: &str = "work";
/// Its kind.
pub(super) const KIND: &str = "task";
/// How long claims and renewals hold, unless a check says otherwise.
pub(super) const LEASE: Duration = secs(30);
/// What recovered jobs wait for each crash.
pub(super) const BACKOFF: Duration = secs(10);
/// The smallest step between two instants.
pub(super) const MICRO: Duration = Duration::from_micros(1);

pub(super) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The instant this many seconds into the check: some time in 2030.
pub(super) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_micros(1_893_456_000_000_000) + secs(seconds)
}

pub(super) fn queue(name: &str) -> QueueName {
    QueueName::new(name).expect("checks use valid queue names")
}

pub(super) fn kind(name: &str) -> Kind {
    Kind::new(name).expect("checks use valid kinds")
}

pub(super) fn error(text: &str) -> Failure {
    Failure::new(FailureKind::Error, text)
}

pub(super) fn retry(delay: Duration) -> Outcome {
    Outcome::Retry { delay, failure: error("failed") }
}

pub(super) fn fail() -> Outcome {
    Outcome::Fail { failure: error("failed for good") }
}

pub(super) fn unique(key: &str, hold: KeyHold) -> Option<UniqueKey> {
    Some(UniqueKey { key: key.into(), hold })
}

pub(super) fn lease_of(job: &ClaimedJob) -> LeaseKey {
    LeaseKey { id: job.id, generation: job.generation }
}

pub(super) fn ids_of(reply: &ClaimedQueue) -> Vec<JobId> {
    reply.jobs.iter().map(|job| job.id).collect()
}

pub(super) const fn applied(state: JobState) -> Settled {
    Settled::Applied { state }
}

/// What the ids that checks make up begin with; the rest is their number.
const IDS: u128 = 0x01b8_7a33_7c00_7000_8000_0000_0000_0000;

/// The id of this number, made up by a check, of the shape of UUIDs of version 7.
pub(super) fn id_of(number: u64) -> Uuid {
    Uuid::from_u128(IDS + u128::from(number))
}

/// The number of an id that a check made up.
pub(super) fn number_of(id: Uuid) -> Option<u64> {
    const NUMBERS: u128 = 0xffff_ffff;
    (id.as_u128() & !NUMBERS == IDS).then_some((id.as_u128() & NUMBERS) as u64)
}

/// Sets fields in passing.
pub(super) trait With: Sized {
    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

impl With for NewJob {}
impl With for ClaimJobs {}

/// A store under check, and what is made up for it.
pub(super) struct Context {
    store: Arc<dyn JobStore>,
    under_test: Arc<dyn StoreUnderTest>,
    origin: Origin,
    next_id: AtomicU64,
    operations: Operations,
}

/// Where the store came from.
pub(super) enum Origin {
    Fresh(FreshStore),
    OwnClock(OwnClock),
}

impl Origin {
    pub(super) fn fresh(&self) -> &FreshStore {
        match self {
            Self::Fresh(fresh) | Self::OwnClock(OwnClock { fresh, .. }) => fresh,
        }
    }
}

/// A store of its own, with what it needs.
pub(super) struct Another {
    store: Arc<Watched>,
    _fresh: FreshStore,
}

impl Deref for Another {
    type Target = dyn JobStore;

    fn deref(&self) -> &Self::Target {
        &*self.store
    }
}

impl Context {
    pub(super) fn new(under_test: Arc<dyn StoreUnderTest>, origin: Origin, operations: Operations) -> Self {
        let store = Watched::new(origin.fresh().store().clone(), "", operations.clone());
        Self { store, under_test, origin, next_id: AtomicU64::new(1), operations }
    }

    pub(super) fn under_test(&self) -> &dyn StoreUnderTest {
        &*self.under_test
    }

    /// Whether the store under check has what it may leave out.
    pub(super) async fn can(&self, capability: Capability) -> bool {
        capability.is_of(self.under_test(), self.origin.fresh()).await
    }

    pub(super) const fn operations(&self) -> &Operations {
        &self.operations
    }

    /// The store, for a task of its own.
    pub(super) fn handle(&self) -> Arc<dyn JobStore> {
        self.store.clone()
    }

    /// A fresh store beside this one, not prepared.
    pub(super) async fn another(&self) -> Another {
        let fresh = self.under_test.fresh().await;
        let store = Watched::new(fresh.store().clone(), "another store: ", self.operations.clone());
        Another { store, _fresh: fresh }
    }

    /// Another handle on the same data, prepared.
    pub(super) async fn second_handle(&self) -> Arc<dyn JobStore> {
        let other = self.under_test.second_handle(self.origin.fresh()).await;
        let other = other.expect("asked only where there is one");
        let other = Watched::new(other, "on the second handle: ", self.operations.clone());
        answer("prepare", other.prepare().await);
        other
    }

    /// The store, opened again.
    pub(super) async fn reopen(&self) -> Arc<dyn JobStore> {
        let store = self.under_test.reopen(self.origin.fresh()).await;
        let store = store.expect("asked only where it lasts");
        Watched::new(store, "opened again: ", self.operations.clone())
    }

    /// Sets the store's own clock.
    pub(super) fn set_own_clock(&self, now: Timestamp) {
        match &self.origin {
            Origin::OwnClock(own) => (own.set)(now),
            Origin::Fresh(_) => panic!("asked only of a store on its own time"),
        }
    }

    pub(super) fn store(&self) -> &dyn JobStore {
        &*self.store
    }

    /// Ids that grow.
    fn uuid(&self) -> Uuid {
        let count = self.next_id.fetch_add(1, Ordering::Relaxed);
        id_of(count)
    }

    pub(super) fn job_id(&self) -> JobId {
        JobId::from_uuid(self.uuid())
    }

    /// A job of the usual queue and kind, due now.
    pub(super) fn job(&self) -> NewJob {
        self.job_of(QUEUE, KIND)
    }

    pub(super) fn job_of(&self, queue_name: &str, kind_name: &str) -> NewJob {
        NewJob::new(self.job_id(), kind(kind_name), queue(queue_name), Payload::from_store("{}"))
    }

    /// A job with a unique key.
    pub(super) fn keyed(&self, key: &str, hold: KeyHold) -> NewJob {
        self.job().with(|job| job.unique = unique(key, hold))
    }

    pub(super) async fn insert(&self, now: Timestamp, jobs: Vec<NewJob>) -> Vec<Inserted> {
        let asked = jobs.len();
        let reply = answer("insert", self.store.insert(&InsertJobs::new(now, jobs)).await);
        same("T-1", "store_now of an insert", reply.store_now, now);
        same("I-1", "answers of an insert", reply.jobs.len(), asked);
        reply.jobs
    }

    /// Inserts one job and says what became of it.
    pub(super) async fn offer(&self, now: Timestamp, job: NewJob) -> Inserted {
        self.insert(now, vec![job]).await[0]
    }

    /// Inserts a job that must be new.
    pub(super) async fn put(&self, now: Timestamp, job: NewJob) -> JobId {
        let id = job.id;
        same("I-1", "insert of a new job", self.offer(now, job).await, Inserted::New);
        id
    }

    pub(super) fn claim_of(&self, now: Timestamp, queues: &[(&str, usize)], kinds: &[&str]) -> ClaimJobs {
        ClaimJobs::new(
            now,
            ClaimId::from_uuid(self.uuid()),
            WorkerId::from_uuid(self.uuid()),
            queues.iter().map(|(name, limit)| QueueDemand { queue: queue(name), limit: *limit }).collect(),
            kinds.iter().map(|name| kind(name)).collect(),
            LEASE,
        )
    }

    /// Sends a claim, and checks what holds for every reply.
    pub(super) async fn send(&self, claim: &ClaimJobs) -> ClaimedJobs {
        let reply = answer("claim", self.store.claim(claim).await);
        same("T-1", "store_now of a claim", reply.store_now, claim.now);
        same("C-3", "replies of a claim, one a queue", reply.queues.len(), claim.queues.len());
        for (asked, got) in claim.queues.iter().zip(&reply.queues) {
            holds("C-3", format!("at most {} jobs", asked.limit), got.jobs.len() <= asked.limit, got);
            let of_queue = got.jobs.iter().all(|job| job.queue == asked.queue);
            holds("C-2", format!("jobs of queue {} only", asked.queue), of_queue, got);
            if !claim.repeated && got.jobs.len() < asked.limit {
                holds("C-6", "no more after a reply short of its limit", !got.more, got);
            }
            if !got.more {
                let later = got.next_due.is_none_or(|due| due > claim.now);
                holds("C-6", "no next_due up to store_now where there is no more", later, got);
            }
        }
        reply
    }

    pub(super) async fn claim(
        &self,
        now: Timestamp,
        queues: &[(&str, usize)],
        kinds: &[&str],
    ) -> ClaimedJobs {
        self.send(&self.claim_of(now, queues, kinds)).await
    }

    /// Claims from the usual queue, of the usual kind.
    pub(super) async fn take(&self, now: Timestamp, limit: usize) -> ClaimedQueue {
        self.claim(now, &[(QUEUE, limit)], &[KIND]).await.queues.swap_remove(0)
    }

    /// Claims the one job that is due.
    pub(super) async fn take_one(&self, now: Timestamp) -> ClaimedJob {
        let mut reply = self.take(now, 2).await;
        same("C-3", "jobs handed out where one is due", reply.jobs.len(), 1);
        reply.jobs.swap_remove(0)
    }

    /// A job that was inserted and claimed at `now`, alone.
    pub(super) async fn running(&self, now: Timestamp) -> ClaimedJob {
        self.run(now, self.job()).await
    }

    pub(super) async fn run(&self, now: Timestamp, job: NewJob) -> ClaimedJob {
        let id = self.put(now, job).await;
        let claimed = self.take_one(now).await;
        same("C-2", "the job handed out", claimed.id, id);
        claimed
    }

    /// A job that ended at `now`.
    pub(super) async fn ended(&self, now: Timestamp, outcome: Outcome) -> JobId {
        let job = self.running(now).await;
        self.end(now, &job, outcome).await;
        job.id
    }

    /// Settles a claim that is held.
    pub(super) async fn end(&self, now: Timestamp, job: &ClaimedJob, outcome: Outcome) {
        let settled = self.settle(now, lease_of(job), outcome).await;
        holds("S-1", "a held claim to be settled", settled != Settled::Lost, settled);
    }

    pub(super) async fn settle(&self, now: Timestamp, lease: LeaseKey, outcome: Outcome) -> Settled {
        self.settle_all(now, vec![Settlement { lease, outcome }]).await[0]
    }

    pub(super) async fn settle_all(&self, now: Timestamp, outcomes: Vec<Settlement>) -> Vec<Settled> {
        let asked = outcomes.len();
        let reply = answer("settle", self.store.settle(&SettleJobs::new(now, outcomes)).await);
        same("T-1", "store_now of a settle", reply.store_now, now);
        same("S-1", "answers of a settle", reply.jobs.len(), asked);
        reply.jobs
    }

    pub(super) async fn renew(&self, now: Timestamp, lease: LeaseKey) -> LeaseStatus {
        self.renew_all(now, LEASE, vec![lease]).await[0]
    }

    pub(super) async fn renew_all(
        &self,
        now: Timestamp,
        lease: Duration,
        leases: Vec<LeaseKey>,
    ) -> Vec<LeaseStatus> {
        let asked = leases.len();
        let reply = answer("renew", self.store.renew(&RenewLeases::new(now, lease, leases)).await);
        same("T-1", "store_now of a renew", reply.store_now, now);
        same("R-1", "answers of a renew", reply.leases.len(), asked);
        reply.leases
    }

    pub(super) async fn recover(&self, now: Timestamp, limit: u32) -> RecoveredJobs {
        let reply = answer("recover", self.store.recover(&RecoverJobs::new(now, limit, BACKOFF)).await);
        same("T-1", "store_now of a recover", reply.store_now, now);
        let within = reply.jobs.len() <= limit as usize;
        holds("V-4", format!("at most {limit} jobs taken back"), within, &reply);
        reply
    }

    pub(super) async fn cancel(&self, now: Timestamp, id: JobId) -> CancelStatus {
        self.cancel_all(now, vec![id]).await[0]
    }

    pub(super) async fn cancel_all(&self, now: Timestamp, ids: Vec<JobId>) -> Vec<CancelStatus> {
        let asked = ids.len();
        let reply = answer("cancel", self.store.cancel(&CancelJobs::new(now, ids)).await);
        same("X-3", "answers of a cancel", reply.len(), asked);
        reply
    }

    pub(super) async fn find(&self, id: JobId) -> Option<JobRecord> {
        let mut records = answer("get", self.store.get(&[id]).await);
        same("G-1", "answers of a get", records.len(), 1);
        records.swap_remove(0)
    }

    /// A job's record, after checking what holds for every record.
    pub(super) async fn get(&self, id: JobId) -> JobRecord {
        let found = self.find(id).await;
        let Some(record) = found else {
            broken(format_args!("clause G-1: expected job {id} to be there, saw nothing"))
        };
        same("G-1", "id of the record", record.id, id);
        let leased = record.lease.is_some() == (record.state == JobState::Running);
        holds("S-1", "a lease while it runs and only then", leased, &record);
        let dated = record.finished_at.is_some() == record.state.is_final();
        holds("G-1", "finished_at once it is over and only then", dated, &record);
        record
    }

    pub(super) async fn state(&self, id: JobId) -> JobState {
        self.get(id).await.state
    }

    pub(super) async fn prune(&self, now: Timestamp, retention: Retention, limit: u32) -> PrunedJobs {
        let reply = answer("prune", self.store.prune(&PruneJobs::new(now, retention, limit)).await);
        same("T-1", "store_now of a prune", reply.store_now, now);
        holds("P-2", format!("at most {limit} jobs removed"), reply.removed <= limit, reply);
        reply
    }

    /// Those of `ids` that the store still has.
    pub(super) async fn left(&self, ids: &[JobId]) -> Vec<JobId> {
        answer("get", self.store.get(ids).await).into_iter().flatten().map(|record| record.id).collect()
    }

    /// Runs the futures that `racer` makes as tasks of their own that start together.
    #[expect(clippy::disallowed_methods, reason = "a race for the store alone, outside every Env")]
    pub(super) async fn race<T, F>(
        &self,
        racers: usize,
        racer: impl Fn(usize, Arc<dyn JobStore>) -> F,
    ) -> Vec<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let gate = Arc::new(Barrier::new(racers));
        let start = |number| {
            let (gate, run) = (gate.clone(), racer(number, self.store.clone()));
            tokio::spawn(self.operations.clone().within(async move {
                gate.wait().await;
                run.await
            }))
        };
        let tasks: Vec<_> = (0..racers).map(start).collect();
        let mut results = Vec::with_capacity(racers);
        for task in tasks {
            results.push(task.await.unwrap_or_else(|error| resume_unwind(error.into_panic())));
        }
        results
    }
}
