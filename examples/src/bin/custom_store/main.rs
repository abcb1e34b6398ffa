//! A store of one's own: `store.rs` is all of it, `tests/custom_store.rs` holds it to the contract, and
//! `options.use_store(..)` puts jobs into it.

mod store;

use std::time::Duration;

use backgroundjobs_core::prelude::*;
use serde::{Deserialize, Serialize};
use store::MapStore;

#[derive(Serialize, Deserialize)]
struct SendMail {
    to: String,
    fails: u16,
}

impl JobArgs for SendMail {
    const KIND: &'static str = "send_mail";
}

async fn send_mail(mail: SendMail, ctx: JobContext) -> JobResult {
    if ctx.attempt() <= mail.fails {
        return Err("the mail server is down".into());
    }
    println!("mail sent to {}", mail.to);
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let soon = RetryPolicy::new().first(Duration::from_millis(50));
    let jobs = BackgroundJobs::builder(|options| options.use_store(MapStore::new()).retry(soon))
        .register_fn(send_mail)
        .build()?;
    jobs.start().await?;

    let manager = jobs.manager();
    let mail = |to: &str, fails| SendMail { to: to.to_owned(), fails };
    let now = manager.enqueue(mail("masa", 0)).await?;
    let later = manager.enqueue_in(mail("taro", 0), Duration::from_millis(300)).await?;
    let flaky = manager.enqueue(mail("hana", 2)).await?;
    jobs.wait_until_idle(Duration::from_secs(10)).await?;

    for (name, job) in [("now", now), ("later", later), ("flaky", flaky)] {
        let record = manager.get(job.id).await?.ok_or("the record of a finished job is kept")?;
        println!("{name}: {} after {} failed attempts", record.state, record.attempts);
    }
    jobs.stop(Duration::from_secs(5)).await?;
    Ok(())
}
