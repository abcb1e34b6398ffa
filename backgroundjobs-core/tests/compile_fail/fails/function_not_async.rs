//! A function is not async.

use backgroundjobs_core::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct RegisterUser {
    name: String,
}
impl JobArgs for RegisterUser {
    const KIND: &'static str = "register_user";
}

fn register_user(user: RegisterUser, _ctx: JobContext) -> JobResult {
    println!("registered {}", user.name);
    Ok(())
}

fn main() {
    let _ = BackgroundJobs::builder(|options| options).register_fn(register_user);
}
