//! The armed timers of a virtual clock, in the order in which they fire.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::task::Waker;

use backgroundjobs_core::{TaskKind, Timestamp};

use crate::current::Owner;

/// A timer's place in the order: its deadline, then when it was registered.
pub(super) type Place = (Timestamp, u64);

pub(super) struct Timers {
    now: Timestamp,
    registered: u64,
    /// By instant, then in the order of registration.
    armed: BTreeMap<Timestamp, BTreeMap<u64, Timer>>,
    /// Those of sleepers that no scheduler polls.
    outside: BTreeSet<Place>,
    /// Hears of each of those; set by a scheduler.
    watcher: Option<Watcher>,
    /// Nobody has moved the clock for too long: sleepers that no scheduler polls shall say so.
    given_up: bool,
}

/// Called when somebody sleeps whom no scheduler polls.
pub(crate) type Watcher = Arc<dyn Fn() + Send + Sync>;

#[derive(Debug)]
pub(super) struct Timer {
    waker: Waker,
    owner: Option<Owner>,
}

/// What a handler that waits may hope for from the timers that are armed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Purpose {
    /// They keep house, or there are none.
    Nothing,
    /// A look for jobs that may be due.
    Looks,
    /// Something goes on: another handler, a timeout, a stop, the test.
    Work,
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

impl fmt::Debug for Timers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timers").field("now", &self.now).field("armed", &self.armed).finish_non_exhaustive()
    }
}

impl Timers {
    pub(super) const fn new(now: Timestamp) -> Self {
        Self {
            now,
            registered: 0,
            armed: BTreeMap::new(),
            outside: BTreeSet::new(),
            watcher: None,
            given_up: false,
        }
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
        if owner.is_none() {
            self.outside.insert(place);
        }
        self.armed.entry(at).or_default().insert(place.1, Timer { waker, owner });
        place
    }

    /// Changes whom the timer wakes; answers the waker it had, for dropping it without the lock.
    pub(super) fn rewire(&mut self, place: Place, waker: &Waker) -> Option<Waker> {
        let timer = self.armed.get_mut(&place.0)?.get_mut(&place.1)?;
        (!timer.waker.will_wake(waker)).then(|| std::mem::replace(&mut timer.waker, waker.clone()))
    }

    pub(super) fn disarm(&mut self, (at, number): Place) -> Option<Timer> {
        let equal = self.armed.get_mut(&at)?;
        let timer = equal.remove(&number);
        if equal.is_empty() {
            self.armed.remove(&at);
        }
        self.outside.remove(&(at, number));
        timer
    }

    pub(super) fn set_watcher(&mut self, watcher: Watcher) {
        self.watcher = Some(watcher);
    }

    pub(super) fn watcher(&self) -> Option<Watcher> {
        self.watcher.clone()
    }

    /// How many sleep whom no scheduler polls.
    pub(super) fn outside(&self) -> usize {
        self.outside.len()
    }

    /// Gives up sleepers that no scheduler polls; answers whom to wake, so that they say so.
    pub(super) fn give_up_outside(&mut self) -> Vec<Waker> {
        self.given_up = true;
        let timers = self.outside.iter().filter_map(|(at, number)| self.armed.get(at)?.get(number));
        timers.map(|timer| timer.waker.clone()).collect()
    }

    pub(super) const fn is_moved_again(&mut self) {
        self.given_up = false;
    }

    pub(super) const fn is_given_up(&self) -> bool {
        self.given_up
    }

    pub(super) fn earliest(&self) -> Option<Timestamp> {
        self.armed.first_key_value().map(|(at, _)| *at)
    }

    /// Every armed timer, earliest first, with the task it belongs to.
    pub(super) fn list(&self) -> Vec<(Timestamp, Option<Owner>)> {
        self.each().map(|(at, timer)| (at, timer.owner.clone())).collect()
    }

    fn each(&self) -> impl Iterator<Item = (Timestamp, &Timer)> {
        self.armed.iter().flat_map(|(at, equal)| equal.values().map(|timer| (*at, timer)))
    }

    /// What the most important of the armed timers is there for.
    pub(super) fn purpose(&self) -> Purpose {
        let purpose = |timer: &Timer| match timer.owner.as_ref().map(|owner| owner.kind) {
            Some(TaskKind::Housekeeping) => Purpose::Nothing,
            Some(TaskKind::Claiming) => Purpose::Looks,
            _ => Purpose::Work,
        };
        self.each().map(|(_, timer)| purpose(timer)).max().unwrap_or(Purpose::Nothing)
    }

    /// Takes the earliest timer out if it is due at `until`, and moves to its instant. `pick` chooses where
    /// several have this deadline; it is not asked about one.
    pub(super) fn take_due(&mut self, until: Timestamp, pick: impl FnOnce(usize) -> usize) -> Option<Due> {
        let at = self.earliest().filter(|at| *at <= until)?;
        let equal = self.armed.get(&at)?;
        let count = equal.len();
        let picked = if count > 1 { pick(count) } else { 0 };
        let number = *equal.keys().nth(picked)?;
        let Timer { waker, owner } = self.disarm((at, number))?;
        self.move_to(at);
        Some(Due { waker, owner, choice: (picked, count) })
    }

    /// Moves on; never back.
    pub(super) fn move_to(&mut self, instant: Timestamp) {
        if instant > self.now {
            self.now = instant;
            self.is_moved_again();
        }
    }
}
