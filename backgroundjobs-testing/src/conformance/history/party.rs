//! Who takes part in a history: producers that repeat an insert until it is answered, and workers that lose replies,
//! vanish in mid-run, and take back each other's jobs.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use backgroundjobs_core::{
    ClaimJobs, ClaimedJob, InsertJobs, JobId, JobStore, LeaseStatus, NewJob, Outcome, RecoverJobs,
    RenewLeases, SettleJobs, Settled, Settlement, StoreError, step_aside,
};
use fastrand::Rng;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::super::context::{LEASE, answer, error, lease_of, secs};
use super::Clock;
use super::account::Account;

/// What producers still do, for workers that find nothing to do: on a store whose inserts take long, who asked again
/// and again would be done before there is a job.
pub(super) struct Production {
    producers: AtomicUsize,
    changed: Notify,
}

impl Production {
    pub(super) fn of(producers: usize) -> Self {
        Self { producers: AtomicUsize::new(producers), changed: Notify::new() }
    }

    fn is_over(&self) -> bool {
        self.producers.load(Ordering::SeqCst) == 0
    }
}

/// One producer's part. It is over when this is dropped, in a panic too.
struct Part<'a>(&'a Production);

impl Drop for Part<'_> {
    fn drop(&mut self) {
        self.0.producers.fetch_sub(1, Ordering::SeqCst);
        self.0.changed.notify_waiters();
    }
}

/// A producer or a worker.
pub(super) struct Party {
    number: usize,
    store: Arc<dyn JobStore>,
    account: Arc<Mutex<Account>>,
    clock: Clock,
    rng: Rng,
    /// How many calls of each name it has made.
    calls: BTreeMap<&'static str, u32>,
    runs: u8,
}

impl Party {
    pub(super) fn new(
        number: usize,
        store: Arc<dyn JobStore>,
        account: Arc<Mutex<Account>>,
        clock: Clock,
        rng: Rng,
    ) -> Self {
        Self { number, store, account, clock, rng, calls: BTreeMap::new(), runs: 0 }
    }

    fn one_in(&mut self, cases: u8) -> bool {
        self.rng.u8(0..cases) == 0
    }

    /// Awaits a call, and says whether its answer is lost on the way: every fifth of its name is, at least. Others
    /// go first afterwards.
    async fn call<T>(
        &mut self,
        name: &'static str,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> (T, bool) {
        let reply = answer(name, call.await);
        step_aside().await;
        let calls = self.calls.entry(name).or_default();
        *calls += 1;
        let is_fifth = calls.is_multiple_of(5);
        (reply, is_fifth || self.one_in(8))
    }

    /// Inserts the batches, each until it is told so.
    pub(super) async fn produce(mut self, batches: Vec<Vec<NewJob>>, production: &Production) {
        let part = Part(production);
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
            part.0.changed.notify_waiters();
        }
    }

    /// Claims and runs jobs until nobody makes any more and none is due, or there are no more claims.
    pub(super) async fn work(mut self, claims: Vec<ClaimJobs>, production: &Production) {
        let store = self.store.clone();
        for claim in claims {
            let changed = production.changed.notified();
            let last = production.is_over();
            let jobs = self.claim(&store, claim).await;
            for job in &jobs {
                self.run(&store, job).await;
            }
            if self.one_in(3) {
                let sent = self.account.lock().moment();
                let request = RecoverJobs::new(self.clock.tick(), 5, secs(1));
                let (reply, _) = self.call("recover", store.recover(&request)).await;
                self.account.lock().recover(request.now, sent, reply.jobs.iter().map(|job| job.id));
            }
            match (jobs.is_empty(), last) {
                (true, true) => return,
                (true, false) => changed.await,
                (false, _) => {}
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
        let failure = error("failed");
        self.runs = self.runs.wrapping_add(5);
        let drawn = self.rng.u8(0..12);
        // Half of the runs end in turn, so that no history is without a retry or a worker that vanishes.
        let in_turn = self.runs.is_multiple_of(2).then_some(self.runs % 12);
        let outcome = match in_turn.unwrap_or(drawn) {
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
