//! [`Upkeep`]: takes back jobs whose worker died, and clears finished jobs away.

use std::cmp::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::backoff::Backoff;
use super::{Shared, leases};
use crate::limits::{PRUNE_AT_MOST_EVERY, PRUNE_EVERY_SETTLES, UPKEEP_BATCH};
use crate::store::{PruneJobs, RecoverJobs, RecoveredJob, Retention, StoreError, Wake};
use crate::{JobState, Timestamp};

pub(super) struct Upkeep {
    retention: Retention,
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    /// When the first lease in the store ends, as last heard.
    recover_at: Option<Timestamp>,
    /// The store's time when that was said: answers of two calls may be taken in out of order.
    heard: Timestamp,
    /// When to prune next.
    prune_at: Option<Timestamp>,
    /// Jobs that ended since the last prune.
    ended: u64,
}

impl Upkeep {
    pub(super) fn new(retention: Retention) -> Self {
        // What earlier programs left is looked at once, at the start.
        let state =
            State { recover_at: None, heard: Timestamp::MIN, prune_at: Some(Timestamp::MIN), ended: 0 };
        Self { retention, state: Mutex::new(state), changed: Notify::new() }
    }

    /// The store said at `store_now` that the first lease in it ends `at`, on the worker's clock.
    pub(super) fn leases_end(&self, at: Option<Timestamp>, store_now: Timestamp) {
        let mut state = self.state.lock();
        let before = state.recover_at;
        state.recover_at = match store_now.cmp(&state.heard) {
            Ordering::Greater => at,
            // An answer of before, one of the same time, or one of a store whose time was set back: which was first
            // cannot be told, and looking once too often does no harm.
            Ordering::Less | Ordering::Equal => before.into_iter().chain(at).min(),
        };
        state.heard = state.heard.max(store_now);
        let earlier = state.recover_at.is_some_and(|at| before.is_none_or(|before| at < before));
        drop(state);
        if earlier {
            self.changed.notify_one();
        }
    }

    /// So many more jobs ended.
    pub(super) fn jobs_ended(&self, more: u64) {
        let mut state = self.state.lock();
        let before = state.ended;
        state.ended += more;
        if (before..state.ended).contains(&(PRUNE_EVERY_SETTLES - 1)) {
            state.prune_at = Some(Timestamp::MIN);
            drop(state);
            self.changed.notify_one();
        }
    }

    fn next(&self) -> Option<Timestamp> {
        let state = self.state.lock();
        state.recover_at.into_iter().chain(state.prune_at).min()
    }
}

/// Recovers and prunes when it is time, one call at a time, until the worker closes.
pub(super) async fn keep(shared: &Shared) {
    let env = shared.door.env();
    let mut backoff = Backoff::new();
    loop {
        let next = shared.upkeep.next();
        tokio::select! {
            biased;
            () = shared.closing.cancelled() => return,
            () = shared.upkeep.changed.notified() => {}
            () = shared.sleep_until(next) => {}
        }
        match run_due(shared).await {
            Ok(()) => backoff = Backoff::new(),
            Err(error) => {
                shared.stats.store_errors.add(1);
                tracing::warn!(
                    worker = %shared.id,
                    error = &error as &dyn std::error::Error,
                    "upkeep failed; trying again"
                );
                tokio::select! {
                    biased;
                    () = shared.closing.cancelled() => return,
                    () = env.sleep(backoff.next(env)) => {}
                }
            }
        }
    }
}

async fn run_due(shared: &Shared) -> Result<(), StoreError> {
    let now = shared.door.env().now();
    let (recover, prune) = {
        let state = shared.upkeep.state.lock();
        let is_due = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
        (is_due(state.recover_at), is_due(state.prune_at))
    };
    // One that fails does not keep the other from being done.
    let recovered = if recover { self::recover(shared, now).await } else { Ok(()) };
    let pruned = if prune { self::prune(shared, now).await } else { Ok(()) };
    recovered.and(pruned)
}

async fn recover(shared: &Shared, now: Timestamp) -> Result<(), StoreError> {
    // Where all was late, this process asleep say, this worker's own leases may be over as well: they are the
    // ones that it must not take back.
    leases::renew(shared, shared.runs.leases()).await?;
    let request = RecoverJobs::new(now, UPKEEP_BATCH, shared.times.crash_backoff);
    // What is due now is being seen to; what the answer, or a claim meanwhile, says comes on top.
    shared.upkeep.state.lock().recover_at = None;
    let reply = match shared.door.recover(&request).await {
        Ok(reply) => reply,
        Err(error) => {
            shared.upkeep.state.lock().recover_at = Some(now);
            // It may have been done all the same, and then jobs wait, or are over, that nobody was told of.
            shared.announce(Wake::Anything);
            if let Some(hub) = shared.door.hub() {
                hub.announce_progress();
            }
            return Err(error);
        }
    };
    // At once again while there is more, else when the next lease ends.
    let next = reply.next_expiry.map(|expiry| shared.door.env().now() + expiry.since(reply.store_now));
    shared.upkeep.leases_end(next, reply.store_now);
    for job in &reply.jobs {
        recovered(shared, job, job.run_at.since(reply.store_now));
    }
    Ok(())
}

fn recovered(shared: &Shared, job: &RecoveredJob, delay: Duration) {
    let RecoveredJob { id, kind, queue, crashes, state, .. } = job;
    shared.stats.recovered.add(1);
    match state {
        JobState::Failed => tracing::error!(
            %id, %kind, crashes,
            "failed for good: its worker died, or lost the store, each time it ran"
        ),
        state => {
            tracing::warn!(%id, %kind, crashes, %state, "taken back from a worker that let its lease run out");
        }
    }
    if !state.is_final() {
        shared.announce(Wake::Due { queue, delay });
    } else if let Some(hub) = shared.door.hub() {
        hub.announce_ended([*id]);
    }
}

async fn prune(shared: &Shared, now: Timestamp) -> Result<(), StoreError> {
    shared.upkeep.state.lock().ended = 0;
    let request = PruneJobs::new(now, shared.upkeep.retention, UPKEEP_BATCH);
    let reply = shared.door.prune(&request).await?;
    if reply.removed > 0 {
        tracing::debug!(removed = reply.removed, "cleared finished jobs away");
    }
    let own_now = shared.door.env().now();
    let next = reply.next_prune.map(|next| match next.since(reply.store_now) {
        Duration::ZERO => own_now,
        // Jobs that age out one by one go together.
        wait => own_now + wait.max(PRUNE_AT_MOST_EVERY),
    });
    let mut state = shared.upkeep.state.lock();
    // Enough jobs may have ended while the call was in flight.
    state.prune_at = if state.ended >= PRUNE_EVERY_SETTLES { Some(own_now) } else { next };
    Ok(())
}
