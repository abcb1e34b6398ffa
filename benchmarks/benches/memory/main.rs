//! The memory store against what the machine can do at best. The rows are run in turns, round by round, so that
//! what slows the machine down for a while slows all of them; each round gives its own ratios.
//!
//! Every row checks that each job ran exactly once. No time makes this program fail.

mod limits;
mod pick_up;
mod report;

use std::future::Future;
use std::pin::Pin;
use std::process::{Command, ExitCode};
use std::time::Duration;

use backgroundjobs_memory::MemoryStore;
use benchmarks::Settings;
use benchmarks::ours::{self, How, Shape};
use report::{Measured, Sleeper, WakePair};
use tokio::runtime::Runtime;

type Run = Pin<Box<dyn Future<Output = Result<Duration, String>> + Send>>;

/// A row: its name, and one run of it with so many jobs.
struct Row {
    name: &'static str,
    run: fn(jobs: usize) -> Run,
}

macro_rules! ours {
    ($slots:literal, $how:ident, $keeps_all:literal) => {
        |jobs| {
            let shape =
                Shape { slots: $slots, how: How::$how, tasks: 2, keeps_all: $keeps_all, by_stats: false };
            Box::pin(ours::end_to_end(MemoryStore::new(), jobs, shape))
        }
    };
}

const ROWS: &[Row] = &[
    Row { name: report::CHANNELS, run: |jobs| Box::pin(limits::channels(jobs, 2)) },
    Row { name: "the same from one sender", run: |jobs| Box::pin(limits::channels(jobs, 1)) },
    Row { name: report::SPAWNS, run: |jobs| Box::pin(limits::spawns(jobs, 1)) },
    Row { name: "the same from two spawners", run: |jobs| Box::pin(limits::spawns(jobs, 2)) },
    Row { name: "one by one, 8 slots", run: ours!(8, OneByOne, true) },
    Row { name: "one by one, 64 slots", run: ours!(64, OneByOne, true) },
    Row { name: "many, 8 slots", run: ours!(8, Many, true) },
    Row { name: "many, 64 slots", run: ours!(64, Many, true) },
    Row { name: "many, 64 slots, default retention", run: ours!(64, Many, false) },
    Row { name: "enqueue alone, one by one", run: |jobs| enqueue_alone(jobs, How::OneByOne) },
    Row { name: "enqueue alone, many", run: |jobs| enqueue_alone(jobs, How::Many) },
];

fn enqueue_alone(jobs: usize, how: How) -> Run {
    let shape = Shape { slots: 8, how, tasks: 2, keeps_all: true, by_stats: false };
    Box::pin(ours::enqueue_alone(MemoryStore::new(), jobs, shape))
}

fn main() -> ExitCode {
    let settings = Settings::from_arguments(&[10_000, 100_000, 1_000_000]);
    benchmarks::exit(measure(&settings).and_then(|measured| measured.report(&settings)))
}

fn measure(settings: &Settings) -> Result<Measured, String> {
    let wakes = if settings.smoke { 20 } else { 1_000 };
    let mut measured = Measured::default();
    // The first round warms the machine up and does not count.
    let rounds = if settings.smoke { 0..1 } else { 0..settings.runs + 1 };
    for round in rounds {
        for size in &settings.sizes {
            for row in ROWS.iter().filter(|row| settings.wants(row.name)) {
                let took = on_runtime((row.run)(*size))
                    .map_err(|error| format!("{}, {size} jobs: {error}", row.name))?;
                measured.took(round, row.name, *size, took);
            }
        }
        if settings.rows.is_empty() {
            let (bare, ours) = (on_runtime(pick_up::channel(wakes))?, on_runtime(pick_up::ours(wakes))?);
            measured.waited(WakePair { from: report::A_TASK, bare, ours });
            let (bare, ours) =
                (beside_runtime(pick_up::channel(wakes))?, beside_runtime(pick_up::ours(wakes))?);
            measured.waited(WakePair { from: report::ANOTHER_THREAD, bare, ours });
        }
        eprintln!("round {round} is over");
    }
    if !settings.smoke {
        measured.forget_first_round();
    }
    if let Some(jobs) = settings.sizes.last().copied().filter(|_| settings.rows.is_empty()) {
        measured.sleeper = Some(Sleeper { jobs, bytes: footprint(jobs)? });
    }
    Ok(measured)
}

/// Runs on a new runtime, as a task of it: the thread that waits is none of its workers.
fn on_runtime<T: Send + 'static>(
    run: impl Future<Output = Result<T, String>> + Send + 'static,
) -> Result<T, String> {
    let runtime = runtime()?;
    runtime.block_on(runtime.spawn(run)).map_err(|error| format!("the run did not end: {error}"))?
}

/// Runs on the thread that waits, beside a new runtime whose workers sleep meanwhile.
fn beside_runtime<T>(run: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    runtime()?.block_on(run)
}

fn runtime() -> Result<Runtime, String> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.enable_all().build().map_err(|error| format!("there is no runtime: {error}"))
}

/// What the program that counts the heap's bytes says.
fn footprint(jobs: usize) -> Result<f64, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_footprint"))
        .arg(jobs.to_string())
        .output()
        .map_err(|error| format!("footprint cannot be started: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(|_| {
        format!("footprint ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr))
    })
}
