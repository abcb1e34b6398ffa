//! What the seam of the test kit costs a program that runs without one: instructions a job, counted by callgrind.
//! Outside the gate: it needs valgrind, and judges nothing.

use std::env;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use crate::process::cargo;

/// The smaller number of jobs. Twice as many are run as well, and the difference is what jobs cost without the start
/// and the end of the program.
const JOBS: u64 = 10_000;

/// The readings of each mode. They differ a little: hash maps have random seeds, and a clock read in a new
/// millisecond does more.
const ROUNDS: usize = 3;

const NO_VALGRIND: &str = "valgrind is not installed, and only it counts instructions here: install Debian's package \
                           `valgrind`, as in `apt-get install valgrind`";

pub(crate) fn run(root: &Path) -> Result<String, String> {
    find_valgrind()?;
    let program = build(root)?;
    let outputs = Outputs::new()?;
    let (mut with, mut without, mut worker) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        for (mode, readings) in [("with", &mut with), ("without", &mut without), ("worker", &mut worker)] {
            let once = count(&program, mode, JOBS, &outputs)?;
            let twice = count(&program, mode, 2 * JOBS, &outputs)?;
            readings.push(per_job(once, twice, JOBS)?);
        }
        eprintln!("round {round} of {ROUNDS} is over");
    }
    Ok(report(Spread::of(with), Spread::of(without), Spread::of(worker)))
}

fn find_valgrind() -> Result<(), String> {
    let output = Command::new("valgrind").arg("--version").output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("`valgrind --version` ended with {}", output.status)),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(NO_VALGRIND.to_owned()),
        Err(error) => Err(format!("`valgrind` cannot be started: {error}")),
    }
}

/// Builds the program that is counted, as a user's release is built, and answers where it is.
fn build(root: &Path) -> Result<PathBuf, String> {
    let arguments = ["build", "--release", "--package", "benchmarks", "--bin", "seam", "--locked"];
    let status = cargo()
        .args(arguments)
        .current_dir(root)
        .status()
        .map_err(|error| format!("cargo cannot be started: {error}"))?;
    if !status.success() {
        return Err(format!("`cargo {}` ended with {status}", arguments.join(" ")));
    }
    // Beside the directory of this program's own profile, whatever the build directory is.
    let this = env::current_exe().map_err(|error| format!("this program's own path is unknown: {error}"))?;
    let target = this.ancestors().nth(2).ok_or("this program lies in no build directory")?;
    Ok(target.join("release").join("seam").with_extension(env::consts::EXE_EXTENSION))
}

/// A directory for what callgrind writes, gone with this.
struct Outputs(PathBuf);

impl Outputs {
    fn new() -> Result<Self, String> {
        let path = env::temp_dir().join(format!("backgroundjobs-seam-{}", process::id()));
        fs::create_dir_all(&path)
            .map_err(|error| format!("{} cannot be created: {error}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Outputs {
    fn drop(&mut self) {
        // What is left is small, and where the system clears away.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The instructions of one run.
fn count(program: &Path, mode: &str, jobs: u64, outputs: &Outputs) -> Result<u64, String> {
    let file = outputs.0.join(format!("{mode}-{jobs}.out"));
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(program)
        .args([mode, &jobs.to_string()])
        .output()
        .map_err(|error| format!("`valgrind` cannot be started: {error}"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(format!("`seam {mode} {jobs}` under valgrind ended with {}: {text}", output.status));
    }
    let text =
        fs::read_to_string(&file).map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    instructions(&text).map_err(|error| format!("`seam {mode} {jobs}`: {error}"))
}

/// The number in the summary line of a file of callgrind: all instructions of the run.
fn instructions(text: &str) -> Result<u64, String> {
    let events = text.lines().find_map(|line| line.strip_prefix("events:")).unwrap_or_default();
    let place = events.split_whitespace().position(|event| event == "Ir");
    let place = place.ok_or("callgrind counted no instructions (`Ir`)")?;
    let summary = text.lines().find_map(|line| line.strip_prefix("summary:"));
    let summary = summary.ok_or("callgrind wrote no summary line; the run was perhaps cut off")?;
    let number = summary.split_whitespace().nth(place).unwrap_or_default();
    number
        .parse()
        .map_err(|_| format!("callgrind's summary `{}` has no number of instructions", summary.trim()))
}

/// What each of `jobs` cost beyond those that both runs had.
fn per_job(once: u64, twice: u64, jobs: u64) -> Result<f64, String> {
    let more = twice.checked_sub(once).ok_or_else(|| {
        format!("{} jobs took fewer instructions than {jobs}: {twice} and {once}", 2 * jobs)
    })?;
    Ok(more as f64 / jobs as f64)
}

/// The least, the median and the greatest.
#[derive(Clone, Copy)]
struct Spread([f64; 3]);

impl Spread {
    fn of(mut readings: Vec<f64>) -> Self {
        readings.sort_by(f64::total_cmp);
        let at = |index: usize| readings.get(index).copied().unwrap_or_default();
        Self([at(0), at(readings.len() / 2), at(readings.len().saturating_sub(1))])
    }

    fn median(self) -> f64 {
        self.0[1]
    }

    fn shown(self) -> String {
        self.0.map(|reading| format!("{reading:.0}")).join(" / ")
    }
}

fn report(with: Spread, without: Spread, worker: Spread) -> String {
    let cost = with.median() - without.median();
    let share = |of: Spread| 100.0 * cost / of.median();
    format!(
        "min / median / max of {ROUNDS} rounds, each of {JOBS} and {} jobs; the difference is of the medians\n\n\
         | a job on the memory store, alone | instructions |\n|---|---|\n\
         | with the seam | {} |\n| without | {} |\n| the seam | {cost:.0}, {:.1} % more than without |\n\
         | a whole worker's job, {JOBS} enqueued one by one | {} |\n\n\
         the seam is at most {:.1} % of a whole worker's job",
        2 * JOBS,
        with.shown(),
        without.shown(),
        share(without),
        worker.shown(),
        share(worker),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "# callgrind format\nversion: 1\npid: 7\ncmd: seam with 10\n\n";

    #[test]
    fn the_instructions_are_in_the_summary_line() {
        let text =
            format!("{HEAD}events: Ir\nsummary: 1292468129\n\nfn=(1) main\n3 17\ntotals: 1292468129\n");
        assert_eq!(instructions(&text), Ok(1_292_468_129));
        let more_events = format!("{HEAD}events: Dr Ir Dw\nsummary: 5 42 6\n");
        assert_eq!(instructions(&more_events), Ok(42));
    }

    #[test]
    fn a_file_without_the_number_is_refused_and_says_what_is_missing() {
        let cut_off = instructions(&format!("{HEAD}events: Ir\n")).unwrap_err();
        assert!(cut_off.contains("no summary line"), "{cut_off}");
        let other = instructions(&format!("{HEAD}events: Dr\nsummary: 5\n")).unwrap_err();
        assert!(other.contains("`Ir`"), "{other}");
        let no_number = instructions(&format!("{HEAD}events: Ir\nsummary: many\n")).unwrap_err();
        assert!(no_number.contains("`many`"), "{no_number}");
    }

    #[test]
    fn what_both_runs_share_is_no_cost_of_a_job() {
        assert_eq!(per_job(1_500, 2_500, 10), Ok(100.0));
        assert!(per_job(2, 1, 10).is_err());
    }

    #[test]
    fn the_report_states_the_share() {
        let of = |reading| Spread::of(vec![reading; 3]);
        let report = report(of(1_100.0), of(1_000.0), of(2_000.0));
        assert!(report.contains("| the seam | 100, 10.0 % more than without |"), "{report}");
        assert!(report.ends_with("at most 5.0 % of a whole worker's job"), "{report}");
    }
}
