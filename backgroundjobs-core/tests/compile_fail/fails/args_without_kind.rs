//! The args have no stable name.

use backgroundjobs_core::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct RegisterUser {
    name: String,
}
impl JobArgs for RegisterUser {}

fn main() {}
