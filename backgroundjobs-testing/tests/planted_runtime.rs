//! Bugs that only show when the runtime works on the store: an exploration finds each, and finds it again. (Work
//! that is acknowledged before it is done needs a crash, and is found in `kit_crashes.rs`.)

mod planted;
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{
    Builder, ClaimJobs, ClaimedJobs, JobState, JobStore, KeyHold, LeaseStatus, RenewLeases, RenewedLeases,
    StoreError,
};
use backgroundjobs_memory::MemoryStore;
use backgroundjobs_testing::{Attempt, Limits, TestKit, TestKitBuilder, explore_with};
use planted::{Mutant, PlantedStore};
use serde::{Deserialize, Serialize};
use support::disturbed::{Disturbance, DisturbedStore};
use support::{four_threads, panic_text, seconds};

const SEEDS: u64 = 200;
const JOBS: usize = 8;

#[derive(Serialize, Deserialize)]
struct Work {
    number: usize,
    seconds: u64,
}

impl JobArgs for Work {
    const KIND: &'static str = "work";
}

/// Sleeps; number 99 fails once.
async fn work(work: Work, ctx: JobContext) -> JobResult {
    ctx.sleep(seconds(work.seconds)).await;
    if work.number == 99 && ctx.attempt() == 1 { Err("not yet".into()) } else { Ok(()) }
}

fn builder() -> Builder {
    BackgroundJobs::builder(|options| options.queue("default", 2))
        .register_fn(work)
        .retry(RetryPolicy::new().first(seconds(10)))
}

/// The exploration of a sound runtime finds nothing; that of one with a fault does, at some seed. That seed finds it
/// again, in the same words, each time.
fn found_and_replayed(kit: TestKitBuilder, says: &str, scenario: impl AsyncFn(&TestKit, bool)) {
    let runtime = four_threads();
    let sound = runtime.block_on(explore_with(kit, 0..SEEDS, async |kit| scenario(kit, false).await));
    assert!(sound.traces > 20, "{sound}");
    let find = |seeds: std::ops::Range<u64>| {
        panic_text(|| {
            let seen = explore_with(kit, seeds, async |kit| scenario(kit, true).await);
            _ = runtime.block_on(seen);
        })
    };
    let text = find(0..SEEDS);
    assert!(text.contains(says), "{text}");
    assert!(text.contains("run again, it failed in the same way"), "{text}");
    let seed = text.split_whitespace().nth(1).and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| panic!("it begins with its seed: {text}"));
    assert!(
        text.contains(&format!("BACKGROUNDJOBS_SEED={seed} cargo test -p backgroundjobs-testing")),
        "{text}"
    );
    for _ in 0..20 {
        assert_eq!(find(seed..seed + 1), text, "seed {seed} must find it again");
    }
}

/// Two workers on one store while a third task enqueues; then an hour passes.
async fn two_workers_and_one_who_enqueues(kit: &TestKit, mutant: Mutant) {
    let store = Arc::new(PlantedStore::slow(mutant, kit.env()));
    let make = move || builder().configure(|options| options.use_shared_store(store.clone()));
    let workers = kit.run(kit.workers(2, make)).await;
    let manager = workers[0].manager();
    kit.run(async {
        for number in 0..JOBS {
            kit.env().sleep(std::time::Duration::from_micros(1)).await;
            let _ = manager.enqueue(Work { number, seconds: 0 }).await.expect("enqueued");
        }
    })
    .await;
    let report = kit.advance(seconds(3_600)).await;
    assert_eq!((report.recovered, report.retried), (0, 0), "nothing but the planted fault goes wrong");
    let jobs = kit.jobs().await;
    jobs.assert_ran::<Work>().times(JOBS);
    jobs.assert_enqueued::<Work>().state(JobState::Succeeded).times(JOBS);
}

#[test]
fn a_claim_that_selects_and_then_updates_runs_a_job_twice() {
    let says = "expected exactly 8 runs of kind work: found 16";
    found_and_replayed(TestKit::builder(), says, async |kit, planted| {
        let mutant = if planted { Mutant::ClaimSelectsThenUpdates } else { Mutant::None };
        two_workers_and_one_who_enqueues(kit, mutant).await;
    });
}

#[test]
fn a_wake_lost_between_query_and_sleep_leaves_a_job_behind() {
    let says = "expected exactly 8 runs of kind work: found 7";
    found_and_replayed(TestKit::builder(), says, async |kit, planted| {
        two_workers_and_one_who_enqueues(kit, if planted { Mutant::WakeLost } else { Mutant::None }).await;
    });
}

#[test]
fn a_key_taken_again_by_a_retry_keeps_a_job_out() {
    let says = "expected exactly 2 jobs of kind work to be enqueued with state succeeded: found 1";
    found_and_replayed(TestKit::builder(), says, async |kit, planted| {
        let mutant = if planted { Mutant::RetryRetakesKey } else { Mutant::None };
        let store = Arc::new(PlantedStore::slow(mutant, kit.env()));
        let make = move || builder().configure(|options| options.use_shared_store(store.clone()));
        let workers = kit.run(kit.workers(2, make)).await;
        let manager = workers[0].manager();
        let unique = || EnqueueOptions::new().unique_for("one at a time", KeyHold::UntilStarted);
        kit.run(async {
            let failing = manager.enqueue_with(Work { number: 99, seconds: 1 }, unique());
            assert!(failing.await.expect("enqueued").is_new);
            // It has started and let go of its key, has failed, and waits for its second attempt.
            kit.env().sleep(seconds(2)).await;
            let _ = manager.enqueue_with(Work { number: 0, seconds: 0 }, unique()).await.expect("answered");
        })
        .await;
        assert_eq!(kit.drain(Limits::new()).await.lost, 0);
        let jobs = kit.jobs().await;
        jobs.assert_enqueued::<Work>().state(JobState::Succeeded).times(2);
        jobs.assert_ran::<Work>().with(|work| work.number == 99).ended(Attempt::Failed).once();
    });
}

/// A worker that lets its leases run out once it has begun to stop.
struct RenewsNotWhileDraining(Arc<AtomicBool>);

#[async_trait]
impl Disturbance for RenewsNotWhileDraining {
    async fn renew(&self, store: &dyn JobStore, request: &RenewLeases) -> Result<RenewedLeases, StoreError> {
        if !self.0.load(Ordering::SeqCst) {
            return store.renew(request).await;
        }
        Ok(RenewedLeases { store_now: request.now, leases: vec![LeaseStatus::Held; request.leases.len()] })
    }
}

#[test]
fn a_renewal_that_ends_while_draining_gives_a_running_job_away() {
    let says = "while it still ran on draining";
    found_and_replayed(TestKit::builder(), says, async |kit, planted| {
        let (store, drains) = (MemoryStore::new(), Arc::new(AtomicBool::new(false)));
        let (shared, flag) = (store.clone(), drains.clone());
        let draining = kit.node("draining").start(move || {
            let store = DisturbedStore::new(shared.clone(), RenewsNotWhileDraining(flag.clone()));
            builder().configure(|options| options.use_store(store))
        });
        let draining = draining.await;
        let other =
            kit.node("other").start(move || builder().configure(|options| options.use_store(store.clone())));
        let other = other.await;
        let jobs = (0..3).map(|number| Work { number, seconds: 300 });
        let _ = other.manager().enqueue_many(jobs).await.expect("enqueued");
        assert_eq!(kit.advance(seconds(1)).await.running.len(), 3);
        drains.store(planted, Ordering::SeqCst);
        let stopping = draining.jobs().expect("it is up");
        let report = kit.run(stopping.stop(seconds(400))).await;
        assert!(report.is_ok_and(|report| report.is_clean() || planted));
        let _ = kit.drain(Limits::new()).await;
        kit.jobs().await.assert_enqueued::<Work>().state(JobState::Succeeded).times(3);
        kit.ledger().await.assert_no_overlap();
    });
}

/// A worker that does not wait for a claim under way when it is told to stop.
struct DropsClaimsAtStop(Arc<AtomicBool>);

#[async_trait]
impl Disturbance for DropsClaimsAtStop {
    async fn claim(&self, store: &dyn JobStore, request: &ClaimJobs) -> Result<ClaimedJobs, StoreError> {
        let mut reply = store.claim(request).await?;
        if self.0.load(Ordering::SeqCst) {
            reply.queues.iter_mut().for_each(|queue| queue.jobs.clear());
        }
        Ok(reply)
    }
}

#[test]
fn a_claim_dropped_at_the_stop_leaves_a_job_to_its_lease() {
    let kit = TestKit::builder().store_delay(seconds(0)..=seconds(1));
    found_and_replayed(
        kit,
        "expected no job of kind work to be enqueued with state running",
        async |kit, planted| {
            let (store, stops) = (MemoryStore::new(), Arc::new(AtomicBool::new(false)));
            let (shared, flag) = (store.clone(), stops.clone());
            let node = kit.node("a").start(move || {
                let store = DisturbedStore::new(shared.clone(), DropsClaimsAtStop(flag.clone()));
                builder().configure(|options| options.use_store(store))
            });
            let node = kit.run(node).await;
            let jobs = node.jobs().expect("it is up");
            kit.run(async {
                let many = (0..JOBS).map(|number| Work { number, seconds: 0 });
                let _ = node.manager().enqueue_many(many).await.expect("enqueued");
                // Claims are under way by now, or not yet: the seed's choice.
                kit.env().sleep(seconds(1) / 2).await;
                stops.store(planted, Ordering::SeqCst);
                let report = jobs.stop(seconds(60)).await.expect("the store was told of everything");
                assert!(report.calls_in_flight.is_empty(), "{report:?}");
            })
            .await;
            let left = kit.jobs().await;
            left.assert_enqueued::<Work>().state(JobState::Running).never();
            left.assert_enqueued::<Work>().times(JOBS);
            // What waits, waits for the next start.
            kit.abandon();
        },
    );
}
