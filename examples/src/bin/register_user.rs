//! The smallest program: one job, run three seconds from now.

use backgroundjobs_core::prelude::*;
use backgroundjobs_memory::prelude::*;
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Serialize, Deserialize)]
struct RegisterUser {
    name: String,
}

impl JobArgs for RegisterUser {
    const KIND: &'static str = "register_user";
}

async fn register_user(user: RegisterUser, _ctx: JobContext) -> JobResult {
    println!("registered {}", user.name);
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let jobs =
        BackgroundJobs::builder(|options| options.use_in_memory()).register_fn(register_user).build()?;
    jobs.start().await?;
    jobs.manager().enqueue_in(RegisterUser { name: "masa".into() }, Duration::from_secs(3)).await?;
    jobs.wait_until_idle(Duration::from_secs(10)).await?;
    jobs.stop(Duration::from_secs(5)).await?;
    Ok(())
}
