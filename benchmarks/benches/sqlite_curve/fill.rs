//! Files full of jobs of one sort. They are written in SQL: through the store ten million would take a quarter of an hour,
//! and look the same.

use std::path::Path;

use backgroundjobs_core::{Env, JobArgs, JobStore};
use backgroundjobs_sqlite::SqliteStore;
use benchmarks::{Notice, text};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};

/// Rows of one transaction.
const BATCH: usize = 500_000;

/// What the jobs are that the calls are made beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Beside {
    /// Succeeded, failed and cancelled.
    Over,
    /// Of the same lane as the job that is claimed, and scheduled for next year.
    Scheduled,
    /// Due, and of a kind or a queue that is not claimed.
    Foreign,
    /// Running elsewhere.
    Running,
    /// Due, and claimed first: a backlog.
    Due,
    /// A fifth of each.
    Mixed,
}

impl Beside {
    pub(crate) const ALL: [Self; 6] =
        [Self::Over, Self::Scheduled, Self::Foreign, Self::Running, Self::Due, Self::Mixed];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Over => "over",
            Self::Scheduled => "scheduled",
            Self::Foreign => "of other kinds and queues",
            Self::Running => "running elsewhere",
            Self::Due => "a backlog of the same",
            Self::Mixed => "a fifth of each",
        }
    }

    /// How many of so many jobs a claim gets before what was just enqueued.
    pub(crate) const fn backlog(self, rows: usize) -> usize {
        match self {
            Self::Over | Self::Scheduled | Self::Foreign | Self::Running => 0,
            Self::Due => rows,
            Self::Mixed => rows / 5,
        }
    }

    /// The sort of the row `i`, as SQL: the number of one of the first five.
    const fn sort(self) -> &'static str {
        match self {
            Self::Over => "0",
            Self::Scheduled => "1",
            Self::Foreign => "2",
            Self::Running => "3",
            Self::Due => "4",
            Self::Mixed => "i % 5",
        }
    }
}

/// Makes the file and puts so many jobs in.
pub(crate) async fn fill(path: &Path, beside: Beside, rows: usize) -> Result<(), String> {
    let store = SqliteStore::new(path);
    store.prepare().await.map_err(text)?;
    store.close().await.map_err(text)?;
    write(path, beside, rows).await.map_err(text)
}

async fn write(path: &Path, beside: Beside, rows: usize) -> sqlx::Result<()> {
    // With the default for SQLite: what is written here is on the disk before the calls begin.
    let options = SqliteConnectOptions::new().filename(path);
    let mut connection = options.disable_statement_logging().connect().await?;
    sqlx::query(LANES).bind(Notice::KIND).execute(&mut connection).await?;
    for first in (0..rows).step_by(BATCH) {
        write_batch(&mut connection, beside, first, rows.min(first + BATCH)).await?;
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await?;
    }
    connection.close().await
}

async fn write_batch(
    connection: &mut SqliteConnection,
    beside: Beside,
    first: usize,
    end: usize,
) -> sqlx::Result<()> {
    let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let text = JOBS.replace("{sort}", beside.sort());
    let args = serde_json::to_string(&Notice::new(0)).map_err(sqlx::Error::decode)?;
    let now = Env::system().now().as_micros();
    let fill = sqlx::query(sqlx::AssertSqlSafe(text));
    let fill = fill.bind(number(first)).bind(number(end)).bind(now).bind(args);
    fill.execute(connection).await?;
    Ok(())
}

/// Lane 1 is the one that is claimed.
const LANES: &str = "\
INSERT INTO backgroundjobs_lanes (lane, queue, kind, priority)
    VALUES (1, 'default', $1, 5), (2, 'default', 'other', 5), (3, 'elsewhere', $1, 5)";

/// `$1` to `$2`, at the time `$3`, with the args `$4`. What is due, or over, has been for the longer the smaller its number.
const JOBS: &str = "\
INSERT INTO backgroundjobs_jobs (
    id, lane, state, run_at, generation, settled, max_attempts, max_crashes, created_at, lease_until, worker, claim,
    claimed_at, finished_at, args
)
WITH RECURSIVE
    numbers (i) AS (SELECT $1 UNION ALL SELECT i + 1 FROM numbers WHERE i + 1 < $2),
    sorts (i, sort, ago) AS (SELECT i, {sort}, $3 - 86400000000 + i FROM numbers)
SELECT
    unhex(printf('018b000000007000800000%010x', i)),
    CASE sort WHEN 2 THEN 2 + i / 5 % 2 ELSE 1 END,
    CASE sort WHEN 0 THEN 2 + i / 5 % 3 WHEN 3 THEN 1 ELSE 0 END,
    CASE sort WHEN 1 THEN $3 + 31536000000000 + i ELSE ago END,
    sort IN (0, 3),
    sort = 0,
    11, 3, ago,
    CASE sort WHEN 3 THEN $3 + 86400000000 + i END,
    CASE sort WHEN 3 THEN x'00112233445566778899aabbccddeeff' END,
    CASE sort WHEN 3 THEN x'00112233445566778899aabbccddeeff' END,
    CASE WHEN sort IN (0, 3) THEN ago END,
    CASE sort WHEN 0 THEN ago END,
    $4
FROM sorts";
