//! One seed, one trace, on real files: three workers, two retries, a handler that sleeps, a cancellation and a lost lease,
//! on four threads, over connections that work on threads of their own.

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{JobId, JobState};
use backgroundjobs_sqlite::Durability;
use backgroundjobs_sqlite::prelude::*;
use backgroundjobs_testing::{Attempt, Limits, Node, TestKit, explore};
use serde::{Deserialize, Serialize};
use support::folder::Folder;

const JOBS: usize = 12;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[derive(Serialize, Deserialize)]
struct Work {
    number: usize,
}

impl JobArgs for Work {
    const KIND: &'static str = "work";
}

/// Jobs 4 and 8 fail once, job 6 sleeps, job 7 sleeps for so long that its worker dies under it, job 9 waits to be
/// cancelled.
async fn handler(work: Work, ctx: JobContext) -> JobResult {
    match work.number {
        4 | 8 if ctx.attempt() == 1 => Err("not yet".into()),
        6 => {
            ctx.sleep(seconds(1) / 4).await;
            Ok(())
        }
        7 => {
            ctx.sleep(seconds(20)).await;
            Ok(())
        }
        9 => {
            ctx.cancelled().await;
            Err("cancelled".into())
        }
        _ => Ok(()),
    }
}

/// Whether the workers share a store or open the file for themselves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stores {
    Shared,
    OneEach,
}

async fn scenario(kit: &TestKit, stores: Stores) {
    let folder = Folder::new();
    let file = SqliteOptions::new(folder.file("jobs.db")).durability(Durability::ProcessCrash);
    let store = SqliteStore::new(file.clone());
    let make = move || {
        let (store, file) = (store.clone(), file.clone());
        BackgroundJobs::builder(|options| {
            let options = options.queue("default", 2);
            match stores {
                Stores::Shared => options.use_store(store),
                Stores::OneEach => options.use_sqlite(file),
            }
        })
        .register_fn(handler)
        .retry(RetryPolicy::new().first(seconds(1)))
    };
    let nodes = kit.workers(3, make).await;
    let mut ids = Vec::new();
    for number in 0..JOBS {
        let delay = seconds(1) / 2 * u32::try_from(number % 4).expect("small");
        ids.push(nodes[0].manager().enqueue_in(Work { number }, delay).await.expect("enqueued").id);
    }
    let first = kit.advance(seconds(2)).await;
    assert_eq!(first.retried, 2, "{first}");
    let _ = nodes[0].manager().cancel(ids[9]).await.expect("answers");
    assert_eq!(kit.settle().await.cancelled, 1);
    worker_of(kit, &nodes, ids[7]).await.crash();
    let rest = kit.drain(Limits::new()).await;
    assert_eq!((rest.recovered, rest.succeeded), (1, 1), "{rest}");
    expect_right_outcome(kit, &ids).await;
}

async fn worker_of<'a>(kit: &TestKit, nodes: &'a [Node], id: JobId) -> &'a Node {
    let run = kit.jobs().await.assert_ran::<Work>().id(id).get();
    nodes.iter().find(|node| node.name() == run.node).expect("it ran on one of them")
}

async fn expect_right_outcome(kit: &TestKit, ids: &[JobId]) {
    let jobs = kit.jobs().await;
    jobs.assert_enqueued::<Work>().state(JobState::Succeeded).times(JOBS - 1);
    jobs.assert_enqueued::<Work>().id(ids[9]).state(JobState::Cancelled).once();
    // One retry each, and the one whose worker died: begun twice, ended once.
    jobs.assert_ran::<Work>().times(JOBS + 3);
    jobs.assert_ran::<Work>().ended(Attempt::Failed).times(2);
    jobs.assert_ran::<Work>().id(ids[7]).ended(Attempt::Unfinished).once();
    jobs.assert_ran::<Work>().id(ids[7]).ended(Attempt::Succeeded).once();
    kit.ledger().await.assert_at_least_once();
}

/// The trace's hash of one run of this seed.
async fn trace(seed: u64, stores: Stores) -> u64 {
    let kit = TestKit::builder().seed(seed).build();
    scenario(&kit, stores).await;
    kit.finish().await;
    kit.scheduler().trace_hash()
}

fn four_threads() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().expect("a runtime")
}

#[test]
fn one_seed_is_one_trace_in_50_runs_on_four_threads() {
    let runtime = four_threads();
    let traces: BTreeSet<u64> = (0..50).map(|_| runtime.block_on(trace(7, Stores::Shared))).collect();
    assert_eq!(traces.len(), 1, "{traces:?}");
    let traces_of_one_each: BTreeSet<u64> =
        (0..50).map(|_| runtime.block_on(trace(7, Stores::OneEach))).collect();
    assert_eq!(traces_of_one_each, traces, "how many connections there are is not to be seen");
}

#[test]
fn twenty_seeds_are_many_traces_with_the_right_outcome() {
    let seen = four_threads().block_on(explore(0..20, async |kit| scenario(kit, Stores::OneEach).await));
    assert_eq!(seen.seeds, 20);
    assert!(seen.traces > 15, "{seen}");
}
