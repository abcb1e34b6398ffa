//! [`Hooks`]: how a test kit takes part in what the runtime does.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use crate::{BoxFuture, JobId, Kind, StoreOperation};

/// What a test kit does in place of the runtime, or beside it. A program has no use for this.
///
/// Contract: with hooks in place the runtime has no task that [`spawn`](Self::spawn) did not start, waits
/// for time only through the [`Clock`](crate::Clock), and waits for anything outside itself only inside an
/// [`outside`](Self::outside) guard.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the hooks of a test kit: it lacks `impl Hooks`",
    label = "does not implement `Hooks`",
    note = "a program needs no hooks; a test gets them from `TestKit`, of the crate `backgroundjobs-testing`",
    note = "for a kit of your own write `impl Hooks for YourKit`"
)]
pub trait Hooks: fmt::Debug + Send + Sync + 'static {
    /// Starts a task and answers how to end it. Ending must drop the task's future.
    fn spawn(&self, kind: TaskKind, name: String, task: BoxFuture<'static, ()>) -> AbortTask;

    /// Opens a guard: until it is dropped, the task that polls inside it may wait for something the kit
    /// cannot see.
    fn outside(&self, what: Outside) -> Box<dyn OutsideGuard>;

    /// Called inside a guard's poll when the handler waits for its cancellation, which the kit can see.
    fn waits_for_cancel(&self);

    /// Called inside a guard's poll when the handler waits for a call on the blocking pool: a thread is at
    /// work, which the kit cannot see. `looks_for_cancel` counts how often the thread asks whether it
    /// shall stop: one that does nothing else waits for that.
    fn waits_for_thread(&self, looks_for_cancel: Option<&Arc<AtomicUsize>>);

    /// Called as the runtime comes to a point of interest; the runtime goes on when the future ends.
    fn checkpoint(&self, at: Checkpoint) -> BoxFuture<'static, ()>;

    /// How the process fares that these are the hooks of. Several processes of a kit may share a store's
    /// [`WakeHub`](crate::WakeHub), which carries word between those that are one in truth.
    fn process(&self) -> Process {
        Process::Whole
    }
}

/// How a process fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Process {
    /// It runs and reaches its store.
    Whole,
    /// It runs, and hears nothing of what others do.
    CutOff,
    /// It has crashed: whoever still finds it finds a thing of the past.
    Crashed,
}

/// What a task of the runtime is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TaskKind {
    /// It brings jobs forward: runs them, settles them, ends what takes too long.
    Work,
    /// It looks for jobs: claims what falls due. It may sleep towards a look that is no longer needed.
    Claiming,
    /// It keeps house: renews leases, takes back lost jobs, clears finished ones away. A handler that waits does
    /// not wait for this.
    Housekeeping,
}

/// Ends a task where it waits; harmless after its end and when called again.
pub type AbortTask = Box<dyn Fn() + Send + Sync>;

/// An open wait for something outside the runtime. Dropping it closes it.
pub trait OutsideGuard: Send + Sync {
    /// The guarded future is about to be polled on this thread.
    fn enter(&self);
    /// The poll is over; `pending` says whether the future still waits.
    fn leave(&self, pending: bool);
}

/// What a guard is held for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outside {
    /// A call of the store.
    Store(StoreOperation),
    /// A run of a handler.
    Handler {
        /// The job.
        id: JobId,
        /// Its kind.
        kind: Kind,
        /// Which attempt, counted from 1.
        attempt: u16,
    },
    /// A part of a hosted service that comes to an end: its start, its stop, a tick, a task of a queue.
    Service {
        /// The service's name.
        service: String,
        /// Which part.
        part: &'static str,
    },
}

impl fmt::Display for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(operation) => write!(f, "store call {operation}"),
            Self::Handler { id, kind, attempt } => write!(f, "handler of {kind} {id}, attempt {attempt}"),
            Self::Service { service, part } => write!(f, "{part} of service {service}"),
        }
    }
}

/// A point that the runtime comes to: where a kit may look, or let a process die.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Checkpoint {
    /// About to call the store.
    BeforeStore(StoreOperation),
    /// The store has answered.
    AfterStore(StoreOperation),
    /// A job is about to run: its handler begins. One that is not to start after all does not come here.
    BeforeRun {
        /// The job.
        id: JobId,
        /// Its kind.
        kind: Kind,
        /// Which attempt, counted from 1.
        attempt: u16,
        /// Which claim of the job.
        generation: u64,
    },
    /// A run is over; its outcome is not settled yet.
    AfterRun {
        /// The job.
        id: JobId,
        /// Its kind.
        kind: Kind,
        /// Which attempt, counted from 1.
        attempt: u16,
        /// Which claim of the job.
        generation: u64,
    },
}
