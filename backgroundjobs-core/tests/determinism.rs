//! The same seed gives the same trace, on any runtime; other seeds give other orders and the same outcome.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use backgroundjobs_core::JobState;
use backgroundjobs_core::prelude::*;
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::TestKit;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::runtime::{Builder, Runtime};

const SECOND: Duration = Duration::from_secs(1);
const JOBS: usize = 12;

#[derive(Serialize, Deserialize)]
struct Work {
    number: usize,
}

impl JobArgs for Work {
    const KIND: &'static str = "work";
}

/// Which worker started which job, in order.
type Started = Arc<Mutex<Vec<(usize, usize)>>>;

/// Jobs 4 and 8 fail once, job 6 sleeps, job 9 waits to be cancelled.
async fn handler((worker, started): (usize, Started), work: Work, ctx: JobContext) -> JobResult {
    started.lock().push((worker, work.number));
    match work.number {
        4 | 8 if ctx.attempt() == 1 => Err("not yet".into()),
        6 => {
            ctx.sleep(SECOND / 4).await;
            Ok(())
        }
        9 => {
            ctx.cancelled().await;
            Err("cancelled".into())
        }
        _ => Ok(()),
    }
}

/// What a run of the scenario left.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    trace: u64,
    started: Vec<(usize, usize)>,
    states: Vec<(JobState, u64)>,
    succeeded: u64,
    retried: u64,
    cancelled: u64,
}

/// Three workers on one store, twelve jobs at four instants.
async fn scenario(seed: Option<u64>) -> Seen {
    let kit = match seed {
        Some(seed) => TestKit::builder().seed(seed).build(),
        None => TestKit::new(),
    };
    let (store, started) = (MemoryStore::new(), Started::default());
    let mut workers = Vec::new();
    for worker in 0..3 {
        let builder = BackgroundJobs::builder(|options| options.use_store(store.clone()).queue("default", 2))
            .register_fn_with((worker, started.clone()), handler)
            .retry(RetryPolicy::new().first(SECOND));
        workers.push(kit.start(builder).await);
    }
    let mut ids = Vec::new();
    let manager = workers[0].manager();
    for number in 0..JOBS {
        let delay = SECOND / 2 * u32::try_from(number % 4).expect("small");
        let id = manager.enqueue_in(Work { number }, delay).await.expect("enqueued").id;
        ids.push(id);
    }
    let first = kit.advance(SECOND).await;
    let _ = manager.cancel(ids[9]).await.expect("answers");
    let second = kit.advance(SECOND * 4).await;
    let mut states = Vec::new();
    for id in ids {
        let record = manager.get(id).await.expect("answers").expect("kept");
        states.push((record.state, record.generation));
    }
    let trace = kit.scheduler().trace_hash();
    kit.finish().await;
    Seen {
        trace,
        started: std::mem::take(&mut started.lock()),
        states,
        succeeded: first.succeeded + second.succeeded,
        retried: first.retried + second.retried,
        cancelled: first.cancelled + second.cancelled,
    }
}

fn expect_right_outcome(seen: &Seen) {
    assert_eq!((seen.succeeded, seen.retried, seen.cancelled), (11, 2, 1), "{seen:?}");
    for (number, (state, generation)) in seen.states.iter().enumerate() {
        let expected = match number {
            9 => (JobState::Cancelled, 1),
            4 | 8 => (JobState::Succeeded, 2),
            _ => (JobState::Succeeded, 1),
        };
        assert_eq!((*state, *generation), expected, "job {number}: {seen:?}");
    }
}

fn four_threads() -> Runtime {
    Builder::new_multi_thread().worker_threads(4).enable_all().build().expect("a runtime")
}

fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

#[test]
fn one_seed_gives_one_trace_on_every_runtime() {
    let expected = one_thread().block_on(scenario(Some(7)));
    expect_right_outcome(&expected);
    for run in 0..200 {
        let seen = four_threads().block_on(scenario(Some(7)));
        assert_eq!(seen, expected, "run {run} differs");
    }
    for run in 0..20 {
        let seen = one_thread().block_on(scenario(Some(7)));
        assert_eq!(seen, expected, "run {run} differs");
    }
}

#[test]
fn without_a_seed_there_is_one_trace_too() {
    let expected = one_thread().block_on(scenario(None));
    expect_right_outcome(&expected);
    assert_eq!(four_threads().block_on(scenario(None)), expected);
}

#[test]
fn other_seeds_give_other_orders_and_the_right_outcome() {
    let runtime = one_thread();
    let mut orders = BTreeSet::new();
    for seed in 0..200 {
        let seen = runtime.block_on(scenario(Some(seed)));
        expect_right_outcome(&seen);
        orders.insert(seen.started);
    }
    assert!(orders.len() > 50, "only {} different orders of starts in 200 seeds", orders.len());
}
