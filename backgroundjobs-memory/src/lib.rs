//! The volatile store of `backgroundjobs`: everything in this process, nothing on disk.
//!
//! [`MemoryStore`] keeps the whole contract of [`JobStore`](backgroundjobs_core::JobStore), looking at jobs
//! and operating on them included. What it holds is gone with the process; until then it is as strict as a
//! database.
//!
//! All of it is one state behind one lock: each call is a function from that state and the store's time to
//! the next state and an answer, and nothing waits while the lock is held. So every call is atomic, and its
//! future never pends.

pub mod prelude;

mod control;
mod inspect;
mod options;
mod state;
mod store;

pub use options::UseInMemory;
pub use store::MemoryStore;
