//! Says to the store what this worker still holds: one call for all leases, while there are any.

use super::Shared;
use super::backoff::Backoff;
use super::run::CancelCause;
use crate::Timestamp;
use crate::limits::LONG_RUN_WARNING;
use crate::store::{LeaseKey, LeaseStatus, RenewLeases, StoreError};

/// Renews until the worker closes. A renew that fails cancels nothing: the store may be down for everyone.
pub(super) async fn keep(shared: &Shared) {
    let env = shared.door.env();
    let mut backoff = Backoff::new();
    let mut wait = shared.times.renew_every;
    let mut before = env.now();
    loop {
        if shared.runs.is_empty() {
            tokio::select! {
                biased;
                () = shared.closing.cancelled() => return,
                () = shared.runs.first.notified() => {}
            }
        }
        tokio::select! {
            biased;
            () = shared.closing.cancelled() => return,
            () = shared.runs.renew.notified() => {}
            () = env.sleep(wait) => {}
        }
        wait = shared.times.renew_every;
        let leases = shared.runs.leases();
        if leases.is_empty() {
            continue;
        }
        warn_of_long_runs(shared, before, env.now());
        before = env.now();
        let count = leases.len();
        match renew(shared, leases).await {
            Ok(()) => backoff = Backoff::new(),
            Err(error) => {
                shared.stats.store_errors.add(1);
                wait = backoff.next(env).min(wait);
                tracing::warn!(
                    worker = %shared.id,
                    leases = count,
                    error = &error as &dyn std::error::Error,
                    "could not renew leases; trying again"
                );
            }
        }
    }
}

/// Renews these leases, in one call if there are any.
pub(super) async fn renew(shared: &Shared, leases: Vec<LeaseKey>) -> Result<(), StoreError> {
    if leases.is_empty() {
        return Ok(());
    }
    let request = RenewLeases::new(shared.door.env().now(), shared.times.lease, leases);
    let reply = shared.door.renew(&request).await?;
    for (lease, status) in request.leases.iter().zip(reply.leases) {
        heard(shared, *lease, status);
    }
    Ok(())
}

fn heard(shared: &Shared, lease: LeaseKey, status: LeaseStatus) {
    match status {
        LeaseStatus::Held => {}
        LeaseStatus::CancelRequested => {
            if let Some(run) = shared.runs.heard_of_cancel(lease) {
                shared.cancel_run(&run, CancelCause::User);
            }
        }
        // A run that has ended is Lost here once its settle has been applied, before the answer is taken in.
        LeaseStatus::Lost => match shared.runs.running(lease) {
            // Its outcome will be answered with Lost, and counted then.
            Some(run) => {
                tracing::warn!(id = %lease.id, kind = %run.kind, "the lease is lost; the run is told to stop");
                shared.cancel_run(&run, CancelCause::Lost);
            }
            None => {
                if shared.board.take_out(lease).is_some() {
                    shared.stats.lost.add(1);
                    shared.runs.let_go(lease);
                }
            }
        },
    }
}

/// Warns of each run without a timeout that has come to another full hour.
fn warn_of_long_runs(shared: &Shared, before: Timestamp, now: Timestamp) {
    let hours =
        |run: &super::Run, at: Timestamp| at.since(run.started).as_secs() / LONG_RUN_WARNING.as_secs();
    for run in shared.runs.all_running() {
        if run.deadline.is_none() && hours(&run, now) > hours(&run, before) {
            tracing::warn!(
                id = %run.lease.id,
                kind = %run.kind,
                ran = ?now.since(run.started),
                "still running and without a timeout; give its kind one if it should not take this long"
            );
        }
    }
}
