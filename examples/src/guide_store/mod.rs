//! The store of `docs/writing-a-store.md`. The guide shows the files with its rules as they are here, which a test of
//! this library sees to; `tests/guide_store.rs` holds the store to the contract.

mod keys;
mod rows;
mod state;
/// What each step does to one job.
pub mod steps;
mod store;

pub use keys::Keys;
pub use rows::{ByTime, Rows};
pub(crate) use state::State;
pub use store::{Data, GuideStore};
