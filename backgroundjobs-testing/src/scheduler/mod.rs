//! [`StepScheduler`]: one task at a time, one timer at a time, the same again with the same seed.

mod builder;
mod drive;
mod explain;
mod grant;
mod guards;
mod hooks;
mod inhibitor;
pub(crate) mod real_time;
mod report;
mod run;
mod shared;
mod state;
mod tasks;
mod trace;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use backgroundjobs_core::{AbortTask, Clock, Env, Hooks, TaskKind, Timestamp};
use fastrand::Rng;

pub use builder::StepSchedulerBuilder;
pub(crate) use hooks::Steps;
pub(crate) use inhibitor::Inhibitor;
pub use report::{Report, TaskPanic};
pub(crate) use trace::fnv_1a;
pub use trace::{Event, TraceLog};

use crate::VirtualClock;
use drive::{Drive, nothing};
use shared::{Limits, Shared};

/// Runs the tasks of a program step by step on virtual time, so that a seed decides everything.
///
/// It owns the tasks that the program spawns through its [`Env`] and polls them itself, inside the verbs that
/// the test calls: nothing moves between two verbs. A task whose waker was used is *ready*. A verb polls one
/// ready task at a time, chosen first come, first served, or drawn from the seed. It *has settled* when no task
/// is ready and no guard (a store call, a handler) waits for something outside; only then virtual time moves,
/// to one timer at a time.
///
/// **Guards.** While a guard waits for something outside, real time decides how long, so all other tasks wait
/// with it and see no difference. A guard that waits for the virtual clock or for the handler's cancellation is
/// *suspended*: the kit can see what it waits for, and others go on. A handler that waits for both a virtual
/// sleep and something outside counts as suspended; if the outside answers, [`Report::nondeterministic`] says
/// so. A handler that is not woken for 100 ms of real time while others could go on (it waits for another
/// handler, perhaps) is given up until it is woken, and the report says so.
///
/// **Panics.** A task that panics is over, is named in the [`Report`], and leaves the rest running. If nothing
/// happens for 10 s of real time the verb panics and tells who waits for what.
///
/// **Limits.** A task that blocks its thread blocks the test; the watchdog can only print who it is. What a
/// handler spawns on tokio itself is not seen. A program's interleavings are explored at its await points.
///
/// Works on every tokio runtime, and needs none where the tasks need none. Dropping it drops the tasks, the
/// oldest first.
///
/// ```
/// use std::time::Duration;
/// use backgroundjobs_testing::StepScheduler;
///
/// # tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(async {
/// let scheduler = StepScheduler::builder().seed(7).build();
/// let (env, log) = (scheduler.env(7), scheduler.trace_log());
/// let _abort = scheduler.spawn("greeter", async move {
///     env.sleep(Duration::from_secs(3)).await;
///     log.log("hello");
/// });
/// let report = scheduler.advance(Duration::from_secs(3)).await;
/// assert_eq!(report.timers_fired, 1);
/// assert!(scheduler.trace().iter().any(|event| event.text == "hello"));
/// # });
/// ```
pub struct StepScheduler {
    shared: Arc<Shared>,
}

impl StepScheduler {
    /// A scheduler that chooses first come, first served, at [`VirtualClock::START`].
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A scheduler put together by hand.
    pub const fn builder() -> StepSchedulerBuilder {
        StepSchedulerBuilder::new()
    }

    fn start(clock: VirtualClock, chance: Option<Rng>, limits: Limits) -> Self {
        let shared = Arc::new(Shared::new(clock, chance, limits));
        shared.watch_sleepers_outside();
        Self { shared }
    }

    /// Surroundings for a program under this scheduler: its clock, its tasks, ids drawn from `seed`, no jitter.
    #[must_use]
    pub fn env(&self, seed: u64) -> Env {
        let clock = Arc::new(self.clock());
        Env::builder().clock(clock).hooks(self.hooks()).seed(seed).jitter(false).build()
    }

    /// The scheduler's part in a program, for an [`Env`] put together by hand.
    #[must_use]
    pub fn hooks(&self) -> Arc<dyn Hooks> {
        Arc::new(self.steps())
    }

    pub(crate) fn steps(&self) -> Steps {
        Steps(self.shared.clone())
    }

    /// The clock. Moving it by its own verbs lets nothing settle.
    #[must_use]
    pub fn clock(&self) -> VirtualClock {
        self.shared.clock.clone()
    }

    /// The present virtual instant.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Starts a task, as a program does through its [`Env`]. Calling the answer ends it.
    pub fn spawn(
        &self,
        name: impl Into<String>,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> AbortTask {
        let id = self.shared.spawn(TaskKind::Work, name.into(), Box::pin(task));
        self.shared.abort_of(id)
    }

    /// Lets everything happen that happens at this instant.
    ///
    /// Cancel safety: dropping it leaves tasks as they are; the next verb goes on.
    ///
    /// # Panics
    ///
    /// When called inside a task of the scheduler or while another verb drives it; when nothing happens for
    /// long in real time, or too much in one instant. The same holds for the other verbs.
    pub async fn settle(&self) -> Report {
        let drive = Drive::begin(&self.shared, "settle");
        drive.settle(&mut nothing).await;
        drive.finish()
    }

    /// Settles, then moves on by `duration`: fires each timer up to and at the end instant at its own instant,
    /// settling after each.
    ///
    /// Cancel safety: dropping it leaves the clock where it has come to; the next verb goes on.
    pub async fn advance(&self, duration: Duration) -> Report {
        let drive = Drive::begin(&self.shared, "advance");
        let until = self.now() + duration;
        drive.settle(&mut nothing).await;
        self.fire_until(&drive, until).await;
        drive.finish()
    }

    /// Settles, then moves on to the instant of the next timer and fires all that are due at it, settling
    /// after each. Without a timer it only settles.
    ///
    /// Cancel safety: dropping it leaves the clock where it has come to; the next verb goes on.
    pub async fn advance_to_next(&self) -> Report {
        let drive = Drive::begin(&self.shared, "advance_to_next");
        drive.settle(&mut nothing).await;
        if let Some(next) = self.shared.clock.next_timer() {
            self.fire_until(&drive, next).await;
        }
        drive.finish()
    }

    async fn fire_until(&self, drive: &Drive, until: Timestamp) {
        while drive.fire(until) {
            drive.settle(&mut nothing).await;
        }
        self.shared.clock.move_to(until);
    }

    /// Runs `future` as the task "test" until it has ended and everything has settled, moving on to the next
    /// timer whenever nothing else is left to do. [`last_report`](Self::last_report) tells what was seen.
    ///
    /// What the future awaits must be the program's own or the clock's; something real that no guard announces
    /// is not waited for.
    ///
    /// Cancel safety: dropping it drops `future`; the next verb goes on with the rest.
    ///
    /// # Panics
    ///
    /// As `future` does; when it waits and no timer is left that could help it; and as
    /// [`settle`](Self::settle) does.
    pub async fn run<F: Future>(&self, future: F) -> F::Output {
        run::run(&self.shared, future).await
    }

    /// What the last finished verb saw.
    #[must_use]
    pub fn last_report(&self) -> Option<Report> {
        self.shared.state.lock().last.clone()
    }

    /// Why another run may differ, from every verb so far.
    pub(crate) fn doubts(&self) -> Vec<String> {
        self.shared.state.lock().doubts.clone()
    }

    /// Everything that happened so far: tasks spawned, ended, aborted and panicked, timers, who was chosen
    /// where there was a choice, the runtime's checkpoints, and what was logged.
    #[must_use]
    pub fn trace(&self) -> Vec<Event> {
        self.shared.trace.events()
    }

    /// A 64-bit FNV-1a hash of the trace: equal for equal traces, on every machine.
    #[must_use]
    pub fn trace_hash(&self) -> u64 {
        self.shared.trace.hash()
    }

    /// Writes into the trace.
    pub fn log(&self, text: impl Into<String>) {
        self.shared.trace.log(text);
    }

    /// A handle for writing into the trace from tasks.
    #[must_use]
    pub fn trace_log(&self) -> TraceLog {
        self.shared.trace.clone()
    }
}

impl Default for StepScheduler {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for StepScheduler {
    fn drop(&mut self) {
        // Tasks own their `Env`, which reaches back here: without this neither would ever go.
        self.shared.close();
    }
}

impl fmt::Debug for StepScheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepScheduler")
            .field("clock", &self.shared.clock)
            .field("trace", &self.shared.trace)
            .finish_non_exhaustive()
    }
}
