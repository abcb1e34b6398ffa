//! [`Users`]: who was registered. Each registration is noted under its job's id, so a job that runs twice registers once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use backgroundjobs_core::JobId;
use parking_lot::Mutex;

/// Cloning it gives another handle on the same users.
#[derive(Clone)]
pub(crate) enum Users {
    InMemory(Arc<Mutex<BTreeMap<String, BTreeSet<JobId>>>>),
    #[cfg(feature = "sqlite")]
    InSqlite(sqlx::SqlitePool),
}

/// What may go wrong with them.
pub(crate) type Trouble = Box<dyn std::error::Error + Send + Sync>;

impl Users {
    pub(crate) fn in_memory() -> Self {
        Self::InMemory(Arc::default())
    }

    /// In a table of this file, which may be the one that the jobs are in: their tables have names of their own.
    #[cfg(feature = "sqlite")]
    pub(crate) async fn in_sqlite(file: &std::path::Path) -> Result<Self, Trouble> {
        use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
        // Written as the jobs are: it would help little to know of a job's end what became of a user whose row is lost.
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        let pool = sqlx::SqlitePool::connect_with(options).await?;
        let table =
            "CREATE TABLE IF NOT EXISTS users (job TEXT PRIMARY KEY NOT NULL, name TEXT NOT NULL) STRICT";
        sqlx::query(table).execute(&pool).await?;
        Ok(Self::InSqlite(pool))
    }

    /// Registers a user, once for each job.
    pub(crate) async fn add(&self, name: String, job: JobId) -> Result<(), Trouble> {
        match self {
            Self::InMemory(users) => _ = users.lock().entry(name).or_default().insert(job),
            #[cfg(feature = "sqlite")]
            Self::InSqlite(pool) => {
                let add =
                    sqlx::query("INSERT INTO users (job, name) VALUES (?, ?) ON CONFLICT (job) DO NOTHING");
                add.bind(job.to_string()).bind(name).execute(pool).await?;
            }
        }
        Ok(())
    }

    /// Each name, and by how many jobs it was registered.
    pub(crate) async fn counts(&self) -> Result<BTreeMap<String, u64>, Trouble> {
        match self {
            Self::InMemory(users) => {
                let count = |(name, jobs): (&String, &BTreeSet<JobId>)| (name.clone(), jobs.len() as u64);
                Ok(users.lock().iter().map(count).collect())
            }
            #[cfg(feature = "sqlite")]
            Self::InSqlite(pool) => {
                let counts =
                    sqlx::query_as::<_, (String, i64)>("SELECT name, count(*) FROM users GROUP BY name");
                let counts = counts.fetch_all(pool).await?;
                Ok(counts.into_iter().map(|(name, count)| (name, count.unsigned_abs())).collect())
            }
        }
    }
}
