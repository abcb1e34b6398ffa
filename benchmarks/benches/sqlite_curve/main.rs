//! What each call on a SQLite file costs beside a thousand other jobs and beside ten million, whatever state those are in.
//!
//! For each sort of jobs and each number a file is filled, and the calls are made on it again and again: a job enqueued,
//! claimed and settled, then a thousand of them, then a prune. What they add they take away, so the number stays. Each
//! answer is checked, and no time makes this program fail.

mod calls;
mod fill;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use benchmarks::{NewFile, Settings, Spread};
use calls::{Call, Took};
use fill::Beside;

/// Each run of a row makes the calls so many times.
const ROUNDS: usize = 5;

/// What one call took in one place.
type Readings = BTreeMap<(Call, Beside, usize), Vec<f64>>;

fn main() -> ExitCode {
    let settings = Settings::from_arguments(&[1_000, 10_000, 100_000, 1_000_000]);
    benchmarks::exit(measure(&settings).map(|readings| report(&settings, &readings)))
}

fn measure(settings: &Settings) -> Result<Readings, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("there is no runtime: {error}"))?;
    let rounds = if settings.smoke { 1 } else { settings.runs * ROUNDS };
    let mut readings = Readings::new();
    for rows in settings.sizes.iter().copied() {
        for beside in Beside::ALL.into_iter().filter(|beside| settings.wants(beside.name())) {
            // As a task: the thread that waits is none of the runtime's workers.
            let took = runtime.block_on(runtime.spawn(one_file(beside, rows, rounds)));
            let took = took.map_err(|error| format!("the run did not end: {error}"))?;
            let took = took.map_err(|error| format!("beside {rows} jobs, {}: {error}", beside.name()))?;
            for Took { call, time } in took {
                readings.entry((call, beside, rows)).or_default().push(time.as_secs_f64() * 1e3);
            }
        }
        eprintln!("{rows} rows are over");
    }
    Ok(readings)
}

/// Fills a file and makes the calls on it. The first round prepares statements and does not count.
async fn one_file(beside: Beside, rows: usize, rounds: usize) -> Result<Vec<Took>, String> {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("curve-{}.db", std::process::id()));
    let file = NewFile::at(&path)?;
    fill::fill(file.path(), beside, rows).await?;
    let bench = calls::Bench::open(file.path()).await?;
    bench.round(beside, rows).await?;
    let mut took = Vec::new();
    for _ in 0..rounds {
        took.extend(bench.round(beside, rows).await?);
    }
    bench.close().await?;
    Ok(took)
}

fn report(settings: &Settings, readings: &Readings) {
    if settings.smoke {
        return println!(
            "smoke: {} calls answered as they should",
            readings.values().map(Vec::len).sum::<usize>()
        );
    }
    let sizes = &settings.sizes;
    let (first, last) = (sizes[0], sizes[sizes.len() - 1]);
    println!("milliseconds, with the commit; medians of {} calls\n", settings.runs * ROUNDS);
    let columns: String = sizes.iter().map(|rows| format!(" {rows} |")).collect();
    println!("| call | beside jobs that are |{columns} min / median / max at {last} | {last} / {first} |");
    println!("|---|---|{}---|---|", "---|".repeat(sizes.len()));
    for call in Call::ALL {
        for beside in Beside::ALL.into_iter().filter(|beside| settings.wants(beside.name())) {
            let spread =
                |rows| Spread::of(readings.get(&(call, beside, rows)).into_iter().flatten().copied());
            let medians: String =
                sizes.iter().map(|rows| format!(" {:.2} |", spread(*rows).median)).collect();
            let growth = spread(last).median / spread(first).median;
            println!(
                "| {} | {} |{medians} {} | {growth:.2} |",
                call.name(),
                beside.name(),
                spread(last).shown(|millis| format!("{millis:.2}"))
            );
        }
    }
}
