//! What becomes of jobs that do not go well: five handlers, and what the store has recorded of each.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use backgroundjobs_core::prelude::*;
use backgroundjobs_memory::prelude::*;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

#[derive(Serialize, Deserialize)]
struct Flaky;
impl JobArgs for Flaky {
    const KIND: &'static str = "flaky";
}

/// Any error means "try again": `?` on an `io::Error` would do as well as this text.
async fn flaky(_: Flaky, ctx: JobContext) -> JobResult {
    if ctx.attempt() <= 2 { Err("the mail server is down".into()) } else { Ok(()) }
}

#[derive(Serialize, Deserialize)]
struct Panics;
impl JobArgs for Panics {
    const KIND: &'static str = "panics";
}

/// A panic is a failed attempt like any other, and ends nothing but itself.
async fn panics(_: Panics, _: JobContext) -> JobResult {
    panic!("the list of recipients is empty")
}

#[derive(Serialize, Deserialize)]
struct TooSlow;
impl JobArgs for TooSlow {
    const KIND: &'static str = "too_slow";

    fn options() -> JobOptions {
        JobOptions::new().timeout(Duration::from_millis(50))
    }
}

/// It never looks at `ctx.cancelled()`, so it is dropped where it waits.
async fn too_slow(_: TooSlow, ctx: JobContext) -> JobResult {
    ctx.sleep(Duration::from_secs(3600)).await;
    Ok(())
}

#[derive(Serialize, Deserialize)]
struct Snoozes;
impl JobArgs for Snoozes {
    const KIND: &'static str = "snoozes";
}

/// "Not now" is no failure: it uses up no attempt, however often it is said.
async fn snoozes(shop_is_open: Arc<AtomicBool>, _: Snoozes, _: JobContext) -> JobResult {
    if shop_is_open.swap(true, Ordering::AcqRel) {
        Ok(())
    } else {
        Err(JobError::snooze(Duration::from_millis(50)))
    }
}

#[derive(Serialize, Deserialize)]
struct Cancelled;
impl JobArgs for Cancelled {
    const KIND: &'static str = "cancelled";
}

/// A handler that works for long looks at `ctx.cancelled()`, cleans up, and says that it stopped.
async fn cancelled(has_started: Arc<Notify>, _: Cancelled, ctx: JobContext) -> JobResult {
    has_started.notify_one();
    tokio::select! {
        () = ctx.sleep(Duration::from_secs(3600)) => Ok(()),
        () = ctx.cancelled() => Err(JobError::cancel("the customer withdrew the order")),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Short waits, so that this program ends soon; the defaults are 11 attempts, a minute apart at first.
    let policy = RetryPolicy::new().max_attempts(3).first(Duration::from_millis(20));
    let has_started = Arc::new(Notify::new());
    let jobs = BackgroundJobs::builder(|options| {
        options.use_in_memory().retry(policy).cancel_grace(Duration::from_millis(50))
    })
    .register_fn(flaky)
    .register_fn(panics)
    .register_fn(too_slow)
    .retry(RetryPolicy::never())
    .register_fn_with(Arc::new(AtomicBool::new(false)), snoozes)
    .register_fn_with(has_started.clone(), cancelled)
    .build()?;
    jobs.start().await?;

    let manager = jobs.manager();
    let to_cancel = manager.enqueue(Cancelled).await?;
    let all = [
        manager.enqueue(Flaky).await?,
        manager.enqueue(Panics).await?,
        manager.enqueue(TooSlow).await?,
        manager.enqueue(Snoozes).await?,
        to_cancel,
    ];
    has_started.notified().await;
    manager.cancel(to_cancel.id).await?;
    jobs.wait_until_idle(Duration::from_secs(60)).await?;

    println!("{:<10} {:<10} {:<16} last error", "kind", "state", "failed attempts");
    for job in all {
        let record = manager.get(job.id).await?.ok_or("a finished job is kept for a while")?;
        let last = record.failures.last().map_or("none", |last| last.failure.text.as_str());
        println!("{:<10} {:<10} {:<16} {last}", record.kind, record.state, record.attempts);
    }
    jobs.stop(Duration::from_secs(5)).await?;
    Ok(())
}
