//! [`TestKit`]: a program's real jobs on virtual time.

mod builder;
mod crash_plan;
mod drain;
mod finish;
mod life;
mod link;
mod node;
mod perform;
mod report;
mod shared;
mod store;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use backgroundjobs_core::hosting::{Host, HostBuilder};
use backgroundjobs_core::{BackgroundJobs, Builder, Env, JobStats, Timestamp};

pub use self::builder::TestKitBuilder;
pub use self::drain::Limits;
pub use self::node::{Node, NodeBuilder};
pub use self::perform::{Perform, Performed};
pub use self::report::{KitReport, RunningJob};
pub(crate) use self::shared::KitShared;
use crate::VirtualClock;
use crate::scheduler::{Report, StepScheduler};

/// A program's real jobs, manager, worker and store, on a clock that stands still until the test moves it.
///
/// Between two verbs nothing moves. When [`advance`](Self::advance) or [`settle`](Self::settle) returns,
/// everything that was due has happened, in the same order each time with the same seed, on any runtime.
/// Delays, retries, leases and timeouts take no real time. End a test with [`finish`](Self::finish): a kit that
/// is dropped without it panics.
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
/// kit.finish().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TestKit {
    shared: Arc<KitShared>,
    env: Env,
    is_finished: AtomicBool,
    /// Dropped last: it drops every task.
    scheduler: StepScheduler,
}

impl TestKit {
    /// A kit that gives everybody their turn first come, first served.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A kit put together by hand.
    pub const fn builder() -> TestKitBuilder {
        TestKitBuilder::new()
    }

    fn of(scheduler: StepScheduler, shared: Arc<KitShared>) -> Self {
        Self { env: shared.env(), shared, is_finished: AtomicBool::new(false), scheduler }
    }

    pub(crate) const fn shared(&self) -> &Arc<KitShared> {
        &self.shared
    }

    /// The surroundings that programs get under this kit.
    #[must_use]
    pub fn env(&self) -> Env {
        self.env.clone()
    }

    /// The clock, for a store or a fake of the test's own. Moving it by its own verbs lets nothing settle.
    #[must_use]
    pub fn clock(&self) -> VirtualClock {
        self.scheduler.clock()
    }

    /// The scheduler, for its trace and its finer verbs.
    #[must_use]
    pub const fn scheduler(&self) -> &StepScheduler {
        &self.scheduler
    }

    /// The seed that it was built with, for what a test draws itself: that of the [exploration](crate::explore).
    #[must_use]
    pub fn seed(&self) -> Option<u64> {
        self.shared.surroundings.seed
    }

    /// The present virtual instant.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.scheduler.now()
    }

    /// Builds jobs in this kit's surroundings; nothing runs yet.
    ///
    /// # Panics
    /// With the error's text when they cannot be built.
    #[must_use]
    pub fn build(&self, builder: Builder) -> Arc<BackgroundJobs> {
        self.shared.build(builder, self.env())
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

    /// Builds a host in this kit's surroundings; nothing runs yet. Jobs among its services are built by
    /// [`build`](Self::build) before.
    ///
    /// # Panics
    /// With the error's text when it cannot be built.
    #[must_use]
    pub fn host(&self, builder: HostBuilder) -> Host {
        builder.env(self.env()).build().unwrap_or_else(|error| panic!("{error}"))
    }

    /// Builds a host in this kit's surroundings and starts it, letting time pass as far as its services need it to
    /// start. Stop it by `kit.run(host.stop())`.
    ///
    /// # Panics
    /// With the error's text when it cannot be built or started.
    pub async fn start_host(&self, builder: HostBuilder) -> Host {
        let host = self.host(builder);
        self.run(host.start()).await.unwrap_or_else(|error| panic!("{error:?}"));
        host
    }

    /// One process of several: a program that may crash and be started again, be cut off, and have a wrong clock.
    pub fn node(&self, name: &str) -> NodeBuilder<'_> {
        NodeBuilder::new(&self.shared, name)
    }

    /// So many nodes of one program, called `worker 1`, `worker 2`…; what they shall share, the store first of
    /// all, `make` must take in from outside.
    ///
    /// # Panics
    /// As [`NodeBuilder::start`] does.
    pub async fn workers(
        &self,
        count: usize,
        make: impl Fn() -> Builder + Send + Sync + 'static,
    ) -> Vec<Node> {
        let make = Arc::new(make);
        let mut nodes = Vec::with_capacity(count);
        for number in 1..=count {
            let make = make.clone();
            nodes.push(self.node(&format!("worker {number}")).start(move || make()).await);
        }
        nodes
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

    /// Settles, then lets time pass up to the next timer and all that follows from it happen. The report's
    /// `steps.to` says which instant that is; without a timer it only settles.
    ///
    /// # Panics
    /// As [`settle`](Self::settle) does.
    pub async fn advance_to_next(&self) -> KitReport {
        self.watch(self.scheduler.advance_to_next()).await
    }

    /// Runs `future` to its end, letting time pass as far as it waits for it: for verbs that themselves wait,
    /// as `jobs.stop(..)` and `jobs.wait_until_idle(..)` do. What happened meanwhile is in
    /// [`StepScheduler::last_report`].
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
        let before = self.before();
        let steps = verb.await;
        expect_no_panic(&steps);
        self.report_since(before, steps)
    }

    fn before(&self) -> Before {
        Before { jobs: self.shared.stats(), enqueued: self.shared.history.count_enqueued() }
    }

    fn report_since(&self, before: Before, steps: Report) -> KitReport {
        let running = self.shared.history.read(|pages| {
            let running = pages.running();
            let running = running.map(|run| RunningJob {
                id: run.job.id,
                kind: run.job.kind.clone(),
                attempt: run.job.attempt(),
                since: run.started.unwrap_or(self.shared.start),
            });
            running.collect()
        });
        KitReport {
            jobs: self.shared.stats().since(before.jobs),
            enqueued: self.shared.history.count_enqueued() - before.enqueued,
            running,
            steps,
        }
    }
}

/// How things stood when a verb began.
struct Before {
    jobs: JobStats,
    enqueued: u64,
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
