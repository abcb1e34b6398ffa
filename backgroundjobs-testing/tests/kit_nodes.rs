//! Several processes under one kit: crashes, restarts, partitions, clocks that are wrong.

use std::sync::Arc;
use std::time::Duration;

use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{Clock, JobState};
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::{Attempt, Limits, Node, Skew, TestKit};
use serde::{Deserialize, Serialize};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

#[derive(Serialize, Deserialize)]
struct Work {
    seconds: u64,
}

impl JobArgs for Work {
    const KIND: &'static str = "work";
}

async fn work(work: Work, ctx: JobContext) -> JobResult {
    ctx.sleep(Duration::from_secs(work.seconds)).await;
    Ok(())
}

fn program(store: &MemoryStore) -> impl Fn() -> backgroundjobs_core::Builder + Send + Sync + 'static {
    let store = store.clone();
    move || {
        let store = store.clone();
        BackgroundJobs::builder(|options| options.use_store(store).queue("default", 1)).register_fn(work)
    }
}

async fn enqueue(node: &Node, seconds: u64) -> backgroundjobs_core::JobId {
    node.manager().enqueue(Work { seconds }).await.expect("enqueued").id
}

#[tokio::test]
async fn what_a_crashed_node_ran_is_run_by_another_once_its_lease_is_over() {
    let kit = TestKit::new();
    let nodes = kit.workers(2, program(&MemoryStore::new())).await;
    assert_eq!((nodes[0].name(), nodes[1].name()), ("worker 1", "worker 2"));
    let id = enqueue(&nodes[0], 5).await;
    assert_eq!(kit.advance(SECOND).await.running.len(), 1);
    let first = kit.jobs().await.assert_ran::<Work>().get();
    let (dead, living) =
        if first.node == nodes[0].name() { (&nodes[0], &nodes[1]) } else { (&nodes[1], &nodes[0]) };
    dead.crash();
    assert!(!dead.is_up() && living.is_up());
    assert!(dead.jobs().is_none());
    assert!(kit.settle().await.running.is_empty(), "the handler is gone with its process");

    // The lease of 30 s was renewed at no time; 30 s more are the back-off after a crash.
    assert_eq!(kit.advance(MINUTE - SECOND * 2).await.claimed, 0);
    let rest = kit.drain(Limits::new()).await;
    assert_eq!((rest.claimed, rest.succeeded), (1, 1), "{rest}");
    let jobs = kit.jobs().await;
    jobs.assert_ran::<Work>().on(living.name()).after(MINUTE).ended(Attempt::Succeeded).once();
    assert_eq!(living.manager().get(id).await.expect("answers").expect("kept").crashes, 0);
    let ledger = kit.ledger().await;
    ledger.assert_at_least_once();
    ledger.assert_no_overlap();
    assert_eq!((ledger.recoveries(), ledger.reruns()), (1, 0));
    kit.finish().await;
}

#[tokio::test]
async fn a_node_that_is_down_answers_as_one_that_cannot_be_reached_and_a_restart_mends_that() {
    let kit = TestKit::new();
    let store = MemoryStore::new();
    let node = kit.node("a").start(program(&store)).await;
    let manager = node.manager();
    node.crash();
    node.crash();
    let error = manager.enqueue(Work { seconds: 0 }).await.expect_err("nobody is there");
    let source = std::error::Error::source(&error).expect("the store's error").to_string();
    assert!(source.contains("a has crashed under the test kit; nothing was done"), "{error}: {source}");

    node.restart().await;
    assert!(node.is_up());
    let _ = manager.enqueue(Work { seconds: 0 }).await.expect("it is there again");
    assert_eq!(kit.settle().await.succeeded, 1);
    node.restart().await;
    let _ = manager.enqueue(Work { seconds: 0 }).await.expect("a running one is restarted, too");
    assert_eq!(kit.settle().await.succeeded, 1);
    kit.finish().await;
}

#[tokio::test]
async fn ids_of_two_nodes_and_of_two_lives_differ() {
    let kit = TestKit::new();
    let store = MemoryStore::new();
    let (a, b) = (kit.node("a").start(program(&store)).await, kit.node("b").start(program(&store)).await);
    let mut ids = vec![enqueue(&a, 0).await, enqueue(&b, 0).await];
    a.restart().await;
    ids.push(enqueue(&a, 0).await);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3);
    assert_eq!(kit.drain(Limits::new()).await.succeeded, 3);
    kit.finish().await;
}

#[tokio::test]
async fn a_node_that_is_cut_off_loses_its_job_and_is_told_so_when_it_reaches_the_store_again() {
    let kit = TestKit::new();
    let nodes = kit.workers(2, program(&MemoryStore::new())).await;
    let _ = enqueue(&nodes[0], 100).await;
    let _ = kit.advance(SECOND).await;
    let node = kit.jobs().await.assert_ran::<Work>().get().node;
    let cut_off = nodes.iter().find(|node_of| node_of.name() == node).expect("one of them");
    cut_off.partition();
    let error = cut_off.manager().get(some_id()).await.expect_err("cut off");
    assert!(
        error.to_string().contains("is cut off from its store under the test kit; nothing was done"),
        "{error}"
    );

    // The lease is over 30 s after the claim, and the back-off 30 s later.
    let report = kit.advance(MINUTE * 2).await;
    assert_eq!((report.recovered, report.claimed), (1, 1), "{report}");
    assert_eq!(kit.jobs().await.assert_ran::<Work>().all().len(), 2, "both run it: the first has not heard");
    cut_off.heal();
    let report = kit.drain(Limits::new()).await;
    assert_eq!((report.succeeded, report.lost), (1, 1), "the first one's word counts no more: {report}");
    kit.ledger().await.assert_at_least_once();
    kit.finish().await;
}

fn some_id() -> backgroundjobs_core::JobId {
    "01900000-0000-7000-8000-000000000001".parse().expect("an id")
}

#[tokio::test]
async fn what_is_on_its_way_when_a_node_is_cut_off_may_have_been_done() {
    let kit = TestKit::builder().store_delay(SECOND * 2..=SECOND * 2).build();
    let node = kit.node("a").start(program(&MemoryStore::new()));
    let node = kit.run(node).await;
    let manager = node.manager();
    let env = kit.env();
    let error = kit
        .run(async {
            let cut = async {
                // The request has arrived after one second, the answer would after two.
                env.sleep(SECOND + SECOND / 2).await;
                node.partition();
            };
            tokio::join!(manager.enqueue(Work { seconds: 0 }), cut).0
        })
        .await
        .expect_err("the answer is lost");
    let source = std::error::Error::source(&error).expect("the store's error").to_string();
    assert!(source.contains("the answer is lost"), "{source}");
    kit.jobs().await.assert_enqueued::<Work>().state(JobState::Waiting).once();
    node.heal();
    let report = kit.drain(Limits::new()).await;
    assert_eq!(report.succeeded, 1, "it is found, though nobody announced it: {report}");
    kit.finish().await;
}

#[tokio::test]
async fn workers_whose_clocks_are_wrong_agree_on_a_store_with_a_clock_of_its_own() {
    let kit = TestKit::new();
    let store = MemoryStore::with_clock(Arc::new(kit.clock()));
    let ahead = kit.node("ahead").skew(Skew::Ahead(MINUTE * 5)).start(program(&store)).await;
    let behind = kit.node("behind").skew(Skew::Behind(MINUTE * 5)).start(program(&store)).await;
    for node in [&ahead, &behind] {
        for _ in 0..2 {
            let _ = node.manager().enqueue_in(Work { seconds: 50 }, SECOND * 10).await.expect("enqueued");
        }
    }
    assert_eq!(kit.advance(SECOND * 10 - Duration::from_micros(1)).await.claimed, 0, "nothing is due yet");
    let report = kit.drain(Limits::new()).await;
    assert_eq!((report.succeeded, report.recovered, report.lost), (4, 0, 0), "nobody steals: {report}");
    let jobs = kit.jobs().await;
    jobs.assert_ran::<Work>().on("ahead").times(2);
    jobs.assert_ran::<Work>().on("behind").times(2);
    kit.finish().await;
}

#[tokio::test]
async fn a_skewed_node_sees_its_own_time() {
    let kit = TestKit::new();
    let seen = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let store = MemoryStore::with_clock(Arc::new(kit.clock()));
    let noted = seen.clone();
    let node = kit.node("ahead").skew(Skew::Ahead(MINUTE)).start(move || {
        let (store, noted) = (store.clone(), noted.clone());
        BackgroundJobs::builder(|options| options.use_store(store)).register_fn(
            move |_: Work, ctx: JobContext| {
                noted.lock().push(ctx.now());
                async { Ok(()) }
            },
        )
    });
    let node = node.await;
    let _ = enqueue(&node, 0).await;
    assert_eq!(kit.settle().await.succeeded, 1);
    assert_eq!(*seen.lock(), [kit.clock().now() + MINUTE]);
    kit.finish().await;
}

#[tokio::test]
#[should_panic(expected = "the kit has a node \"a\": give each node a name of its own")]
async fn a_name_is_given_once() {
    let kit = TestKit::new();
    let store = MemoryStore::new();
    let _a = kit.node("a").start(program(&store)).await;
    let _again = kit.node("a").start(program(&store)).await;
}
