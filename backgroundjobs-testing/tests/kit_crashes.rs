//! A crash at every point that a worker comes to: nothing is lost, and what is done twice has its reason.

mod support;

use std::collections::BTreeSet;

use async_trait::async_trait;
use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{
    ClaimJobs, ClaimedJobs, JobState, JobStore, KeyHold, LeaseKey, Outcome, SettleJobs, Settlement,
    StoreError,
};
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::{Attempt, Ledger, Limits, TestKit, crash_everywhere, crash_everywhere_with};
use serde::{Deserialize, Serialize};
use support::disturbed::{Disturbance, DisturbedStore};
use support::{one_thread, panic_text, seconds};

#[derive(Serialize, Deserialize)]
struct Order {
    number: u32,
}

impl JobArgs for Order {
    const KIND: &'static str = "order";
}

#[derive(Serialize, Deserialize)]
struct Invoice {
    number: u32,
}

impl JobArgs for Invoice {
    const KIND: &'static str = "invoice";
}

/// Takes a second, fails once if its number is 1, and has an invoice written.
async fn order(order: Order, ctx: JobContext) -> JobResult {
    ctx.sleep(seconds(1)).await;
    if order.number == 1 && ctx.attempt() == 1 {
        return Err("out of stock".into());
    }
    let once = EnqueueOptions::new().unique_for(order.number.to_string(), KeyHold::For(seconds(86_400)));
    ctx.manager().enqueue_with(Invoice { number: order.number }, once).await?;
    Ok(())
}

async fn invoice(_: Invoice, _: JobContext) -> JobResult {
    Ok(())
}

fn builder() -> backgroundjobs_core::Builder {
    BackgroundJobs::builder(|options| options.queue("default", 2)).register_fn(order).register_fn(invoice)
}

/// Three orders, one of them later, on one node; then time passes until all is over.
async fn orders(kit: &TestKit, nodes: usize) {
    let store = MemoryStore::new();
    // Who enqueues does not crash.
    let shop = kit.build(BackgroundJobs::builder(|options| options.use_store(store.clone()).producer_only()));
    let make = move || builder().configure(|options| options.use_store(store.clone()));
    let _nodes = kit.run(kit.workers(nodes, make)).await;
    kit.run(async {
        let manager = shop.manager();
        for number in 0..2 {
            manager.enqueue(Order { number }).await.expect("stored");
        }
        manager.enqueue_in(Order { number: 2 }, seconds(90)).await.expect("stored");
    })
    .await;
    let _ = kit.drain(Limits::new()).await;
}

fn judge(ledger: &Ledger) {
    ledger.assert_at_least_once();
    ledger.assert_no_overlap();
    let jobs = ledger.jobs();
    jobs.assert_enqueued::<Order>().state(JobState::Succeeded).times(3);
    // A handler that runs again enqueues again; the key sees to it that it counts once.
    jobs.assert_enqueued::<Invoice>().state(JobState::Succeeded).times(3);
    jobs.assert_ran::<Order>().with(|order| order.number == 1).ended(Attempt::Failed).once();
}

#[test]
fn a_worker_may_crash_at_every_point() {
    let report = one_thread().block_on(crash_everywhere(async |kit| orders(kit, 1).await, judge));
    assert!(report.crashes > 40 && report.reruns > 5 && report.recoveries > 40, "{report:?}");
    for point in ["before the call claim", "after the call settle", "after a run of order, attempt 2"] {
        assert!(report.points.contains_key(&format!("worker 1 {point}")), "{point}: {report:?}");
    }
}

#[test]
fn one_of_two_workers_may_crash_at_every_point_of_a_store_that_takes_its_time() {
    let builder = TestKit::builder().seed(5).store_delay(seconds(0)..=seconds(1));
    let report =
        one_thread().block_on(crash_everywhere_with(builder, async |kit| orders(kit, 2).await, judge));
    assert!(report.crashes > 60 && report.reruns > 5 && report.recoveries > 20, "{report:?}");
    let crashed: BTreeSet<&str> = report.points.keys().map(|point| &point[..8]).collect();
    assert_eq!(crashed.len(), 2, "{report:?}");
}

/// Says that a job has succeeded as soon as it is claimed: work that is acknowledged before it is done.
struct AcknowledgesBeforeWork;

#[async_trait]
impl Disturbance for AcknowledgesBeforeWork {
    async fn claim(&self, store: &dyn JobStore, request: &ClaimJobs) -> Result<ClaimedJobs, StoreError> {
        let claimed = store.claim(request).await?;
        let done = claimed.queues.iter().flat_map(|queue| &queue.jobs).map(|job| Settlement {
            lease: LeaseKey { id: job.id, generation: job.generation },
            outcome: Outcome::Complete,
        });
        store.settle(&SettleJobs::new(request.now, done.collect())).await?;
        Ok(claimed)
    }
}

async fn acknowledged_before_work(kit: &TestKit) {
    let store = MemoryStore::new();
    let make = move || {
        let store = DisturbedStore::new(store.clone(), AcknowledgesBeforeWork);
        builder().configure(|options| options.use_store(store))
    };
    let node = kit.node("a").start(make).await;
    node.manager().enqueue(Invoice { number: 1 }).await.expect("stored");
    let _ = kit.drain(Limits::new()).await;
}

#[test]
fn an_acknowledgement_before_the_work_is_found_and_found_again() {
    let found = || {
        panic_text(|| {
            let report = crash_everywhere(acknowledged_before_work, Ledger::assert_at_least_once);
            _ = one_thread().block_on(report);
        })
    };
    let text = found();
    for part in [
        "crash 2, a after the call claim: the judge found a fault: invoice #1",
        "is lost: it counts as succeeded, and no run of it came to its end",
        "+0.000 s a crashed",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(found(), text, "it is found in the same place each time");
}

#[test]
fn a_scenario_that_fails_says_at_which_crash() {
    let text = panic_text(|| {
        let scenario = async |kit: &TestKit| {
            let store = MemoryStore::new();
            let make = move || builder().configure(|options| options.use_store(store.clone()));
            let node = kit.node("a").start(make).await;
            node.manager().enqueue(Invoice { number: 1 }).await.expect("stored");
            assert_eq!(kit.settle().await.succeeded, 1, "a scenario must bear a crash");
        };
        _ = one_thread().block_on(crash_everywhere(scenario, |_| ()));
    });
    assert!(text.starts_with("crash 2, a after the call claim: the scenario failed: "), "{text}");
}

#[test]
fn a_scenario_without_a_node_is_an_error() {
    let text = panic_text(|| _ = one_thread().block_on(crash_everywhere(async |_| (), |_| ())));
    assert!(text.contains("no node came to any point: start the program by kit.node(..)"), "{text}");
}
