//! The armed timers of a virtual clock, in the order in which they fire.

use std::collections::BTreeMap;
use std::task::Waker;

use backgroundjobs_core::{TaskKind, Timestamp};

use crate::current::Owner;

/// A timer's place in the order: its deadline, then when it was registered.
pub(super) type Place = (Timestamp, u64);

#[derive(Debug)]
pub(super) struct Timers {
    now: Timestamp,
    registered: u64,
    armed: BTreeMap<Place, Timer>,
}

#[derive(Debug)]
pub(super) struct Timer {
    waker: Waker,
    owner: Option<Owner>,
}

/// A timer that has been taken out because its instant has come; its sleeper is not woken yet.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) waker: Waker,
    /// The task that slept, where a scheduler knows it.
    pub(crate) owner: Option<Owner>,
    /// Which one was taken of how many with this deadline, counted from 0.
    pub(crate) choice: (usize, usize),
}

impl Timers {
    pub(super) const fn new(now: Timestamp) -> Self {
        Self { now, registered: 0, armed: BTreeMap::new() }
    }

    pub(super) const fn now(&self) -> Timestamp {
        self.now
    }

    /// How many timers were ever armed.
    pub(super) const fn registered(&self) -> u64 {
        self.registered
    }

    pub(super) fn arm(&mut self, at: Timestamp, waker: Waker, owner: Option<Owner>) -> Place {
        let place = (at, self.registered);
        self.registered += 1;
        self.armed.insert(place, Timer { waker, owner });
        place
    }

    /// Changes whom the timer wakes; answers the waker it had, for dropping it without the lock.
    pub(super) fn rewire(&mut self, place: Place, waker: &Waker) -> Option<Waker> {
        let timer = self.armed.get_mut(&place)?;
        (!timer.waker.will_wake(waker)).then(|| std::mem::replace(&mut timer.waker, waker.clone()))
    }

    pub(super) fn disarm(&mut self, place: Place) -> Option<Timer> {
        self.armed.remove(&place)
    }

    pub(super) fn earliest(&self) -> Option<Timestamp> {
        self.armed.first_key_value().map(|(place, _)| place.0)
    }

    /// Every armed timer, earliest first, with the task it belongs to.
    pub(super) fn list(&self) -> Vec<(Timestamp, Option<Owner>)> {
        self.armed.iter().map(|(place, timer)| (place.0, timer.owner.clone())).collect()
    }

    /// Whether a timer is armed that does more than keep house.
    pub(super) fn any_brings_work(&self) -> bool {
        let keeps_house =
            |timer: &Timer| timer.owner.as_ref().is_some_and(|owner| owner.kind == TaskKind::Housekeeping);
        self.armed.values().any(|timer| !keeps_house(timer))
    }

    /// Takes the earliest timer out if it is due at `until`, and moves to its instant. `pick` chooses where
    /// several have this deadline; it is not asked about one.
    pub(super) fn take_due(&mut self, until: Timestamp, pick: impl FnOnce(usize) -> usize) -> Option<Due> {
        let at = self.earliest().filter(|at| *at <= until)?;
        let equal: Vec<Place> = self.armed.range((at, 0)..=(at, u64::MAX)).map(|(place, _)| *place).collect();
        let picked = if equal.len() > 1 { pick(equal.len()) } else { 0 };
        let Timer { waker, owner } = self.armed.remove(equal.get(picked)?)?;
        self.move_to(at);
        Some(Due { waker, owner, choice: (picked, equal.len()) })
    }

    /// Moves on; never back.
    pub(super) fn move_to(&mut self, instant: Timestamp) {
        self.now = self.now.max(instant);
    }
}
