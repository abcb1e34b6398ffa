//! The SQLite store beside an ideal loop and other job systems: programs of their own, run in turns, round by round, so
//! that what slows the machine down for a while slows all of them. Outside the gate: it takes minutes, and judges nothing.

mod report;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::cargo;
use report::{Reading, Readings, Row};

/// Runs of each row that count; one more, before them, does not.
const ROUNDS: usize = 5;
const JOBS: usize = 100_000;
/// Of those that wait for the disk one by one.
const SINGLES: usize = 3_000;
/// The same of the other systems, which wait longer.
const FEW: usize = 500;
/// apalis-sqlite takes longer for a job the more jobs there are; this is what it does in some seconds.
const APALIS_JOBS: usize = 5_000;

/// Where the programs beside ours are, in `benchmarks/peers`.
const PEERS: &[&str] = &["ideal-sqlx", "ideal-rusqlite", "effectum", "apalis-sqlite"];

/// Ours; built from this workspace.
const OURS: &str = "sqlite_once";

/// What is run in each round, in this order. A row is compared with `reference`.
const ROWS: &[Row] = &[
    Row::new("the ideal loop, sqlx", "ideal-sqlx", "end-to-end", JOBS, IDEAL),
    Row::new("backgroundjobs-sqlite, end to end", OURS, "end-to-end", JOBS, IDEAL),
    Row::new("backgroundjobs-sqlite, enqueue all, then run", OURS, "one-after-the-other", JOBS, IDEAL),
    Row::new("the ideal loop with our indexes, sqlx", "ideal-sqlx", "end-to-end-indexed", JOBS, IDEAL),
    Row::new("the ideal loop, rusqlite", "ideal-rusqlite", "end-to-end", JOBS, IDEAL),
    Row::new("effectum, enqueue all, then run", "peer-effectum", "end-to-end", JOBS, IDEAL),
    Row::new("apalis-sqlite, enqueue all, then run", "peer-apalis-sqlite", "end-to-end", APALIS_JOBS, IDEAL),
    Row::new("bare single inserts, sqlx", "ideal-sqlx", "one-task", SINGLES, BARE),
    Row::new("backgroundjobs-sqlite, single enqueues, 32 tasks", OURS, "singles", 10 * SINGLES, BARE),
    Row::new("backgroundjobs-sqlite, single enqueues, 1 task", OURS, "one-task", SINGLES, BARE),
    Row::new("bare single inserts, rusqlite", "ideal-rusqlite", "one-task", SINGLES, BARE),
    Row::new("effectum, single enqueues, 32 tasks", "peer-effectum", "singles", FEW, BARE),
    Row::new("effectum, single enqueues, 1 task", "peer-effectum", "one-task", FEW, BARE),
    Row::new("apalis-sqlite, single enqueues, 32 tasks", "peer-apalis-sqlite", "singles", FEW, BARE),
    Row::new("apalis-sqlite, single enqueues, 1 task", "peer-apalis-sqlite", "one-task", FEW, BARE),
];

const IDEAL: &str = "the ideal loop, sqlx";
const BARE: &str = "bare single inserts, sqlx";

pub(crate) fn run(root: &Path) -> Result<String, String> {
    let programs = build(root)?;
    let files = Files::new(&programs.directory)?;
    let mut readings = Readings::default();
    for round in 0..=ROUNDS {
        for row in ROWS {
            let reading = measure(&programs, row, &files)
                .map_err(|error| format!("{} ({} {}): {error}", row.name, row.program, row.mode))?;
            // The first round warms the machine up and does not count.
            if round > 0 {
                readings.add(row, reading);
            }
        }
        eprintln!("round {round} of {ROUNDS} is over");
    }
    Ok(readings.report(ROWS, ROUNDS))
}

struct Programs {
    /// The build directory of this workspace.
    directory: PathBuf,
}

impl Programs {
    fn path(&self, program: &str) -> PathBuf {
        let of = if program == OURS { "release" } else { "peers/release" };
        self.directory.join(of).join(program).with_extension(env::consts::EXE_EXTENSION)
    }
}

/// Builds all as a user's release is built; those beside ours into a directory beside ours.
fn build(root: &Path) -> Result<Programs, String> {
    let this = env::current_exe().map_err(|error| format!("this program's own path is unknown: {error}"))?;
    let directory = this.ancestors().nth(2).ok_or("this program lies in no build directory")?.to_owned();
    let mut ours = cargo();
    ours.args(["build", "--release", "--locked", "--package", "benchmarks", "--bin", OURS]);
    finish(ours.current_dir(root))?;
    for folder in PEERS {
        let mut peer = cargo();
        // What cargo told this program of its own package: some build scripts look at it, and would all be run again
        // for who builds by hand.
        let told = env::vars_os().map(|(name, _)| name);
        told.filter(|name| name.to_string_lossy().starts_with("CARGO_PKG_"))
            .for_each(|name| _ = peer.env_remove(name));
        peer.args(["build", "--release", "--locked", "--target-dir"]).arg(directory.join("peers"));
        finish(peer.current_dir(root.join("benchmarks/peers").join(folder)))?;
    }
    Ok(Programs { directory })
}

fn finish(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|error| format!("{command:?} cannot be started: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} ended with {status}")) }
}

/// One run: the seconds that the program says it took, and the processor's from its start to its end.
fn measure(programs: &Programs, row: &Row, files: &Files) -> Result<Reading, String> {
    files.clear()?;
    let before = processor_seconds();
    let output = Command::new(programs.path(row.program))
        .args([row.mode, &row.jobs.to_string()])
        .arg(files.0.join("jobs.db"))
        .output()
        .map_err(|error| format!("it cannot be started: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return Err(format!("it ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    let seconds: f64 =
        said.trim().parse().map_err(|_| format!("it says {said:?}, and not how long it took"))?;
    if seconds <= 0.0 {
        return Err(format!("it says that it took {seconds} s"));
    }
    Ok(Reading { seconds, processor_seconds: processor_seconds() - before })
}

/// What the programs that this one has waited for have used so far, where the system tells: Linux does, in hundredths.
fn processor_seconds() -> f64 {
    let said = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field, in brackets, may have spaces; the 16th and 17th are of children, in user and system mode.
    let fields = said.rsplit_once(')').map(|(_, fields)| fields).unwrap_or_default();
    let ticks = fields.split_whitespace().skip(13).take(2).filter_map(|ticks| ticks.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}

/// A directory for the files of jobs, on the disk that the build directory is on, gone with this.
struct Files(PathBuf);

impl Files {
    fn new(directory: &Path) -> Result<Self, String> {
        let files = Self(directory.join(format!("peers-files-{}", std::process::id())));
        files.clear()?;
        Ok(files)
    }

    fn clear(&self) -> Result<(), String> {
        // What is not there need not be removed; what cannot be is seen by the program that finds its file there.
        _ = fs::remove_dir_all(&self.0);
        fs::create_dir_all(&self.0).map_err(|error| format!("{} cannot be made: {error}", self.0.display()))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}
