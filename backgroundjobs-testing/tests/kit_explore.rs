//! Explorations: what they find, what they say, and that they notice when they cannot be trusted.

mod support;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use backgroundjobs_core::prelude::*;
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::{Exploration, Limits, Seeds, TestKit, explore, explore_with};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use support::{millis, one_thread, panic_text, seconds};

#[derive(Serialize, Deserialize)]
struct Work {
    number: u32,
}

impl JobArgs for Work {
    const KIND: &'static str = "work";
}

async fn start(kit: &TestKit) -> std::sync::Arc<BackgroundJobs> {
    let builder = BackgroundJobs::builder(|options| options.use_in_memory().queue("default", 3));
    kit.start(builder.register_fn(async |_: Work, _: JobContext| Ok(()))).await
}

fn run(exploration: impl Future<Output = Exploration>) -> Exploration {
    one_thread().block_on(exploration)
}

/// Three tasks write their names at one instant; answers in which order.
async fn order_of_three(kit: &TestKit) -> String {
    let order = std::sync::Arc::new(Mutex::new(String::new()));
    for name in ["a", "b", "c"] {
        let (env, order) = (kit.env(), order.clone());
        _ = kit.scheduler().spawn(name, async move {
            env.sleep(seconds(1)).await;
            order.lock().push_str(name);
        });
    }
    let _ = kit.advance(seconds(1)).await;
    std::mem::take(&mut order.lock())
}

#[test]
fn every_order_that_is_legal_gets_its_turn() {
    let orders = Mutex::new(BTreeSet::new());
    let seen = run(explore(0..100, async |kit| {
        let order = order_of_three(kit).await;
        orders.lock().insert(order);
    }));
    assert_eq!(orders.lock().len(), 6, "{seen}");
    assert_eq!(seen.seeds, 100);
    assert!(seen.traces >= 6, "{seen}");
}

#[test]
fn a_seed_that_fails_is_run_again_and_the_failure_says_how_to_run_it_alone() {
    let text = panic_text(|| {
        _ = run(explore(0..100, async |kit| {
            let order = order_of_three(kit).await;
            assert!(!order.starts_with('c'), "c came first: {order}");
        }));
    });
    let (first, rest) = text.split_once('\n').expect("several lines");
    assert!(first.starts_with("seed ") && first.contains("failed: c came first: c"), "{text}");
    let seed = first.split_whitespace().nth(1).expect("a seed");
    assert_eq!(
        rest,
        format!(
            "  run again, it failed in the same way\n  replay: BACKGROUNDJOBS_SEED={seed} cargo test -p \
             backgroundjobs-testing a_seed_that_fails_is_run_again_and_the_failure_says_how_to_run_it_alone"
        )
    );
}

#[test]
fn a_scenario_that_goes_two_ways_with_one_seed_is_a_failure_that_names_the_first_difference() {
    let runs = AtomicU64::new(0);
    let text = panic_text(|| {
        _ = run(explore(5, async |kit| {
            let run = runs.fetch_add(1, Ordering::SeqCst);
            kit.scheduler().log(format!("run {run}"));
        }));
    });
    assert!(text.starts_with("seed 5 does not go the same way twice: event 1 was \""), "{text}");
    assert!(text.contains("run 0\" and then \"") && text.ends_with("run 1\""), "{text}");
}

#[test]
fn a_failure_that_does_not_come_again_says_so() {
    let runs = AtomicU64::new(0);
    let text = panic_text(|| {
        _ = run(explore(0..3, async |_| {
            // The first seed passes twice, the second fails once.
            assert_ne!(runs.fetch_add(1, Ordering::SeqCst), 2, "only now");
        }));
    });
    assert!(text.starts_with("seed 1 failed: "), "{text}");
    assert!(text.contains("run again, it went another way (it ended with Err("), "{text}");
    assert!(text.contains("the scenario depends on something beside the kit"), "{text}");
}

#[test]
fn a_scenario_that_leaves_a_job_to_nobody_fails_at_its_end() {
    let text = panic_text(|| {
        _ = run(explore(0..3, async |kit| {
            let jobs = start(kit).await;
            let _ = jobs.manager().enqueue_in(Work { number: 0 }, seconds(9)).await.expect("enqueued");
            assert!(kit.run(jobs.stop(seconds(1))).await.is_ok());
        }));
    });
    assert!(text.starts_with("seed 0 failed: 1 job is left that nobody could ever run"), "{text}");
}

#[test]
fn jitter_differs_from_seed_to_seed_and_is_off_unless_asked_for() {
    let retried_after = |jitter: bool| {
        let waits = Mutex::new(BTreeSet::new());
        let builder = TestKit::builder().jitter(jitter);
        let seen = run(explore_with(builder, 0..20, async |kit| {
            let program = BackgroundJobs::builder(|options| options.use_in_memory());
            let jobs = kit.start(program.register_fn(async |_: Work, ctx: JobContext| {
                if ctx.attempt() == 1 { Err("not yet".into()) } else { Ok(()) }
            }));
            let jobs = jobs.await;
            let _ = jobs.manager().enqueue(Work { number: 1 }).await.expect("enqueued");
            assert_eq!(kit.drain(Limits::new()).await.succeeded, 1);
            let run = kit.jobs().await.assert_ran::<Work>().attempt(2).get();
            waits.lock().insert(run.started);
        }));
        assert_eq!(seen.seeds, 20);
        let waits = waits.into_inner();
        let span = waits.last().expect("some").since(*waits.first().expect("some"));
        (waits.len(), span)
    };
    assert_eq!(retried_after(false), (1, Duration::ZERO));
    let (different, span) = retried_after(true);
    assert!(different > 15 && span > seconds(2) && span <= seconds(12), "{different} in {span:?}");
}

#[test]
fn delays_are_drawn_by_the_seed() {
    let spans = Mutex::new(BTreeSet::new());
    let builder = TestKit::builder().store_delay(millis(0)..=seconds(1));
    let seen = run(explore_with(builder, 0..20, async |kit| {
        let begun = kit.now();
        let jobs = kit.run(start(kit)).await;
        let _ = kit.run(jobs.manager().enqueue(Work { number: 1 })).await.expect("enqueued");
        spans.lock().insert(kit.now().since(begun));
        assert_eq!(kit.drain(Limits::new()).await.succeeded + jobs.stats().succeeded, 2);
    }));
    assert_eq!(seen.seeds, 20);
    let spans = spans.into_inner();
    assert!(spans.len() > 15 && spans.last().is_some_and(|span| *span <= seconds(2)), "{spans:?}");
}

#[test]
#[should_panic(expected = "there is no seed to explore: give it a range, as 0..200")]
fn an_exploration_without_a_seed_is_an_error() {
    _ = run(explore(Seeds::from(3..3), async |_| ()));
}
