//! Open guards: who waits for something outside, and whether everybody else has to wait for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use backgroundjobs_core::{Outside, OutsideGuard, Timestamp};

use super::shared::Shared;
use crate::current::{self, Waits};

#[derive(Default)]
pub(super) struct Guards {
    opened: u64,
    open: BTreeMap<u64, Guard>,
}

pub(super) struct Guard {
    pub(super) what: Outside,
    /// The task that polled inside it last; none for a task that is not the scheduler's.
    pub(super) owner: Option<u64>,
    /// The virtual instant of its last poll.
    pub(super) since: Timestamp,
    /// The tick of its last poll.
    pub(super) since_tick: u64,
    /// Waited for in vain, so not waited for now.
    pub(super) given_up: GivenUp,
    phase: Phase,
    waits: Arc<Waits>,
}

/// For whose sake a guard is not waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum GivenUp {
    /// It is waited for.
    No,
    /// Others are ready: once nobody is, it is waited for again.
    ForOthers,
    /// A look for jobs is to come: once none is, it is waited for again.
    ForLooks,
    /// Others sleep on the virtual clock: it is waited for again when it has been polled.
    ForTime,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Never polled: it waits for nothing yet.
    New,
    /// Being polled.
    Inside,
    /// The last poll left it pending.
    Waiting,
    /// Its future is ready, or its poll panicked; it is about to be dropped.
    Over,
}

impl Guard {
    /// Whether all but its owner have to wait for it.
    pub(super) fn counts(&self) -> bool {
        match self.phase {
            Phase::New | Phase::Over => false,
            Phase::Inside => true,
            // A thread at work goes on whatever else its handler waits for.
            Phase::Waiting => {
                self.given_up == GivenUp::No && (self.waits.for_busy_thread() || !self.waits.any())
            }
        }
    }

    /// Whether it waits for a call on the blocking pool that seems to be at work.
    pub(super) fn waits_for_busy_thread(&self) -> bool {
        self.waits.for_busy_thread()
    }

    /// Whether it waits for something, seen by the kit or not.
    pub(super) fn waits(&self) -> bool {
        self.phase == Phase::Waiting
    }
}

impl Guards {
    fn open(&mut self, what: Outside, waits: Arc<Waits>, now: Timestamp) -> u64 {
        self.opened += 1;
        let guard = Guard {
            what,
            owner: None,
            since: now,
            since_tick: 0,
            given_up: GivenUp::No,
            phase: Phase::New,
            waits,
        };
        self.open.insert(self.opened, guard);
        self.opened
    }

    /// How many were ever opened.
    pub(super) const fn opened(&self) -> u64 {
        self.opened
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Guard> {
        self.open.values()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Guard> {
        self.open.values_mut()
    }

    /// The owners of the guards that count.
    pub(super) fn holders(&self) -> Vec<Option<u64>> {
        self.iter().filter(|guard| guard.counts()).map(|guard| guard.owner).collect()
    }

    /// The task's poll is over. A guard that it is still inside was left by a panic.
    pub(super) fn poll_over(&mut self, task: u64) {
        self.iter_mut()
            .filter(|guard| guard.owner == Some(task) && guard.phase == Phase::Inside)
            .for_each(|guard| guard.phase = Phase::Over);
    }
}

/// The guard that the runtime holds.
pub(super) struct StepGuard {
    shared: Arc<Shared>,
    id: u64,
    waits: Arc<Waits>,
}

impl StepGuard {
    pub(super) fn open(shared: Arc<Shared>, what: Outside) -> Self {
        let waits = Arc::<Waits>::default();
        let now = shared.now();
        let id = shared.state.lock().guards.open(what, waits.clone(), now);
        Self { shared, id, waits }
    }

    fn change(&self, change: impl FnOnce(&mut Guard)) {
        if let Some(guard) = self.shared.state.lock().guards.open.get_mut(&self.id) {
            change(guard);
        }
    }
}

impl OutsideGuard for StepGuard {
    fn enter(&self) {
        let owner = current::task(self.shared.identity());
        current::enter_guard(&self.waits);
        let (now, tick) = (self.shared.now(), self.shared.ticker.now());
        self.change(|guard| {
            (guard.since, guard.since_tick) = (now, tick);
            guard.owner = owner;
            guard.phase = Phase::Inside;
            guard.given_up = GivenUp::No;
        });
    }

    fn leave(&self, pending: bool) {
        current::leave_guard(&self.waits);
        let (now, tick) = (self.shared.now(), self.shared.ticker.now());
        self.change(|guard| {
            guard.phase = if pending { Phase::Waiting } else { Phase::Over };
            (guard.since, guard.since_tick) = (now, tick);
        });
        self.shared.changed.notify_one();
    }
}

impl Drop for StepGuard {
    fn drop(&mut self) {
        // Only does something when a poll panicked: then nobody left.
        current::leave_guard(&self.waits);
        let closed = self.shared.state.lock().guards.open.remove(&self.id);
        drop(closed);
        self.shared.changed.notify_one();
    }
}
