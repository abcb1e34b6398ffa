//! Many timers of one period: as services of one host, and as bare intervals of tokio.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use backgroundjobs_core::hosting::{Host, Tick, TimedService};
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval_at};

/// How often each timer has ticked.
#[derive(Clone, Debug)]
pub struct Ticks(Arc<[AtomicU32]>);

impl Ticks {
    fn new(timers: usize) -> Self {
        Self((0..timers).map(|_| AtomicU32::new(0)).collect())
    }

    fn tick(&self, timer: usize) {
        self.0[timer].fetch_add(1, Ordering::Relaxed);
    }

    /// All ticks together.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.0.iter().map(|ticks| u64::from(ticks.load(Ordering::Relaxed))).sum()
    }

    /// Checks that each timer has ticked, and none more often than `most` times.
    ///
    /// # Errors
    /// The first timer that has not.
    pub fn each_at_most(&self, most: u32) -> Result<(), String> {
        let counts = self.0.iter().map(|ticks| ticks.load(Ordering::Relaxed));
        match counts.enumerate().find(|(_, count)| !(1..=most).contains(count)) {
            None => Ok(()),
            Some((timer, count)) => {
                Err(format!("timer {timer} has ticked {count} times, not 1 to {most} times"))
            }
        }
    }
}

/// Many timers that tick.
#[derive(Debug)]
pub enum Timers {
    /// A task with an interval for each.
    Bare(Vec<JoinHandle<()>>),
    /// A timed service of one host for each.
    Hosted(Box<Host>),
}

/// What ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bare intervals of tokio.
    Bare,
    /// Services of one host.
    Hosted,
}

impl Timers {
    /// Starts so many, whose first tick comes after a period.
    ///
    /// # Errors
    /// The host's.
    pub async fn start(kind: Kind, timers: usize, period: Duration) -> Result<(Self, Ticks), String> {
        let ticks = Ticks::new(timers);
        let started = match kind {
            Kind::Bare => Self::Bare((0..timers).map(|timer| bare(timer, period, ticks.clone())).collect()),
            Kind::Hosted => Self::Hosted(Box::new(hosted(timers, period, &ticks).await?)),
        };
        Ok((started, ticks))
    }

    /// Ends them all.
    ///
    /// # Errors
    /// The host's.
    pub async fn stop(self) -> Result<(), String> {
        match self {
            Self::Bare(tasks) => {
                tasks.iter().for_each(JoinHandle::abort);
                for task in tasks {
                    // It was aborted; that is how it ends.
                    _ = task.await;
                }
                Ok(())
            }
            Self::Hosted(host) => host.stop().await.map_err(|error| format!("{error:?}")),
        }
    }
}

fn bare(timer: usize, period: Duration, ticks: Ticks) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut interval = interval_at(Instant::now() + period, period);
        loop {
            interval.tick().await;
            ticks.tick(timer);
        }
    })
}

async fn hosted(timers: usize, period: Duration, ticks: &Ticks) -> Result<Host, String> {
    let service = |timer: usize| {
        let ticks = ticks.clone();
        TimedService::every(period).run_fn(move |_: Tick| {
            ticks.tick(timer);
            std::future::ready(Ok(()))
        })
    };
    let builder = (0..timers)
        .fold(Host::builder(), |builder, timer| builder.background(format!("timer {timer}"), service(timer)));
    let host = builder.build().map_err(|error| format!("{error:?}"))?;
    host.start().await.map_err(|error| format!("{error:?}"))?;
    Ok(host)
}
