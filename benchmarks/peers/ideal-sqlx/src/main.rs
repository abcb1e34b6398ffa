//! The least that jobs in a SQLite file cost through sqlx: `ideal-sqlx ROW JOBS FILE` prints the seconds.
//!
//! A loop and nothing else: no lease is watched, nothing is retried, nobody waits for anything, and one connection does
//! one thing after the other. The file is written as backgroundjobs-sqlite writes it: WAL, `synchronous = FULL`, the same
//! columns, and a record that stays. Each batch of 1,000 is three commits: insert, claim, finish.
//!
//! sqlx works the connection on a thread of its own, to which each command goes and from which each row comes back. So
//! commands are few and rows are packed. Of the shapes that were tried for each of the three, this has the fastest.

#[path = "../../common.rs"]
mod common;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use common::{BATCH, Marks, NOW, Notice, SELF, Task, id, text};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, Row};

/// Rows of one insert: a longer statement is not faster.
const ROWS: usize = 250;

#[tokio::main]
async fn main() -> ExitCode {
    // As a task: the thread that waits is none of the runtime's workers.
    let run = tokio::spawn(async {
        let task = Task::from_arguments()?;
        match task.row.as_str() {
            "end-to-end" => end_to_end(&task, false).await,
            "end-to-end-indexed" => end_to_end(&task, true).await,
            "one-task" => one_task(&task).await,
            _ => Err(task.unknown_row()),
        }
    });
    common::end(run.await.map_err(text).and_then(|took| took))
}

async fn open(task: &Task, indexed: bool) -> Result<SqliteConnection, String> {
    let options = SqliteConnectOptions::new()
        .filename(&task.file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("cache_size", "-64000")
        .pragma("wal_autocheckpoint", "8000")
        .disable_statement_logging();
    let mut db = options.connect().await.map_err(text)?;
    db.execute(sqlx::raw_sql(include_str!("../../schema.sql"))).await.map_err(text)?;
    if indexed {
        db.execute(sqlx::raw_sql(include_str!("../../indexes.sql"))).await.map_err(text)?;
    }
    Ok(db)
}

async fn end_to_end(task: &Task, indexed: bool) -> Result<Duration, String> {
    let mut db = open(task, indexed).await?;
    let marks = Marks::new(task.jobs);
    let begun = Instant::now();
    for first in (0..task.jobs).step_by(BATCH) {
        insert(&mut db, first, (first + BATCH).min(task.jobs)).await.map_err(text)?;
    }
    let mut finished = 0;
    while finished < task.jobs {
        let ids = claim(&mut db, &marks).await?;
        if ids.is_empty() {
            return Err(format!("{finished} of {} jobs were claimed", task.jobs));
        }
        finished += finish(&mut db, &ids).await.map_err(text)?;
    }
    let took = begun.elapsed();
    marks.each_once()?;
    db.close().await.map_err(text)?;
    Ok(took)
}

async fn one_task(task: &Task) -> Result<Duration, String> {
    let mut db = open(task, true).await?;
    let begun = Instant::now();
    for number in 0..task.jobs {
        insert(&mut db, number, number + 1).await.map_err(text)?;
    }
    Ok(begun.elapsed())
}

/// Inserts the jobs of these numbers in one transaction.
async fn insert(db: &mut SqliteConnection, first: usize, end: usize) -> sqlx::Result<()> {
    let mut begin = "BEGIN IMMEDIATE; ";
    for start in (first..end).step_by(ROWS) {
        let stop = (start + ROWS).min(end);
        let rows = vec!["(?, 1, ?, ?, 11, 3, ?)"; stop - start].join(", ");
        let commit = if stop == end { "; COMMIT" } else { "" };
        let sql = format!(
            "{begin}INSERT INTO jobs (id, lane, run_at, created_at, max_attempts, max_crashes, args) \
             VALUES {rows}{commit}"
        );
        let mut insert = sqlx::query(AssertSqlSafe(sql));
        for number in start..stop {
            insert = insert.bind(id(number).to_vec()).bind(NOW).bind(NOW).bind(Notice::json(number));
        }
        db.execute(insert).await?;
        begin = "";
    }
    Ok(())
}

/// Claims up to a batch, and runs it.
async fn claim(db: &mut SqliteConnection, marks: &Marks) -> Result<Vec<[u8; 16]>, String> {
    let claim = sqlx::query(CLAIM).bind(NOW).bind(SELF).bind(NOW + 30_000_000).bind(BATCH as i64);
    // All, though there is one row: what comes after it would not be run.
    let rows = db.fetch_all(claim).await.map_err(text)?;
    let packed: Option<&str> = rows[0].try_get(0).map_err(text)?;
    let mut ids = Vec::with_capacity(BATCH);
    for job in packed.unwrap_or_default().lines() {
        let (id, args) = job.split_at(32);
        ids.push(u128::from_str_radix(id, 16).map_err(text)?.to_be_bytes());
        marks.mark_json(args)?;
    }
    Ok(ids)
}

async fn finish(db: &mut SqliteConnection, ids: &[[u8; 16]]) -> sqlx::Result<usize> {
    let places = vec!["?"; ids.len()].join(", ");
    let sql = format!(
        "UPDATE jobs SET state = 2, settled = generation, crashes = 0, lease_until = NULL, worker = NULL, \
         claim = NULL, finished_at = ? WHERE id IN ({places}) AND generation = 1 AND state = 1"
    );
    let mut finish = sqlx::query(AssertSqlSafe(sql)).bind(NOW);
    for id in ids {
        finish = finish.bind(&id[..]);
    }
    Ok(db.execute(finish).await?.rows_affected() as usize)
}

const CLAIM: &str = "\
BEGIN IMMEDIATE;
SELECT group_concat(hex(id) || args, char(10)) FROM (
    SELECT id, args FROM jobs WHERE state = 0 AND lane = 1 AND run_at <= $1 ORDER BY run_at, id LIMIT $4
);
UPDATE jobs SET state = 1, generation = generation + 1, worker = $2, claim = $2, lease_until = $3, claimed_at = $1
    WHERE id IN (SELECT id FROM jobs WHERE state = 0 AND lane = 1 AND run_at <= $1 ORDER BY run_at, id LIMIT $4);
COMMIT";
