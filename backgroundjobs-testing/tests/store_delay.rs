//! Store calls that take virtual time: those that are made outside of every verb, by the kit or the test, take none.

use std::time::Duration;

use backgroundjobs_core::Builder;
use backgroundjobs_core::prelude::*;
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::TestKit;
use serde::{Deserialize, Serialize};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Serialize, Deserialize)]
struct Work;
impl JobArgs for Work {
    const KIND: &'static str = "work";
}

fn slow_kit() -> TestKit {
    TestKit::builder().store_delay(SECOND..=SECOND).build()
}

fn program(store: MemoryStore) -> Builder {
    BackgroundJobs::builder(|options| options.use_store(store)).register_fn(async |_: Work, _| Ok(()))
}

/// Each of these waited for ever for a clock that nobody moved.
#[tokio::test]
async fn a_program_starts_and_a_test_ends_although_store_calls_take_time() {
    let kit = slow_kit();
    let jobs = kit.start(program(MemoryStore::new())).await;
    kit.run(jobs.manager().enqueue_in(Work, SECOND * 3_600)).await.expect("stored");
    kit.finish().await;
}

#[tokio::test]
async fn a_node_starts_and_starts_again_although_store_calls_take_time() {
    let (kit, store) = (slow_kit(), MemoryStore::new());
    let node = kit.node("a").start(move || program(store.clone())).await;
    node.restart().await;
    kit.run(node.manager().enqueue(Work)).await.expect("stored");
    assert_eq!(kit.advance(SECOND * 10).await.succeeded, 1);
    kit.finish().await;
}

/// A verb that drives already is not driven again.
#[tokio::test]
async fn a_program_may_be_started_inside_of_run() {
    let kit = slow_kit();
    let jobs = kit.run(kit.start(program(MemoryStore::new()))).await;
    kit.run(jobs.manager().enqueue(Work)).await.expect("stored");
    assert_eq!(kit.advance(SECOND * 10).await.succeeded, 1);
    kit.finish().await;
}
