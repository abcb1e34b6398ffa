//! A worker that would ask in an hour hears soon of what another process enqueues, and of a transaction of the user's own.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use backgroundjobs_core::prelude::*;
use backgroundjobs_sqlite::prelude::*;
use serde::{Deserialize, Serialize};
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteConnectOptions;
use support::folder::Folder;
use tokio::sync::Notify;

const FILE: &str = "BACKGROUNDJOBS_TEST_FILE";
const ROUNDS: u32 = 6;
/// Longer than anybody waits for this test.
const LIMIT: Duration = Duration::from_secs(3_600);

#[derive(Serialize, Deserialize)]
struct Ring;

impl JobArgs for Ring {
    const KIND: &'static str = "ring";
}

/// Run by the other test, in a process of its own; by itself it does nothing. Enqueues a job for each line it is told.
#[tokio::test]
async fn child() {
    let Ok(file) = std::env::var(FILE) else { return };
    let builder = BackgroundJobs::builder(|options| options.use_sqlite(file).producer_only());
    let jobs = builder.build().expect("built");
    println!("\nready");
    for line in std::io::stdin().lines() {
        line.expect("told");
        jobs.manager().enqueue(Ring).await.expect("enqueued");
        println!("\nenqueued");
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "two processes, and a wake that never came is to fail, not to hang"
)]
async fn heard_in_time(heard: impl Future<Output = ()>) {
    let in_time = tokio::time::timeout(Duration::from_secs(60), heard).await;
    in_time.expect("the worker hears of a job long before its poll in an hour");
}

/// A worker that was started, and what tells that a job has ended.
async fn worker(store: SqliteStore) -> (BackgroundJobs, Arc<Notify>) {
    let ended = Arc::new(Notify::new());
    let heard = ended.clone();
    let jobs = BackgroundJobs::builder(|options| {
        options.use_store(store).poll_interval(LIMIT).on_finished(move |_| heard.notify_one())
    });
    let jobs = jobs.register_fn(|_: Ring, _: JobContext| std::future::ready(Ok(()))).build().expect("built");
    jobs.start().await.expect("started");
    (jobs, ended)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_of_a_transaction_starts_after_its_commit_and_long_before_the_next_poll() {
    let folder = Folder::new();
    let pool = SqlitePool::connect_with(SqliteConnectOptions::new().filename(folder.file("jobs.db")));
    let store = SqliteStore::new(folder.file("jobs.db"));
    let (worker, ended) = worker(store.clone()).await;
    let pool = pool.await.expect("a pool");
    for round in 0..u64::from(ROUNDS) {
        let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.expect("begun");
        store.enqueue_in_tx(&mut tx, &worker.manager(), Ring).await.expect("enqueued");
        assert!(worker.stats().claimed <= round, "nothing is claimed before the commit");
        tx.commit().await.expect("committed");
        heard_in_time(ended.notified()).await;
    }
    worker.stop(LIMIT).await.expect("stopped");
    assert_eq!(worker.stats().succeeded, u64::from(ROUNDS));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_of_another_process_starts_long_before_the_next_poll() {
    let folder = Folder::new();
    let (worker, ended) = worker(SqliteStore::new(folder.file("jobs.db"))).await;

    let mut command = Command::new(std::env::current_exe().expect("a path"));
    command.args(["--exact", "child", "--nocapture"]).env(FILE, folder.file("jobs.db"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut tells = child.stdin.take().expect("piped");
    let mut lines =
        BufReader::new(child.stdout.take().expect("piped")).lines().map(|line| line.expect("text"));
    assert!(lines.any(|line| line == "ready"), "a child did not come up");
    for _ in 0..ROUNDS {
        writeln!(tells, "ring").expect("it listens");
        assert!(lines.any(|line| line == "enqueued"), "a child did not enqueue");
        heard_in_time(ended.notified()).await;
    }
    drop(tells);
    assert!(child.wait().expect("it ends").success());
    worker.stop(LIMIT).await.expect("stopped");
    assert_eq!(worker.stats().succeeded, u64::from(ROUNDS));
}
