//! What a program that keeps its jobs in SQLite needs beside core's prelude.

pub use crate::{SqliteOptions, SqliteStore, UseSqlite};
