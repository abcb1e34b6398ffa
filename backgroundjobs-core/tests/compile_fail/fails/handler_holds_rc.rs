//! A function keeps something across an await that must stay on its thread.

use std::rc::Rc;

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

async fn register_user(user: RegisterUser, _ctx: JobContext) -> JobResult {
    let name = Rc::new(user.name);
    send_mail(&name).await;
    Ok(())
}

fn main() {
    let _ = BackgroundJobs::builder(|options| options).register_fn(register_user);
}
