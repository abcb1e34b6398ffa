//! [`WakeHub`]: how a change made in this process reaches the workers of this process.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
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
    /// Tells those who wait for idleness that jobs have ended.
    progress: Notify,
    /// Those who wait for the end of one job. Looked up by id, and walked where nobody knows which ended.
    waiting: Mutex<BTreeMap<JobId, Waiting>>,
    waiting_for: AtomicUsize,
}

#[derive(Default)]
struct Waiting {
    ended: Arc<Notify>,
    waiters: usize,
}

/// Waits for the end of one job; gives up its place when dropped.
pub(crate) struct EndOf<'a> {
    hub: &'a WakeHub,
    id: JobId,
    ended: Arc<Notify>,
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

    /// Whether this is a handle on the same hub.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
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

    /// These jobs are over, or gone.
    pub(crate) fn announce_ended(&self, ids: impl IntoIterator<Item = JobId>) {
        if self.inner.waiting_for.load(Ordering::SeqCst) > 0 {
            let waiting = self.inner.waiting.lock();
            for waiting in ids.into_iter().filter_map(|id| waiting.get(&id)) {
                waiting.ended.notify_waiters();
            }
        }
        self.inner.progress.notify_waiters();
    }

    /// Jobs may be over, and nobody knows which.
    pub(crate) fn announce_progress(&self) {
        self.inner.waiting.lock().values().for_each(|waiting| waiting.ended.notify_waiters());
        self.inner.progress.notify_waiters();
    }

    /// Waits for the end of a job from now on: look whether it is over after this, and before the wait.
    pub(crate) fn end_of(&self, id: JobId) -> EndOf<'_> {
        let mut waiting = self.inner.waiting.lock();
        let entry = waiting.entry(id).or_default();
        entry.waiters += 1;
        self.inner.waiting_for.fetch_add(1, Ordering::SeqCst);
        EndOf { hub: self, id, ended: entry.ended.clone() }
    }

    /// Waits for the next announced progress; counts from this call on, even before it is polled.
    pub(crate) fn progress(&self) -> Notified<'_> {
        self.inner.progress.notified()
    }
}

impl EndOf<'_> {
    /// Ends when the job may be over; counts from this call on, even before it is polled.
    pub(crate) fn heard(&self) -> Notified<'_> {
        self.ended.notified()
    }
}

impl Drop for EndOf<'_> {
    fn drop(&mut self) {
        let mut waiting = self.hub.inner.waiting.lock();
        self.hub.inner.waiting_for.fetch_sub(1, Ordering::SeqCst);
        if let Entry::Occupied(mut entry) = waiting.entry(self.id) {
            entry.get_mut().waiters -= 1;
            if entry.get().waiters == 0 {
                entry.remove();
            }
        }
    }
}

impl fmt::Debug for WakeHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WakeHub").field("workers", &self.inner.workers.read().len()).finish()
    }
}
