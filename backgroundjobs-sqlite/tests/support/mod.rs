//! What the tests of this crate share.
#![allow(dead_code, reason = "each test file is a program of its own and uses some of it")]

pub(crate) mod folder;
pub(crate) mod jobs;
