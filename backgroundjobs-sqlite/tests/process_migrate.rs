//! Ten processes that make the tables of one file at once.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};

use backgroundjobs_core::{InsertJobs, JobId, JobStore, Kind, NewJob, Payload, QueueName};
use backgroundjobs_sqlite::SqliteStore;
use support::folder::Folder;
use support::jobs::at;

const FILE: &str = "BACKGROUNDJOBS_TEST_FILE";
const NUMBER: &str = "BACKGROUNDJOBS_TEST_NUMBER";
const PROCESSES: u128 = 10;

fn id(number: u128) -> JobId {
    JobId::from_uuid(uuid::Uuid::from_u128(number))
}

/// Run by the other test, in a process of its own; by itself it does nothing.
#[tokio::test]
async fn child() {
    let (Ok(file), Ok(number)) = (std::env::var(FILE), std::env::var(NUMBER)) else { return };
    let number: u128 = number.parse().expect("a number");
    println!("ready");
    // The parent lets all begin together.
    std::io::stdin().read_exact(&mut [0]).expect("told to begin");
    let store = SqliteStore::new(file);
    store.prepare().await.expect("prepared");
    let kind = Kind::new(format!("kind {number}")).expect("a kind");
    let job = NewJob::new(id(number), kind, QueueName::default_queue(), Payload::from_store("{}"));
    store.insert(&InsertJobs::new(at(0), vec![job])).await.expect("stored");
    store.close().await.expect("closed");
    println!("stored");
}

fn start(folder: &Folder, number: u128) -> Child {
    let mut child = Command::new(std::env::current_exe().expect("a path"));
    child.args(["--exact", "child", "--nocapture"]);
    child.env(FILE, folder.file("jobs.db")).env(NUMBER, number.to_string());
    child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    child.spawn().expect("it starts")
}

#[tokio::test]
async fn ten_processes_at_once_make_one_schema_and_each_stores_its_job() {
    let folder = Folder::new();
    let mut children: Vec<_> = (1..=PROCESSES).map(|number| start(&folder, number)).collect();
    let mut outputs = Vec::new();
    for child in &mut children {
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        assert!(lines.any(|line| line.expect("text").ends_with("ready")), "a child did not come up");
        outputs.push(lines);
    }
    for child in &mut children {
        child.stdin.take().expect("piped").write_all(b".").expect("it listens");
    }
    for (child, mut lines) in children.into_iter().zip(outputs) {
        let stored = lines.any(|line| line.expect("text").ends_with("stored"));
        let output = child.wait_with_output().expect("it ends");
        assert!(stored && output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let store = SqliteStore::new(folder.file("jobs.db"));
    let ids: Vec<_> = (1..=PROCESSES).map(id).collect();
    let records = store.get(&ids).await.expect("read");
    for (record, number) in records.into_iter().zip(1..=PROCESSES) {
        assert_eq!(record.expect("stored").kind, *format!("kind {number}"));
    }
}
