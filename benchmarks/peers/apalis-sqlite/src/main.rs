//! The same jobs on apalis with its SQLite storage: `peer-apalis-sqlite ROW JOBS FILE` prints the seconds.
//!
//! With its update hook, which wakes a worker sooner than its polling does. `SqliteStorage::setup` sets
//! `synchronous = OFF` on one of the pool's connections; that is left as it is, so some of its commits wait for no disk.

#[path = "../../common.rs"]
mod common;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use apalis::prelude::*;
use apalis_sqlite::{Config, SqliteStorage};
use common::{BATCH, Marks, Notice, text};
use sqlx::SqlitePool;

const SLOTS: usize = 1_000;
const LIMIT: Duration = Duration::from_secs(600);
const QUEUE: &str = "bench";

#[tokio::main]
async fn main() -> ExitCode {
    common::end(took().await)
}

async fn took() -> Result<Duration, String> {
    let task = common::Task::from_arguments()?;
    match task.row.as_str() {
        "end-to-end" => end_to_end(&task).await,
        "one-task" => one_by_one(&task, 1).await,
        "singles" => one_by_one(&task, 32).await,
        _ => Err(task.unknown_row()),
    }
}

async fn run(notice: Notice, marks: Data<Arc<Marks>>) -> Result<(), BoxDynError> {
    marks.mark(&notice);
    Ok(())
}

fn url(task: &common::Task) -> String {
    format!("sqlite://{}?mode=rwc", task.file.display())
}

async fn end_to_end(task: &common::Task) -> Result<Duration, String> {
    let (pool, callback) = SqliteStorage::connect_with_callback(&url(task)).map_err(text)?;
    SqliteStorage::setup(&pool).await.map_err(text)?;
    let config = Config::default().queue(QUEUE).batch_size(BATCH);
    let storage = || SqliteStorage::<Notice>::new(&pool).with_config(config.clone());
    let marks = Arc::new(Marks::new(task.jobs));
    let begun = Instant::now();
    let mut sender = storage();
    for first in (0..task.jobs).step_by(BATCH) {
        let notices = (first..(first + BATCH).min(task.jobs)).map(Notice::new).collect();
        sender.push_bulk(notices).await.map_err(text)?;
    }
    let worker = WorkerBuilder::new("bench").backend(storage().with_callback(callback)).data(marks.clone());
    let worker = worker.concurrency(SLOTS).parallelize(tokio::spawn).build(run);
    tokio::select! {
        ended = all_done(&pool, task.jobs) => ended?,
        ended = worker.run() => return Err(format!("the worker ended: {:?}", ended.map_err(|error| error.to_string()))),
    }
    let took = begun.elapsed();
    marks.each_once()?;
    Ok(took)
}

/// Until every job is noted as done.
async fn all_done(pool: &SqlitePool, jobs: usize) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        let done: i64 = sqlx::query_scalar("SELECT count(*) FROM Jobs WHERE status = 'Done'")
            .fetch_one(pool)
            .await
            .map_err(text)?;
        if done as usize == jobs {
            return Ok(());
        }
        if begun.elapsed() > LIMIT {
            return Err(format!("{done} of {jobs} jobs were done after {LIMIT:?}"));
        }
        // Counting is work for the file, too.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn one_by_one(task: &common::Task, tasks: usize) -> Result<Duration, String> {
    let pool = SqlitePool::connect(&url(task)).await.map_err(text)?;
    SqliteStorage::setup(&pool).await.map_err(text)?;
    let begun = Instant::now();
    let mut running = Vec::new();
    for numbers in common::shares(task.jobs, tasks) {
        let mut sender = SqliteStorage::<Notice>::new(&pool).with_config(Config::default().queue(QUEUE));
        running.push(tokio::spawn(async move {
            for number in numbers {
                sender.push(Notice::new(number)).await.map_err(text)?;
            }
            Ok::<(), String>(())
        }));
    }
    for task in running {
        task.await.map_err(text)??;
    }
    Ok(begun.elapsed())
}
