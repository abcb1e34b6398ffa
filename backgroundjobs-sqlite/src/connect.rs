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
