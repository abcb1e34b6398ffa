//! [`StoreUnderTest`]: where the checks get their stores from.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backgroundjobs_core::{JobStore, Timestamp};

/// Where the checks of a store get their stores from. Only [`fresh`](Self::fresh) must be written; what is left out
/// is shown as skipped, with the [`Capability`](super::Capability) that it would need.
#[async_trait]
pub trait StoreUnderTest: Send + Sync {
    /// A store on its callers' time that holds nothing and shares nothing with any other; it need not be
    /// prepared. Checks run side by side, so it must have a place of its own.
    async fn fresh(&self) -> FreshStore;

    /// Another handle on the same data, as another part of the program or another process has; `None` where
    /// there can be only one. It need not be prepared. The checks also ask for one to see whether there is any.
    async fn second_handle(&self, _fresh: &FreshStore) -> Option<Arc<dyn JobStore>> {
        None
    }

    /// A handle on the same data after the fresh store was closed, as a program has after its next start; `None`
    /// for a store that does not last. It need not be prepared.
    async fn reopen(&self, _fresh: &FreshStore) -> Option<Arc<dyn JobStore>> {
        None
    }

    /// A store on a time of its own that the checks can set; `None` where there is none, or it cannot be set.
    async fn own_clock(&self) -> Option<OwnClock> {
        None
    }

    /// How long a check waits, in real time, for a store that answers no call any more; 60 s unless said otherwise.
    /// A store that blocks its thread cannot be given up; give it a test runtime of several threads, and look at
    /// the thread's stack.
    fn patience(&self) -> Duration {
        Duration::from_secs(60)
    }
}

/// A store for one check, and what it needs to be there.
pub struct FreshStore {
    store: Arc<dyn JobStore>,
    guard: Box<dyn Any + Send + Sync>,
}

impl FreshStore {
    /// A store that needs nothing else.
    #[must_use]
    pub fn new(store: impl JobStore) -> Self {
        Self { store: Arc::new(store), guard: Box::new(()) }
    }

    /// With what it needs for as long as the check lasts, and what [`second_handle`](StoreUnderTest::second_handle)
    /// finds the data by: a temporary folder, a connection. It is dropped after the store.
    #[must_use]
    pub fn guarded_by(mut self, guard: impl Any + Send + Sync) -> Self {
        self.guard = Box::new(guard);
        self
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn JobStore> {
        &self.store
    }

    /// What it is guarded by.
    ///
    /// # Panics
    /// When it is not guarded by one of this type.
    #[must_use]
    pub fn guard<T: Any>(&self) -> &T {
        let guard = self.guard.downcast_ref();
        guard.unwrap_or_else(|| panic!("the fresh store is not guarded by a {}", std::any::type_name::<T>()))
    }
}

impl fmt::Debug for FreshStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FreshStore").field("store", &self.store).finish_non_exhaustive()
    }
}

/// A store on a time of its own, and how to set that time.
pub struct OwnClock {
    pub(super) fresh: FreshStore,
    pub(super) set: Box<dyn Fn(Timestamp) + Send + Sync>,
}

impl OwnClock {
    /// A store that answers [`TimeSource::Own`](backgroundjobs_core::TimeSource::Own), whose clock `set` moves.
    /// The checks move it only forward.
    #[must_use]
    pub fn new(fresh: FreshStore, set: impl Fn(Timestamp) + Send + Sync + 'static) -> Self {
        Self { fresh, set: Box::new(set) }
    }
}

impl fmt::Debug for OwnClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnClock").field("fresh", &self.fresh).finish_non_exhaustive()
    }
}
