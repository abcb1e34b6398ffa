//! [`Settler`]: tells the store how runs ended, in batches that form by load.
//!
//! Outcomes gather while one settle call is in flight and go together in the next. One call is in flight at a
//! time, so outcomes reach the store in the order in which runs ended.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Shared;
use super::backoff::Backoff;
use super::run::Run;
use crate::failure::Failure;
use crate::limits::{REFUSED_TRIES, SETTLE_BACKLOG, SETTLE_BATCH, STORE_RETRY_BASE};
use crate::store::{LeaseKey, Outcome, SettleJobs, Settled, Settlement, StoreError, Wake};
use crate::{FinishedRun, JobId, JobState, Timestamp};

pub(super) struct Settler {
    state: Mutex<State>,
    /// So many may wait before slots are made to wait too.
    capacity: usize,
    /// Wakes the settler task.
    work: Notify,
    /// Wakes slots that wait for room, and a stop that waits for the end.
    room: Notify,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    /// Refused by the store, and to be offered again at these instants.
    later: Vec<(Timestamp, Waiting)>,
    in_flight: Vec<LeaseKey>,
    /// The settler task was told of what waits, and has not begun yet.
    is_nudged: bool,
}

/// How an outcome was taken.
#[derive(Clone, Copy)]
pub(super) struct Accepted {
    /// Room had to be waited for.
    pub(super) waited: bool,
    /// Nobody is about to tell the store: [`nudge`](Settler::nudge), or [`drive`](Settler::drive).
    pub(super) to_be_told: bool,
}

#[derive(Clone)]
struct Waiting {
    settlement: Settlement,
    /// How often the store has refused it.
    refused: u8,
}

impl State {
    /// Answers whether somebody is still to be found who tells the store.
    fn push(&mut self, settlement: Settlement) -> bool {
        self.waiting.push_back(Waiting { settlement, refused: 0 });
        self.in_flight.is_empty() && !self.is_nudged
    }
}

impl Settler {
    pub(super) fn new(slots: usize) -> Self {
        Self {
            state: Mutex::default(),
            capacity: slots + SETTLE_BACKLOG,
            work: Notify::new(),
            room: Notify::new(),
        }
    }

    /// Takes an outcome. While too many wait already, it tells the store of them first, or waits for whoever
    /// does, so that a store that is down does not fill the memory: the slot stays taken meanwhile.
    pub(super) async fn accept(&self, settlement: Settlement, shared: &Shared) -> Accepted {
        match self.push_if_room(settlement) {
            Ok(to_be_told) => Accepted { waited: false, to_be_told },
            Err(settlement) => {
                self.make_room(shared).await;
                Accepted { waited: true, to_be_told: self.push(settlement) }
            }
        }
    }

    /// As [`push`](Self::push), unless too many wait: then the outcome comes back.
    fn push_if_room(&self, settlement: Settlement) -> Result<bool, Settlement> {
        let mut state = self.state.lock();
        if state.waiting.len() < self.capacity { Ok(state.push(settlement)) } else { Err(settlement) }
    }

    fn has_room(&self) -> bool {
        self.state.lock().waiting.len() < self.capacity
    }

    async fn make_room(&self, shared: &Shared) {
        // Once it is closed nobody will make room any more; the stop's report names what is here.
        while !shared.closing.is_cancelled() {
            let mut room = std::pin::pin!(self.room.notified());
            room.as_mut().enable();
            if self.has_room() {
                return;
            }
            if self.drive(shared).await {
                continue;
            }
            tokio::select! {
                biased;
                () = room => {}
                () = shared.closing.cancelled() => {}
            }
        }
    }

    /// Takes an outcome at once: for what is bounded by other means (jobs read ahead). Whoever calls this
    /// sees to it that somebody [`drive`](Self::drive)s or [`nudge`](Self::nudge)s.
    /// Answers whether that is still to be done.
    pub(super) fn push(&self, settlement: Settlement) -> bool {
        self.state.lock().push(settlement)
    }

    /// Outcomes that are not in the store yet.
    pub(super) fn backlog(&self) -> usize {
        let state = self.state.lock();
        state.waiting.len() + state.later.len() + state.in_flight.len()
    }

    /// Whether outcomes wait and nobody is telling the store.
    pub(super) fn is_behind(&self) -> bool {
        let state = self.state.lock();
        !state.waiting.is_empty() && state.in_flight.is_empty()
    }

    /// Sees to it that the store is told what waits, by the settler task.
    pub(super) fn nudge(&self) {
        let mut state = self.state.lock();
        if !state.waiting.is_empty() && state.in_flight.is_empty() {
            state.is_nudged = true;
            drop(state);
            self.work.notify_one();
        }
    }

    /// Waits until every outcome is in the store. Cancel safe.
    pub(super) async fn emptied(&self) {
        loop {
            let mut room = std::pin::pin!(self.room.notified());
            room.as_mut().enable();
            if self.backlog() == 0 {
                return;
            }
            room.await;
        }
    }

    /// The claims whose outcome is not in the store yet.
    pub(super) fn unsettled(&self) -> Vec<LeaseKey> {
        let state = self.state.lock();
        let waiting = state.waiting.iter().chain(state.later.iter().map(|(_, waiting)| waiting));
        let waiting = waiting.map(|waiting| waiting.settlement.lease);
        state.in_flight.iter().copied().chain(waiting).collect()
    }

    /// Tells the store what waits, in one call, unless somebody does already. Says whether it did.
    pub(super) async fn drive(&self, shared: &Shared) -> bool {
        let env = shared.door.env();
        let Some(batch) = self.begin(env.now()) else { return false };
        let left = settle(shared, batch).await;
        let mut state = self.state.lock();
        state.in_flight.clear();
        for waiting in left {
            match waiting.refused {
                0 => state.waiting.push_back(waiting),
                // At once with a plain text; then after ever longer waits, in case the store refuses everything.
                refused => {
                    let wait = STORE_RETRY_BASE * (2_u32.pow(u32::from(refused)) - 2);
                    state.later.push((env.now() + wait, waiting));
                }
            }
        }
        // What came meanwhile saw a call in flight and told nobody; what was refused has its instant now.
        let more = !state.waiting.is_empty() || !state.later.is_empty();
        drop(state);
        self.room.notify_waiters();
        if more {
            self.work.notify_one();
        }
        true
    }

    /// When the first of those that were refused is to be offered again.
    fn next_offer(&self) -> Option<Timestamp> {
        self.state.lock().later.iter().map(|(at, _)| *at).min()
    }

    /// Takes answered outcomes out of what is in flight.
    fn told(&self, batch: &[Waiting]) {
        let told = |lease: &LeaseKey| batch.iter().any(|waiting| waiting.settlement.lease == *lease);
        self.state.lock().in_flight.retain(|lease| !told(lease));
    }

    fn begin(&self, now: Timestamp) -> Option<Vec<Waiting>> {
        let mut state = self.state.lock();
        state.is_nudged = false;
        let due: Vec<_> = state.later.extract_if(.., |(at, _)| *at <= now).collect();
        state.waiting.extend(due.into_iter().map(|(_, waiting)| waiting));
        if !state.in_flight.is_empty() || state.waiting.is_empty() {
            return None;
        }
        let count = state.waiting.len().min(SETTLE_BATCH);
        let batch: Vec<Waiting> = state.waiting.drain(..count).collect();
        state.in_flight = batch.iter().map(|waiting| waiting.settlement.lease).collect();
        Some(batch)
    }
}

/// Settles whenever an outcome waits, until the worker closes.
pub(super) async fn keep(shared: &Shared) {
    loop {
        while !shared.closing.is_cancelled() && shared.settler.drive(shared).await {}
        tokio::select! {
            biased;
            () = shared.closing.cancelled() => return,
            () = shared.settler.work.notified() => {}
            () = shared.sleep_until(shared.settler.next_offer()) => {}
        }
    }
}

/// Tells the store until it answers. A batch that it refuses is halved down to the one outcome that it
/// refuses, so that this one holds up no other. Answers what the store was not told and is to be offered again.
async fn settle(shared: &Shared, batch: Vec<Waiting>) -> Vec<Waiting> {
    let mut again = Vec::new();
    let mut halved = false;
    let mut batches = vec![batch];
    while let Some(mut batch) = batches.pop() {
        match send(shared, &batch).await {
            Ok(()) if halved => shared.settler.told(&batch),
            Ok(()) => {}
            // The worker closes.
            Err(error) if error.is_retryable() => again.extend(batch),
            Err(_) if batch.len() > 1 => {
                halved = true;
                let rest = batch.split_off(batch.len() / 2);
                batches.extend([rest, batch]);
            }
            Err(error) => {
                again.extend(batch.into_iter().filter_map(|waiting| refused(shared, waiting, &error)));
            }
        }
    }
    again
}

/// Sends one batch, again and again while the store may still take it.
async fn send(shared: &Shared, batch: &[Waiting]) -> Result<(), StoreError> {
    let env = shared.door.env();
    let outcomes = batch.iter().map(|waiting| waiting.settlement.clone()).collect();
    let mut request = SettleJobs::new(env.now(), outcomes);
    let mut backoff = Backoff::new();
    loop {
        match shared.door.settle(&request).await {
            Ok(reply) => {
                answered(shared, &request.outcomes, &reply.jobs);
                return Ok(());
            }
            Err(error) if error.is_retryable() => {
                shared.stats.store_errors.add(1);
                tracing::warn!(
                    worker = %shared.id,
                    outcomes = batch.len(),
                    error = &error as &dyn std::error::Error,
                    "could not settle jobs; trying again"
                );
                tokio::select! {
                    biased;
                    // The stop deadline has passed: what is left is named there and waits for its lease.
                    () = shared.closing.cancelled() => return Err(error),
                    () = env.sleep(backoff.next(env)) => {}
                }
                request.now = env.now();
            }
            Err(error) => {
                shared.stats.store_errors.add(1);
                return Err(error);
            }
        }
    }
}

/// The store refuses this one outcome. If its text may be why, it is offered with a plain one; else again a
/// few times, in case the store refuses everything for the moment; then it is left to its lease.
fn refused(shared: &Shared, waiting: Waiting, error: &StoreError) -> Option<Waiting> {
    let Waiting { settlement: Settlement { lease, outcome }, refused } = waiting;
    let refused = refused + 1;
    tracing::error!(
        id = %lease.id,
        refused,
        error = error as &dyn std::error::Error,
        "the store refuses an outcome"
    );
    if refused >= REFUSED_TRIES {
        shared.stats.lost.add(1);
        shared.runs.let_go(lease);
        return None;
    }
    Some(Waiting { settlement: Settlement { lease, outcome: plain(outcome) }, refused })
}

/// The same outcome with a text that no store can stumble over.
fn plain(outcome: Outcome) -> Outcome {
    let plain = |failure: Failure| Failure::new(failure.kind, "the store refused the text of this failure");
    match outcome {
        Outcome::Retry { delay, failure } => Outcome::Retry { delay, failure: plain(failure) },
        Outcome::Fail { failure } => Outcome::Fail { failure: plain(failure) },
        Outcome::Cancel { failure } => Outcome::Cancel { failure: failure.map(plain) },
        Outcome::Complete | Outcome::Snooze { .. } | Outcome::Release => outcome,
    }
}

fn finished(run: &Run, outcome: &Outcome, state: JobState) -> FinishedRun {
    FinishedRun {
        id: run.lease.id,
        kind: run.kind.clone(),
        queue: run.queue.clone(),
        state,
        attempt: run.attempt,
        error: outcome.failure().map(|failure| (failure.kind, failure.text.clone())),
    }
}

/// The store has answered: the leases are no longer renewed, and whoever waits for the changes hears of them.
fn answered(shared: &Shared, settlements: &[Settlement], answers: &[Settled]) {
    let mut ended: Vec<JobId> = Vec::new();
    let mut runs = Vec::with_capacity(settlements.len());
    for (Settlement { lease, outcome }, answer) in settlements.iter().zip(answers) {
        let (queue, run) = shared.runs.let_go(*lease).unzip();
        let run = run.flatten();
        let Settled::Applied { state } = *answer else {
            shared.stats.lost.add(1);
            tracing::warn!(
                id = %lease.id,
                "the lease was lost before the run was settled; its outcome is dropped, and the job may run again"
            );
            continue;
        };
        shared.stats.settled(outcome, state);
        match (state, queue) {
            (JobState::Waiting, Some(queue)) => {
                let queue = shared.board.name(queue);
                shared.announce(Wake::Due { queue, delay: outcome.delay() });
            }
            _ if state.is_final() => ended.push(lease.id),
            _ => {}
        }
        // What was read ahead and goes back has no run, and nobody hears of it.
        if let Some(run) = run {
            shared.on_finished.tell(|| finished(&run, outcome, state));
            runs.push(run);
        }
    }
    shared.runs.put_by(&mut runs);
    if ended.is_empty() {
        return;
    }
    shared.upkeep.jobs_ended(ended.len() as u64);
    if let Some(hub) = shared.door.hub() {
        hub.announce_ended(ended);
    }
}
