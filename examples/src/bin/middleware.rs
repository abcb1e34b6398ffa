//! Middleware: executors around the one that runs the handlers. One measures each run, one refuses a kind.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{JobExecutor, JobRun};
use backgroundjobs_memory::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct SendMail {
    to: String,
}
impl JobArgs for SendMail {
    const KIND: &'static str = "send_mail";
}

#[derive(Serialize, Deserialize)]
struct ChargeCard {
    cents: u64,
}
impl JobArgs for ChargeCard {
    const KIND: &'static str = "charge_card";
}

async fn send_mail(mail: SendMail, ctx: JobContext) -> JobResult {
    ctx.sleep(Duration::from_millis(20)).await;
    if ctx.attempt() == 1 && mail.to == "taro" {
        return Err("the mail server is down".into());
    }
    Ok(())
}

async fn charge_card(charge: ChargeCard, _: JobContext) -> JobResult {
    println!("charged {} cents", charge.cents);
    Ok(())
}

/// Says of every run how long it took and how it ended.
struct Measured {
    inner: Arc<dyn JobExecutor>,
}

#[async_trait]
impl JobExecutor for Measured {
    async fn execute(&self, run: JobRun) -> JobResult {
        let context = run.context.clone();
        let started = Instant::now();
        let result = self.inner.execute(run).await;
        let end = match &result {
            Ok(()) => "succeeded".to_owned(),
            Err(error) => format!("did not succeed ({error})"),
        };
        let (kind, attempt, took) = (context.kind(), context.attempt(), started.elapsed());
        println!("{kind} {end} in attempt {attempt}, after {} ms", took.as_millis());
        result
    }
}

/// Fails every job of one kind without running its handler.
struct Refused {
    kind: &'static str,
    inner: Arc<dyn JobExecutor>,
}

#[async_trait]
impl JobExecutor for Refused {
    async fn execute(&self, run: JobRun) -> JobResult {
        if run.context.kind() == self.kind {
            return Err(JobError::permanent(format!("{} is switched off", self.kind)));
        }
        self.inner.execute(run).await
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let jobs = BackgroundJobs::builder(|options| {
        options
            .use_in_memory()
            .retry(RetryPolicy::new().first(Duration::from_millis(20)))
            .wrap_executor(|inner| Refused { kind: ChargeCard::KIND, inner })
            // The last one is the outermost, so it sees what the other one refuses.
            .wrap_executor(|inner| Measured { inner })
    })
    .register_fn(send_mail)
    .register_fn(charge_card)
    .build()?;
    jobs.start().await?;

    let manager = jobs.manager();
    let all = [
        manager.enqueue(SendMail { to: "masa".into() }).await?,
        manager.enqueue(SendMail { to: "taro".into() }).await?,
        manager.enqueue(ChargeCard { cents: 500 }).await?,
    ];
    jobs.wait_until_idle(Duration::from_secs(60)).await?;

    for job in all {
        let record = manager.get(job.id).await?.ok_or("a finished job is kept for a while")?;
        println!("{}: {}", record.kind, record.state);
    }
    jobs.stop(Duration::from_secs(5)).await?;
    Ok(())
}
