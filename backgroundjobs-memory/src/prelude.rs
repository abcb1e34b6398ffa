//! What a program that keeps its jobs in memory needs beside core's prelude.

pub use crate::{MemoryStore, UseInMemory};
