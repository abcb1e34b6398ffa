//! [`TimedService`]: a background service that ticks.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::failure::outcome;
use super::schedule::{Missed, Schedule};
use super::{BackgroundService, ServiceFuture, ServiceResult, Stopping};
use crate::catch_panic::CatchPanic;
use crate::step_aside::step_aside;
use crate::{BoxFuture, Timestamp};

/// What is done at each tick of a [`TimedService`]. Dependencies are fields; `tick` is written as a plain `async fn`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not what a timed service does: it lacks `impl TimedTask`",
    label = "does not implement `TimedTask`",
    note = "a function or closure is given to `run_fn` instead of `run`",
    note = "for a type of your own write `impl TimedTask for YourType` with `async fn tick(&self, tick: Tick) -> ServiceResult`"
)]
pub trait TimedTask: Send + Sync + 'static {
    /// Does what is due. An error or a panic is reported, and the timer goes on.
    ///
    /// A stop waits for it until the host's time is over, then it is dropped where it waits.
    fn tick(&self, tick: Tick) -> impl Future<Output = ServiceResult> + Send;
}

/// One tick of a timed service.
#[derive(Clone, Debug)]
pub struct Tick {
    number: u64,
    due: Timestamp,
    left_out: u64,
    stopping: Stopping,
}

impl Tick {
    /// Which tick this is since the service was started, counted from 1; those that were left out do not count.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// When it was due; with jitter, and after a long tick, it runs later.
    #[must_use]
    pub const fn due(&self) -> Timestamp {
        self.due
    }

    /// How many ticks before it were left out, because their time passed meanwhile.
    #[must_use]
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Whether the service shall stop, and the clock to sleep on.
    #[must_use]
    pub const fn stopping(&self) -> &Stopping {
        &self.stopping
    }
}

/// A background service that ticks: every period, one tick at a time.
///
/// Ticks lie on a grid, so their time does not drift. A tick that fails or panics is reported (to the log, the
/// service's health and [`on_report`](super::HostBuilder::on_report)), and the timer goes on. A stop waits for a tick
/// that runs.
///
/// ```
/// use std::time::Duration;
/// use backgroundjobs_core::hosting::{Host, Tick, TimedService};
///
/// let hourly = TimedService::every(Duration::from_secs(3600)).at_once().run_fn(async |tick: Tick| {
///     println!("tick {}, due at {}", tick.number(), tick.due());
///     Ok(())
/// });
/// let host = Host::builder().background("hourly", hourly).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TimedService {
    timer: Timer,
    task: Box<dyn ErasedTask>,
}

/// When a [`TimedService`] ticks; what it does then is said last, by [`run`](Self::run) or one of its like.
#[derive(Clone, Copy, Debug)]
#[must_use = "a timer does nothing until .run(..) makes a service of it"]
pub struct Timer {
    period: Duration,
    at_once: bool,
    missed: Missed,
    jitter: f64,
}

impl TimedService {
    /// A timer of this period. A period of zero is an error of [`build`](super::HostBuilder::build).
    pub const fn every(period: Duration) -> Timer {
        Timer { period, at_once: false, missed: Missed::Merge, jitter: 0.0 }
    }
}

impl Timer {
    /// The first tick comes at once; after one period unless this is said.
    pub const fn at_once(mut self) -> Self {
        self.at_once = true;
        self
    }

    /// What becomes of ticks whose time passed while another ran, or while the machine slept; one tick stands for all
    /// of them unless set.
    pub const fn missed(mut self, missed: Missed) -> Self {
        self.missed = missed;
        self
    }

    /// Lets each tick come later by up to this part of the period, at random, so that many programs do not tick
    /// together; 0 unless set. What is outside 0 to 1 is cut; what is no number counts as 0.
    pub const fn jitter(mut self, part: f64) -> Self {
        self.jitter = if part > 0.0 { part.min(1.0) } else { 0.0 };
        self
    }

    /// Does this at each tick.
    pub fn run(self, task: impl TimedTask) -> TimedService {
        TimedService { timer: self, task: Box::new(task) }
    }

    /// Calls this async function or closure at each tick.
    pub fn run_fn<F, Fut>(self, function: F) -> TimedService
    where
        F: Fn(Tick) -> Fut + Send + Sync + 'static,
        Fut: ServiceFuture<Output = ServiceResult> + Send,
    {
        self.run(FnTask(function))
    }

    /// Calls this async function with a clone of `state` at each tick.
    pub fn run_fn_with<S, F, Fut>(self, state: S, function: F) -> TimedService
    where
        S: Clone + Send + Sync + 'static,
        F: Fn(S, Tick) -> Fut + Send + Sync + 'static,
        Fut: ServiceFuture<Output = ServiceResult> + Send,
    {
        self.run(FnTaskWith { state, function })
    }

    /// Has `factory` make what each tick is done by, and drops it after the tick: what a scope is in dependency
    /// injection. A factory that fails is a failed tick.
    pub fn run_scoped<T, F, Fut>(self, factory: F) -> TimedService
    where
        T: TimedTask,
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: ServiceFuture<Output = ServiceResult<T>> + Send,
    {
        self.run(ScopedTask(factory))
    }
}

impl BackgroundService for TimedService {
    async fn execute(&self, stopping: Stopping) -> ServiceResult {
        let Timer { period, at_once, missed, jitter } = self.timer;
        let schedule = Schedule { period, missed };
        let env = stopping.cell().env.clone();
        let now = env.now();
        let mut due = if at_once { now } else { schedule.after(now) };
        let mut number = 0;
        loop {
            let now = env.now();
            let next = schedule.plan(due, now, env.spread(period, jitter));
            if next.wake <= now {
                // No sleep follows: a tick that is longer than the period must not keep its thread for itself.
                step_aside().await;
            }
            if !stopping.sleep_until(next.wake).await.has_elapsed() {
                return Ok(());
            }
            number += 1;
            let tick = Tick { number, due: next.due, left_out: next.left_out, stopping: stopping.clone() };
            self.tick(tick).await;
            due = schedule.after(next.due);
        }
    }

    fn check(&self) -> ServiceResult {
        if self.timer.period.is_zero() {
            return Err(
                "its period is zero: let it tick every(Duration::from_secs(1)), or whatever it shall be"
                    .into(),
            );
        }
        Ok(())
    }
}

impl TimedService {
    async fn tick(&self, tick: Tick) {
        let (number, stopping) = (tick.number, tick.stopping.clone());
        let tick = CatchPanic::new(|| self.task.tick(tick));
        let ended = stopping.cell().guarded("tick", tick).await;
        if let Err(error) = outcome(ended) {
            stopping.cell().report(format!("tick {number}"), error);
        }
    }
}

impl fmt::Debug for TimedService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimedService").field("timer", &self.timer).finish_non_exhaustive()
    }
}

/// A task of any type.
trait ErasedTask: Send + Sync + 'static {
    fn tick(&self, tick: Tick) -> BoxFuture<'_, ServiceResult>;
}

impl<T: TimedTask> ErasedTask for T {
    fn tick(&self, tick: Tick) -> BoxFuture<'_, ServiceResult> {
        Box::pin(TimedTask::tick(self, tick))
    }
}

impl<T: TimedTask> TimedTask for Arc<T> {
    fn tick(&self, tick: Tick) -> impl Future<Output = ServiceResult> + Send {
        TimedTask::tick(&**self, tick)
    }
}

struct FnTask<F>(F);

impl<F, Fut> TimedTask for FnTask<F>
where
    F: Fn(Tick) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ServiceResult> + Send,
{
    fn tick(&self, tick: Tick) -> impl Future<Output = ServiceResult> + Send {
        (self.0)(tick)
    }
}

struct FnTaskWith<S, F> {
    state: S,
    function: F,
}

impl<S, F, Fut> TimedTask for FnTaskWith<S, F>
where
    S: Clone + Send + Sync + 'static,
    F: Fn(S, Tick) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ServiceResult> + Send,
{
    fn tick(&self, tick: Tick) -> impl Future<Output = ServiceResult> + Send {
        (self.function)(self.state.clone(), tick)
    }
}

/// Makes a task for each tick, and drops it after the tick.
struct ScopedTask<F>(F);

impl<T, F, Fut> TimedTask for ScopedTask<F>
where
    T: TimedTask,
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ServiceResult<T>> + Send,
{
    async fn tick(&self, tick: Tick) -> ServiceResult {
        let task = (self.0)().await?;
        task.tick(tick).await
    }
}
