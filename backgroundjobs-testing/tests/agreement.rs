//! Random calls are answered alike by two stores that share no code: the memory store and the planted one.
//!
//! Time only moves on here, and one request never prunes several states under a limit: there the contract
//! leaves stores a choice.

mod planted;

use std::time::Duration;

use backgroundjobs_core::{
    CancelJobs, ClaimId, ClaimJobs, CountJobs, ErrorText, Failure, FailureKind, InsertJobs, JobFilter, JobId,
    JobRecord, JobStore, Keep, KeyHold, Kind, LeaseKey, ListJobs, NewJob, Outcome, Payload, Priority,
    PruneJobs, QueueDemand, QueueName, RecoverJobs, RenewLeases, Retention, RunAt, SettleJobs, Settlement,
    Timestamp, UniqueKey, WorkerId,
};
use backgroundjobs_memory::MemoryStore;
use fastrand::Rng;
use planted::{Mutant, PlantedStore};
use uuid::Uuid;

const SEEDS: u64 = 25;
const CALLS: usize = 120;

/// Makes calls up: small numbers everywhere, so that ids, keys and instants meet.
struct Caller {
    rng: Rng,
    now: Timestamp,
    next_id: u128,
    jobs: Vec<JobId>,
    leases: Vec<LeaseKey>,
    claims: Vec<ClaimJobs>,
}

impl Caller {
    fn new(seed: u64) -> Self {
        let now = Timestamp::from_micros(1_000_000);
        let (jobs, leases, claims) = (Vec::new(), Vec::new(), Vec::new());
        Self { rng: Rng::with_seed(seed), now, next_id: 1, jobs, leases, claims }
    }

    fn uuid(&mut self) -> Uuid {
        self.next_id += 1;
        Uuid::from_u128(self.next_id)
    }

    fn span(&mut self) -> Duration {
        Duration::from_micros(self.rng.u64(0..12))
    }

    fn queue(&mut self) -> QueueName {
        QueueName::new(self.rng.choice(["a", "b"]).expect("a choice")).expect("a name")
    }

    fn job_id(&mut self) -> JobId {
        let index = self.rng.usize(0..=self.jobs.len());
        let unknown = JobId::from_uuid(self.uuid());
        self.jobs.get(index).copied().unwrap_or(unknown)
    }

    fn job(&mut self) -> NewJob {
        let id = if self.rng.u8(0..8) == 0 { self.job_id() } else { JobId::from_uuid(self.uuid()) };
        self.jobs.push(id);
        let kind = Kind::new(self.rng.choice(["x", "y"]).expect("a choice")).expect("a name");
        let mut job = NewJob::new(id, kind, self.queue(), Payload::from_store("{}"));
        job.priority = Priority::new(self.rng.u8(4..7)).expect("a priority");
        job.max_crashes = self.rng.u16(1..4);
        job.run_at = match self.rng.u8(0..3) {
            0 => RunAt::Now,
            1 => RunAt::In(self.span()),
            _ => RunAt::At(Timestamp::from_micros(1_000_000) + self.span() * 4),
        };
        let hold = match self.rng.u8(0..3) {
            0 => KeyHold::UntilFinished,
            1 => KeyHold::UntilStarted,
            _ => KeyHold::For(self.span() * 3),
        };
        let key = self.rng.choice(["k", "l", "m"]).expect("a choice");
        job.unique = (self.rng.u8(0..2) == 0).then(|| UniqueKey { key: key.into(), hold });
        job
    }

    fn claim(&mut self) -> ClaimJobs {
        if !self.claims.is_empty() && self.rng.u8(0..5) == 0 {
            let index = self.rng.usize(0..self.claims.len());
            let mut claim = self.claims[index].clone();
            (claim.now, claim.repeated) = (self.now, true);
            return claim;
        }
        let kinds: Vec<Kind> =
            ["x", "y"][self.rng.usize(0..2)..].iter().map(|kind| Kind::new(kind).expect("a name")).collect();
        let names = ["a", "b"].map(|name| QueueName::new(name).expect("a name"));
        let queues = names.map(|queue| QueueDemand { queue, limit: self.rng.usize(0..4) }).to_vec();
        let (claim, worker) = (ClaimId::from_uuid(self.uuid()), WorkerId::from_uuid(Uuid::from_u128(7)));
        let claim = ClaimJobs::new(self.now, claim, worker, queues, kinds.into(), self.span());
        self.claims.push(claim.clone());
        claim
    }

    fn lease(&mut self) -> LeaseKey {
        let unknown = LeaseKey { id: self.job_id(), generation: self.rng.u64(1..3) };
        let index = self.rng.usize(0..=self.leases.len());
        self.leases.get(index).copied().unwrap_or(unknown)
    }

    fn settlement(&mut self) -> Settlement {
        let failure = Failure::new(FailureKind::Error, ErrorText::new("failed"));
        let outcome = match self.rng.u8(0..7) {
            0 => Outcome::Complete,
            1 | 2 => Outcome::Retry { delay: self.span(), failure },
            3 => Outcome::Snooze { delay: self.span() },
            4 => Outcome::Release,
            5 => Outcome::Fail { failure },
            _ => Outcome::Cancel { failure: (self.rng.u8(0..2) == 0).then_some(failure) },
        };
        Settlement { lease: self.lease(), outcome }
    }

    fn keep(&mut self) -> Keep {
        Keep {
            max_age: (self.rng.u8(0..2) == 0).then(|| self.span() * 4),
            max_count: (self.rng.u8(0..2) == 0).then(|| self.rng.u64(0..4)),
        }
    }

    fn some<T>(&mut self, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.rng.usize(0..4)).map(|_| make(self)).collect()
    }

    /// Makes one call to both stores; what they answered.
    async fn call(&mut self, stores: [&dyn JobStore; 2]) -> (String, [String; 2]) {
        self.now = self.now + self.span() / 2;
        /// Sends one request to both.
        macro_rules! send {
            ($request:expr, |$store:ident, $sent:ident| $call:expr) => {{
                let $sent = $request;
                let mut answers = Vec::new();
                for $store in stores {
                    answers.push($call.map_err(|error| error.kind()));
                }
                let shown = [format!("{:?}", answers[0]), format!("{:?}", answers[1])];
                (format!("{:?}", $sent), shown, answers.swap_remove(0))
            }};
        }
        let now = self.now;
        let (sent, answers) = match self.rng.u8(0..24) {
            0..5 => {
                let sent = send!(InsertJobs::new(now, self.some(Self::job)), |s, r| s.insert(&r).await);
                (sent.0, sent.1)
            }
            5..9 => {
                let sent = send!(self.claim(), |s, r| s.claim(&r).await);
                let queues = sent.2.expect("claims are answered").queues;
                let jobs = queues.iter().flat_map(|queue| &queue.jobs);
                self.leases.extend(jobs.map(|job| LeaseKey { id: job.id, generation: job.generation }));
                (sent.0, sent.1)
            }
            9..13 => {
                let sent =
                    send!(SettleJobs::new(now, self.some(Self::settlement)), |s, r| s.settle(&r).await);
                (sent.0, sent.1)
            }
            13 => {
                let request = RenewLeases::new(now, self.span(), self.some(Self::lease));
                let sent = send!(request, |s, r| s.renew(&r).await);
                (sent.0, sent.1)
            }
            14 | 15 => {
                let request = RecoverJobs::new(now, self.rng.u32(1..4), self.span());
                let sent = send!(request, |s, r| s.recover(&r).await);
                (sent.0, sent.1)
            }
            16 => {
                let sent = send!(CancelJobs::new(now, self.some(Self::job_id)), |s, r| s.cancel(&r).await);
                (sent.0, sent.1)
            }
            17 => {
                // Which state goes first under a limit is the store's choice.
                let (limit, failed) = match self.rng.u8(0..2) {
                    0 => (self.rng.u32(1..4), Keep::FOREVER),
                    _ => (999, self.keep()),
                };
                let retention = Retention { succeeded: self.keep(), failed, cancelled: failed };
                let request = PruneJobs::new(now, retention, limit);
                let sent = send!(request, |s, r| s.prune(&r).await);
                (sent.0, sent.1)
            }
            18 => {
                let sent = send!(self.some(Self::job_id), |s, ids| {
                    s.control().expect("it can").requeue(now, &ids).await
                });
                (format!("requeue {}", sent.0), sent.1)
            }
            19 => {
                let sent = send!(self.some(Self::job_id), |s, ids| {
                    s.control().expect("it can").delete(now, &ids).await
                });
                (format!("delete {}", sent.0), sent.1)
            }
            20 => {
                let sent =
                    send!(self.queue(), |s, queue| s.control().expect("it can").pause(now, &queue).await);
                (format!("pause {}", sent.0), sent.1)
            }
            _ => {
                let sent =
                    send!(self.queue(), |s, queue| s.control().expect("it can").resume(now, &queue).await);
                (format!("resume {}", sent.0), sent.1)
            }
        };
        (format!("at {now}: {sent}"), answers)
    }
}

/// All that can be read, but for what each store words for itself.
async fn view(store: &dyn JobStore, now: Timestamp, ids: &[JobId]) -> String {
    let mut records = store.get(ids).await.expect("an open store answers");
    for failure in records.iter_mut().flatten().flat_map(|record: &mut JobRecord| &mut record.failures) {
        if failure.failure.kind == FailureKind::Crash {
            failure.failure.text = ErrorText::new("");
        }
    }
    let inspect = store.inspect().expect("it can");
    let counts = inspect.count(&CountJobs::new(now, JobFilter::all())).await.expect("an open store answers");
    let jobs = inspect.list(&ListJobs::new(now, JobFilter::all(), None, 999)).await.expect("it answers");
    let queues = inspect.queues(now).await.expect("an open store answers");
    let records: Vec<_> = records.iter().map(|record| format!("{record:?}")).collect();
    let records = records.join("\n");
    format!("{records}\n{counts:?}\n{jobs:?}\n{queues:?}")
}

/// Where the memory store and a planted one part ways, if they do.
async fn disagreement(mutant: Mutant) -> Option<String> {
    let mut claimed = 0;
    for seed in 0..SEEDS {
        let (memory, plain) = (MemoryStore::new(), PlantedStore::new(mutant));
        let mut caller = Caller::new(seed);
        let mut history = Vec::new();
        for _ in 0..CALLS {
            let (sent, [seen, expected]) = caller.call([&memory, &plain]).await;
            history.push(sent);
            let told = || format!("seed {seed}: {}", history[history.len().saturating_sub(12)..].join("\n"));
            if seen != expected {
                return Some(format!("memory: {seen}\nplain: {expected}\n{}", told()));
            }
            let seen = view(&memory, caller.now, &caller.jobs).await;
            let expected = view(&plain, caller.now, &caller.jobs).await;
            if seen != expected {
                let mut lines =
                    seen.lines().zip(expected.lines()).filter(|(seen, expected)| seen != expected);
                return Some(format!("memory, plain: {:#?}\n{}", lines.next(), told()));
            }
        }
        claimed += caller.leases.len();
    }
    assert!(claimed > 500, "only {claimed} claims of a job in all");
    None
}

#[tokio::test]
async fn two_stores_agree() {
    if let Some(difference) = disagreement(Mutant::None).await {
        panic!("{difference}");
    }
}

/// The calls that are made up reach the places where stores go wrong.
#[tokio::test]
async fn a_faulty_store_is_noticed() {
    for mutant in [
        Mutant::ClaimForgetsItsId,
        Mutant::NextDueCountsForeign,
        Mutant::SettleIgnoresGeneration,
        Mutant::RetryRetakesKey,
        Mutant::RecoverForgetsCancel,
        Mutant::ClaimIgnoresPriority,
        Mutant::RequeueKeepsFlag,
    ] {
        assert!(disagreement(mutant).await.is_some(), "{mutant:?} makes no difference");
    }
}
