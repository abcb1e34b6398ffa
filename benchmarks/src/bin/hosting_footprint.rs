//! Prints how many bytes of the heap a bare interval and a timed service of a host take, each in its task.
//!
//! A program of its own: the allocator that counts would slow down everything else that is measured.

use std::time::Duration;

use benchmarks::{Kind, Timers};
use peak_alloc::PeakAlloc;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// Each has ticked once and waits again when the heap is looked at.
const PERIOD: Duration = Duration::from_millis(500);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let timers: usize = std::env::args().nth(1).ok_or("how many timers?")?.parse()?;
    for kind in [Kind::Bare, Kind::Hosted] {
        // What the runtime keeps for the next task is there before.
        let (warm, _) = Timers::start(kind, 100, PERIOD).await?;
        warm.stop().await?;
        let before = HEAP.current_usage();
        let (running, ticks) = Timers::start(kind, timers, PERIOD).await?;
        while ticks.sum() < timers as u64 {
            tokio::time::sleep(PERIOD / 10).await;
        }
        let taken = HEAP.current_usage().saturating_sub(before);
        println!("{:.1}", taken as f64 / timers as f64);
        running.stop().await?;
    }
    Ok(())
}
