//! `options.use_in_memory()`.

use backgroundjobs_core::Options;

use crate::MemoryStore;

/// Adds the memory store to the options of a program's jobs.
pub trait UseInMemory {
    /// Keeps the jobs in the memory of this process: fast, and gone with it.
    ///
    /// To share one store between several jobs of a process, make a [`MemoryStore`] and give each a clone:
    /// `options.use_store(store.clone())`.
    #[must_use]
    fn use_in_memory(self) -> Self;
}

impl UseInMemory for Options {
    fn use_in_memory(self) -> Self {
        self.use_store(MemoryStore::new())
    }
}
