//! The SQLite store alone: what a job costs with it. `cargo xtask peers` compares it with others.
//!
//! Every row checks that each job ran exactly once, and what became of it. No time makes this program fail.

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use benchmarks::{Settings, Spread, SqliteRow};

/// A row of jobs that are enqueued one by one by one task gets a part of them: each waits for the disk.
const SLOW_SHARE: usize = 20;

fn main() -> ExitCode {
    match measure(&Settings::from_arguments()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(settings: &Settings) -> Result<(), String> {
    let rows: Vec<_> = SqliteRow::ALL.into_iter().filter(|row| settings.wants(row.name())).collect();
    let mut readings = Vec::new();
    // The first round warms the machine up and does not count.
    let rounds = if settings.smoke { 0..1 } else { 0..settings.runs + 1 };
    for round in rounds {
        for size in &settings.sizes {
            for row in &rows {
                let jobs = if *row == SqliteRow::OneTask { size.div_ceil(SLOW_SHARE) } else { *size };
                let took =
                    run(*row, jobs).map_err(|error| format!("{}, {jobs} jobs: {error}", row.name()))?;
                if round > 0 {
                    readings.push((*row, jobs, jobs as f64 / took.as_secs_f64()));
                }
            }
        }
        eprintln!("round {round} is over");
    }
    if settings.smoke {
        println!("smoke: each of {} rows ran each of its jobs exactly once, or stored it once", rows.len());
        return Ok(());
    }
    println!("min / median / max of {} interleaved runs\n", settings.runs);
    println!("| row | jobs | thousand jobs/s |\n|---|---|---|");
    let mut shown: Vec<_> = readings.iter().map(|(row, jobs, _)| (*row, *jobs)).collect();
    shown.truncate(shown.len() / settings.runs.max(1));
    for (row, jobs) in shown {
        let of_row = readings.iter().filter(|reading| (reading.0, reading.1) == (row, jobs));
        let rate = Spread::of(of_row.map(|reading| reading.2));
        println!("| {} | {jobs} | {} |", row.name(), rate.shown(|rate| format!("{:.1}", rate / 1e3)));
    }
    Ok(())
}

/// Runs a row on a new runtime, as a task of it: the thread that waits is none of its workers.
fn run(row: SqliteRow, jobs: usize) -> Result<Duration, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(folder).map_err(|error| format!("{} cannot be made: {error}", folder.display()))?;
    let file = folder.join(format!("benchmark-sqlite-{}.db", std::process::id()));
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.enable_all().build().map_err(|error| format!("there is no runtime: {error}"))?;
    let run = runtime.spawn(async move { row.run(jobs, &file).await });
    runtime.block_on(run).map_err(|error| format!("the run did not end: {error}"))?
}
