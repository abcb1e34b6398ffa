//! Faults of the test kit's nodes that a review found; each failed before it was mended.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{Builder, CancelStatus, Kind, QueueName};
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::{Limits, TestKit};
use serde::{Deserialize, Serialize};
use support::disturbed::{Disturbance, DisturbedStore};
use support::{panic_text, seconds};

#[derive(Serialize, Deserialize)]
struct Work {
    number: u32,
}

impl JobArgs for Work {
    const KIND: &'static str = "work";
}

async fn work(_: Work, _: JobContext) -> JobResult {
    Ok(())
}

fn program(store: &MemoryStore) -> Builder {
    BackgroundJobs::builder(|options| options.use_store(store.clone()).queue("default", 1)).register_fn(work)
}

/// A crash before the process had prepared its store found no process, and it came up all the same.
#[tokio::test]
async fn a_node_that_crashes_while_it_starts_again_stays_down() {
    let kit = TestKit::builder().store_delay(seconds(2)..=seconds(2)).build();
    let store = MemoryStore::new();
    let node = kit.run(kit.node("a").start(move || program(&store))).await;
    node.crash();
    let env = kit.env();
    let crash = async {
        env.sleep(seconds(1)).await;
        node.crash();
    };
    kit.run(async { tokio::join!(node.restart(), crash) }).await;
    assert!(!node.is_up());
    kit.run(node.restart()).await;
    assert!(node.is_up());
    let manager = node.manager();
    let _ = kit.run(manager.enqueue(Work { number: 0 })).await.expect("stored");
    assert_eq!(kit.drain(Limits::new()).await.succeeded, 1);
    kit.finish().await;
}

/// The one that was ready first ran on, out of the test's reach.
#[tokio::test]
async fn of_two_restarts_at_once_one_process_is_left() {
    let kit = TestKit::builder().store_delay(seconds(2)..=seconds(2)).build();
    let store = MemoryStore::new();
    let node = kit.run(kit.node("a").start(move || program(&store))).await;
    kit.run(async { tokio::join!(node.restart(), node.restart()) }).await;
    node.crash();
    let _ = kit.settle().await;
    assert_eq!(kit.advance(seconds(600)).await.timers_fired(), 0, "nobody is left");
    kit.finish().await;
}

#[derive(Clone, Default)]
struct Eager(Arc<AtomicUsize>);

#[async_trait]
impl Disturbance for Eager {
    fn insert_is_called(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// The store was called first and the way to it looked at then, which is too late for one that does not wait to be awaited.
#[tokio::test]
async fn a_store_that_begins_before_it_is_awaited_is_not_reached_by_a_node_that_is_cut_off() {
    let kit = TestKit::new();
    let (store, eager) = (MemoryStore::new(), Eager::default());
    let calls = eager.clone();
    let node = kit.node("a").start(move || {
        let store = DisturbedStore::new(store.clone(), eager.clone());
        BackgroundJobs::builder(|options| options.use_store(store)).register_fn(work)
    });
    let node = node.await;
    node.partition();
    let error = node.manager().enqueue(Work { number: 0 }).await.expect_err("cut off");
    assert_eq!(calls.0.load(Ordering::SeqCst), 0, "{error}");
    kit.finish().await;
}

/// Nodes on one store share its hub, by which the worker heard of the cancel in the same moment.
#[tokio::test]
async fn a_node_that_is_cut_off_hears_of_no_cancel() {
    let kit = TestKit::new();
    let store = MemoryStore::new();
    let shop = kit.build(BackgroundJobs::builder(|options| options.use_store(store.clone()).producer_only()));
    let node = kit
        .node("a")
        .start(move || {
            BackgroundJobs::builder(|options| options.use_store(store.clone())).register_fn(
                async |_: Work, ctx: JobContext| {
                    ctx.cancelled().await;
                    Err("told to stop".into())
                },
            )
        })
        .await;
    let id = shop.manager().enqueue(Work { number: 0 }).await.expect("stored").id;
    let _ = kit.settle().await;
    node.partition();
    assert_eq!(shop.manager().cancel(id).await.expect("answers"), CancelStatus::Requested);
    assert_eq!(kit.advance(seconds(15)).await.running.len(), 1, "it knows of nothing");
    node.heal();
    let report = kit.advance(seconds(10)).await;
    assert_eq!((report.cancelled, report.running.len()), (1, 0), "its next renewal says so: {report}");
    kit.finish().await;
}

/// The worker of a process that had crashed still said that it serves its queue while the test held its jobs.
#[tokio::test]
async fn jobs_of_a_crashed_node_that_the_test_holds_serve_nothing() {
    let kit = TestKit::new();
    let store = MemoryStore::new();
    let shop = kit.build(BackgroundJobs::builder(|options| options.use_store(store.clone()).producer_only()));
    let node = kit.node("a").start(move || program(&store)).await;
    let _held = node.jobs();
    node.crash();
    let _ = shop.manager().enqueue(Work { number: 0 }).await.expect("stored");
    assert!(!shop.serves(&QueueName::default_queue(), &Kind::new("work").expect("a name")));
    assert_eq!(kit.drain(Limits::new()).await.claimed, 0);
    kit.finish().await;
}

/// It was noted, and forgotten with the process that was not there.
#[tokio::test]
async fn a_node_that_is_down_is_not_cut_off() {
    let kit = TestKit::new();
    let store = MemoryStore::new();
    let node = kit.node("a").start(move || program(&store)).await;
    node.crash();
    node.partition();
    node.restart().await;
    let _ = node.manager().enqueue(Work { number: 0 }).await.expect("stored");
    assert_eq!(kit.settle().await.succeeded, 1);
    let jobs = kit.jobs().await;
    let text = panic_text(|| jobs.assert_ran::<Work>().never());
    assert!(text.contains("a was started again") && !text.contains("cut off"), "{text}");
    kit.finish().await;
}
