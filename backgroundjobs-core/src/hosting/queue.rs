//! [`TaskQueue`]: closures that a service works through, one after another.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, TryAcquireError};

use super::cell::ServiceCell;
use super::queue_workers::QueueWorkers;
use super::{ServiceFuture, ServiceResult, Stopping};
use crate::{BoxFuture, ErrorText};

/// A bounded queue of async closures, worked through by a service of the host: in order by one worker, or by several.
/// Tasks live in this process only and are not tried again; work that must not be lost is a job.
///
/// Cloning makes another handle on the same queue.
///
/// ```
/// use backgroundjobs_core::hosting::{Host, Stopping, TaskQueue, WhenFull};
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let queue = TaskQueue::new(100, WhenFull::Wait);
/// let host = Host::builder().background("mail", queue.workers(1)).build()?;
/// host.start().await?;
///
/// let name = "masa".to_owned();
/// queue
///     .enqueue("welcome masa", async move |_: Stopping| {
///         println!("welcome {name}");
///         Ok(())
///     })
///     .await?;
/// host.stop().await?; // runs what is queued before
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct TaskQueue {
    shared: Arc<Shared>,
}

/// What an enqueue does while the queue is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WhenFull {
    /// It waits until there is room; those who wait come in order.
    #[default]
    Wait,
    /// It answers [`TaskQueueError::Full`].
    Reject,
    /// It drops the oldest task that waits, and reports it by name.
    DropOldest,
}

pub(super) struct Shared {
    capacity: usize,
    when_full: WhenFull,
    /// Room for those who wait for it.
    room: Semaphore,
    /// A task came, for one worker.
    pub(super) pushed: Notify,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Task>,
    /// The names of tasks that were begun and have not ended.
    running: Vec<Arc<str>>,
    is_closed: bool,
    /// The service that works here, for reports.
    worker: Option<Arc<ServiceCell>>,
}

impl State {
    /// Whether tasks are refused: at once when the service shall stop, before its task has noticed.
    fn is_closed(&self) -> bool {
        self.is_closed || self.worker.as_ref().is_some_and(|worker| worker.token.is_cancelled())
    }
}

pub(super) struct Task {
    pub(super) name: Arc<str>,
    pub(super) run: Box<dyn FnOnce(Stopping) -> BoxFuture<'static, ServiceResult> + Send>,
}

impl Task {
    fn new<F, Fut>(name: String, task: F) -> Self
    where
        F: FnOnce(Stopping) -> Fut + Send + 'static,
        Fut: ServiceFuture<Output = ServiceResult> + Send + 'static,
    {
        Self { name: name.into(), run: Box::new(move |stopping| Box::pin(task(stopping))) }
    }

    fn refused(&self) -> TaskQueueError {
        TaskQueueError::Stopped { task: self.name.to_string() }
    }
}

impl TaskQueue {
    /// A queue in which at most `capacity` tasks wait. A capacity of 0 is an error of
    /// [`build`](super::HostBuilder::build).
    #[must_use]
    pub fn new(capacity: usize, when_full: WhenFull) -> Self {
        Self {
            shared: Arc::new(Shared {
                capacity,
                when_full,
                room: Semaphore::new(capacity.min(Semaphore::MAX_PERMITS)),
                pushed: Notify::new(),
                state: Mutex::default(),
            }),
        }
    }

    /// The service that works through this queue, so many tasks at a time; with 1 in the order in which they came.
    /// Add it to a host with [`background`](super::HostBuilder::background). 0 workers are an error of
    /// [`build`](super::HostBuilder::build).
    #[must_use]
    pub fn workers(&self, count: usize) -> QueueWorkers {
        QueueWorkers { queue: self.clone(), count }
    }

    /// Puts a task into the queue. `name` is how reports call it. An error or a panic of it is reported, and the rest
    /// goes on. Works before the start of the host, too.
    ///
    /// Cancel safety: dropped while it waits for room, nothing was enqueued.
    ///
    /// # Errors
    /// [`TaskQueueError::Stopped`] once the queue's service was told to stop, or is gone; [`TaskQueueError::Full`]
    /// where that is what a full queue answers.
    pub async fn enqueue<F, Fut>(&self, name: impl Into<String>, task: F) -> Result<(), TaskQueueError>
    where
        F: FnOnce(Stopping) -> Fut + Send + 'static,
        Fut: ServiceFuture<Output = ServiceResult> + Send + 'static,
    {
        let task = Task::new(name.into(), task);
        let shared = &*self.shared;
        if shared.when_full != WhenFull::Wait {
            return shared.push(task);
        }
        match shared.room.acquire().await {
            Ok(permit) => {
                // Taken with the task, and given back by whoever takes the task out.
                permit.forget();
                shared.push(task)
            }
            Err(_closed) => Err(task.refused()),
        }
    }

    /// As [`enqueue`](Self::enqueue), without a wait: a full queue that has its callers wait answers
    /// [`TaskQueueError::Full`].
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue).
    pub fn try_enqueue<F, Fut>(&self, name: impl Into<String>, task: F) -> Result<(), TaskQueueError>
    where
        F: FnOnce(Stopping) -> Fut + Send + 'static,
        Fut: ServiceFuture<Output = ServiceResult> + Send + 'static,
    {
        let task = Task::new(name.into(), task);
        let shared = &*self.shared;
        if shared.when_full == WhenFull::Wait {
            match shared.room.try_acquire() {
                Ok(permit) => permit.forget(),
                Err(TryAcquireError::Closed) => return Err(task.refused()),
                Err(TryAcquireError::NoPermits) => return Err(shared.is_full_for(&task)),
            }
        }
        shared.push(task)
    }

    /// How many tasks wait; those that run do not count.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.state.lock().waiting.len()
    }

    /// Whether no task waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn capacity(&self) -> usize {
        self.shared.capacity
    }

    pub(super) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Shared {
    fn push(&self, task: Task) -> Result<(), TaskQueueError> {
        let dropped = {
            let mut state = self.state.lock();
            if state.is_closed() {
                return Err(task.refused());
            }
            let is_full = state.waiting.len() >= self.capacity;
            let dropped = match self.when_full {
                WhenFull::Reject if is_full => return Err(self.is_full_for(&task)),
                WhenFull::DropOldest if is_full => state.waiting.pop_front(),
                _ => None,
            };
            state.waiting.push_back(task);
            dropped.map(|task| (task, state.worker.clone()))
        };
        self.pushed.notify_one();
        if let Some((task, worker)) = dropped {
            report_dropped(&task.name, worker);
        }
        Ok(())
    }

    fn is_full_for(&self, task: &Task) -> TaskQueueError {
        TaskQueueError::Full { task: task.name.to_string(), capacity: self.capacity }
    }

    /// Takes the next task out and notes that it runs.
    pub(super) fn take(&self) -> Option<Task> {
        let mut state = self.state.lock();
        let task = state.waiting.pop_front()?;
        state.running.push(task.name.clone());
        if self.when_full == WhenFull::Wait {
            self.room.add_permits(1);
        }
        Some(task)
    }

    /// A task that was taken has ended.
    pub(super) fn ended(&self, name: &Arc<str>) {
        let mut state = self.state.lock();
        if let Some(at) = state.running.iter().position(|running| Arc::ptr_eq(running, name)) {
            state.running.swap_remove(at);
        }
    }

    pub(super) fn is_worked_by(&self, worker: &Arc<ServiceCell>) {
        self.state.lock().worker = Some(worker.clone());
    }

    /// Takes no more tasks; what waits may still be worked through.
    pub(super) fn close(&self) {
        self.state.lock().is_closed = true;
        self.room.close();
    }

    /// The names of what was begun and has not ended, and of what waits, which is dropped.
    pub(super) fn take_left(&self) -> Vec<Arc<str>> {
        let (running, waiting) = {
            let mut state = self.state.lock();
            (std::mem::take(&mut state.running), std::mem::take(&mut state.waiting))
        };
        running.into_iter().chain(waiting.into_iter().map(|task| task.name)).collect()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let left = self.take_left();
        if !left.is_empty() {
            tracing::warn!(
                tasks = ?left,
                "a task queue was dropped with tasks that never ran: let a host run its workers, and stop the host"
            );
        }
    }
}

fn report_dropped(name: &str, worker: Option<Arc<ServiceCell>>) {
    let error = ErrorText::new("it was dropped before it ran: the queue is full, and newer tasks came");
    match worker {
        Some(worker) => worker.report(format!("task {name}"), error),
        None => {
            tracing::error!(task = name, %error, "a task of a queue whose service does not run was dropped");
        }
    }
}

impl fmt::Debug for TaskQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskQueue")
            .field("capacity", &self.shared.capacity)
            .field("when_full", &self.shared.when_full)
            .field("len", &self.len())
            .finish()
    }
}

/// Why a task was not taken.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TaskQueueError {
    /// The queue is full.
    #[error(
        "the task {task:?} was not enqueued: the queue is full, with room for {capacity}; try again later, or let it \
         be larger or have more workers"
    )]
    Full {
        /// The task's name.
        task: String,
        /// How many tasks may wait.
        capacity: usize,
    },
    /// The queue's service was told to stop, or is gone.
    #[error(
        "the task {task:?} was not enqueued: the queue is stopping with its host, and nobody would run it"
    )]
    Stopped {
        /// The task's name.
        task: String,
    },
}

crate::readable::debug_is_text!(TaskQueueError);
