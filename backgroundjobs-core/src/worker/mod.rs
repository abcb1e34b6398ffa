//! The worker: claims jobs, runs them in slots, and settles how they ended.
//!
//! Data flows one way: [`claimer`] asks the store and fills the [`board`]; a [`slot`] takes a job from it and
//! runs it; the [`settler`] tells the store how it ended. Beside this flow, [`leases`] says to the store what
//! is still held, [`deadlines`] ends runs that take too long, and [`upkeep`] takes back jobs of dead workers
//! and clears finished ones away.
//!
//! Rules that hold in all of it: a store call in flight is awaited to its end and never selected over (but for
//! the [`listener`]'s, which is a hint and may be dropped); a lease is renewed until its settle is answered; an
//! error of the store ends nothing.

mod backoff;
mod board;
mod claimer;
mod deadlines;
mod execute;
mod leases;
mod listener;
mod overdue;
mod pace;
mod perform;
mod run;
mod runs;
mod settler;
mod slot;
mod stats;
mod stop;
mod upkeep;
mod verdict;
mod view;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use self::board::Board;
use self::deadlines::{Act, Deadlines};
pub(crate) use self::perform::Performance;
use self::run::CancelCause;
pub(crate) use self::run::{BlockingCall, Run};
use self::runs::Runs;
use self::settler::Settler;
pub use self::stats::JobStats;
use self::stats::Stats;
pub use self::stop::{LeftRunning, StopReport};
use self::upkeep::Upkeep;
use crate::context::Surroundings;
use crate::env::{TaskHandle, TaskKind};
use crate::events::Listeners;
use crate::limits::LAST_CALLS;
use crate::local_worker::LocalWorker;
use crate::options::Times;
use crate::registry::Registry;
use crate::store::{ClaimedJob, LeaseKey, Outcome, Retention, Settlement, Wake};
use crate::store_door::StoreDoor;
use crate::{
    BackgroundJobManager, DrainProgress, FinishedRun, JobExecutor, JobManager, QueueName, RetryPolicy,
    Timestamp, WorkerId,
};

/// What a worker is made of.
pub(crate) struct WorkerParts {
    pub(crate) door: StoreDoor,
    pub(crate) registry: Arc<Registry>,
    pub(crate) executor: Arc<dyn JobExecutor>,
    pub(crate) manager: Arc<dyn JobManager>,
    pub(crate) queues: Vec<(QueueName, usize)>,
    pub(crate) retry: RetryPolicy,
    pub(crate) retention: Retention,
    pub(crate) times: Times,
    pub(crate) on_finished: Listeners<FinishedRun>,
    pub(crate) on_drain: Listeners<DrainProgress>,
}

/// A running worker.
pub(crate) struct Worker {
    shared: Arc<Shared>,
    slots: Vec<TaskHandle>,
    /// What it runs on; none under a kit without one.
    runtime: Option<Handle>,
    /// The claimer, lease keeper, settler and so on.
    services: Vec<(&'static str, TaskHandle)>,
}

/// What the tasks of one worker share.
struct Shared {
    id: WorkerId,
    door: StoreDoor,
    registry: Arc<Registry>,
    executor: Arc<dyn JobExecutor>,
    surroundings: Arc<Surroundings>,
    retry: RetryPolicy,
    times: Times,
    on_finished: Listeners<FinishedRun>,
    on_drain: Listeners<DrainProgress>,
    board: Board,
    runs: Runs,
    deadlines: Deadlines,
    settler: Settler,
    upkeep: Upkeep,
    stats: Stats,
    /// What the store answered to the last claim, if that failed.
    claim_error: Mutex<Option<String>>,
    /// No more claims.
    stopping: AtomicBool,
    /// Every run is told to stop.
    interrupted: AtomicBool,
    /// The runs that a stop has told.
    told_by_stop: Mutex<Vec<LeaseKey>>,
    slots_left: AtomicUsize,
    /// The services end.
    closing: CancellationToken,
}

impl Worker {
    /// Starts claiming. Needs a runtime to spawn on.
    pub(crate) fn start(parts: WorkerParts) -> Self {
        let slots: usize = parts.queues.iter().map(|(_, slots)| slots).sum();
        let env = parts.door.env().clone();
        let shared = Arc::new(Shared {
            id: env.worker_id(),
            board: Board::new(&parts.queues, parts.times.read_ahead),
            settler: Settler::new(slots),
            upkeep: Upkeep::new(parts.retention),
            runs: Runs::default(),
            deadlines: Deadlines::default(),
            stats: Stats::default(),
            claim_error: Mutex::default(),
            stopping: AtomicBool::new(false),
            interrupted: AtomicBool::new(false),
            told_by_stop: Mutex::default(),
            slots_left: AtomicUsize::new(slots),
            closing: CancellationToken::new(),
            door: parts.door,
            registry: parts.registry,
            executor: parts.executor,
            surroundings: Arc::new(Surroundings { env, manager: parts.manager }),
            retry: parts.retry,
            times: parts.times,
            on_finished: parts.on_finished,
            on_drain: parts.on_drain,
        });
        if let Some(hub) = shared.door.hub() {
            let worker: Arc<dyn LocalWorker> = shared.clone();
            hub.join(Arc::downgrade(&worker));
        }
        tracing::debug!(worker = %shared.id, slots, "the worker starts");
        let services = spawn_services(&shared);
        let slots = spawn_slots(&shared);
        Self { services, slots, runtime: Handle::try_current().ok(), shared }
    }

    /// The worker as others of this process see it.
    pub(crate) fn as_seen_from_outside(&self) -> Weak<dyn LocalWorker> {
        let worker: Arc<dyn LocalWorker> = self.shared.clone();
        Arc::downgrade(&worker)
    }

    /// What has happened so far.
    pub(crate) fn stats(&self) -> JobStats {
        self.shared.stats.read(self.shared.settler.backlog())
    }

    /// The end of a worker that nobody stops: no more claims, every run is told to stop, and is dropped after
    /// the grace. Nobody waits for it, so what cannot be handed back before the program ends goes back when
    /// its leases run out.
    pub(crate) fn abandon(&self) {
        let shared = self.shared.clone();
        shared.release(shared.close_board().iter().map(claimer::lease_of));
        shared.interrupt();
        let slots = self.slots.clone();
        let env = shared.door.env().clone();
        let grace = shared.times.cancel_grace;
        let over = env.now() + grace + grace.max(LAST_CALLS);
        let wind_down = async move {
            // The grace, and then time for the store to hear of it.
            shared.sleep_until(Some(over)).await;
            // A slot that a blocking call holds still tells what that returns.
            if !shared.runs.all_running().iter().any(|run| run.is_blocking()) {
                slots.iter().for_each(TaskHandle::abort);
            }
            shared.closing.cancel();
        };
        // The drop may be outside the runtime that the worker runs on; if that is gone, so are the slots.
        let _entered = self.runtime.as_ref().map(Handle::enter);
        if env.can_spawn() {
            env.spawn(TaskKind::Work, "wind-down", wind_down);
        } else {
            self.shared.closing.cancel();
        }
    }
}

fn spawn_slots(shared: &Arc<Shared>) -> Vec<TaskHandle> {
    let mut tasks = Vec::new();
    for (index, (queue, slots)) in shared.board.queues().into_iter().enumerate() {
        for slot in 0..slots {
            let counted = CountSlot(shared.clone());
            // In all that it runs, the worker's manager is the current one.
            let manager = shared.surroundings.manager.clone();
            let task =
                async move { BackgroundJobManager::scope(manager, slot::work(&counted.0, index)).await };
            tasks.push(shared.door.env().spawn(TaskKind::Work, format!("slot {queue}/{slot}"), task));
        }
    }
    tasks
}

/// Counts a slot as there until it ends, however it ends.
struct CountSlot(Arc<Shared>);

impl Drop for CountSlot {
    fn drop(&mut self) {
        self.0.slots_left.fetch_sub(1, Ordering::SeqCst);
        self.0.runs.ended.notify_waiters();
    }
}

macro_rules! service {
    ($shared:ident, $kind:ident, $name:literal, $run:path) => {{
        let shared = $shared.clone();
        ($name, $shared.door.env().spawn(TaskKind::$kind, $name, async move { $run(&shared).await }))
    }};
}

fn spawn_services(shared: &Arc<Shared>) -> Vec<(&'static str, TaskHandle)> {
    let mut services = vec![
        service!(shared, Claiming, "claimer", claimer::keep),
        service!(shared, Housekeeping, "leases", leases::keep),
        service!(shared, Work, "deadlines", deadlines::keep),
        service!(shared, Work, "settler", settler::keep),
        service!(shared, Housekeeping, "upkeep", upkeep::keep),
    ];
    // Real notifications arrive at real moments and would break the order that a kit keeps.
    if shared.door.env().hooks().is_none() && shared.door.store().remote_wakes().is_some() {
        services.push(service!(shared, Work, "listener", listener::keep));
    }
    if shared.door.profile().is_shared() && shared.door.store().inspect().is_some() {
        services.push(service!(shared, Housekeeping, "overdue", overdue::keep));
    }
    services
}

impl Shared {
    /// Ends claiming. What was read ahead is to be released.
    fn close_board(&self) -> Vec<ClaimedJob> {
        let left = self.board.close();
        self.stopping.store(true, Ordering::SeqCst);
        left
    }

    /// Tells a run to stop, and sees to it that it is dropped if it does not. Says whether nobody had told it
    /// before.
    fn cancel_run(&self, run: &Arc<Run>, cause: CancelCause) -> bool {
        let first = run.cancel(cause);
        if first && !run.has_ended() {
            let at = self.door.env().now() + self.times.cancel_grace;
            self.deadlines.insert(at, run.clone(), Act::Drop);
        }
        first
    }

    /// Tells every run to stop, those that are about to start included. Answers those that nobody had told.
    fn interrupt(&self) -> Vec<Arc<Run>> {
        // Before the look at the runs: a slot registers its run first and looks here after.
        self.interrupted.store(true, Ordering::SeqCst);
        let mut runs = self.runs.all_running();
        runs.retain(|run| self.cancel_run(run, CancelCause::Stop));
        runs
    }

    /// Tells everyone of this process whom a change concerns.
    fn announce(&self, wake: Wake<'_>) {
        match self.door.hub() {
            Some(hub) => hub.announce(wake),
            None => self.wake(wake),
        }
    }

    /// Hands back what was claimed and has not started; costs the job nothing.
    fn release(&self, leases: impl IntoIterator<Item = LeaseKey>) {
        for lease in leases {
            self.settler.push(Settlement { lease, outcome: Outcome::Release });
        }
        self.settler.nudge();
    }

    /// Sleeps until `instant`; for ever without one. Cancel safe.
    async fn sleep_until(&self, instant: Option<Timestamp>) {
        match instant {
            Some(instant) => self.door.env().sleep_until(instant).await,
            None => std::future::pending().await,
        }
    }
}
