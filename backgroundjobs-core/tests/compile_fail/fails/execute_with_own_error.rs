//! A handler's method answers with an error of its own.

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
    async fn execute(&self, user: RegisterUser, _ctx: JobContext) -> Result<(), std::io::Error> {
        std::fs::write("user", user.name)
    }
}

fn main() {}
