//! Each form of handler, with as few types written as each allows.

use backgroundjobs_core::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct RegisterUser {
    name: String,
}
impl JobArgs for RegisterUser {
    const KIND: &'static str = "register_user";
}

async fn function(user: RegisterUser, _ctx: JobContext) -> JobResult {
    println!("registered {}", user.name);
    Ok(())
}

async fn function_with(greeting: String, user: RegisterUser, _ctx: JobContext) -> JobResult {
    println!("{greeting}, {}", user.name);
    Ok(())
}

struct Register;

impl BackgroundJob<RegisterUser> for Register {
    async fn execute(&self, user: RegisterUser, ctx: JobContext) -> JobResult {
        println!("registered {} in attempt {}", user.name, ctx.attempt());
        Ok(())
    }
}

fn main() {
    let _ = BackgroundJobs::builder(|options| options)
        .register(Register)
        .register_fn(function)
        .register_fn(|user: RegisterUser, ctx: JobContext| async move { function(user, ctx).await })
        .register_fn(|user: RegisterUser, ctx| async move { function(user, ctx).await })
        .register_fn(|_: RegisterUser, ctx| async move {
            println!("attempt {}", ctx.attempt());
            Ok(())
        })
        .register_fn(async |user: RegisterUser, ctx| function(user, ctx).await)
        .register_fn(async |_: RegisterUser, ctx: JobContext| {
            if ctx.attempt() == 1 { Err("the mail server is down".into()) } else { Ok(()) }
        })
        .register_fn_with("hello".to_owned(), function_with)
        .register_fn_with("hello".to_owned(), |greeting, user: RegisterUser, ctx| async move {
            function_with(greeting, user, ctx).await
        });
}
