//! One seed, one trace: three workers, two retries, a handler that sleeps, a cancellation and a lost lease, on four
//! threads, over a store that real threads answer when they like.

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{JobId, JobState};
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::{Attempt, Limits, Node, TestKit, explore};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use support::real_store::real_store;
use support::{four_threads, one_thread, seconds};

const JOBS: usize = 12;

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

/// Where the jobs are: in memory, or behind threads that answer after 0 to 400 µs of real time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answers {
    AtOnce,
    ByThreads,
}

async fn scenario(kit: &TestKit, answers: Answers) {
    let store = MemoryStore::new();
    let make = move || {
        let store = store.clone();
        BackgroundJobs::builder(|options| {
            let options = options.queue("default", 2);
            match answers {
                Answers::AtOnce => options.use_store(store),
                Answers::ByThreads => options.use_store(real_store(store)),
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
async fn trace(seed: u64, answers: Answers) -> u64 {
    let kit = TestKit::builder().seed(seed).build();
    scenario(&kit, answers).await;
    kit.finish().await;
    kit.scheduler().trace_hash()
}

#[test]
fn one_seed_is_one_trace_in_200_runs_on_four_threads_over_a_store_answered_by_real_threads() {
    let runtime = four_threads();
    let traces: BTreeSet<u64> = (0..200).map(|_| runtime.block_on(trace(7, Answers::ByThreads))).collect();
    assert_eq!(traces.len(), 1, "{traces:?}");
    let at_once = one_thread().block_on(trace(7, Answers::AtOnce));
    assert_eq!(traces.first(), Some(&at_once), "how long a store takes in real time is not to be seen");
}

#[test]
fn two_hundred_seeds_are_many_traces_with_the_right_outcome() {
    let seen = one_thread().block_on(explore(0..200, async |kit| scenario(kit, Answers::AtOnce).await));
    assert_eq!(seen.seeds, 200);
    assert!(seen.traces > 190, "{seen}");
}

#[test]
fn who_runs_what_differs_between_seeds() {
    let orders = Arc::new(Mutex::new(BTreeSet::new()));
    let noted = orders.clone();
    let seen = one_thread().block_on(explore(0..100, async |kit: &TestKit| {
        scenario(kit, Answers::AtOnce).await;
        let runs = kit.jobs().await.assert_ran::<Work>().all();
        noted.lock().insert(runs.into_iter().map(|run| (run.node, run.args.number)).collect::<Vec<_>>());
    }));
    assert_eq!(seen.seeds, 100);
    let orders = orders.lock().len();
    assert!(orders > 50, "only {orders} different sharings-out in 100 seeds");
}

#[test]
fn a_real_second_is_no_virtual_time() {
    let kit = TestKit::new();
    let begun = kit.now();
    one_thread().block_on(async {
        let builder = BackgroundJobs::builder(|options| options.use_store(real_store(MemoryStore::new())));
        let jobs = kit.start(builder.register_fn(handler)).await;
        let _ = jobs.manager().enqueue(Work { number: 0 }).await.expect("enqueued");
        assert_eq!(kit.settle().await.succeeded, 1);
        kit.finish().await;
    });
    assert_eq!(kit.now().since(begun), Duration::ZERO);
}
