//! [`TestKit`]: a program's real jobs on virtual time.

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::sync::{Arc, Weak};
use std::time::Duration;

use backgroundjobs_core::{BackgroundJobs, Builder, Env, JobStats, Timestamp};
use parking_lot::Mutex;

use crate::scheduler::{Report, StepScheduler};

/// A program's real jobs, manager, worker and store, on a clock that stands still until the test moves it.
///
/// Between two verbs nothing moves. When [`advance`](Self::advance) or [`settle`](Self::settle) returns,
/// everything that was due has happened, in the same order each time with the same seed, on any runtime.
/// Delays, retries, leases and timeouts take no real time.
///
/// ```
/// use std::time::Duration;
/// use backgroundjobs_core::prelude::*;
/// use backgroundjobs_memory::prelude::*;
/// use backgroundjobs_testing::TestKit;
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Serialize, Deserialize)]
/// # struct RegisterUser { name: String }
/// # impl JobArgs for RegisterUser { const KIND: &'static str = "register_user"; }
/// # async fn register_user(_user: RegisterUser, _ctx: JobContext) -> JobResult { Ok(()) }
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let kit = TestKit::new();
/// let jobs = kit
///     .start(BackgroundJobs::builder(|options| options.use_in_memory()).register_fn(register_user))
///     .await;
/// jobs.manager().enqueue_in(RegisterUser { name: "masa".into() }, Duration::from_secs(3)).await?;
///
/// assert_eq!(kit.advance(Duration::from_millis(2_999)).await.succeeded, 0);
/// assert_eq!(kit.advance(Duration::from_millis(1)).await.succeeded, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TestKit {
    scheduler: StepScheduler,
    env: Env,
    jobs: Mutex<Vec<Weak<BackgroundJobs>>>,
}

impl TestKit {
    /// A kit that gives everybody their turn first come, first served.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A kit put together by hand.
    pub const fn builder() -> TestKitBuilder {
        TestKitBuilder { seed: None, start_at: None, jitter: false, thread_patience: None }
    }

    /// The surroundings that programs get under this kit.
    #[must_use]
    pub fn env(&self) -> Env {
        self.env.clone()
    }

    /// The scheduler, for its trace and its finer verbs.
    #[must_use]
    pub const fn scheduler(&self) -> &StepScheduler {
        &self.scheduler
    }

    /// The present virtual instant.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.env.now()
    }

    /// Builds jobs in this kit's surroundings; nothing runs yet.
    ///
    /// # Panics
    /// With the error's text when they cannot be built.
    #[must_use]
    pub fn build(&self, builder: Builder) -> Arc<BackgroundJobs> {
        let built = builder.configure(|options| options.env(self.env())).build();
        let jobs = Arc::new(built.unwrap_or_else(|error| panic!("{error}")));
        self.jobs.lock().push(Arc::downgrade(&jobs));
        jobs
    }

    /// Builds jobs in this kit's surroundings and starts them. Their first look at the store is done by the
    /// next verb.
    ///
    /// # Panics
    /// With the error's text when they cannot be built or started.
    pub async fn start(&self, builder: Builder) -> Arc<BackgroundJobs> {
        let jobs = self.build(builder);
        jobs.start().await.unwrap_or_else(|error| panic!("{error}"));
        jobs
    }

    /// Lets everything happen that happens at this instant.
    ///
    /// # Panics
    /// When a task of the runtime panicked, or when nothing moves for ten seconds of real time.
    pub async fn settle(&self) -> KitReport {
        self.watch(self.scheduler.settle()).await
    }

    /// Lets `duration` pass: every timer up to and including the end fires at its own instant, and all that
    /// follows from it has happened before the next one.
    ///
    /// # Panics
    /// As [`settle`](Self::settle) does.
    pub async fn advance(&self, duration: Duration) -> KitReport {
        self.watch(self.scheduler.advance(duration)).await
    }

    /// Runs `future` to its end, letting time pass as far as it waits for it: for verbs that themselves wait,
    /// as `jobs.stop(..)` and `jobs.wait_until_idle(..)` do.
    ///
    /// # Panics
    /// When it waits for what no timer and no task can bring; and as [`settle`](Self::settle) does.
    pub async fn run<F: Future>(&self, future: F) -> F::Output {
        let output = self.scheduler.run(future).await;
        if let Some(report) = self.scheduler.last_report() {
            expect_no_panic(&report);
        }
        output
    }

    async fn watch(&self, verb: impl Future<Output = Report>) -> KitReport {
        let before = self.stats();
        let steps = verb.await;
        expect_no_panic(&steps);
        KitReport { jobs: self.stats().since(before), steps }
    }

    /// What all jobs of this kit have done so far.
    fn stats(&self) -> JobStats {
        let jobs = self.jobs.lock();
        jobs.iter().filter_map(Weak::upgrade).fold(JobStats::default(), |sum, jobs| sum.plus(jobs.stats()))
    }
}

fn expect_no_panic(report: &Report) {
    assert!(report.panicked.is_empty(), "a task of the runtime panicked: {report}");
}

impl Default for TestKit {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for TestKit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestKit").field("scheduler", &self.scheduler).finish_non_exhaustive()
    }
}

/// Puts a [`TestKit`] together.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct TestKitBuilder {
    seed: Option<u64>,
    start_at: Option<Timestamp>,
    jitter: bool,
    thread_patience: Option<Duration>,
}

impl TestKitBuilder {
    /// Decides whose turn it is among several, and the ids and the jitter. Without a seed: first come, first
    /// served, and always the same ids.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The first instant; 2030-01-01T00:00:00Z unless set.
    pub const fn start_at(mut self, instant: Timestamp) -> Self {
        self.start_at = Some(instant);
        self
    }

    /// Whether retries and polls are spread at random, by the seed; no unless set.
    pub const fn jitter(mut self, jitter: bool) -> Self {
        self.jitter = jitter;
        self
    }

    /// How long in real time a verb waits for a blocking handler that does not return, before virtual time goes
    /// on without it; 5 s unless set. For tests of handlers that hang.
    pub const fn thread_patience(mut self, patience: Duration) -> Self {
        self.thread_patience = Some(patience);
        self
    }

    /// The kit.
    #[must_use]
    pub fn build(self) -> TestKit {
        let mut scheduler = StepScheduler::builder();
        if let Some(seed) = self.seed {
            scheduler = scheduler.seed(seed);
        }
        if let Some(instant) = self.start_at {
            scheduler = scheduler.start_at(instant);
        }
        if let Some(patience) = self.thread_patience {
            scheduler = scheduler.thread_patience(patience);
        }
        let scheduler = scheduler.build();
        let env = Env::builder()
            .clock(Arc::new(scheduler.clock()))
            .hooks(scheduler.hooks())
            .seed(self.seed.unwrap_or(0))
            .jitter(self.jitter)
            .build();
        TestKit { scheduler, env, jobs: Mutex::new(Vec::new()) }
    }
}

/// What happened while a verb of the kit was at work, over all jobs that the kit started.
///
/// The numbers of [`JobStats`] can be read off it directly: `report.succeeded`.
#[derive(Clone, Debug)]
#[must_use = "a report says what ran; a test that does not look may pass because nothing did"]
#[non_exhaustive]
pub struct KitReport {
    /// What the jobs' workers did. Jobs that were dropped meanwhile take their numbers with them.
    pub jobs: JobStats,
    /// The scheduler's own report: instants, timers, and whether another run would be the same.
    pub steps: Report,
}

impl Deref for KitReport {
    type Target = JobStats;

    fn deref(&self) -> &JobStats {
        &self.jobs
    }
}
