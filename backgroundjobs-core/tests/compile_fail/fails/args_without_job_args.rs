//! A struct is enqueued that is no job's args.

use backgroundjobs_core::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct RegisterUser {
    name: String,
}

async fn sign_up(manager: &dyn JobManager) -> Result<(), Box<dyn std::error::Error>> {
    manager.enqueue(RegisterUser { name: "masa".into() }).await?;
    Ok(())
}

fn main() {
    let _ = sign_up;
}
