//! A process that is killed in the middle of its inserts: every job whose insert was answered is in its log.
//!
//! This program is both processes: with a path it is the one that is killed.

#[expect(dead_code, unused_imports, reason = "its own tests are run elsewhere")]
#[path = "../src/bin/log_store/store/mod.rs"]
mod store;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::{env, fs};

use backgroundjobs_core::*;
use store::LogStore;
use uuid::Uuid;

const INSERTS: &str = "insert-into";
/// Tasks that insert at the same time, so that calls are written together.
const TASKS: u128 = 8;
const JOBS_OF_AN_INSERT: u128 = 3;

#[tokio::main]
async fn main() {
    let mut args = env::args_os().skip(1);
    if args.next().is_some_and(|first| first == INSERTS) {
        let log = args.next().expect("the path of a log");
        return insert_until_killed(Path::new(&log)).await;
    }
    for after in [1, 100, 1_000] {
        what_was_answered_is_there(after).await;
    }
}

fn id(number: u128) -> JobId {
    JobId::from_uuid(Uuid::from_u128(number))
}

/// Prints the number of each job whose insert was answered.
async fn insert_until_killed(log: &Path) {
    let store = Arc::new(LogStore::open(log));
    let insert = |task: u128| {
        let store = store.clone();
        async move {
            for call in 0.. {
                let first = (task << 64) + call * JOBS_OF_AN_INSERT;
                let new = |number| {
                    let (kind, queue) = (Kind::new("mail").expect("a name"), QueueName::default_queue());
                    NewJob::new(id(number), kind, queue, Payload::from_store("{}"))
                };
                let jobs = (first..first + JOBS_OF_AN_INSERT).map(new).collect();
                store.insert(&InsertJobs::new(Timestamp::UNIX_EPOCH, jobs)).await.expect("it is stored");
                println!("{first}");
            }
        }
    };
    let tasks: Vec<_> = (0..TASKS).map(|task| tokio::spawn(insert(task))).collect();
    for task in tasks {
        task.await.expect("it goes on until the process is killed");
    }
}

async fn what_was_answered_is_there(after: usize) {
    let folder = Folder(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("killed-after-{after}")));
    _ = fs::remove_dir_all(&folder.0);
    fs::create_dir_all(&folder.0).expect("a folder for tests");
    let log = folder.0.join("jobs.log");
    let this = env::current_exe().expect("this program");
    let started = Command::new(this).arg(INSERTS).arg(&log).stdout(Stdio::piped()).spawn();
    let mut process = Killed(started.expect("it starts"));
    let mut printed = BufReader::new(process.0.stdout.take().expect("a pipe"));
    let mut answered = Vec::new();
    while answered.len() < after {
        answered.push(next_number(&mut printed).expect("it goes on"));
    }

    let error = LogStore::open(&log).prepare().await.expect_err("the other process has it");
    assert!(error.to_string().contains(&format!("it is in use by process {}", process.0.id())), "{error}");
    process.0.kill().expect("it is killed");
    process.0.wait().expect("it is dead");
    while let Some(number) = next_number(&mut printed) {
        answered.push(number);
    }

    let store = LogStore::open(&log);
    for first in &answered {
        let ids: Vec<_> = (*first..first + JOBS_OF_AN_INSERT).map(id).collect();
        let found = store.get(&ids).await.expect("the store answers");
        assert!(found.iter().all(Option::is_some), "insert {first} was answered and is not there");
    }
    let (inspect, all) = (store.inspect().expect("it has inspect"), JobFilter::all());
    let counts = inspect.count(&CountJobs::new(Timestamp::UNIX_EPOCH, all)).await.expect("the store answers");
    let stored = u128::from(counts.total(&[JobState::Waiting]));
    assert_eq!(stored % JOBS_OF_AN_INSERT, 0, "part of an insert is there");
    let (inserts, answered) = (stored / JOBS_OF_AN_INSERT, answered.len() as u128);
    assert!((answered..=answered + TASKS).contains(&inserts), "{inserts} inserts, {answered} answered");
    println!("killed after {answered} inserts: they are there, and {} more", inserts - answered);
}

/// `None` at the end, also after half a line.
fn next_number(printed: &mut impl BufRead) -> Option<u128> {
    let mut line = String::new();
    printed.read_line(&mut line).expect("text");
    line.strip_suffix('\n')?.parse().ok()
}

/// Removed at the end.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

/// Killed at the end, also of a test that fails.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}
