//! [`BackgroundJobs`]: a program's jobs, from start to stop.

mod idle;
mod perform;
mod start;
mod stop;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::OnceCell;

pub use self::idle::IdleError;
pub use self::start::StartError;
pub use self::stop::StopError;
use crate::builder::Builder;
use crate::events::Listeners;
use crate::manager::{InstallError, Producing, StoreManager};
use crate::options::{Options, Times};
use crate::registry::Registry;
use crate::store::{JobStore, Retention, StoreError};
use crate::store_door::StoreDoor;
use crate::worker::{JobStats, StopReport, Worker};
use crate::{
    Admin, DrainProgress, Env, Explanation, FinishedRun, JobExecutor, JobId, JobManager, Kind, QueueName,
    RetryPolicy,
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
    pub(crate) poll_interval: Option<Duration>,
    pub(crate) on_finished: Listeners<FinishedRun>,
    pub(crate) on_drain: Listeners<DrainProgress>,
}

impl BackgroundJobs {
    /// Starts to put jobs together: options first, then handlers.
    pub fn builder(options: impl FnOnce(Options) -> Options) -> Builder {
        Builder::new(options(Options::new()))
    }

    pub(crate) fn assemble(parts: Parts) -> Self {
        let door = StoreDoor::new(parts.store, parts.env, parts.poll_interval);
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

    /// Whether a worker of this process that shares the store, this program's or another's, claims jobs of this
    /// kind from this queue: it has the handler and slots, was started and is not stopping.
    #[must_use]
    pub fn serves(&self, queue: &QueueName, kind: &Kind) -> bool {
        self.manager.is_served_here(queue, kind)
    }

    /// Whether this program says that others run jobs of this kind and queue: by
    /// [`produces`](Options::produces), [`producer_only`](Options::producer_only), or a queue with 0 slots.
    #[must_use]
    pub fn leaves_to_others(&self, queue: &QueueName, kind: &Kind) -> bool {
        self.manager.producing().is_left_to_others(queue, kind)
    }

    pub(crate) const fn cancel_grace(&self) -> Duration {
        self.times.cancel_grace
    }

    /// What an operator does to jobs and queues; `None` where the store lacks `control()` or `inspect()`.
    #[must_use]
    pub fn admin(&self) -> Option<Admin> {
        let store = self.door.store();
        (store.control().is_some() && store.inspect().is_some()).then(|| Admin::new(self.manager.clone()))
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
