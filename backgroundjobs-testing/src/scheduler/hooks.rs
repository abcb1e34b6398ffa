//! The scheduler's part in the runtime.

use std::fmt;
use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use backgroundjobs_core::{AbortTask, BoxFuture, Checkpoint, Hooks, Outside, OutsideGuard};
use tokio::task::coop::unconstrained;

use super::guards::StepGuard;
use super::shared::Shared;
use super::tasks::By;
use super::trace::checkpoint_text;
use crate::current;

/// What an `Env` holds. Not the scheduler itself: tasks own their `Env`, and the scheduler owns the tasks.
pub(super) struct StepHooks(pub(super) Arc<Shared>);

impl Hooks for StepHooks {
    fn spawn(&self, name: String, task: BoxFuture<'static, ()>) -> AbortTask {
        self.0.spawn(name, task)
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
        if let Some(text) = checkpoint_text(&at) {
            let task = current::task_name();
            self.0.trace.log(format!("{} {text}", task.as_deref().unwrap_or("the test")));
        }
        Box::pin(ready(()))
    }
}

impl Shared {
    pub(super) fn spawn(self: &Arc<Self>, name: String, task: BoxFuture<'static, ()>) -> AbortTask {
        let name: Arc<str> = name.into();
        let mut state = self.state.lock();
        if state.closed {
            drop(state);
            drop(task);
            return Box::new(|| {});
        }
        // Without it tokio would make a busy task pause after 128 messages and wake it at its own pleasure.
        let task: BoxFuture<'static, ()> = Box::pin(unconstrained(task));
        let id = state.tasks.add(name.clone(), Some(task), Arc::downgrade(self));
        self.trace.log(format!("spawned {name}"));
        drop(state);
        self.changed.notify_one();
        let shared = Arc::downgrade(self);
        Box::new(move || {
            if let Some(shared) = shared.upgrade() {
                shared.abort(id);
            }
        })
    }

    fn abort(&self, id: u64) {
        let inside = current::is_inside(self.identity());
        let mut state = self.state.lock();
        let by = if inside || !state.is_driven() { By::Kit } else { By::Outside };
        state.tasks.abort(id, by);
        drop(state);
        self.changed.notify_one();
    }
}

impl fmt::Debug for StepHooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepHooks").field("clock", &self.0.clock).finish_non_exhaustive()
    }
}
