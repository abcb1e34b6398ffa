//! [`Options`]: what a program says once, for all its jobs.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::events::Listeners;
use crate::limits::{
    CANCEL_GRACE, CRASH_BACKOFF, DEFAULT_MAX_CRASHES, LEASE, READ_AHEAD, RENEW_EVERY, SLOTS_PER_CORE,
};
use crate::{DrainProgress, Env, FinishedRun, JobArgs, JobExecutor, JobStore, Retention, RetryPolicy};

type Wrapper = Box<dyn FnOnce(Arc<dyn JobExecutor>) -> Arc<dyn JobExecutor> + Send>;
pub(crate) type StoreWrapper = Box<dyn FnOnce(Arc<dyn JobStore>) -> Arc<dyn JobStore> + Send>;

/// What a program says once, for all its jobs: which store, which queues, which retry policy.
///
/// Built by value in the closure of [`BackgroundJobs::builder`](crate::BackgroundJobs::builder). Nothing here
/// fails; what is wrong is reported by `build()`, all at once.
#[must_use]
pub struct Options {
    pub(crate) stores: Vec<Arc<dyn JobStore>>,
    pub(crate) queues: Vec<(String, usize)>,
    pub(crate) produced: Vec<&'static str>,
    pub(crate) producer_only: bool,
    pub(crate) retry: RetryPolicy,
    pub(crate) timeout: Option<Duration>,
    pub(crate) retention: Option<Retention>,
    pub(crate) env: Option<Env>,
    pub(crate) wrappers: Vec<Wrapper>,
    pub(crate) store_wrappers: Vec<StoreWrapper>,
    pub(crate) max_crashes: u16,
    pub(crate) times: Times,
    pub(crate) poll_interval: Option<Duration>,
    pub(crate) on_finished: Listeners<FinishedRun>,
    pub(crate) on_drain: Listeners<DrainProgress>,
}

/// The worker's times.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) lease: Duration,
    pub(crate) renew_every: Duration,
    pub(crate) crash_backoff: Duration,
    pub(crate) cancel_grace: Duration,
    pub(crate) read_ahead: Duration,
}

impl Options {
    pub(crate) fn new() -> Self {
        Self {
            stores: Vec::new(),
            queues: Vec::new(),
            produced: Vec::new(),
            producer_only: false,
            retry: RetryPolicy::new(),
            timeout: None,
            retention: None,
            env: None,
            wrappers: Vec::new(),
            store_wrappers: Vec::new(),
            max_crashes: DEFAULT_MAX_CRASHES,
            times: Times {
                lease: LEASE,
                renew_every: RENEW_EVERY,
                crash_backoff: CRASH_BACKOFF,
                cancel_grace: CANCEL_GRACE,
                read_ahead: READ_AHEAD,
            },
            poll_interval: None,
            on_finished: Listeners::default(),
            on_drain: Listeners::default(),
        }
    }

    /// Keeps the jobs in `store`. Exactly one store must be named.
    pub fn use_store(self, store: impl JobStore) -> Self {
        self.use_shared_store(Arc::new(store))
    }

    /// Keeps the jobs in a store that others hold too.
    pub fn use_shared_store(mut self, store: Arc<dyn JobStore>) -> Self {
        self.stores.push(store);
        self
    }

    /// Serves `queue` with so many slots: so many of its jobs run at a time. 0 slots declare a queue that
    /// another program serves.
    ///
    /// Without any call the queue `default` is served with four slots for each available core; with one,
    /// exactly the named queues are.
    pub fn queue(mut self, queue: impl Into<String>, slots: usize) -> Self {
        self.queues.push((queue.into(), slots));
        self
    }

    /// Declares that jobs of `A` are enqueued here and run by another program.
    pub fn produces<A: JobArgs>(mut self) -> Self {
        self.produced.push(A::KIND);
        self
    }

    /// Runs nothing here: every kind and every queue may be enqueued, other programs run them.
    pub fn producer_only(mut self) -> Self {
        self.producer_only = true;
        self
    }

    /// How failing jobs are tried again, unless their registration says otherwise.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// How long a run may take, unless its registration or its args type says otherwise; no limit unless set.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// What is kept of finished jobs, instead of the store's own default.
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = Some(retention);
        self
    }

    /// Puts `wrap` around the executor of every run; the last one given is the outermost.
    pub fn wrap_executor<E: JobExecutor>(
        mut self,
        wrap: impl FnOnce(Arc<dyn JobExecutor>) -> E + Send + 'static,
    ) -> Self {
        self.wrappers.push(Box::new(move |inner| Arc::new(wrap(inner))));
        self
    }

    /// Puts `wrap` around the store, whichever is named; the last one given is the outermost. For code that
    /// looks at, delays or disturbs what passes between a program and its store: a measurement, a test kit. What it
    /// makes must keep the [contract](JobStore) as far as the program relies on it, and answer the
    /// [`local_hub`](JobStore::local_hub) of the store inside.
    pub fn wrap_store(
        mut self,
        wrap: impl FnOnce(Arc<dyn JobStore>) -> Arc<dyn JobStore> + Send + 'static,
    ) -> Self {
        self.store_wrappers.push(Box::new(wrap));
        self
    }

    /// Calls `listener` after each run that the store has taken the outcome of, also when another run follows.
    /// May be called several times; each listener hears every run.
    ///
    /// It is called by the task that tells the store, so it must be quick and must not block: send the event
    /// to a channel to do more with it. Runs of other processes are not heard.
    pub fn on_finished(mut self, listener: impl Fn(&FinishedRun) + Send + Sync + 'static) -> Self {
        self.on_finished.add(listener);
        self
    }

    /// Calls `listener` as a stop comes along: at each step, and whenever a run ends meanwhile. It must be
    /// quick and must not block; it may draw a line on a terminal.
    pub fn on_drain_progress(mut self, listener: impl Fn(&DrainProgress) + Send + Sync + 'static) -> Self {
        self.on_drain.add(listener);
        self
    }

    /// How long a claim holds a job that is not renewed, and how often claims are renewed: 30 s and 10 s
    /// unless set. A shorter lease finds a dead worker's jobs sooner and survives less trouble with the store.
    pub fn lease(mut self, lease: Duration, renew_every: Duration) -> Self {
        self.times.lease = lease;
        self.times.renew_every = renew_every;
        self
    }

    /// Lost leases in a row after which a job is failed, 3 unless set, and how long it waits after each, times
    /// their number, 30 s unless set. 0 crashes count as 1.
    pub fn crashes(mut self, max: u16, backoff: Duration) -> Self {
        self.max_crashes = max.max(1);
        self.times.crash_backoff = backoff;
        self
    }

    /// Time between cancelling a run and dropping it where it waits; 5 s unless set.
    pub fn cancel_grace(mut self, grace: Duration) -> Self {
        self.times.cancel_grace = grace;
        self
    }

    /// How far ahead jobs are claimed: as many as should start within this time, at the run times seen
    /// lately; 100 ms unless set. Zero claims only what can start at once.
    pub fn read_ahead(mut self, time: Duration) -> Self {
        self.times.read_ahead = time;
        self
    }

    /// How often a store that other processes write to is asked for work when nothing wakes the worker, give or take a
    /// tenth; as often as the store's own [profile](crate::StoreProfile::poll_interval) says unless set, most often
    /// every 5 s. A store that only this process writes to is not polled, whatever is set.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = Some(interval);
        self
    }

    /// The clock, the randomness and the tasks to run on; the system's unless set. A test kit sets its own.
    pub fn env(mut self, env: Env) -> Self {
        self.env = Some(env);
        self
    }
}

/// Slots of a queue when nothing names a number.
pub(crate) fn default_slots() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get) * SLOTS_PER_CORE
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("stores", &self.stores)
            .field("queues", &self.queues)
            .field("producer_only", &self.producer_only)
            .finish_non_exhaustive()
    }
}
