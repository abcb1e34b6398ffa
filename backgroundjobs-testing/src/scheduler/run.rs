//! A future of the test's own, run as a task.

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll};

use backgroundjobs_core::TaskKind;
use tokio::task::coop::unconstrained;

use super::drive::Drive;
use super::shared::Shared;
use crate::current::Owner;

/// Timers after which `run` takes its future to wait for what never comes.
const MAX_TIMERS_PER_RUN: u64 = 1_000_000;

/// Drives until `future` has ended, from timer to timer.
pub(super) async fn run<F: Future>(shared: &Arc<Shared>, future: F) -> F::Output {
    let drive = Drive::begin(shared, "run");
    let task = OwnTask::add(shared);
    let mut output = None;
    let mut running = Some(Box::pin(unconstrained(future)));
    let mut own = |cx: &mut Context<'_>| {
        let Some(future) = &mut running else { return Poll::Ready(()) };
        let poll = future.as_mut().poll(cx).map(|value| output = Some(value));
        if poll.is_ready() {
            // What it held is dropped as part of the task, not later, when nobody can tell who woke whom.
            running = None;
        }
        poll
    };
    drive.settle(&mut own).await;
    let mut timers = 0;
    while !task.has_ended() {
        let next = shared.clock.next_timer();
        timers += 1;
        if timers > MAX_TIMERS_PER_RUN {
            panic!("{}", drive.explain("the future given to run waits while timers fire without end"));
        }
        match next {
            Some(next) => _ = drive.fire(next),
            None if drive.take_patience() => {}
            None => {
                panic!("{}", drive.explain("the future given to run waits, and nothing is left to do"))
            }
        }
        drive.settle(&mut own).await;
    }
    output.expect("an ended task has an output")
}

/// The task whose future a verb holds itself; gone when this is dropped.
struct OwnTask<'a> {
    shared: &'a Arc<Shared>,
    id: u64,
}

impl<'a> OwnTask<'a> {
    fn add(shared: &'a Arc<Shared>) -> Self {
        let owner = Owner { name: "test".into(), kind: TaskKind::Work };
        let id = shared.state.lock().tasks.add(owner, None, Arc::downgrade(shared));
        Self { shared, id }
    }

    fn has_ended(&self) -> bool {
        self.shared.state.lock().tasks.get(self.id).is_none()
    }
}

impl Drop for OwnTask<'_> {
    fn drop(&mut self) {
        // A panic of the future comes past here: it left neither its poll nor its guards.
        self.shared.poll_ends();
        let mut state = self.shared.state.lock();
        state.guards.poll_over(self.id);
        let task = state.tasks.remove(self.id);
        drop(state);
        drop(task);
    }
}
