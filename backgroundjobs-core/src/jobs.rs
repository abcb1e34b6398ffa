//! [`BackgroundJobs`]: a program's jobs, from start to stop.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::builder::Builder;
use crate::events::Listeners;
use crate::manager::{InstallError, Producing, StoreManager};
use crate::options::{Options, Times};
use crate::registry::Registry;
use crate::store::{CountJobs, JobCounts, JobFilter, JobStore, Retention, StoreError, WakeHub};
use crate::store_door::StoreDoor;
use crate::worker::{JobStats, StopReport, Worker, WorkerParts};
use crate::{
    Admin, DrainProgress, Env, Explanation, FinishedRun, JobExecutor, JobId, JobManager, JobState, QueueName,
    RetryPolicy, Timestamp,
};

/// A program's background jobs: the manager to enqueue through, and the worker that runs them.
///
/// ```text
/// BackgroundJobs::builder(|options| options.use_in_memory())
///     .register(handler).build()?  →  start().await?  →  manager().enqueue(args).await?  →  stop(..).await?
/// ```
///
/// Dropping it without [`stop`](Self::stop) ends claiming, tells every run to stop, and warns. It cannot wait:
/// if the program ends with it, what was running is handed to another worker only when its lease runs out.
pub struct BackgroundJobs {
    door: StoreDoor,
    registry: Arc<Registry>,
    executor: Arc<dyn JobExecutor>,
    manager: Arc<StoreManager>,
    queues: Vec<(QueueName, usize)>,
    retry: RetryPolicy,
    retention: Retention,
    times: Times,
    on_finished: Listeners<FinishedRun>,
    on_drain: Listeners<DrainProgress>,
    phase: Mutex<Phase>,
    stopped: OnceCell<StopReport>,
}

enum Phase {
    Built,
    Starting,
    Started(Arc<Worker>),
    Stopped(JobStats),
}

/// What the builder puts together.
pub(crate) struct Parts {
    pub(crate) store: Arc<dyn JobStore>,
    pub(crate) env: Env,
    pub(crate) producing: Producing,
    pub(crate) executor: Arc<dyn JobExecutor>,
    pub(crate) queues: Vec<(QueueName, usize)>,
    pub(crate) retry: RetryPolicy,
    pub(crate) retention: Option<Retention>,
    pub(crate) times: Times,
    pub(crate) on_finished: Listeners<FinishedRun>,
    pub(crate) on_drain: Listeners<DrainProgress>,
}

impl BackgroundJobs {
    /// Starts to put jobs together: options first, then handlers.
    pub fn builder(options: impl FnOnce(Options) -> Options) -> Builder {
        Builder::new(options(Options::new()))
    }

    pub(crate) fn assemble(parts: Parts) -> Self {
        let door = StoreDoor::new(parts.store, parts.env);
        Self {
            registry: parts.producing.registry.clone(),
            retention: parts.retention.unwrap_or(door.profile().retention),
            manager: StoreManager::new(door.clone(), parts.producing),
            executor: parts.executor,
            queues: parts.queues,
            retry: parts.retry,
            times: parts.times,
            on_finished: parts.on_finished,
            on_drain: parts.on_drain,
            phase: Mutex::new(Phase::Built),
            stopped: OnceCell::new(),
            door,
        }
    }

    /// What to enqueue through: hand it to whoever enqueues. Works before the start, too.
    #[must_use]
    pub fn manager(&self) -> Arc<dyn JobManager> {
        self.manager.clone()
    }

    /// Makes these jobs' manager the one that [`BackgroundJobManager`](crate::BackgroundJobManager) uses where
    /// no scope says otherwise. It does not keep the jobs alive.
    ///
    /// # Errors
    /// [`InstallError::Twice`]: once in a program, like a global tracing subscriber.
    pub fn install(&self) -> Result<(), InstallError> {
        crate::manager::install(&self.manager())
    }

    /// Prepares the store and starts running jobs. Needs a tokio runtime with time enabled, and runs on it.
    ///
    /// Cancel safety: dropped before its end, nothing was started and it may be called again.
    ///
    /// # Errors
    /// [`StartError`]: the store cannot be prepared, it was started before, or there is no runtime.
    pub async fn start(&self) -> Result<(), StartError> {
        if !self.door.env().can_spawn() {
            return Err(StartError::NoRuntime);
        }
        let starting = Starting::begin(self)?;
        if let Some(warning) = abort_warning(cfg!(panic = "abort")) {
            tracing::warn!("{warning}");
        }
        self.manager
            .prepare()
            .await
            .map_err(|source| StartError::Prepare { store: self.door.profile().name, source })?;
        starting.finish()
    }

    fn worker_parts(&self) -> WorkerParts {
        WorkerParts {
            door: self.door.clone(),
            registry: self.registry.clone(),
            executor: self.executor.clone(),
            manager: self.manager.clone(),
            queues: self.queues.clone(),
            retry: self.retry,
            retention: self.retention,
            times: self.times,
            on_finished: self.on_finished.clone(),
            on_drain: self.on_drain.clone(),
        }
    }

    /// Stops: claims no more, lets running jobs end for up to `drain`, then tells them to stop, gives them
    /// the cancel grace (5 s), drops them and hands them back. Jobs that wait are untouched.
    ///
    /// Harmless before a start, during one, and again: every call answers the one stop's report. After it
    /// these jobs cannot be started again.
    ///
    /// Cancel safety: dropped before its end it may be called again and goes on.
    ///
    /// # Errors
    /// [`StopError`] carries the report when the store could not be told how some runs ended.
    pub async fn stop(&self, drain: Duration) -> Result<StopReport, StopError> {
        let report = self.stopped.get_or_init(|| self.stop_once(drain)).await.clone();
        if report.unsettled.is_empty() { Ok(report) } else { Err(StopError { report }) }
    }

    async fn stop_once(&self, drain: Duration) -> StopReport {
        self.manager.stop();
        let worker = match &mut *self.phase.lock() {
            Phase::Started(worker) => Some(worker.clone()),
            other => {
                *other = Phase::Stopped(JobStats::default());
                None
            }
        };
        let mut report = match worker {
            Some(worker) => {
                let report = worker.stop(drain).await;
                *self.phase.lock() = Phase::Stopped(worker.stats());
                report
            }
            None => StopReport::default(),
        };
        report.left_waiting = self.left_waiting().await;
        if !report.is_clean() {
            tracing::warn!(?report, "the jobs are stopped, and something was left");
        }
        report
    }

    /// Jobs that nobody will run: in a store that only this process can reach, without another worker for them.
    async fn left_waiting(&self) -> u64 {
        if self.door.profile().poll_interval.is_some() || self.door.store().inspect().is_none() {
            return 0;
        }
        let counts = match self.count_unfinished().await {
            Ok(counts) => counts,
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "could not count what is left");
                return 0;
            }
        };
        let is_served = |queue, kind| self.door.hub().is_some_and(|hub| hub.is_served(queue, kind));
        let waiting = counts.rows.iter().filter(|row| row.state == JobState::Waiting);
        let left = waiting.filter(|row| !is_served(&row.queue, &row.kind)).map(|row| row.count).sum();
        if left > 0 {
            tracing::warn!(
                jobs = left,
                store = self.door.profile().name,
                "the jobs are stopped, and jobs wait in a store that is lost with this process"
            );
        }
        left
    }

    /// What this program's worker has done so far, or had when it was stopped; zeros before the start.
    #[must_use]
    pub fn stats(&self) -> JobStats {
        match &*self.phase.lock() {
            Phase::Started(worker) => worker.stats(),
            Phase::Stopped(stats) => *stats,
            Phase::Built | Phase::Starting => JobStats::default(),
        }
    }

    /// Says where a job stands and why it is not running; see [`JobManager::explain`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn explain(&self, id: JobId) -> Result<Explanation, StoreError> {
        self.manager.explain(id).await
    }

    /// What an operator does to jobs and queues; `None` where the store lacks `control()` or `inspect()`.
    #[must_use]
    pub fn admin(&self) -> Option<Admin> {
        let store = self.door.store();
        (store.control().is_some() && store.inspect().is_some()).then(|| Admin::new(self.manager.clone()))
    }

    /// Waits until no job of the kinds and queues served here waits or runs; delayed and retrying jobs count
    /// as waiting. Needs a store that can count: one whose `inspect()` is there.
    ///
    /// Cancel safety: may be dropped and called again.
    ///
    /// # Errors
    /// [`IdleError`]: not idle within `limit`, with what is left; or the store cannot count.
    pub async fn wait_until_idle(&self, limit: Duration) -> Result<(), IdleError> {
        let env = self.door.env();
        let deadline = env.now() + limit;
        loop {
            // Before the count, so that what ends after it is heard.
            let progress = self.door.hub().map(WakeHub::progress);
            let counts = self.count_unfinished().await.map_err(IdleError::Store)?;
            if counts.rows.is_empty() {
                return Ok(());
            }
            if env.now() >= deadline {
                return Err(not_idle(&counts, limit));
            }
            let heard = async {
                match progress {
                    Some(progress) => progress.await,
                    None => std::future::pending().await,
                }
            };
            let poll = self.door.profile().poll_interval.map_or(deadline, |poll| env.now() + poll);
            tokio::select! {
                biased;
                () = heard => {}
                () = env.sleep_until(poll.min(deadline)) => {}
            }
        }
    }

    async fn count_unfinished(&self) -> Result<JobCounts, StoreError> {
        let served = self.queues.iter().filter(|(_, slots)| *slots > 0).map(|(queue, _)| queue.clone());
        let filter = JobFilter::all()
            .queues(served)
            .kinds(self.registry.names().iter().cloned())
            .states([JobState::Waiting, JobState::Running]);
        self.door.count(&CountJobs::new(self.door.env().now(), filter)).await
    }
}

/// What is to be said of a program that cannot survive a panic.
const fn abort_warning(panics_abort: bool) -> Option<&'static str> {
    if !panics_abort {
        return None;
    }
    Some(
        "this program is built with panic = \"abort\": a handler that panics ends the whole process, and its job \
         runs again when its lease ends; build with panic = \"unwind\" in the profile in Cargo.toml",
    )
}

fn not_idle(counts: &JobCounts, limit: Duration) -> IdleError {
    IdleError::NotIdle {
        limit,
        waiting: counts.total(&[JobState::Waiting]),
        running: counts.total(&[JobState::Running]),
        next_due: counts.next_run_at(),
    }
}

/// A start under way; undone when it is dropped before its end.
struct Starting<'a> {
    jobs: &'a BackgroundJobs,
}

impl<'a> Starting<'a> {
    fn begin(jobs: &'a BackgroundJobs) -> Result<Self, StartError> {
        let mut phase = jobs.phase.lock();
        match *phase {
            Phase::Built => {
                *phase = Phase::Starting;
                Ok(Self { jobs })
            }
            Phase::Starting | Phase::Started(_) => Err(StartError::Twice),
            Phase::Stopped(_) => Err(StartError::Stopped),
        }
    }

    /// A stop that came meanwhile wins: then nothing is started.
    fn finish(self) -> Result<(), StartError> {
        let mut phase = self.jobs.phase.lock();
        if let Phase::Stopped(_) = *phase {
            return Err(StartError::Stopped);
        }
        let worker = Worker::start(self.jobs.worker_parts());
        self.jobs.manager.attach(worker.as_seen_from_outside());
        *phase = Phase::Started(Arc::new(worker));
        Ok(())
    }
}

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        let mut phase = self.jobs.phase.lock();
        if matches!(*phase, Phase::Starting) {
            *phase = Phase::Built;
        }
    }
}

impl Drop for BackgroundJobs {
    fn drop(&mut self) {
        self.manager.stop();
        if let Phase::Started(worker) = &*self.phase.lock() {
            tracing::warn!(
                "background jobs were dropped without stop(): running jobs are told to stop, and what is \
                 lost on the way runs again when its lease ends; call jobs.stop(..).await before"
            );
            worker.abandon();
        }
    }
}

impl fmt::Debug for BackgroundJobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackgroundJobs")
            .field("store", &self.door)
            .field("queues", &self.queues)
            .field("kinds", &self.registry)
            .finish_non_exhaustive()
    }
}

/// Why jobs could not be started.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// `start` was called before.
    #[error("these jobs are started already: call start() once")]
    Twice,
    /// They were stopped.
    #[error("these jobs were stopped and cannot be started again: build new ones")]
    Stopped,
    /// There is no tokio runtime.
    #[error("there is no tokio runtime here: call start() inside #[tokio::main] or Runtime::block_on")]
    NoRuntime,
    /// The store cannot be prepared.
    #[error("the {store} store could not be prepared")]
    Prepare {
        /// What the store is called.
        store: &'static str,
        /// What it says.
        source: StoreError,
    },
}

/// The store could not be told how some runs ended: they will run again when their leases end.
#[derive(thiserror::Error)]
#[error("stopped, but the store could not be told how {} jobs ended; they will run again", report.unsettled.len())]
pub struct StopError {
    /// What was left.
    pub report: StopReport,
}

/// Why a wait for idleness ended without it.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum IdleError {
    /// Time is over.
    #[error(
        "not idle within {limit:?}: {waiting} jobs wait and {running} run{}",
        next_due.map_or_else(String::new, |due| format!("; the next one is due at {due}"))
    )]
    NotIdle {
        /// How long was waited.
        limit: Duration,
        /// Jobs that wait.
        waiting: u64,
        /// Jobs that run.
        running: u64,
        /// When the next waiting job is due.
        next_due: Option<Timestamp>,
    },
    /// The store cannot say.
    #[error("the store could not count the jobs that are left")]
    Store(#[source] StoreError),
}

crate::readable::debug_is_text!(StartError, StopError, IdleError);

#[cfg(test)]
mod tests {
    use super::abort_warning;

    #[test]
    fn a_program_that_aborts_on_panic_is_told_what_to_write() {
        assert_eq!(abort_warning(false), None);
        assert!(abort_warning(true).is_some_and(|text| text.contains("panic = \"unwind\" in the profile")));
    }
}
