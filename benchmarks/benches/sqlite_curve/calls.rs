//! The calls that are measured, and that they answer as they should.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backgroundjobs_core::{
    ClaimId, ClaimJobs, ClaimedJob, DeleteStatus, Env, InsertJobs, Inserted, JobArgs, JobId, JobState,
    JobStore, Keep, Kind, LeaseKey, NewJob, Outcome, Payload, PruneJobs, QueueDemand, QueueName, Retention,
    SettleJobs, Settled, Settlement, StoreError, WorkerId,
};
use backgroundjobs_sqlite::SqliteStore;
use benchmarks::{Notice, text};

use crate::fill::Beside;

const MANY: usize = 1_000;
const LEASE: Duration = Duration::from_secs(600);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Call {
    Insert,
    Claim,
    Settle,
    InsertMany,
    ClaimMany,
    SettleMany,
    Prune,
}

impl Call {
    pub(crate) const ALL: [Self; 7] = [
        Self::Insert,
        Self::Claim,
        Self::Settle,
        Self::InsertMany,
        Self::ClaimMany,
        Self::SettleMany,
        Self::Prune,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Insert => "insert 1",
            Self::Claim => "claim 1",
            Self::Settle => "settle 1",
            Self::InsertMany => "insert 1,000",
            Self::ClaimMany => "claim 1,000",
            Self::SettleMany => "settle 1,000",
            Self::Prune => "prune up to 1,000",
        }
    }
}

pub(crate) struct Took {
    pub(crate) call: Call,
    pub(crate) time: Duration,
}

pub(crate) struct Bench {
    store: SqliteStore,
    env: Env,
    kinds: Arc<[Kind]>,
    worker: WorkerId,
}

impl Bench {
    pub(crate) async fn open(path: &Path) -> Result<Self, String> {
        let (store, env) = (SqliteStore::new(path), Env::system());
        store.prepare().await.map_err(text)?;
        let worker = WorkerId::from_uuid(env.job_id().as_uuid());
        let kind = Kind::new(Notice::KIND).map_err(text)?;
        Ok(Self { store, env, kinds: vec![kind].into(), worker })
    }

    /// Every call once. Afterwards there are as many jobs as before.
    pub(crate) async fn round(&self, beside: Beside, rows: usize) -> Result<Vec<Took>, String> {
        let mut took = Vec::new();
        self.cycle(1, beside, rows, [Call::Insert, Call::Claim, Call::Settle], &mut took).await?;
        // Where a backlog was claimed from, what was enqueued is in its place.
        self.cycle(MANY, beside, rows, [Call::InsertMany, Call::ClaimMany, Call::SettleMany], &mut took)
            .await?;
        self.prune(&mut took).await?;
        Ok(took)
    }

    /// Inserts, claims and settles so many jobs.
    async fn cycle(
        &self,
        count: usize,
        beside: Beside,
        rows: usize,
        [insert, claim, settle]: [Call; 3],
        took: &mut Vec<Took>,
    ) -> Result<(), String> {
        let inserted = self.insert(count, insert, took).await?;
        let claimed = self.claim(count, claim, took).await?;
        let own = claimed.iter().filter(|job| inserted.contains(&job.id)).count();
        let expected = count.saturating_sub(beside.backlog(rows));
        expect(own == expected, || format!("{own} of {count} claimed jobs are new, and not {expected}"))?;
        self.settle(&claimed, settle, took).await?;
        if count == 1 {
            let ids = [claimed[0].id];
            let control = self.store.control().ok_or("the store cannot delete")?;
            let deleted = control.delete(self.env.now(), &ids).await.map_err(text)?;
            expect(deleted == [DeleteStatus::Deleted], || format!("a delete answered {deleted:?}"))?;
        }
        Ok(())
    }

    async fn insert(&self, count: usize, call: Call, took: &mut Vec<Took>) -> Result<Vec<JobId>, String> {
        let job = |number| {
            let args = Payload::from_args(&Notice::new(number)).map_err(text)?;
            Ok(NewJob::new(self.env.job_id(), self.kinds[0].clone(), QueueName::default_queue(), args))
        };
        let jobs: Vec<NewJob> = (0..count).map(job).collect::<Result<_, String>>()?;
        let mut ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
        ids.sort_unstable();
        let request = InsertJobs::new(self.env.now(), jobs);
        let reply = timed(call, took, self.store.insert(&request)).await?;
        let new = reply.jobs.iter().filter(|answer| **answer == Inserted::New).count();
        expect(new == count, || format!("{new} of {count} jobs were new"))?;
        Ok(ids)
    }

    async fn claim(&self, count: usize, call: Call, took: &mut Vec<Took>) -> Result<Vec<ClaimedJob>, String> {
        let claim_id = ClaimId::from_uuid(self.env.job_id().as_uuid());
        let demands = vec![QueueDemand { queue: QueueName::default_queue(), limit: count }];
        let request =
            ClaimJobs::new(self.env.now(), claim_id, self.worker, demands, self.kinds.clone(), LEASE);
        let reply = timed(call, took, self.store.claim(&request)).await?;
        let jobs: Vec<_> = reply.queues.into_iter().flat_map(|queue| queue.jobs).collect();
        expect(jobs.len() == count, || format!("{} of {count} jobs were claimed", jobs.len()))?;
        Ok(jobs)
    }

    async fn settle(&self, jobs: &[ClaimedJob], call: Call, took: &mut Vec<Took>) -> Result<(), String> {
        let complete = |job: &ClaimedJob| Settlement {
            lease: LeaseKey { id: job.id, generation: job.generation },
            outcome: Outcome::Complete,
        };
        let request = SettleJobs::new(self.env.now(), jobs.iter().map(complete).collect());
        let reply = timed(call, took, self.store.settle(&request)).await?;
        let applied = Settled::Applied { state: JobState::Succeeded };
        let ended = reply.jobs.iter().filter(|answer| **answer == applied).count();
        expect(ended == jobs.len(), || format!("{ended} of {} ends were applied", jobs.len()))
    }

    /// Deletes as many as the many that were enqueued.
    async fn prune(&self, took: &mut Vec<Took>) -> Result<(), String> {
        let keep = Keep::for_age(Duration::ZERO);
        let retention = Retention { succeeded: keep, failed: keep, cancelled: keep };
        let request = PruneJobs::new(self.env.now() + Duration::from_millis(1), retention, MANY as u32);
        let reply = timed(Call::Prune, took, self.store.prune(&request)).await?;
        expect(reply.removed == MANY as u32, || format!("{} jobs were removed", reply.removed))
    }

    pub(crate) async fn close(self) -> Result<(), String> {
        self.store.close().await.map_err(text)
    }
}

async fn timed<T>(
    call: Call,
    took: &mut Vec<Took>,
    answer: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, String> {
    let begun = Instant::now();
    let answer = answer.await;
    took.push(Took { call, time: begun.elapsed() });
    answer.map_err(|error| format!("{}: {}", call.name(), text(error)))
}

fn expect(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}
