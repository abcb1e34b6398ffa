//! A closure lacks a parameter.

use backgroundjobs_core::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct RegisterUser {
    name: String,
}
impl JobArgs for RegisterUser {
    const KIND: &'static str = "register_user";
}

fn main() {
    let _ = BackgroundJobs::builder(|options| options).register_fn(|user: RegisterUser| async move {
        println!("registered {}", user.name);
        Ok(())
    });
}
