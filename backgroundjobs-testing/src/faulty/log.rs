//! [`FaultLog`]: what went wrong.

use std::fmt;
use std::sync::Arc;

use backgroundjobs_core::{StoreOperation, Timestamp};
use parking_lot::Mutex;

/// What went wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// An error; nothing was done.
    Error,
    /// An error; all was done.
    LostReply,
    /// An error after a long time.
    Hang {
        /// Whether all was done, or nothing.
        done: bool,
    },
    /// A partition began with this call, and nothing was done.
    Partition,
    /// An error, because a partition was there already.
    CutOff {
        /// Whether all was done, or nothing.
        done: bool,
    },
    /// It took some time.
    Delay,
    /// The request brought a wrong time along.
    Skew,
    /// A wake of another process was not passed on.
    DroppedWake,
    /// A wake of another process came twice.
    DoubledWake,
    /// A wake came that nobody had sent.
    SpuriousWake,
}

/// A fault that was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetFault {
    /// The clock's time when it was met.
    pub at: Timestamp,
    /// The operation that was called.
    pub operation: StoreOperation,
    /// What went wrong.
    pub fault: Fault,
}

/// What went wrong, in order. Clones show the same.
#[derive(Clone, Default)]
pub struct FaultLog {
    met: Arc<Mutex<Vec<MetFault>>>,
}

impl FaultLog {
    /// Nothing went wrong yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How often this went wrong.
    #[must_use]
    pub fn count(&self, fault: Fault) -> u64 {
        self.met.lock().iter().filter(|met| met.fault == fault).count() as u64
    }

    /// How often this went wrong with calls of this operation.
    #[must_use]
    pub fn count_of(&self, operation: StoreOperation, fault: Fault) -> u64 {
        let met = self.met.lock();
        met.iter().filter(|met| met.operation == operation && met.fault == fault).count() as u64
    }

    /// All that went wrong, in order.
    #[must_use]
    pub fn all(&self) -> Vec<MetFault> {
        self.met.lock().clone()
    }

    pub(super) fn note(&self, met: MetFault) {
        self.met.lock().push(met);
    }
}

impl fmt::Debug for FaultLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&*self.met.lock()).finish()
    }
}
