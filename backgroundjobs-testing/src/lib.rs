//! wip

pub mod conformance;
