//! [`Deadlines`]: the one timer of a worker for all its timeouts and graces.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Shared;
use super::run::{CancelCause, Run};
use crate::Timestamp;
use crate::store::LeaseKey;

/// What is to happen to which run, and when.
#[derive(Default)]
pub(super) struct Deadlines {
    entries: Mutex<BTreeMap<(Timestamp, LeaseKey, Act), Arc<Run>>>,
    earlier: Notify,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Act {
    /// Its time is over: tell the handler to stop.
    TimeOut,
    /// It was told to stop and had its grace: drop it.
    Drop,
}

impl Deadlines {
    pub(super) fn insert(&self, at: Timestamp, run: Arc<Run>, act: Act) {
        let mut entries = self.entries.lock();
        let earlier = entries.first_key_value().is_none_or(|((first, ..), _)| at < *first);
        entries.insert((at, run.lease, act), run);
        drop(entries);
        if earlier {
            self.earlier.notify_one();
        }
    }

    /// The run ended before.
    pub(super) fn remove(&self, at: Timestamp, lease: LeaseKey, act: Act) {
        self.entries.lock().remove(&(at, lease, act));
    }

    fn next(&self) -> Option<Timestamp> {
        self.entries.lock().first_key_value().map(|((at, ..), _)| *at)
    }

    fn take_due(&self, now: Timestamp) -> Option<(Arc<Run>, Act)> {
        let mut entries = self.entries.lock();
        let entry = entries.first_entry().filter(|entry| entry.key().0 <= now)?;
        let ((.., act), run) = entry.remove_entry();
        Some((run, act))
    }
}

/// Carries out deadlines until the worker closes.
pub(super) async fn keep(shared: &Shared) {
    let env = shared.door.env();
    loop {
        while let Some((run, act)) = shared.deadlines.take_due(env.now()) {
            match act {
                Act::TimeOut => _ = shared.cancel_run(&run, CancelCause::Timeout),
                Act::Drop => run.drop_handler(),
            }
        }
        let next = shared.deadlines.next();
        tokio::select! {
            biased;
            () = shared.closing.cancelled() => return,
            () = shared.deadlines.earlier.notified() => {}
            () = shared.sleep_until(next) => {}
        }
    }
}
