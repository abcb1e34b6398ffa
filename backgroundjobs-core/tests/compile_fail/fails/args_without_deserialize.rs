//! The args can be written but not read back.

use backgroundjobs_core::prelude::*;
use serde::Serialize;

#[derive(Serialize)]
struct RegisterUser {
    name: String,
}
impl JobArgs for RegisterUser {
    const KIND: &'static str = "register_user";
}

fn main() {}
