//! The same work as a bare loop: sqlx on one connection with the settings and the tables of the store, without retries,
//! leases that are looked after, or anybody to wake. It is written as one would write it, a command for each statement and
//! a row for each job; the loop in `peers/ideal-sqlx` has the shapes that are fastest.

use std::time::{Duration, Instant};

use backgroundjobs_sqlite::SqliteStore;
use benchmarks::{Marks, NewFile, Notice};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row};

use crate::file;

/// Jobs of one transaction, and rows of one statement.
const BATCH: usize = 1_000;
const ROWS: usize = 250;
/// Single inserts are slow, and fewer tell as much.
const MOST_SINGLE: usize = 2_000;

async fn connect(file: &NewFile) -> sqlx::Result<SqliteConnection> {
    let options = SqliteConnectOptions::new().filename(file.path()).create_if_missing(true);
    let options = options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
    let options = options.pragma("cache_size", "-64000").pragma("wal_autocheckpoint", "8000");
    let mut connection = options.disable_statement_logging().connect().await?;
    let schema = SqliteStore::schema_sql("ideal_").map_err(sqlx::Error::decode)?;
    sqlx::raw_sql(AssertSqlSafe(schema)).execute(&mut connection).await?;
    Ok(connection)
}

/// Inserts, claims and finishes all jobs, a thousand at a time.
pub(crate) async fn end_to_end(jobs: usize) -> Result<Duration, String> {
    run(jobs).await.map_err(|error| error.to_string())
}

async fn run(jobs: usize) -> sqlx::Result<Duration> {
    let file = NewFile::at(&file()).map_err(sqlx::Error::Protocol)?;
    let mut connection = connect(&file).await?;
    let marks = Marks::new(jobs);
    let begun = Instant::now();
    for first in (0..jobs).step_by(BATCH) {
        insert(&mut connection, first..jobs.min(first + BATCH)).await?;
    }
    loop {
        let ids = claim(&mut connection, &marks).await?;
        if ids.is_empty() {
            break;
        }
        finish(&mut connection, &ids).await?;
    }
    let took = begun.elapsed();
    marks.each_once().map_err(sqlx::Error::Protocol)?;
    connection.close().await?;
    Ok(took)
}

fn insert_of(rows: usize) -> String {
    let values = vec!["(?, 1, 1, 1, 11, 3, ?)"; rows].join(", ");
    format!(
        "INSERT INTO ideal_jobs (id, lane, run_at, created_at, max_attempts, max_crashes, args) VALUES {values}"
    )
}

/// As ids of version 7 are: they only grow.
fn id(number: usize) -> Vec<u8> {
    (0x01b8_7a33_7c00_7000_8000_0000_0000_0000_u128 + number as u128).to_be_bytes().to_vec()
}

fn text(number: usize) -> sqlx::Result<String> {
    serde_json::to_string(&Notice::new(number)).map_err(sqlx::Error::decode)
}

async fn insert(connection: &mut SqliteConnection, numbers: std::ops::Range<usize>) -> sqlx::Result<()> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    for first in numbers.clone().step_by(ROWS) {
        let part = first..numbers.end.min(first + ROWS);
        let text_of_insert = insert_of(part.len());
        let mut insert = sqlx::query(AssertSqlSafe(text_of_insert));
        for number in part {
            insert = insert.bind(id(number)).bind(text(number)?);
        }
        insert.execute(&mut *transaction).await?;
    }
    transaction.commit().await
}

async fn claim(connection: &mut SqliteConnection, marks: &Marks) -> sqlx::Result<Vec<String>> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let claim = sqlx::query(
        "UPDATE ideal_jobs SET state = 1, generation = generation + 1, worker = x'01', claim = x'02', lease_until = 9, \
         claimed_at = 2 WHERE id IN (SELECT id FROM ideal_jobs WHERE state = 0 AND lane = 1 AND run_at <= 2 \
         ORDER BY run_at, id LIMIT 1000) RETURNING hex(id), args",
    );
    let rows = claim.fetch_all(&mut *transaction).await?;
    transaction.commit().await?;
    rows.iter()
        .map(|row| {
            let notice: Notice = serde_json::from_str(row.try_get(1)?).map_err(sqlx::Error::decode)?;
            marks.mark(&notice);
            row.try_get(0)
        })
        .collect()
}

async fn finish(connection: &mut SqliteConnection, ids: &[String]) -> sqlx::Result<()> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let finish = sqlx::query(
        "UPDATE ideal_jobs SET state = 2, settled = generation, lease_until = NULL, worker = NULL, claim = NULL, \
         finished_at = 3 FROM json_each($1) e WHERE ideal_jobs.id = unhex(e.value) AND ideal_jobs.state = 1",
    );
    let ids = serde_json::to_string(ids).map_err(sqlx::Error::decode)?;
    finish.bind(ids).execute(&mut *transaction).await?;
    transaction.commit().await
}

/// Inserts jobs from one task, each in a transaction of its own, for as many as are asked for or a few thousand.
pub(crate) async fn single(jobs: usize) -> Result<Duration, String> {
    run_single(jobs).await.map_err(|error| error.to_string())
}

async fn run_single(jobs: usize) -> sqlx::Result<Duration> {
    let file = NewFile::at(&file()).map_err(sqlx::Error::Protocol)?;
    let mut connection = connect(&file).await?;
    let single = jobs.min(MOST_SINGLE);
    let insert = insert_of(1);
    let begun = Instant::now();
    for number in 0..single {
        let insert = sqlx::query(AssertSqlSafe(insert.as_str())).bind(id(number)).bind(text(number)?);
        insert.execute(&mut connection).await?;
    }
    let took = begun.elapsed();
    connection.close().await?;
    // As if they had been all of them.
    Ok(took.mul_f64(jobs as f64 / single as f64))
}
