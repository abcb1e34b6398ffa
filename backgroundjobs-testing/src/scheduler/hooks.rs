//! The scheduler's part in the runtime.

use std::fmt;
use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use backgroundjobs_core::{AbortTask, BoxFuture, Checkpoint, Hooks, Outside, OutsideGuard, TaskKind};
use tokio::task::coop::unconstrained;

use super::guards::StepGuard;
use super::run;
use super::shared::Shared;
use super::tasks::By;
use super::trace::checkpoint_text;
use crate::current::{self, Owner};

/// What an `Env` holds. Not the scheduler itself: tasks own their `Env`, and the scheduler owns the tasks.
#[derive(Clone)]
pub(crate) struct Steps(pub(super) Arc<Shared>);

impl Steps {
    /// Starts a task, and answers its number; none once the scheduler is gone.
    pub(crate) fn spawn(&self, kind: TaskKind, name: String, task: BoxFuture<'static, ()>) -> Option<u64> {
        self.0.spawn(kind, name, task)
    }

    /// How to end this task.
    pub(crate) fn abort_of(&self, id: Option<u64>) -> AbortTask {
        self.0.abort_of(id)
    }

    /// Ends this task.
    pub(crate) fn abort(&self, id: u64) {
        self.0.abort(id);
    }

    /// Runs `future` to its end, as [`StepScheduler::run`](super::StepScheduler::run) does.
    pub(crate) async fn run<F: Future>(&self, future: F) -> F::Output {
        run::run(&self.0, future).await
    }

    /// The task that this thread polls.
    pub(crate) fn current_task(&self) -> Option<u64> {
        current::task(self.0.identity())
    }

    /// Writes into the trace that the current task has come to this point.
    pub(crate) fn trace_checkpoint(&self, at: &Checkpoint) {
        if let Some(text) = checkpoint_text(at) {
            let task = current::task_name();
            self.0.trace.log(format!("{} {text}", task.as_deref().unwrap_or("the test")));
        }
    }
}

impl Hooks for Steps {
    fn spawn(&self, kind: TaskKind, name: String, task: BoxFuture<'static, ()>) -> AbortTask {
        let id = self.0.spawn(kind, name, task);
        self.0.abort_of(id)
    }

    fn outside(&self, what: Outside) -> Box<dyn OutsideGuard> {
        Box::new(StepGuard::open(self.0.clone(), what))
    }

    fn waits_for_cancel(&self) {
        current::wait_for_cancel();
    }

    fn waits_for_thread(&self, looks_for_cancel: Option<&Arc<AtomicUsize>>) {
        current::wait_for_thread(looks_for_cancel);
    }

    fn checkpoint(&self, at: Checkpoint) -> BoxFuture<'static, ()> {
        self.trace_checkpoint(&at);
        Box::pin(ready(()))
    }
}

impl Shared {
    /// Starts a task; none once the scheduler is gone.
    pub(super) fn spawn(
        self: &Arc<Self>,
        kind: TaskKind,
        name: String,
        task: BoxFuture<'static, ()>,
    ) -> Option<u64> {
        let owner = Owner { name: name.into(), kind };
        let mut state = self.state.lock();
        if state.closed {
            drop(state);
            drop(task);
            return None;
        }
        // Without it tokio would make a busy task pause after 128 messages and wake it at its own pleasure.
        let task: BoxFuture<'static, ()> = Box::pin(unconstrained(task));
        self.trace.log(format!("spawned {}", owner.name));
        let id = state.tasks.add(owner, Some(task), Arc::downgrade(self));
        drop(state);
        self.changed.notify_one();
        Some(id)
    }

    /// How to end this task.
    pub(super) fn abort_of(self: &Arc<Self>, id: Option<u64>) -> AbortTask {
        let shared = Arc::downgrade(self);
        Box::new(move || {
            if let (Some(shared), Some(id)) = (shared.upgrade(), id) {
                shared.abort(id);
            }
        })
    }

    /// Ends a task: it is not polled any more, and dropped at its next turn.
    pub(super) fn abort(&self, id: u64) {
        let inside = current::is_inside(self.identity());
        let mut state = self.state.lock();
        let by = if inside || !state.is_driven() { By::Kit } else { By::Outside };
        state.tasks.abort(id, by);
        drop(state);
        self.changed.notify_one();
    }
}

impl fmt::Debug for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Steps").field("clock", &self.0.clock).finish_non_exhaustive()
    }
}
