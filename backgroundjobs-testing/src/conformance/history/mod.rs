//! Workers and producers at once on one store, with lost replies and workers that vanish; an account of what each was
//! answered says whether all of it can be explained.
//!
//! What each does is drawn from the seed, who comes first is the machine's business: a failure need not come again.

mod account;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use backgroundjobs_core::{
    ClaimJobs, ClaimedJob, InsertJobs, JobId, JobRecord, JobState, JobStore, KeyHold, LeaseStatus, NewJob,
    Outcome, RecoverJobs, RenewLeases, SettleJobs, Settled, Settlement, StoreError, Timestamp,
};
use fastrand::Rng;
use parking_lot::Mutex;

use self::account::Account;
use super::Capability;
use super::context::{Context, KIND, LEASE, QUEUE, With, answer, at, broken, holds, lease_of, secs, unique};
use super::operations;
use crate::explore::Seeds;
use crate::step_aside::step_aside;

const PRODUCERS: usize = 2;
const WORKERS: usize = 4;
/// Batches of each producer, and claims of each worker.
const BATCHES: usize = 12;
const CLAIMS: usize = 40;

/// Of many workers' jobs none is lost, and each run that was made again is explained by a retry or a lost lease.
pub(super) async fn every_run_is_explained(cx: &Context) {
    for seed in Seeds::from(0..2).or_of_environment().range() {
        cx.operations().drawn_from(seed);
        let account = Arc::new(Mutex::new(Account::default()));
        let clock = Clock::starting(seed);
        play(cx, seed, &account, &clock).await;
        drain(cx, &account, &clock).await;
        judge(cx, &account).await;
    }
}

/// The histories of the seeds lie a day apart, on one store.
#[derive(Clone)]
struct Clock(Arc<AtomicU64>);

impl Clock {
    fn starting(seed: u64) -> Self {
        Self(Arc::new(AtomicU64::new(seed % 1_000 * 86_400)))
    }

    /// Each call comes a second after the one before, whoever makes it.
    fn tick(&self) -> Timestamp {
        at(self.0.fetch_add(1, Ordering::SeqCst))
    }

    fn pass(&self, time: Duration) {
        self.0.fetch_add(time.as_secs(), Ordering::SeqCst);
    }
}

async fn play(cx: &Context, seed: u64, account: &Arc<Mutex<Account>>, clock: &Clock) {
    let other = match cx.can(Capability::SecondHandle).await {
        true => cx.second_handle().await,
        false => cx.handle(),
    };
    let jobs = |producer: usize| -> Vec<Vec<NewJob>> {
        let batch = |batch: usize| {
            let job = |job: usize| {
                let key = format!("{seed} {producer} {batch} {job}");
                cx.job().with(|it| {
                    it.max_crashes = 1_000;
                    it.unique = (job == 1).then(|| unique(&key, KeyHold::UntilFinished)).flatten();
                })
            };
            (0..1 + (batch + producer) % 4).map(job).collect()
        };
        (0..BATCHES).map(batch).collect()
    };
    let claims = |_| (0..CLAIMS).map(|_| cx.claim_of(at(0), &[(QUEUE, 3)], &[KIND])).collect();
    cx.race(PRODUCERS + WORKERS, |number, store| {
        let party = Party {
            number,
            store: if number % 2 == 0 { store } else { other.clone() },
            account: account.clone(),
            clock: clock.clone(),
            rng: Rng::with_seed(seed.wrapping_mul(1_000).wrapping_add(number as u64)),
        };
        let (batches, claims): (_, Vec<ClaimJobs>) = match number < PRODUCERS {
            true => (jobs(number), Vec::new()),
            false => (Vec::new(), claims(number)),
        };
        async move {
            match number < PRODUCERS {
                true => party.produce(batches).await,
                false => party.work(claims).await,
            }
        }
    })
    .await;
}

/// A producer or a worker.
struct Party {
    number: usize,
    store: Arc<dyn JobStore>,
    account: Arc<Mutex<Account>>,
    clock: Clock,
    rng: Rng,
}

impl Party {
    fn one_in(&mut self, cases: u8) -> bool {
        self.rng.u8(0..cases) == 0
    }

    /// Awaits a call, and says whether its answer is lost on the way; others go first afterwards.
    async fn call<T>(&mut self, name: &str, call: impl Future<Output = Result<T, StoreError>>) -> (T, bool) {
        let reply = answer(name, call.await);
        step_aside().await;
        (reply, self.one_in(5))
    }

    async fn produce(mut self, batches: Vec<Vec<NewJob>>) {
        let store = self.store.clone();
        for jobs in batches {
            let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
            self.account.lock().offer(ids.iter().copied());
            loop {
                let request = InsertJobs::new(self.clock.tick(), jobs.clone());
                let (_, is_lost) = self.call("insert", store.insert(&request)).await;
                if !is_lost {
                    break;
                }
                self.account.lock().meet(|met| met.inserts_lost += 1);
            }
            self.account.lock().acknowledge(ids);
        }
    }

    async fn work(mut self, claims: Vec<ClaimJobs>) {
        let store = self.store.clone();
        for claim in claims {
            for job in self.claim(&store, claim).await {
                self.run(&store, &job).await;
            }
            if self.one_in(3) {
                let sent = self.account.lock().moment();
                let request = RecoverJobs::new(self.clock.tick(), 5, secs(1));
                let (reply, _) = self.call("recover", store.recover(&request)).await;
                self.account.lock().recover(request.now, sent, reply.jobs.iter().map(|job| job.id));
            }
        }
    }

    async fn claim(&mut self, store: &Arc<dyn JobStore>, mut claim: ClaimJobs) -> Vec<ClaimedJob> {
        loop {
            claim.now = self.clock.tick();
            let (mut reply, is_lost) = self.call("claim", store.claim(&claim)).await;
            let jobs = reply.queues.swap_remove(0).jobs;
            let mut account = self.account.lock();
            for job in &jobs {
                account.hand(self.number, claim.claim_id, lease_of(job), claim.now + LEASE);
            }
            if !is_lost {
                return jobs;
            }
            account.meet(|met| met.claims_lost += 1);
            claim.repeated = true;
        }
    }

    async fn run(&mut self, store: &Arc<dyn JobStore>, job: &ClaimedJob) {
        let lease = lease_of(job);
        if self.one_in(4) {
            let request = RenewLeases::new(self.clock.tick(), LEASE, vec![lease]);
            let (reply, _) = self.call("renew", store.renew(&request)).await;
            let is_held = reply.leases[0] != LeaseStatus::Lost;
            self.account.lock().renew(lease, is_held.then_some(request.now + LEASE));
        }
        let failure = super::context::error("failed");
        let outcome = match self.rng.u8(0..12) {
            // It vanishes.
            0 | 1 => return,
            2 | 3 => Outcome::Retry { delay: secs(2), failure },
            4 => Outcome::Snooze { delay: secs(3) },
            5 => Outcome::Release,
            _ => Outcome::Complete,
        };
        loop {
            let ends = vec![Settlement { lease, outcome: outcome.clone() }];
            let request = SettleJobs::new(self.clock.tick(), ends);
            let (reply, is_lost) = self.call("settle", store.settle(&request)).await;
            let mut account = self.account.lock();
            account.settle(lease, &outcome, reply.jobs[0] != Settled::Lost);
            if !is_lost {
                return;
            }
            account.meet(|met| met.settles_lost += 1);
        }
    }
}

/// Runs what is left, alone, until nothing waits or runs.
async fn drain(cx: &Context, account: &Mutex<Account>, clock: &Clock) {
    const ROUNDS: usize = 200;
    for _ in 0..ROUNDS {
        clock.pass(LEASE * 2);
        let (sent, now) = (account.lock().moment(), clock.tick());
        let recovered = cx.recover(now, 999).await.jobs;
        account.lock().recover(now, sent, recovered.iter().map(|job| job.id));
        let claim = cx.claim_of(clock.tick(), &[(QUEUE, 50)], &[KIND]);
        let claimed = cx.send(&claim).await.queues.swap_remove(0);
        for job in &claimed.jobs {
            account.lock().hand(PRODUCERS, claim.claim_id, lease_of(job), claim.now + LEASE);
            let settled = cx.settle(clock.tick(), lease_of(job), Outcome::Complete).await;
            account.lock().settle(lease_of(job), &Outcome::Complete, settled != Settled::Lost);
        }
        let is_over = recovered.is_empty() && claimed.jobs.is_empty() && !claimed.more;
        if is_over && claimed.next_due.is_none() {
            return;
        }
    }
    broken(format_args!("clauses V-1, C-3: expected all jobs to end, saw some left after {ROUNDS} rounds"));
}

async fn judge(cx: &Context, account: &Mutex<Account>) {
    let ids: Vec<JobId> = account.lock().offered();
    let records = answer("get", cx.store().get(&ids).await).into_iter().flatten();
    let records: BTreeMap<JobId, JobRecord> = records.map(|record| (record.id, record)).collect();
    let account = account.lock();
    let faults = account.faults(&records);
    if !faults.is_empty() {
        let about: Vec<JobId> = faults.iter().map(|(id, _)| *id).take(1).collect();
        cx.operations().are_about(&about);
        let told: Vec<_> =
            faults.iter().take(5).map(|(id, fault)| format!("job {} {fault}", operations::id(*id))).collect();
        broken(format_args!(
            "clauses C-1, S-1, V-1: expected every job to end once and every run of it to be explained, saw {} that \
             cannot be: {}",
            faults.len(),
            told.join("; ")
        ));
    }
    let missing = account.missing();
    holds("V-1, S-3", "a history that shows something", missing.is_empty(), ("it has not met", &missing));
    let succeeded = records.values().filter(|record| record.state == JobState::Succeeded).count();
    holds("I-1", "every job to succeed", succeeded == ids.len(), (succeeded, ids.len()));
}
