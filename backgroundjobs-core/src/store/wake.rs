//! [`WakeHub`]: how a change made in this process reaches the workers of this process.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::RwLock;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::{JobId, QueueName};

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
    listeners: RwLock<Vec<Weak<dyn WakeListener>>>,
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
}

/// Hears of changes on the announcing task, so it must be quick and must not block.
pub(crate) trait WakeListener: Send + Sync {
    fn wake(&self, wake: Wake<'_>);
}

impl WakeHub {
    /// A hub nobody listens to yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Hears every change from now on, for as long as `listener` lives.
    pub(crate) fn listen(&self, listener: Weak<dyn WakeListener>) {
        let mut listeners = self.inner.listeners.write();
        listeners.retain(|listener| listener.strong_count() > 0);
        listeners.push(listener);
    }

    /// Tells every listener, in the order in which they came.
    pub(crate) fn announce(&self, wake: Wake<'_>) {
        for listener in self.inner.listeners.read().iter().filter_map(Weak::upgrade) {
            listener.wake(wake);
        }
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
        f.debug_struct("WakeHub").field("listeners", &self.inner.listeners.read().len()).finish()
    }
}
