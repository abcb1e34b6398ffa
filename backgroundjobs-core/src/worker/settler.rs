//! [`Settler`]: tells the store how runs ended, in batches that form by load.
//!
//! Outcomes gather while one settle call is in flight and go together in the next. One call is in flight at a
//! time, so outcomes reach the store in the order in which runs ended.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Shared;
use super::backoff::Backoff;
use crate::failure::{Failure, FailureKind};
use crate::limits::{SETTLE_BACKLOG, SETTLE_BATCH};
use crate::store::{LeaseKey, Outcome, SettleJobs, Settled, Settlement, StoreError, Wake};
use crate::{JobState, QueueName};

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
    waiting: VecDeque<Settlement>,
    in_flight: Vec<LeaseKey>,
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

    /// Takes an outcome; waits while too many wait already, so that a store that is down does not fill the
    /// memory: the slot stays taken meanwhile.
    pub(super) async fn accept(&self, settlement: Settlement) {
        loop {
            let mut room = std::pin::pin!(self.room.notified());
            room.as_mut().enable();
            if self.state.lock().waiting.len() < self.capacity {
                break;
            }
            room.await;
        }
        self.push(settlement);
    }

    /// Takes an outcome at once: for what is bounded by other means (jobs read ahead). Whoever calls this
    /// sees to it that somebody [`drive`](Self::drive)s or [`nudge`](Self::nudge)s.
    pub(super) fn push(&self, settlement: Settlement) {
        self.state.lock().waiting.push_back(settlement);
    }

    /// Outcomes that are not in the store yet.
    pub(super) fn backlog(&self) -> usize {
        let state = self.state.lock();
        state.waiting.len() + state.in_flight.len()
    }

    /// Sees to it that the store is told what waits, by the settler task.
    pub(super) fn nudge(&self) {
        let state = self.state.lock();
        if !state.waiting.is_empty() && state.in_flight.is_empty() {
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
        let waiting = state.waiting.iter().map(|settlement| settlement.lease);
        state.in_flight.iter().copied().chain(waiting).collect()
    }

    /// Tells the store what waits, in one call, unless somebody does already. Says whether it did.
    pub(super) async fn drive(&self, shared: &Shared) -> bool {
        let Some(batch) = self.begin() else { return false };
        settle(shared, batch).await;
        self.state.lock().in_flight.clear();
        self.room.notify_waiters();
        true
    }

    fn begin(&self) -> Option<Vec<Settlement>> {
        let mut state = self.state.lock();
        if !state.in_flight.is_empty() || state.waiting.is_empty() {
            return None;
        }
        let count = state.waiting.len().min(SETTLE_BATCH);
        let batch: Vec<Settlement> = state.waiting.drain(..count).collect();
        state.in_flight = batch.iter().map(|settlement| settlement.lease).collect();
        Some(batch)
    }
}

/// Settles whenever an outcome waits, until the worker closes.
pub(super) async fn keep(shared: &Shared) {
    loop {
        while shared.settler.drive(shared).await {}
        tokio::select! {
            biased;
            () = shared.settler.work.notified() => {}
            () = shared.closing.cancelled() => return,
        }
    }
}

/// Tells the store until it answers. A batch that it refuses is halved down to the one outcome that it
/// refuses; that job is failed with a plain text instead.
async fn settle(shared: &Shared, batch: Vec<Settlement>) {
    let mut batches = vec![batch];
    while let Some(mut batch) = batches.pop() {
        match send(shared, &batch).await {
            Ok(()) => {}
            Err(error) if error.is_retryable() => return,
            Err(_) if batch.len() > 1 => {
                let rest = batch.split_off(batch.len() / 2);
                batches.extend([rest, batch]);
            }
            Err(error) => refuse(shared, &mut batches, batch, &error),
        }
    }
}

/// Sends one batch, again and again while the store may still take it.
async fn send(shared: &Shared, batch: &[Settlement]) -> Result<(), StoreError> {
    let env = shared.door.env();
    let mut request = SettleJobs::new(env.now(), batch.to_vec());
    let mut backoff = Backoff::new();
    loop {
        match shared.door.settle(&request).await {
            Ok(reply) => {
                for (settlement, settled) in request.outcomes.iter().zip(&reply.jobs) {
                    answered(shared, settlement, *settled);
                }
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
                    () = env.sleep(backoff.next(env)) => {}
                    // The stop deadline has passed: what is left is named there and waits for its lease.
                    () = shared.closing.cancelled() => return Err(error),
                }
                request.now = env.now();
            }
            Err(error) => return Err(error),
        }
    }
}

/// The store refuses this one outcome: fail the job plainly, or give it up to its lease.
fn refuse(shared: &Shared, batches: &mut Vec<Vec<Settlement>>, batch: Vec<Settlement>, error: &StoreError) {
    const PLAIN: &str = "the store refused the outcome of this run";
    for Settlement { lease, outcome } in batch {
        tracing::error!(id = %lease.id, error = error as &dyn std::error::Error, "the store refuses an outcome");
        let plain = Outcome::Fail { failure: Failure::new(FailureKind::Error, PLAIN) };
        if outcome == plain {
            shared.stats.lost.add(1);
            shared.runs.let_go(lease);
        } else {
            batches.push(vec![Settlement { lease, outcome: plain }]);
        }
    }
}

/// The store has answered: the lease is no longer renewed, and whoever waits for the change hears of it.
fn answered(shared: &Shared, settlement: &Settlement, settled: Settled) {
    let Settlement { lease, outcome } = settlement;
    let Settled::Applied { state } = settled else {
        shared.runs.let_go(*lease);
        shared.stats.lost.add(1);
        tracing::warn!(
            id = %lease.id,
            "the lease was lost before the run was settled; its outcome is dropped, and the job may run again"
        );
        return;
    };
    shared.stats.settled(outcome, state);
    if state.is_final() {
        shared.upkeep.job_ended();
    }
    let queue = shared.runs.let_go(*lease);
    announce(shared, queue.as_ref(), outcome, state);
}

/// Tells those of this process whom the change concerns.
fn announce(shared: &Shared, queue: Option<&QueueName>, outcome: &Outcome, state: JobState) {
    let Some(hub) = shared.door.hub() else { return };
    if state.is_final() {
        hub.announce_progress();
    } else if let (JobState::Waiting, Some(queue)) = (state, queue) {
        let delay = match outcome {
            Outcome::Retry { delay, .. } | Outcome::Snooze { delay } => *delay,
            _ => Duration::ZERO,
        };
        hub.announce(Wake::Due { queue, delay });
    }
}
