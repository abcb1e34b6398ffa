//! The durable store of `backgroundjobs`: jobs in a SQLite file, which outlives the process.
//!
//! ```
//! use backgroundjobs_core::prelude::*;
//! use backgroundjobs_sqlite::prelude::*;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Greet {
//!     name: String,
//! }
//!
//! impl JobArgs for Greet {
//!     const KIND: &'static str = "greet";
//! }
//!
//! async fn greet(job: Greet, _: JobContext) -> JobResult {
//!     println!("hello, {}", job.name);
//!     Ok(())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = std::env::temp_dir().join(format!("backgroundjobs-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! let file = folder.join("jobs.db");
//! let jobs = BackgroundJobs::builder(|options| options.use_sqlite(file)).register_fn(greet).build()?;
//! jobs.start().await?;
//! jobs.manager().enqueue(Greet { name: "masa".into() }).await?;
//! jobs.wait_until_idle(std::time::Duration::from_secs(10)).await?;
//! jobs.stop(std::time::Duration::from_secs(25)).await?;
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok(())
//! # }
//! ```
//!
//! Several processes of one machine may share the file: each sees at once what the others have done, and a worker starts
//! what another process enqueues within about 100 ms. A file on a network drive is not for SQLite.
//!
//! Unless told otherwise, an acknowledged call survives a power failure ([`Durability::PowerLoss`]). More to say about the
//! file is in [`SqliteOptions`]; [`SqliteStore::enqueue_in_tx`] enqueues in a transaction of your own.

pub mod prelude;

mod cancel;
mod claim;
mod connect;
mod control;
mod db;
mod engine;
mod error;
mod failures;
mod get;
mod group;
mod home;
mod id;
mod insert;
mod inspect;
mod keys;
mod lanes;
mod migrate;
mod options;
#[cfg(test)]
mod plans;
mod prune;
mod recover;
mod renew;
mod row;
mod schema;
mod settle;
mod sizes;
mod sql;
mod store;
#[cfg(test)]
mod test_file;
mod tx;
mod wakes;

pub use options::{DEFAULT_BUSY_TIMEOUT, DEFAULT_TABLE_PREFIX, Durability, SqliteOptions, UseSqlite};
pub use store::SqliteStore;
