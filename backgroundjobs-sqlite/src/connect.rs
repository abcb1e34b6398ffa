//! How connections to the file are opened.

use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};

use crate::options::{Durability, SqliteOptions};

/// Texts kept prepared by each connection; a store has about 50, and some dozens more for inserts, claims and ends of
/// different sizes.
const PREPARED: usize = 200;
/// What a connection is opened with.
pub(crate) struct ConnectTo {
    options: SqliteConnectOptions,
}

impl ConnectTo {
    pub(crate) fn writer(options: &SqliteOptions) -> Self {
        let connect = base(options).synchronous(match options.durability {
            Durability::PowerLoss => SqliteSynchronous::Full,
            Durability::ProcessCrash => SqliteSynchronous::Normal,
            Durability::Test => SqliteSynchronous::Off,
        });
        Self { options: connect }
    }

    pub(crate) fn reader(options: &SqliteOptions) -> Self {
        // Not opened read-only: a file in WAL mode that nobody has open could then not be read.
        Self { options: base(options).create_if_missing(false).pragma("query_only", "ON") }
    }

    pub(crate) const fn options(&self) -> &SqliteConnectOptions {
        &self.options
    }
}

fn base(options: &SqliteOptions) -> SqliteConnectOptions {
    let connect = options.connect.clone();
    connect
        .statement_cache_capacity(PREPARED)
        .thread_name(|number| format!("backgroundjobs-sqlite-{number}"))
        .disable_statement_logging()
}

#[cfg(test)]
mod tests {
    use sqlx::{AssertSqlSafe, Row};

    use super::*;
    use crate::engine::Engine;
    use crate::test_file::TestFile;

    /// What the connection that writes answers to `PRAGMA name`.
    async fn pragma(engine: &Engine, name: &str) -> String {
        let mut db = engine.writer().await.expect("a connection");
        let text = format!("SELECT CAST({name} AS TEXT) FROM pragma_{name}");
        let row = sqlx::query(AssertSqlSafe(text)).fetch_one(db.connection()).await;
        row.expect("an answer").get(0)
    }

    #[tokio::test]
    async fn commits_wait_for_the_disk_unless_another_durability_is_named() {
        let file = TestFile::new();
        let path = file.engine.path().to_owned();
        let options = |durability| SqliteOptions::new(&path).durability(durability);
        for (options, synchronous) in [
            (SqliteOptions::new(&path), "2"),
            (options(Durability::PowerLoss), "2"),
            (options(Durability::ProcessCrash), "1"),
            (options(Durability::Test), "0"),
        ] {
            let engine = Engine::new(options);
            engine.handle_opened();
            assert_eq!(pragma(&engine, "synchronous").await, synchronous);
            assert_eq!(pragma(&engine, "journal_mode").await, "wal");
            engine.close().await.expect("closed");
        }
    }
}
