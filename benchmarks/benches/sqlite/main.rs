//! The SQLite store against a bare loop in sqlx on the same file settings and tables. The rows are run in turns, round by
//! round, so that what slows the machine down for a while slows all of them; each round gives its own ratios.
//!
//! Every row checks that each job ran exactly once, or lies in the file. No time makes this program fail.

mod ideal;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::ExitCode;
use std::time::Duration;

use benchmarks::{Settings, Spread, SqliteRow};

type Run = Pin<Box<dyn Future<Output = Result<Duration, String>> + Send>>;

/// A row: its name, one run of it with so many jobs, and the row that it is compared with.
struct Row {
    name: &'static str,
    run: fn(jobs: usize) -> Run,
    beside: &'static str,
}

const LOOP: &str = "limit: a bare loop, by thousands";
const SINGLE: &str = "limit: bare inserts, one a transaction, one task";

const ROWS: &[Row] = &[
    Row { name: LOOP, run: |jobs| Box::pin(ideal::end_to_end(jobs)), beside: LOOP },
    Row { name: "ours, end to end, 1,000 slots", run: |jobs| ours(SqliteRow::EndToEnd, jobs), beside: LOOP },
    Row { name: SINGLE, run: |jobs| Box::pin(ideal::single(jobs)), beside: SINGLE },
    Row {
        name: "ours, enqueue one by one, 32 tasks",
        run: |jobs| ours(SqliteRow::Singles, jobs),
        beside: SINGLE,
    },
];

fn ours(row: SqliteRow, jobs: usize) -> Run {
    Box::pin(async move { row.run(jobs, &file()).await })
}

/// On the disk that the workspace is on.
fn file() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("sqlite-{}.db", std::process::id()))
}

struct Reading {
    round: usize,
    row: &'static str,
    jobs: usize,
    rate: f64,
}

fn main() -> ExitCode {
    let settings = Settings::from_arguments(&[10_000, 100_000]);
    benchmarks::exit(measure(&settings).map(|readings| report(&settings, &readings)))
}

fn measure(settings: &Settings) -> Result<Vec<Reading>, String> {
    let mut readings = Vec::new();
    // The first round warms the machine up and does not count.
    let rounds = if settings.smoke { 0..1 } else { 0..settings.runs + 1 };
    for round in rounds {
        for jobs in settings.sizes.iter().copied() {
            for row in ROWS.iter().filter(|row| settings.wants(row.name)) {
                let took = on_runtime((row.run)(jobs))
                    .map_err(|error| format!("{}, {jobs} jobs: {error}", row.name))?;
                readings.push(Reading { round, row: row.name, jobs, rate: jobs as f64 / took.as_secs_f64() });
            }
        }
        eprintln!("round {round} is over");
    }
    if !settings.smoke {
        readings.retain(|reading| reading.round > 0);
    }
    Ok(readings)
}

fn report(settings: &Settings, readings: &[Reading]) {
    if settings.smoke {
        return println!("smoke: {} runs did each job exactly once", readings.len());
    }
    println!("min / median / max of {} interleaved runs; a ratio is of the same round\n", settings.runs);
    println!("| row | jobs | thousand jobs/s | / its limit |\n|---|---|---|---|");
    let rates = |row: &'static str, jobs: usize| {
        let of_row = readings.iter().filter(move |reading| (reading.row, reading.jobs) == (row, jobs));
        of_row.map(|reading| reading.rate)
    };
    for row in ROWS.iter().filter(|row| settings.wants(row.name)) {
        for jobs in settings.sizes.iter().copied() {
            let rate = Spread::of(rates(row.name, jobs)).shown(|rate| format!("{:.1}", rate / 1e3));
            let ratios = rates(row.name, jobs).zip(rates(row.beside, jobs)).map(|(rate, limit)| rate / limit);
            println!(
                "| {} | {jobs} | {rate} | {} |",
                row.name,
                Spread::of(ratios).shown(|ratio| format!("{ratio:.2}"))
            );
        }
    }
}

/// Runs on a new runtime, as a task of it: the thread that waits is none of its workers.
fn on_runtime(run: Run) -> Result<Duration, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("there is no runtime: {error}"))?;
    runtime.block_on(runtime.spawn(run)).map_err(|error| format!("the run did not end: {error}"))?
}
