//! A function is given to a timer as if it were a task of its own type.

use backgroundjobs_core::hosting::{ServiceResult, Tick, TimedService};
use std::time::Duration;

async fn tidy_up(_tick: Tick) -> ServiceResult {
    Ok(())
}

fn main() {
    let _ = TimedService::every(Duration::from_secs(1)).run(tidy_up);
}
