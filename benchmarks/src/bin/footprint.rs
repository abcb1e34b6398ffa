//! Prints how many bytes of the heap a job that waits far in the future takes beside its payload.
//!
//! A program of its own: the allocator that counts would slow down everything else that is measured.

use std::time::Duration;

use backgroundjobs_core::Retention;
use backgroundjobs_core::prelude::*;
use backgroundjobs_memory::prelude::*;
use benchmarks::Notice;
use peak_alloc::PeakAlloc;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

const A_YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let jobs: usize = std::env::args().nth(1).ok_or("how many jobs?")?.parse()?;
    let running = BackgroundJobs::builder(|options| options.use_in_memory().retention(Retention::FOREVER))
        .register_fn(async |_: Notice, _: JobContext| Ok(()))
        .build()?;
    running.start().await?;
    let manager = running.manager();
    manager.enqueue_in(Notice::new(0), A_YEAR).await?;
    let before = HEAP.current_usage();
    for number in 0..jobs {
        manager.enqueue_in(Notice::new(number), A_YEAR).await?;
    }
    let taken = HEAP.current_usage().saturating_sub(before);
    println!("{:.1}", taken as f64 / jobs as f64 - Notice::BYTES as f64);
    running.stop(Duration::from_secs(5)).await?;
    // What waits is not torn down: the process ends.
    std::process::exit(0);
}
