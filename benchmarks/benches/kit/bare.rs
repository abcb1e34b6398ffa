//! The reference: timers alone, on the scheduler that the kit stands on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use backgroundjobs_testing::StepScheduler;

use crate::year::Simulated;

/// Lets `whole` pass with so many timers of one task, all the same time apart.
pub(crate) async fn simulate(whole: Duration, timers: u64) -> Result<Simulated, String> {
    let begun = Instant::now();
    let scheduler = StepScheduler::new();
    let start = scheduler.now();
    let every = Duration::from_micros(u64::try_from(whole.as_micros()).unwrap_or(u64::MAX) / timers.max(1));
    let ticks = Arc::new(AtomicU64::new(0));
    let (env, seen) = (scheduler.env(0), ticks.clone());
    let _abort = scheduler.spawn("timer", async move {
        loop {
            env.sleep(every).await;
            seen.fetch_add(1, Ordering::Relaxed);
        }
    });
    let report = scheduler.advance(whole).await;
    let took = begun.elapsed();
    let ticks = ticks.load(Ordering::Relaxed);
    if (ticks, report.timers_fired) != (timers, timers) {
        return Err(format!("{ticks} ticks instead of {timers}: {report}"));
    }
    if scheduler.now() != start + whole {
        return Err(format!("the clock stands at {} and not {whole:?} after {start}", scheduler.now()));
    }
    Ok(Simulated { took, timers })
}
