//! Jobs in a log file outlive their process. This program runs itself: that process packs two of five parcels and dies
//! over the third. Then the same jobs go on here.
//!
//! The store is in `store`: [mod.rs](store/mod.rs) says what it does, and what that costs.
//!
//! ```sh
//! cargo run -p examples --bin log_store
//! ```

mod store;

use std::error::Error;
use std::ffi::OsString;
use std::path::Path;
use std::process::{self, Command};
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs};

use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{Builder, JobFilter};
use serde::{Deserialize, Serialize};
use store::LogStore;
use tokio::sync::Notify;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// How the first process ends.
const DEATH: i32 = 9;

#[derive(Serialize, Deserialize)]
struct Parcel {
    number: u32,
}
impl JobArgs for Parcel {
    const KIND: &'static str = "parcel";
}

/// The parcel that is never done, in the process that dies over it.
#[derive(Clone, Default)]
struct Heavy {
    number: Option<u32>,
    begun: Arc<Notify>,
}

async fn pack(heavy: Heavy, Parcel { number }: Parcel, ctx: JobContext) -> JobResult {
    if heavy.number == Some(number) {
        println!("parcel {number} is heavy");
        heavy.begun.notify_one();
        ctx.sleep(PATIENCE).await;
    }
    println!("parcel {number} is packed");
    Ok(())
}

fn program(log: &Path, heavy: Heavy) -> Builder {
    let one_second = Duration::from_secs(1);
    let builder = BackgroundJobs::builder(|options| {
        let options = options.use_store(LogStore::open(log)).queue("default", 1).read_ahead(Duration::ZERO);
        // What a dead process had is taken over when its lease is over. Short, so that nobody has to wait here.
        options.lease(one_second, one_second / 4).crashes(3, Duration::ZERO)
    });
    builder.register_fn_with(heavy, pack)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    if let Some(log) = env::args_os().nth(1) {
        return pack_and_die(Path::new(&log)).await;
    }
    let folder = env::temp_dir().join(format!("backgroundjobs-log-{}", process::id()));
    fs::create_dir_all(&folder)?;
    let result = die_and_go_on(&folder.join("jobs.log")).await;
    fs::remove_dir_all(&folder)?;
    result
}

async fn pack_and_die(log: &Path) -> Result<(), Box<dyn Error>> {
    let heavy = Heavy { number: Some(3), ..Heavy::default() };
    let jobs = program(log, heavy.clone()).build()?;
    jobs.start().await?;
    let parcels = (1..=5).map(|number| Parcel { number });
    let stored = jobs.manager().enqueue_many(parcels).await?;
    for packed in &stored[..2] {
        jobs.manager().wait(packed.id, PATIENCE).await?;
    }
    heavy.begun.notified().await;
    println!("the process dies");
    process::exit(DEATH); // nothing is stopped, closed or dropped
}

async fn die_and_go_on(log: &Path) -> Result<(), Box<dyn Error>> {
    let this: OsString = env::current_exe()?.into();
    let status = Command::new(this).arg(log).status()?;
    if status.code() != Some(DEATH) {
        return Err(format!("the first process ended with {status}").into());
    }

    let jobs = program(log, Heavy::default()).build()?;
    print_counts("found", &jobs).await?;
    jobs.start().await?;
    jobs.wait_until_idle(PATIENCE).await?;
    print_counts("now", &jobs).await?;
    jobs.stop(Duration::ZERO).await?;
    Ok(())
}

async fn print_counts(when: &str, jobs: &BackgroundJobs) -> Result<(), Box<dyn Error>> {
    let admin = jobs.admin().ok_or("the store cannot count")?;
    for row in admin.count(JobFilter::all()).await?.rows {
        println!("{when}: {} {}", row.count, row.state);
    }
    Ok(())
}
