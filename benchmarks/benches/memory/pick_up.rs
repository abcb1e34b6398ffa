//! How soon an idle worker starts a job, beside how soon a task that waits on a bare channel wakes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{JobManager, Retention};
use backgroundjobs_memory::prelude::*;
use benchmarks::Notice;
use serde::Serialize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;

/// Long enough for every thread of the runtime to go to sleep.
const PAUSE: Duration = Duration::from_millis(1);
const LIMIT: Duration = Duration::from_secs(10);

/// Microseconds from the call to the start.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Waits {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// A send to a task that waits on the channel.
pub(crate) async fn channel(times: usize) -> Result<Waits, String> {
    let watch = Arc::new(Watch::default());
    let (sender, mut receiver) = mpsc::channel::<()>(1);
    let consumer_watch = watch.clone();
    tokio::spawn(async move {
        while receiver.recv().await.is_some() {
            consumer_watch.arrived();
        }
    });
    for time in 1..=times {
        watch.starts();
        sender.send(()).await.map_err(|error| error.to_string())?;
        watch.wait_for(time).await?;
    }
    Ok(watch.waits())
}

/// An enqueue to a worker with eight idle slots.
pub(crate) async fn ours(times: usize) -> Result<Waits, String> {
    let watch = Arc::new(Watch::default());
    let handler_watch = watch.clone();
    let jobs = BackgroundJobs::builder(|options| {
        options.use_in_memory().queue("default", 8).retention(Retention::FOREVER)
    })
    .register_fn(move |notice: Notice, _: JobContext| {
        handler_watch.arrived();
        std::hint::black_box(notice);
        std::future::ready(Ok(()))
    })
    .build()
    .map_err(|error| error.to_string())?;
    jobs.start().await.map_err(|error| error.to_string())?;
    let manager: Arc<dyn JobManager> = jobs.manager();
    for time in 1..=times {
        watch.starts();
        manager.enqueue(Notice::new(time)).await.map_err(|error| error.to_string())?;
        watch.wait_for(time).await?;
    }
    jobs.wait_until_idle(LIMIT).await.map_err(|error| error.to_string())?;
    jobs.stop(LIMIT).await.map_err(|error| error.to_string())?;
    if jobs.stats().succeeded != times as u64 || watch.arrivals().len() != times {
        return Err(format!("{} of {times} jobs were picked up: {:?}", watch.arrivals().len(), jobs.stats()));
    }
    Ok(watch.waits())
}

/// Stopped by whoever is woken.
#[derive(Default)]
struct Watch {
    started: Mutex<Option<Instant>>,
    arrivals: Mutex<Vec<Duration>>,
}

impl Watch {
    fn starts(&self) {
        *lock(&self.started) = Some(Instant::now());
    }

    fn arrived(&self) {
        let now = Instant::now();
        let started = *lock(&self.started);
        self.arrivals().extend(started.map(|started| now.duration_since(started)));
    }

    fn arrivals(&self) -> MutexGuard<'_, Vec<Duration>> {
        lock(&self.arrivals)
    }

    /// Waits until so many have arrived, and then until the runtime has gone to sleep.
    async fn wait_for(&self, count: usize) -> Result<(), String> {
        let begun = Instant::now();
        tokio::time::sleep(PAUSE).await;
        while self.arrivals().len() < count {
            if begun.elapsed() > LIMIT {
                return Err(format!("wake {count} did not arrive within {LIMIT:?}"));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    fn waits(&self) -> Waits {
        let mut micros: Vec<f64> = self.arrivals().iter().map(|wait| wait.as_secs_f64() * 1e6).collect();
        micros.sort_by(f64::total_cmp);
        let at = |part: usize| micros[(micros.len() * part / 100).min(micros.len() - 1)];
        Waits { p50: at(50), p99: at(99) }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
