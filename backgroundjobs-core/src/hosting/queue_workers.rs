//! [`QueueWorkers`]: the service that works through a [`TaskQueue`].

use std::sync::Arc;

use super::cell::ServiceCell;
use super::failure::outcome;
use super::queue::{Shared, Task};
use super::{BackgroundService, ServiceResult, Stopping, TaskQueue};
use crate::catch_panic::CatchPanic;
use crate::env::TaskHandle;
use crate::step_aside::step_aside;
use crate::{BackgroundJobManager, ErrorText, TaskKind};

/// The service that works through a [`TaskQueue`]; made by [`TaskQueue::workers`].
///
/// When it is told to stop, the queue takes no more tasks, and what waits is worked through until the host's time is
/// over. What is left then is dropped, and named in the error of the stop.
#[derive(Debug)]
pub struct QueueWorkers {
    pub(super) queue: TaskQueue,
    pub(super) count: usize,
}

impl BackgroundService for QueueWorkers {
    async fn execute(&self, stopping: Stopping) -> ServiceResult {
        let (shared, cell) = (self.queue.shared(), stopping.cell());
        shared.is_worked_by(cell);
        let mut left = NamesLeft { shared, cell, is_told: false };
        let workers = Workers::start(shared, &stopping, self.count);
        cell.token.cancelled().await;
        // Whoever waits for room need not wait for a task to end.
        shared.close();
        for worker in &workers.0 {
            worker.ended().await;
        }
        left.is_told = true;
        match shared.take_left().as_slice() {
            [] => Ok(()),
            names => Err(LeftTasks::of(names).into()),
        }
    }

    fn check(&self) -> ServiceResult {
        if self.queue.capacity() == 0 {
            return Err("its queue has a capacity of 0 and would take no task: give it 1 at least".into());
        }
        if self.count == 0 {
            return Err("its queue has no worker: call queue.workers(1), or more".into());
        }
        Ok(())
    }
}

impl Drop for QueueWorkers {
    /// Nobody works any more: who enqueues is to know.
    fn drop(&mut self) {
        self.queue.shared().close();
    }
}

/// Names what is left when the service is dropped where it waits.
struct NamesLeft<'a> {
    shared: &'a Shared,
    cell: &'a ServiceCell,
    is_told: bool,
}

impl Drop for NamesLeft<'_> {
    fn drop(&mut self) {
        self.shared.close();
        if !self.is_told {
            for name in self.shared.take_left() {
                self.cell.report(
                    format!("task {name}"),
                    ErrorText::new("it was left when the host's time was over"),
                );
            }
        }
    }
}

/// The tasks of the workers, ended when this is dropped.
struct Workers(Vec<TaskHandle>);

impl Workers {
    fn start(shared: &Arc<Shared>, stopping: &Stopping, count: usize) -> Self {
        let cell = stopping.cell();
        let manager = BackgroundJobManager::current().ok();
        let start = |number: usize| {
            let (shared, stopping, manager) = (shared.clone(), stopping.clone(), manager.clone());
            let name = format!("{}, worker {number}", cell.name);
            cell.env.spawn(TaskKind::Work, name, async move {
                let work = work(&shared, &stopping);
                match manager {
                    Some(manager) => BackgroundJobManager::scope(manager, work).await,
                    None => work.await,
                }
            })
        };
        Self((1..=count).map(start).collect())
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.0.iter().for_each(TaskHandle::abort);
    }
}

/// Works until the service shall stop and the queue is empty, or the time to stop is over.
async fn work(shared: &Shared, stopping: &Stopping) {
    let cell = stopping.cell();
    loop {
        let pushed = shared.pushed.notified();
        // Before the look into the queue: from now on nothing more comes into it.
        let is_stopping = cell.token.is_cancelled();
        if stopping.deadline().is_some_and(|deadline| deadline <= stopping.now()) {
            return;
        }
        if let Some(task) = shared.take() {
            run(shared, stopping, task).await;
            // Tasks that never wait, and that enqueue others, must not keep the thread for themselves.
            step_aside().await;
        } else if is_stopping {
            return;
        } else {
            tokio::select! {
                biased;
                () = cell.token.cancelled() => {}
                () = pushed => {}
            }
        }
    }
}

/// Runs a task to its end, or until the time to stop is over; then it counts as left.
async fn run(shared: &Shared, stopping: &Stopping, task: Task) {
    let cell = stopping.cell();
    let Task { name, run } = task;
    let running = CatchPanic::new(|| run(stopping.clone()));
    let ended = tokio::select! {
        biased;
        ended = cell.guarded("task", running) => ended,
        () = time_is_over(stopping) => return,
    };
    shared.ended(&name);
    if let Err(error) = outcome(ended) {
        cell.report(format!("task {name}"), error);
    }
}

async fn time_is_over(stopping: &Stopping) {
    let cell = stopping.cell();
    cell.token.cancelled().await;
    if let Some(deadline) = stopping.deadline() {
        cell.env.sleep_until(deadline).await;
    }
}

#[derive(Debug, thiserror::Error)]
#[error("tasks were left in its queue when the time was over, and are lost: {names}")]
struct LeftTasks {
    names: String,
}

impl LeftTasks {
    fn of(names: &[Arc<str>]) -> Self {
        const NAMED: usize = 100;
        let mut text = names.iter().take(NAMED).map(|name| &**name).collect::<Vec<_>>().join(", ");
        if names.len() > NAMED {
            text += &format!(" and {} more", names.len() - NAMED);
        }
        Self { names: text }
    }
}
