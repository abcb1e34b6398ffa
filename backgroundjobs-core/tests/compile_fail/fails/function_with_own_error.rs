//! A function answers with an error of its own.

use backgroundjobs_core::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct RegisterUser {
    name: String,
}
impl JobArgs for RegisterUser {
    const KIND: &'static str = "register_user";
}

async fn register_user(user: RegisterUser, _ctx: JobContext) -> Result<(), std::io::Error> {
    std::fs::write("user", user.name)
}

fn main() {
    let _ = BackgroundJobs::builder(|options| options).register_fn(register_user);
}
