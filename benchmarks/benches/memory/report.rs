//! What was measured, as a table and as JSON.

use std::fs;
use std::path::Path;
use std::time::Duration;

use benchmarks::{Settings, Spread};
use serde::Serialize;
use serde_json::json;

use crate::ROWS;
use crate::pick_up::Waits;

pub(crate) const CHANNELS: &str = "limit: JSON through 8 channels";
pub(crate) const SPAWNS: &str = "limit: tokio::spawn of no-ops";
/// From where somebody idle is woken.
pub(crate) const A_TASK: &str = "a task of the runtime";
pub(crate) const ANOTHER_THREAD: &str = "another thread";

/// Every reading, by row, size and round.
#[derive(Default)]
pub(crate) struct Measured {
    readings: Vec<Reading>,
    /// By round, and from where.
    waits: Vec<WakePair>,
    pub(crate) sleeper: Option<Sleeper>,
}

struct Reading {
    round: usize,
    row: &'static str,
    jobs: usize,
    took: Duration,
}

/// One round of waking somebody who is idle.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct WakePair {
    pub(crate) from: &'static str,
    pub(crate) bare: Waits,
    pub(crate) ours: Waits,
}

/// Jobs that wait far in the future, and the bytes of each beside its payload.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Sleeper {
    pub(crate) jobs: usize,
    pub(crate) bytes: f64,
}

impl Measured {
    pub(crate) fn took(&mut self, round: usize, row: &'static str, jobs: usize, took: Duration) {
        self.readings.push(Reading { round, row, jobs, took });
    }

    pub(crate) fn waited(&mut self, pair: WakePair) {
        self.waits.push(pair);
    }

    pub(crate) fn forget_first_round(&mut self) {
        self.readings.retain(|reading| reading.round > 0);
        self.waits.drain(..self.waits.len().min(2));
    }

    /// Prints the tables and writes the JSON.
    pub(crate) fn report(&self, settings: &Settings) -> Result<(), String> {
        if settings.smoke {
            println!("smoke: each of {} rows ran each of its jobs exactly once", ROWS.len());
            return Ok(());
        }
        let Settings { runs, sizes, .. } = settings;
        println!("min / median / max of {runs} interleaved runs; a ratio is of the same round\n");
        println!("| row | jobs | thousand jobs/s | / channels | / spawn |");
        println!("|---|---|---|---|---|");
        for row in ROWS.iter().filter(|row| settings.wants(row.name)) {
            for jobs in sizes {
                let rate = Spread::of(self.rates(row.name, *jobs)).shown(|rate| format!("{:.0}", rate / 1e3));
                let ratio = |limit| Spread::of(self.ratios(row.name, limit, *jobs)).shown(two_digits);
                println!("| {} | {jobs} | {rate} | {} | {} |", row.name, ratio(CHANNELS), ratio(SPAWNS));
            }
        }
        self.report_growth(settings);
        if settings.rows.is_empty() {
            self.report_waits();
        }
        if let Some(Sleeper { jobs, bytes }) = self.sleeper {
            println!("\na job that waits far in the future, of {jobs}: {bytes:.0} bytes beside its payload");
        }
        self.write_json(settings)
    }

    fn report_growth(&self, settings: &Settings) {
        let [first, .., last] = settings.sizes.as_slice() else { return };
        println!("\n| row | time of a job at {last} / at {first} |\n|---|---|");
        for row in ROWS.iter().filter(|row| settings.wants(row.name)) {
            println!(
                "| {} | {} |",
                row.name,
                Spread::of(self.growth(row.name, *first, *last)).shown(two_digits)
            );
        }
    }

    fn report_waits(&self) {
        println!("\n| pick-up when idle, woken from | p50, µs | p99, µs |\n|---|---|---|");
        for from in [A_TASK, ANOTHER_THREAD] {
            let spread = |pick: fn(&WakePair) -> f64| {
                Spread::of(self.waits.iter().filter(|pair| pair.from == from).map(pick))
            };
            let line = |what, p50: String, p99: String| println!("| {from}: {what} | {p50} | {p99} |");
            let micros = |micros: f64| format!("{micros:.1}");
            let (p50, p99) = (spread(|pair| pair.bare.p50), spread(|pair| pair.bare.p99));
            line("bare channel", p50.shown(micros), p99.shown(micros));
            let (p50, p99) = (spread(|pair| pair.ours.p50), spread(|pair| pair.ours.p99));
            line("ours", p50.shown(micros), p99.shown(micros));
            let p50 = spread(|pair| pair.ours.p50 / pair.bare.p50);
            let p99 = spread(|pair| pair.ours.p99 / pair.bare.p99);
            line("ours / bare", p50.shown(two_digits), p99.shown(two_digits));
        }
    }

    fn write_json(&self, settings: &Settings) -> Result<(), String> {
        let mut rows = Vec::new();
        for row in ROWS.iter().filter(|row| settings.wants(row.name)) {
            for jobs in &settings.sizes {
                rows.push(json!({
                    "row": row.name,
                    "jobs": jobs,
                    "jobs_per_second": Spread::of(self.rates(row.name, *jobs)),
                    "of_channels": Spread::of(self.ratios(row.name, CHANNELS, *jobs)),
                    "of_spawn": Spread::of(self.ratios(row.name, SPAWNS, *jobs)),
                }));
            }
        }
        let all = json!({
            "runs": settings.runs,
            "rows": rows,
            "pick_up_micros": self.waits,
            "sleeper": self.sleeper,
        });
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("benchmark-memory.json");
        fs::write(&path, format!("{all:#}\n")).map_err(|error| format!("{}: {error}", path.display()))?;
        println!("\nwritten to {}", path.display());
        Ok(())
    }

    fn rates(&self, row: &str, jobs: usize) -> impl Iterator<Item = f64> {
        let of_row = move |reading: &&Reading| (reading.row, reading.jobs) == (row, jobs);
        self.readings.iter().filter(of_row).map(Reading::rate)
    }

    /// This row's rate over the limit's, round by round.
    fn ratios(&self, row: &str, limit: &str, jobs: usize) -> impl Iterator<Item = f64> {
        self.rates(row, jobs).zip(self.rates(limit, jobs)).map(|(rate, limit)| rate / limit)
    }

    /// The time of one job among `many` over its time among `few`, round by round.
    fn growth(&self, row: &str, few: usize, many: usize) -> impl Iterator<Item = f64> {
        self.rates(row, few).zip(self.rates(row, many)).map(|(few, many)| few / many)
    }
}

impl Reading {
    fn rate(&self) -> f64 {
        self.jobs as f64 / self.took.as_secs_f64()
    }
}

fn two_digits(number: f64) -> String {
    format!("{number:.2}")
}
