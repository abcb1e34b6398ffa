//! A handler keeps a lock while it waits.

use std::sync::Mutex;

use backgroundjobs_core::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct RegisterUser {
    name: String,
}
impl JobArgs for RegisterUser {
    const KIND: &'static str = "register_user";
}

async fn send_mail(_to: &str) {}

struct Register {
    names: Mutex<Vec<String>>,
}

impl BackgroundJob<RegisterUser> for Register {
    async fn execute(&self, user: RegisterUser, _ctx: JobContext) -> JobResult {
        let mut names = self.names.lock().unwrap();
        send_mail(&user.name).await;
        names.push(user.name);
        Ok(())
    }
}

fn main() {}
