//! [`SqliteOptions`]: which file, and how it is written; `options.use_sqlite(path)`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use backgroundjobs_core::Options;
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteConnectOptions;

use crate::SqliteStore;

/// What table names start with unless told otherwise.
pub const DEFAULT_TABLE_PREFIX: &str = "backgroundjobs_";
/// How long a call waits for another connection that is writing, unless told otherwise.
pub const DEFAULT_BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The most that each connection keeps in memory of the file, in KiB (negative: SQLite's way to say KiB and not pages).
const CACHE: &str = "-64000";
/// Pages of log after which they are brought into the file: 32 MB. A job's page is written at each of its steps, and
/// brought over once for all that came between.
const CHECKPOINT_PAGES: &str = "8000";

/// Which file a store keeps its jobs in, and how.
///
/// ```
/// use backgroundjobs_core::prelude::*;
/// use backgroundjobs_sqlite::prelude::*;
///
/// # let folder = std::env::temp_dir();
/// let file = SqliteOptions::new(folder.join("jobs.db")).table_prefix("mail_jobs_");
/// let builder = BackgroundJobs::builder(|options| options.use_sqlite(file).producer_only());
/// # let _ = builder.build();
/// ```
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    pub(crate) connect: SqliteConnectOptions,
    pub(crate) prefix: String,
    pub(crate) durability: Durability,
}

/// What an acknowledged call survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Durability {
    /// A power failure: each commit waits until the disk has it (`synchronous = FULL`).
    #[default]
    PowerLoss,
    /// The end of the process, however it ends, but not a power failure or a crash of the operating system, which may
    /// take back the last commits; the file stays whole (`synchronous = NORMAL`).
    ProcessCrash,
    /// The end of the process; a power failure may leave a file that cannot be read (`synchronous = OFF`). For tests.
    Test,
}

impl SqliteOptions {
    /// The file at `path`, which is created if it is not there; its folder is not. Beside it lies its log (`-wal`), which
    /// grows to about 32 MB before it is brought into the file and used anew.
    #[must_use]
    pub fn new(path: impl AsRef<Path>) -> Self {
        let connect = SqliteConnectOptions::new().filename(path).create_if_missing(true);
        let connect = connect.pragma("cache_size", CACHE).pragma("wal_autocheckpoint", CHECKPOINT_PAGES);
        Self::from(connect.busy_timeout(DEFAULT_BUSY_TIMEOUT))
    }

    /// Whether the file is created if it is not there; it is, unless told otherwise.
    #[must_use]
    pub fn create_if_missing(mut self, create: bool) -> Self {
        self.connect = self.connect.create_if_missing(create);
        self
    }

    /// What the names of this store's tables start with, [`DEFAULT_TABLE_PREFIX`] unless told otherwise: letters,
    /// digits and `_`, at most 40, no digit first, and not `sqlite_`. Stores with different prefixes share a file and
    /// nothing else.
    #[must_use]
    pub fn table_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long a call waits for another connection that is writing before it answers an error;
    /// [`DEFAULT_BUSY_TIMEOUT`] unless told otherwise.
    #[must_use]
    pub fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.connect = self.connect.busy_timeout(timeout);
        self
    }

    /// What an acknowledged call survives; [`Durability::PowerLoss`] unless told otherwise.
    #[must_use]
    pub const fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }
}

impl From<&str> for SqliteOptions {
    fn from(path: &str) -> Self {
        Self::new(path)
    }
}

/// Adds the SQLite store to the options of a program's jobs.
pub trait UseSqlite {
    /// Keeps the jobs in a SQLite file: `options.use_sqlite("jobs.db")`, or with more to say about it,
    /// `options.use_sqlite(SqliteOptions::new("jobs.db").table_prefix("mail_"))`.
    ///
    /// The file is opened by the first call that needs it, and what is wrong with it is that call's error. To enqueue in
    /// a transaction of your own, make a [`SqliteStore`] and give the options a clone.
    #[must_use]
    fn use_sqlite(self, file: impl Into<SqliteOptions>) -> Self;
}

impl UseSqlite for Options {
    fn use_sqlite(self, file: impl Into<SqliteOptions>) -> Self {
        self.use_store(SqliteStore::new(file))
    }
}

impl From<String> for SqliteOptions {
    fn from(path: String) -> Self {
        Self::new(path)
    }
}

impl From<&Path> for SqliteOptions {
    fn from(path: &Path) -> Self {
        Self::new(path)
    }
}

impl From<PathBuf> for SqliteOptions {
    fn from(path: PathBuf) -> Self {
        Self::new(path)
    }
}

impl From<SqliteConnectOptions> for SqliteOptions {
    /// The file, the pragmas and whatever else these options of sqlx say; what [`durability`](SqliteOptions::durability)
    /// says comes before their `synchronous`.
    fn from(connect: SqliteConnectOptions) -> Self {
        Self { connect, prefix: DEFAULT_TABLE_PREFIX.to_owned(), durability: Durability::default() }
    }
}

impl From<&SqlitePool> for SqliteOptions {
    /// The file of a pool, with the options that the pool connects with. The store opens connections of its own: one that
    /// writes and two that read, which it keeps for as long as it is open.
    fn from(pool: &SqlitePool) -> Self {
        Self::from(Arc::unwrap_or_clone(pool.connect_options()))
    }
}
