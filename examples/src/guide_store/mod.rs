//! The store that `docs/writing-a-store.md` writes, piece by piece. The guide shows each file as it is here, which
//! a test of this library sees to; `tests/guide_store.rs` holds the store to the contract.

mod keys;
mod rows;
/// What each step does to one job.
pub mod steps;
mod store;

pub use keys::Keys;
pub use rows::{ByTime, Rows};
pub use store::{Data, GuideStore};
