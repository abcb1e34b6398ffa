//! Workers and producers at once on one store, with lost replies and workers that vanish; an account of what each was
//! answered says whether all of it can be explained.
//!
//! What each does is drawn from the seed, who comes first is the machine's business: a failure need not come again.

mod account;
mod party;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use backgroundjobs_core::{
    ClaimJobs, JobId, JobRecord, JobState, JobStore, KeyHold, NewJob, Outcome, Settled, Timestamp,
};
use fastrand::Rng;
use parking_lot::Mutex;

use self::account::Account;
use self::party::{Party, Production};
use super::Capability;
use super::context::{Context, KIND, LEASE, QUEUE, With, answer, at, broken, holds, lease_of, unique};
use super::operations;
use crate::explore::Seeds;

const PRODUCERS: usize = 2;
const WORKERS: usize = 4;
/// Batches of each producer, and claims of each worker at most, a round.
const BATCHES: usize = 12;
const CLAIMS: usize = 60;

/// How many rounds a history has at most, until it has met all that it must.
const ROUNDS: usize = 10;

/// Of many workers' jobs none is lost, and each run that was made again is explained by a retry or a lost lease.
pub(super) async fn every_run_is_explained(cx: &Context) {
    let other = match cx.can(Capability::SecondHandle).await {
        true => cx.second_handle().await,
        false => cx.handle(),
    };
    for seed in Seeds::from(0..2).or_of_environment().range() {
        cx.operations().drawn_from(seed);
        let account = Arc::new(Mutex::new(Account::default()));
        let clock = Clock::starting(seed);
        for round in 0..ROUNDS {
            play(cx, &other, (seed, round), &account, &clock).await;
            drain(cx, &account, &clock).await;
            if account.lock().missing().is_empty() {
                break;
            }
        }
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

async fn play(
    cx: &Context,
    other: &Arc<dyn JobStore>,
    (seed, round): (u64, usize),
    account: &Arc<Mutex<Account>>,
    clock: &Clock,
) {
    let production = Arc::new(Production::of(PRODUCERS));
    let jobs = |producer: usize| -> Vec<Vec<NewJob>> {
        let batch = |batch: usize| {
            let job = |job: usize| {
                let key = format!("{seed} {round} {producer} {batch}");
                cx.job().with(|it| {
                    it.max_crashes = 1_000;
                    it.unique = (job == 1).then(|| unique(&key, KeyHold::UntilFinished)).flatten();
                })
            };
            (0..1 + (batch + producer) % 4).map(job).collect()
        };
        (0..BATCHES).map(batch).collect()
    };
    let claims = || (0..CLAIMS).map(|_| cx.claim_of(at(0), &[(QUEUE, 3)], &[KIND])).collect();
    cx.race(PRODUCERS + WORKERS, |number, store| {
        let store = if number % 2 == 0 { store } else { other.clone() };
        let rng = seed.wrapping_mul(1_000).wrapping_add((round * 10 + number) as u64);
        let party = Party::new(number, store, account.clone(), clock.clone(), Rng::with_seed(rng));
        let (batches, claims): (_, Vec<ClaimJobs>) = match number < PRODUCERS {
            true => (jobs(number), Vec::new()),
            false => (Vec::new(), claims()),
        };
        let production = production.clone();
        async move {
            if number < PRODUCERS {
                party.produce(batches, &production).await;
            } else {
                party.work(claims, &production).await;
            }
        }
    })
    .await;
}

/// Runs what is left, alone, until nothing waits or runs.
async fn drain(cx: &Context, account: &Mutex<Account>, clock: &Clock) {
    const LOOKS: usize = 200;
    for _ in 0..LOOKS {
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
    broken(format_args!("clauses V-1, C-3: expected all jobs to end, saw some left after {LOOKS} looks"));
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
