//! A timer in a host: a tick every second, each with a connection of its own that is dropped after it. One tick fails,
//! and the timer goes on. Ends by itself after five ticks; SIGTERM and Ctrl-C end it before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use backgroundjobs_core::hosting::{Host, ServiceResult, Tick, TimedService, TimedTask, signals};

const TICKS: u64 = 5;

/// What connections come from, shared by all ticks.
#[derive(Clone, Default)]
struct Pool {
    opened: Arc<AtomicU32>,
}

impl Pool {
    async fn connect(&self) -> ServiceResult<Connection> {
        Ok(Connection { number: self.opened.fetch_add(1, Ordering::Relaxed) + 1 })
    }
}

/// Made for one tick.
struct Connection {
    number: u32,
}

impl TimedTask for Connection {
    async fn tick(&self, tick: Tick) -> ServiceResult {
        if tick.number() == TICKS {
            tick.stopping().stop_host();
        }
        if tick.number() == 2 {
            return Err("the server said no".into());
        }
        println!("tick {} on connection {}", tick.number(), self.number);
        Ok(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        println!("connection {} is closed", self.number);
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = Pool::default();
    let opened = pool.opened.clone();
    let timer = TimedService::every(Duration::from_secs(1)).at_once().run_scoped(move || {
        let pool = pool.clone();
        async move { pool.connect().await }
    });
    let host = Host::builder()
        .background("tidy up", timer)
        .on_report(|report| println!("{} of {} failed: {}", report.what, report.service, report.error))
        .build()?;
    let (stop, stop_now) = signals()?;
    host.run_until(stop, stop_now).await?;
    println!("stopped; {} connections were opened", opened.load(Ordering::Relaxed));
    Ok(())
}
