//! [`WakeHub`]: how a change made in this process reaches the workers of this process.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::RwLock;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::local_worker::LocalWorker;
use crate::{JobId, Kind, QueueName};

/// Joins every manager and worker of this process that share one store.
///
/// A store keeps one and hands it out by [`JobStore::local_hub`](crate::JobStore::local_hub); cloning makes
/// another handle on the same hub. The store itself never uses it: the runtime announces each change after
/// the store has made it.
#[derive(Clone, Default)]
pub struct WakeHub {
    inner: Arc<HubInner>,
}

#[derive(Default)]
struct HubInner {
    workers: RwLock<Vec<Weak<dyn LocalWorker>>>,
    /// Tells those who wait for jobs to end that some have.
    progress: Notify,
}

/// A change that a worker may want to act on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wake<'a> {
    /// A job of this queue falls due in this time from now.
    Due { queue: &'a QueueName, delay: Duration },
    /// These running jobs are to be cancelled.
    CancelRequested(&'a [JobId]),
    /// This queue is paused.
    Paused(&'a QueueName),
    /// Something may have changed, and nobody knows what.
    Anything,
}

impl WakeHub {
    /// A hub nobody listens to yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// `worker` hears every change from now on, for as long as it lives.
    pub(crate) fn join(&self, worker: Weak<dyn LocalWorker>) {
        let mut workers = self.inner.workers.write();
        workers.retain(|worker| worker.strong_count() > 0);
        workers.push(worker);
    }

    /// Tells every worker, in the order in which they came.
    pub(crate) fn announce(&self, wake: Wake<'_>) {
        for worker in self.inner.workers.read().iter().filter_map(Weak::upgrade) {
            worker.wake(wake);
        }
    }

    /// Whether a worker of this process claims jobs of this kind from this queue.
    pub(crate) fn is_served(&self, queue: &QueueName, kind: &Kind) -> bool {
        let workers = self.inner.workers.read();
        workers.iter().filter_map(Weak::upgrade).any(|worker| worker.serves(queue, kind))
    }

    /// The workers of this process on this store.
    pub(crate) fn workers(&self) -> Vec<Arc<dyn LocalWorker>> {
        self.inner.workers.read().iter().filter_map(Weak::upgrade).collect()
    }

    /// Tells those who wait for jobs to end that some have.
    pub(crate) fn announce_progress(&self) {
        self.inner.progress.notify_waiters();
    }

    /// Waits for the next announced progress; counts from this call on, even before it is polled.
    pub(crate) fn progress(&self) -> Notified<'_> {
        self.inner.progress.notified()
    }
}

impl fmt::Debug for WakeHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WakeHub").field("workers", &self.inner.workers.read().len()).finish()
    }
}
