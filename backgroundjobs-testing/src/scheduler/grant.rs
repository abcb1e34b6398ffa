//! One grant: one poll of one task, or its end.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll};

use backgroundjobs_core::BoxFuture;

use super::shared::Shared;
use super::state::{Asked, Grant, Work};
use crate::current;

/// How a grant left its task.
enum Left {
    Pending(Option<BoxFuture<'static, ()>>),
    Ended,
    Aborted,
    Panicked(String),
}

impl Shared {
    /// Carries the grant out. `own` polls the future that the verb at work holds itself; its panic is the
    /// test's own and passes through.
    pub(super) fn carry_out(&self, grant: Grant, own: &mut impl FnMut(&mut Context<'_>) -> Poll<()>) {
        let Grant { id, owner, waker, work, asked } = grant;
        let name = owner.name.clone();
        let before = self.activity();
        let scope = current::enter(self.identity(), Some((id, owner)));
        self.poll_begins();
        let mut cx = Context::from_waker(&waker);
        let left = match work {
            Work::Poll(future) => poll(future, &mut cx),
            Work::Drop(future) => end(future, Left::Aborted),
            Work::PollOwn => match own(&mut cx) {
                Poll::Pending => Left::Pending(None),
                Poll::Ready(()) => Left::Ended,
            },
        };
        self.poll_ends();
        drop(scope);
        self.after(id, &name, left);
        if asked == Asked::Unannounced && self.activity() != before {
            self.state.lock().note_nondeterminism(format!(
                "task {name} was woken by something outside while others did not wait for it"
            ));
        }
    }

    fn after(&self, id: u64, name: &Arc<str>, left: Left) {
        let mut state = self.state.lock();
        state.guards.poll_over(id);
        match left {
            Left::Pending(future) => return state.tasks.park(id, future),
            Left::Ended => self.trace.log(format!("ended {name}")),
            Left::Aborted => self.trace.log(format!("aborted {name}")),
            Left::Panicked(message) => {
                self.trace.log(format!("panicked {name}: {message}"));
                state.note_panic(name, message);
            }
        }
        let task = state.tasks.remove(id);
        drop(state);
        drop(task);
    }

    /// Ends every task, the oldest first, and those that their ends start.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        loop {
            let Some((id, task)) = self.state.lock().tasks.remove_first() else { return };
            let scope = current::enter(self.identity(), Some((id, task.owner.clone())));
            _ = end(task.future, Left::Aborted);
            drop(scope);
        }
    }

    /// A number that changes with everything that a task can do and others can notice.
    fn activity(&self) -> u64 {
        let state = self.state.lock();
        let traced = u64::try_from(self.trace.len()).unwrap_or(u64::MAX);
        [state.tasks.activity(), state.guards.opened(), self.clock.registered(), traced].iter().sum()
    }
}

fn poll(mut future: BoxFuture<'static, ()>, cx: &mut Context<'_>) -> Left {
    match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(Poll::Pending) => Left::Pending(Some(future)),
        Ok(Poll::Ready(())) => end(Some(future), Left::Ended),
        Err(payload) => end(Some(future), Left::Panicked(message(&*payload))),
    }
}

/// Drops the future while its task is still the current one; a panic in that is the task's too.
fn end(future: Option<BoxFuture<'static, ()>>, left: Left) -> Left {
    match catch_unwind(AssertUnwindSafe(|| drop(future))) {
        Ok(()) => left,
        Err(payload) => Left::Panicked(message(&*payload)),
    }
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("(a payload that is no text)").into()
}
