//! A handler's method is not async.

use backgroundjobs_core::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct RegisterUser {
    name: String,
}
impl JobArgs for RegisterUser {
    const KIND: &'static str = "register_user";
}

struct Register;

impl BackgroundJob<RegisterUser> for Register {
    fn execute(&self, user: RegisterUser, _ctx: JobContext) -> JobResult {
        println!("registered {}", user.name);
        Ok(())
    }
}

fn main() {}
