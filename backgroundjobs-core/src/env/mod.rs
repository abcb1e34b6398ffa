//! [`Env`]: the one door for time, chance and tasks.

mod hooks;
mod outside;
mod tokio_tasks;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

pub use hooks::{AbortTask, Checkpoint, Hooks, Outside, OutsideGuard, Process, TaskKind};
pub use outside::WithGuard;

use crate::id::IdSource;
use crate::{ClaimId, Clock, JobId, SystemClock, Timestamp, WorkerId};

/// The surroundings of one manager and its worker: the clock, the seeded randomness, the source of ids, and,
/// in tests, the hooks by which a kit takes part in everything.
///
/// Nothing in the runtime reads a clock, sleeps, spawns or draws a random number but through this. Cloning
/// makes another handle on the same surroundings.
#[derive(Clone)]
pub struct Env {
    inner: Arc<EnvInner>,
}

struct EnvInner {
    clock: Arc<dyn Clock>,
    hooks: Option<Arc<dyn Hooks>>,
    chance: Mutex<Chance>,
    jitter: bool,
}

struct Chance {
    rng: Rng,
    ids: IdSource,
}

impl Env {
    /// The surroundings of a real program: the system clock, random seed, tasks on tokio.
    #[must_use]
    pub fn system() -> Self {
        Self::builder().build()
    }

    /// Surroundings put together by hand.
    #[must_use]
    pub fn builder() -> EnvBuilder {
        EnvBuilder { clock: None, hooks: None, seed: None, jitter: true }
    }

    /// The present instant on the clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// Sleeps until the clock has reached `instant`.
    ///
    /// Cancel safety: dropping it forgets the sleep and nothing else.
    pub async fn sleep_until(&self, instant: Timestamp) {
        self.inner.clock.sleep_until(instant).await;
    }

    /// Sleeps for `duration` from now on the clock.
    ///
    /// Cancel safety: dropping it forgets the sleep and nothing else.
    pub async fn sleep(&self, duration: Duration) {
        self.sleep_until(self.now() + duration).await;
    }

    /// A new job id, larger than every id this `Env` made before.
    #[must_use]
    pub fn job_id(&self) -> JobId {
        JobId::from_uuid(self.uuid())
    }

    /// New job ids in order, made `now`.
    pub(crate) fn job_ids(&self, now: Timestamp, count: usize) -> Vec<JobId> {
        let Chance { rng, ids } = &mut *self.inner.chance.lock();
        (0..count).map(|_| JobId::from_uuid(ids.next(now, rng))).collect()
    }

    /// A new job id, made `now`.
    pub(crate) fn job_id_at(&self, now: Timestamp) -> JobId {
        let Chance { rng, ids } = &mut *self.inner.chance.lock();
        JobId::from_uuid(ids.next(now, rng))
    }

    pub(crate) fn claim_id(&self) -> ClaimId {
        ClaimId::from_uuid(self.uuid())
    }

    pub(crate) fn worker_id(&self) -> WorkerId {
        WorkerId::from_uuid(self.uuid())
    }

    fn uuid(&self) -> uuid::Uuid {
        let now = self.now();
        let Chance { rng, ids } = &mut *self.inner.chance.lock();
        ids.next(now, rng)
    }

    /// `duration`, longer or shorter by up to `part` of itself at random; as it is where jitter is off.
    pub(crate) fn jittered(&self, duration: Duration, part: f64) -> Duration {
        if !self.inner.jitter {
            return duration;
        }
        let draw = self.inner.chance.lock().rng.f64();
        let spread = duration.as_secs_f64() * (1.0 + (draw * 2.0 - 1.0) * part).max(0.0);
        Duration::try_from_secs_f64(spread).unwrap_or(Duration::MAX)
    }

    /// At random up to this part, 0 to 1, of `whole`; nothing where jitter is off.
    pub(crate) fn spread(&self, whole: Duration, part: f64) -> Duration {
        if !self.inner.jitter || part <= 0.0 {
            return Duration::ZERO;
        }
        let seconds = whole.as_secs_f64() * part * self.inner.chance.lock().rng.f64();
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    /// Starts a task that lives until it ends or is aborted; dropping the handle leaves it running.
    pub(crate) fn spawn(
        &self,
        kind: TaskKind,
        name: impl Into<String>,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> TaskHandle {
        let ended = CancellationToken::new();
        let announce = ended.clone().drop_guard();
        let task = Box::pin(async move {
            // Dropped with the task however it ends: on return, in a panic, or when it is aborted.
            let _announce = announce;
            task.await;
        });
        let abort = match &self.inner.hooks {
            Some(hooks) => hooks.spawn(kind, name.into(), task),
            None => tokio_tasks::spawn(task),
        };
        TaskHandle { ended, abort: Arc::new(abort) }
    }

    /// Runs `call` on a thread where it may block. It cannot be ended from outside, and is dropped uncalled when
    /// the runtime shuts down first. A kit does not see the thread: whoever waits for it holds a guard.
    #[expect(clippy::unused_self, reason = "blocking calls start through the one door, like tasks")]
    pub(crate) fn spawn_blocking(&self, call: Box<dyn FnOnce() + Send>) {
        tokio_tasks::spawn_blocking(call);
    }

    /// Whether [`spawn`](Self::spawn) has a runtime to spawn on here.
    pub(crate) fn can_spawn(&self) -> bool {
        self.inner.hooks.is_some() || tokio::runtime::Handle::try_current().is_ok()
    }

    /// Marks `future` as work that goes outside the runtime, as a store call or a handler does: a test kit waits
    /// for it, and for nobody else meanwhile. In production it polls the future and does nothing more.
    pub fn outside<F: Future + Unpin>(&self, what: impl FnOnce() -> Outside, future: F) -> WithGuard<F> {
        WithGuard::new(future, self.inner.hooks.as_ref().map(|hooks| hooks.outside(what())))
    }

    /// Tells the kit that the runtime has come to this point; in production it does nothing.
    ///
    /// Cancel safety: may be dropped.
    pub async fn checkpoint(&self, at: impl FnOnce() -> Checkpoint) {
        if let Some(hooks) = &self.inner.hooks {
            hooks.checkpoint(at()).await;
        }
    }

    /// The hooks, where there are any.
    pub(crate) fn hooks(&self) -> Option<&Arc<dyn Hooks>> {
        self.inner.hooks.as_ref()
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Env").field("clock", &self.inner.clock).field("hooks", &self.inner.hooks).finish()
    }
}

/// Puts an [`Env`] together.
#[derive(Debug)]
pub struct EnvBuilder {
    clock: Option<Arc<dyn Clock>>,
    hooks: Option<Arc<dyn Hooks>>,
    seed: Option<u64>,
    jitter: bool,
}

impl EnvBuilder {
    /// The clock; the [`SystemClock`] unless given.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// What a kit takes part by; nothing unless given.
    #[must_use]
    pub fn hooks(mut self, hooks: Arc<dyn Hooks>) -> Self {
        self.hooks = Some(hooks);
        self
    }

    /// Where ids and jitter come from; a random seed unless given.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Whether waits are spread at random (retries, polling); yes unless told otherwise.
    #[must_use]
    pub const fn jitter(mut self, jitter: bool) -> Self {
        self.jitter = jitter;
        self
    }

    /// The surroundings.
    #[must_use]
    pub fn build(self) -> Env {
        let rng = self.seed.map_or_else(tokio_tasks::random, Rng::with_seed);
        Env {
            inner: Arc::new(EnvInner {
                clock: self.clock.unwrap_or_else(|| Arc::new(SystemClock::new())),
                hooks: self.hooks,
                chance: Mutex::new(Chance { rng, ids: IdSource::new() }),
                jitter: self.jitter,
            }),
        }
    }
}

/// A task that [`Env`] started.
#[derive(Clone)]
pub(crate) struct TaskHandle {
    ended: CancellationToken,
    abort: Arc<AbortTask>,
}

impl TaskHandle {
    /// Ends the task where it waits; its future is dropped soon, not at once.
    pub(crate) fn abort(&self) {
        (self.abort)();
    }

    /// Whether the task's future is gone.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// Waits until the task's future is gone. Cancel safe.
    pub(crate) async fn ended(&self) {
        self.ended.cancelled().await;
    }
}

impl fmt::Debug for TaskHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskHandle").field("ended", &self.ended.is_cancelled()).finish_non_exhaustive()
    }
}
