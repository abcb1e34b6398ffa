//! [`explore`]: one scenario in many orders; [`crash_everywhere`]: with a crash at each point.

mod crash;
pub(crate) mod replay;
mod seeds;

use std::collections::BTreeSet;
use std::fmt;

pub use self::crash::{CrashReport, crash_everywhere, crash_everywhere_with};
pub use self::seeds::Seeds;
pub(crate) use self::seeds::VARIABLE as SEEDS;
use crate::caught::caught;
use crate::scheduler::Event;
use crate::{TestKit, TestKitBuilder};

/// What an exploration has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "an exploration says how many orders it has seen; one that saw a single one explored nothing"]
#[non_exhaustive]
pub struct Exploration {
    /// How many seeds were tried.
    pub seeds: u64,
    /// In how many different ways the scenario went.
    pub traces: usize,
}

/// Runs a scenario once for each seed, each on a kit of its own, so that every order that is legal gets its turn:
/// who of several ready tasks goes first, which of several timers of one instant fires first, and what the kit
/// draws at random. Before and after each run and each store call, others may go first, as with threads. The
/// scenario asserts as any test does; the kit is [finished](TestKit::finish) after it.
///
/// The first seed is run twice, and must go the same way both times. A seed that fails is run again to see whether
/// it fails in the same way, and the failure says how to run that seed alone: with the environment variable
/// `BACKGROUNDJOBS_SEED`, which takes the place of `seeds` where it is set. It may be a range (`0..20000`), for a
/// long search.
///
/// ```
/// # use backgroundjobs_core::prelude::*;
/// # use backgroundjobs_memory::prelude::*;
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Serialize, Deserialize)]
/// # struct Mail { to: u32 }
/// # impl JobArgs for Mail { const KIND: &'static str = "mail"; }
/// use backgroundjobs_testing::{Limits, explore};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let seen = explore(0..20, async |kit| {
///     let store = MemoryStore::new();
///     let nodes = kit
///         .workers(2, move || {
///             let store = store.clone();
///             BackgroundJobs::builder(|options| options.use_store(store))
///                 .register_fn(async |_: Mail, _: JobContext| Ok(()))
///         })
///         .await;
///     let mails = (0..10).map(|to| Mail { to });
///     nodes[0].manager().enqueue_many(mails).await.expect("stored");
///     assert_eq!(kit.drain(Limits::new()).await.succeeded, 10);
/// })
/// .await;
/// assert!(seen.traces > 1);
/// # }
/// ```
///
/// # Panics
/// At the first seed that fails, with what the scenario said, the seed, and how to run it again; when a seed does
/// not go the same way twice; and when there is no seed.
pub async fn explore(seeds: impl Into<Seeds>, scenario: impl AsyncFn(&TestKit)) -> Exploration {
    explore_with(TestKit::builder(), seeds, scenario).await
}

/// As [`explore`], on kits put together by hand: with jitter, store delays, another start. The builder's seed is
/// replaced.
///
/// # Panics
/// As [`explore`] does.
pub async fn explore_with(
    builder: TestKitBuilder,
    seeds: impl Into<Seeds>,
    scenario: impl AsyncFn(&TestKit),
) -> Exploration {
    let seeds = seeds.into().or_of_environment().range();
    assert!(!seeds.is_empty(), "there is no seed to explore: give it a range, as 0..200");
    let mut traces = BTreeSet::new();
    for seed in seeds.clone() {
        let builder = builder.seed(seed).explored();
        let run = run(builder, &scenario).await;
        if let Err(message) = &run.end {
            let again = self::run(builder, &scenario).await;
            panic!("{}", failure(seed, message, &run, &again));
        }
        if seed == seeds.start {
            let again = self::run(builder, &scenario).await;
            if let Some(difference) = run.difference(&again) {
                panic!("seed {seed} does not go the same way twice: {difference}");
            }
        }
        traces.insert(run.trace);
    }
    Exploration { seeds: seeds.end - seeds.start, traces: traces.len() }
}

/// How a scenario went once.
struct Run {
    end: Result<(), String>,
    trace: u64,
    events: Vec<Event>,
}

async fn run(builder: TestKitBuilder, scenario: &impl AsyncFn(&TestKit)) -> Run {
    let kit = builder.build();
    let end = caught(async {
        scenario(&kit).await;
        kit.finish_unless_done().await;
    })
    .await;
    kit.abandon();
    Run { end, trace: kit.scheduler().trace_hash(), events: kit.scheduler().trace() }
}

impl Run {
    /// Where another run with the same seed went another way; none where it did not.
    fn difference(&self, again: &Self) -> Option<String> {
        if self.end == again.end && self.trace == again.trace {
            return None;
        }
        if self.end != again.end {
            return Some(format!("it ended with {:?} and then with {:?}", self.end, again.end));
        }
        let events = self.events.iter().zip(&again.events);
        let at = events.take_while(|(first, second)| first == second).count();
        let text = |event: Option<&Event>| event.map_or_else(|| "nothing more".into(), Event::to_string);
        Some(format!(
            "event {} was \"{}\" and then \"{}\"",
            at + 1,
            text(self.events.get(at)),
            text(again.events.get(at))
        ))
    }
}

fn failure(seed: u64, message: &str, run: &Run, again: &Run) -> String {
    let again = match run.difference(again) {
        None => "run again, it failed in the same way".to_owned(),
        Some(difference) => format!(
            "run again, it went another way ({difference}): the scenario depends on something beside the kit"
        ),
    };
    format!("seed {seed} failed: {message}\n  {again}\n  replay: {}", replay::command(Some(seed)))
}

impl fmt::Display for Exploration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} seeds, {} traces", self.seeds, self.traces)
    }
}
