//! What every program here shares: the job, the marks by which it knows that each ran once, and its arguments.
//!
//! Taken in by path: a crate for it would be one more workspace. Not every program needs all of it.
#![allow(dead_code, reason = "each program uses a part")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The same job as in the project's other benchmarks: its JSON has 100 bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Notice {
    number: u64,
    to: String,
    subject: String,
    urgent: bool,
}

/// Gives every number the same count of digits.
const FIRST: u64 = 1_000_000_000;

impl Notice {
    pub(crate) fn new(number: usize) -> Self {
        Self {
            number: FIRST + number as u64,
            to: "someone@example.com".to_owned(),
            subject: "welcome to our new office".to_owned(),
            urgent: true,
        }
    }

    pub(crate) fn json(number: usize) -> String {
        serde_json::to_string(&Self::new(number)).expect("texts and numbers can be written")
    }
}

/// How often each job ran.
#[derive(Debug)]
pub(crate) struct Marks(Vec<AtomicU8>);

impl Marks {
    pub(crate) fn new(jobs: usize) -> Self {
        Self((0..jobs).map(|_| AtomicU8::new(0)).collect())
    }

    /// The whole work of a job.
    pub(crate) fn mark(&self, notice: &Notice) {
        std::hint::black_box(notice);
        self.0[(notice.number - FIRST) as usize].fetch_add(1, Ordering::AcqRel);
    }

    /// The work of a job whose args were not read yet.
    pub(crate) fn mark_json(&self, text: &str) -> Result<(), String> {
        self.mark(&serde_json::from_str(text).map_err(|error| format!("{text:?}: {error}"))?);
        Ok(())
    }

    pub(crate) fn each_once(&self) -> Result<(), String> {
        match self.0.iter().position(|mark| mark.load(Ordering::Acquire) != 1) {
            None => Ok(()),
            Some(job) => Err(format!("job {job} ran {} times", self.0[job].load(Ordering::Acquire))),
        }
    }
}

/// What the program is asked for: `ROW JOBS FILE`.
pub(crate) struct Task {
    pub(crate) row: String,
    pub(crate) jobs: usize,
    /// Is not there.
    pub(crate) file: PathBuf,
}

impl Task {
    pub(crate) fn from_arguments() -> Result<Self, String> {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let [row, jobs, file] = words.as_slice() else { return Err("usage: ROW JOBS FILE".to_owned()) };
        let jobs = jobs.parse().map_err(|_| format!("{jobs:?} is no number of jobs"))?;
        let file = PathBuf::from(file);
        if file.exists() {
            return Err(format!("{} is there already", file.display()));
        }
        Ok(Self { row: row.clone(), jobs, file })
    }

    pub(crate) fn unknown_row(&self) -> String {
        format!("this program has no row {:?}", self.row)
    }
}

/// Prints the seconds alone, or what went wrong.
pub(crate) fn end(took: Result<Duration, String>) -> ExitCode {
    match took {
        Ok(took) => {
            println!("{}", took.as_secs_f64());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// An error with what caused it.
pub(crate) fn text(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}

/// Jobs of one insert, one claim and one finish of the ideal loops.
pub(crate) const BATCH: usize = 1_000;
/// The time of everything that happens in an ideal loop, in microseconds.
pub(crate) const NOW: i64 = 1_800_000_000_000_000;
/// Who claims, and in which claim.
pub(crate) const SELF: &[u8] = b"0123456789abcdef";

/// As large as a UUID, and growing as those of version 7 do.
pub(crate) fn id(number: usize) -> [u8; 16] {
    ((NOW as u128) << 64 | number as u128).to_be_bytes()
}

/// The numbers below `jobs`, shared out among so many tasks.
pub(crate) fn shares(jobs: usize, tasks: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    (0..tasks).map(move |task| jobs * task / tasks..jobs * (task + 1) / tasks)
}
