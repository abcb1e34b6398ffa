//! Claims: one call for all the queues that have room, made by whoever finds it worth making.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Shared;
use super::backoff::Backoff;
use super::board::{Demand, Supply};
use super::run::{CancelCause, Run};
use super::runs::Displaced;
use crate::limits::{CONTENDED_WAIT, POLL_JITTER};
use crate::store::{ClaimJobs, ClaimedJob, ClaimedJobs, LeaseKey, Outcome, Settlement};
use crate::{Env, ErrorText, Timestamp};

/// Claims when an alarm says so, when a slot asks for more ahead of time, and when there is room that no
/// idle slot sees to; returns what was read ahead too early. Until the worker closes.
pub(super) async fn keep(shared: &Shared) {
    let env = shared.door.env();
    while !shared.closing.is_cancelled() {
        let now = env.now();
        shared.release(shared.board.take_stale(now).iter().map(lease_of));
        if let Some(demands) = shared.board.begin_claim(now) {
            claim(shared, demands, None).await;
            continue;
        }
        let alarm = shared.board.next_alarm();
        tokio::select! {
            biased;
            () = shared.closing.cancelled() => {}
            () = shared.board.claimer.notified() => {}
            () = shared.sleep_until(alarm) => {}
        }
    }
    // What a claim in flight handed out after the close goes back, even if the settler has ended.
    shared.settler.drive(shared).await;
}

/// Makes one claim and sees it through: repeated under its id until it is answered, so that jobs handed out
/// by a call whose answer was lost are not stranded. `by` is the queue of the slot that makes it, if one does.
pub(super) async fn claim(shared: &Shared, demands: Vec<Demand>, by: Option<usize>) {
    see_through(shared, demands, by).await;
    if shared.stopping.load(Ordering::SeqCst) {
        // The stop waits for it.
        shared.runs.ended.notify_waiters();
    }
}

async fn see_through(shared: &Shared, demands: Vec<Demand>, by: Option<usize>) {
    let env = shared.door.env();
    let mut request = ClaimJobs::new(
        env.now(),
        env.claim_id(),
        shared.id,
        demands.iter().map(|demand| demand.ask.clone()).collect(),
        Arc::clone(shared.registry.names()),
        shared.times.lease,
    );
    shared.runs.claim_begins();
    let begun = request.now;
    let mut backoff = Backoff::new();
    loop {
        // Even a stop waits, up to its deadline: jobs that a lost answer handed out are released, not stranded.
        let last_try = shared.closing.is_cancelled();
        match shared.door.claim(&request).await {
            Ok(reply) => {
                if request.repeated {
                    *shared.claim_error.lock() = None;
                }
                take_in(shared, &demands, reply, by);
                if request.repeated || env.now().since(begun) >= shared.times.renew_every {
                    // The leases began with a call that is long over.
                    shared.runs.renew.notify_one();
                }
                return;
            }
            Err(error) => {
                shared.stats.store_errors.add(1);
                *shared.claim_error.lock() = Some(ErrorText::from_error(&error).to_string());
                tracing::warn!(
                    worker = %shared.id,
                    error = &error as &dyn std::error::Error,
                    "could not claim jobs; trying again"
                );
            }
        }
        if last_try {
            return shared.board.claim_failed(&demands);
        }
        request.repeated = true;
        tokio::select! {
            biased;
            () = shared.closing.cancelled() => {}
            () = env.sleep(backoff.next(env)) => {}
        }
        request.now = env.now();
    }
}

/// Takes the jobs under this worker's care, then gives them to the slots.
fn take_in(shared: &Shared, demands: &[Demand], reply: ClaimedJobs, by: Option<usize>) {
    let env = shared.door.env();
    let now = env.now();
    let poll = shared.door.profile().poll_interval.map(|poll| now + env.jittered(poll, POLL_JITTER));
    let next_expiry = reply.next_expiry.map(|expiry| in_own_time(env, expiry, reply.store_now));
    shared.upkeep.leases_end(next_expiry, reply.store_now);
    let mut supplies = Vec::with_capacity(demands.len());
    for (queue, demand) in reply.queues.into_iter().zip(demands) {
        if queue.paused {
            shared.release(shared.board.take_queue(&demand.ask.queue).iter().map(lease_of));
        }
        shared.stats.claimed.add(queue.jobs.len() as u64);
        // Nothing came though there may be something: another claim holds it for the moment.
        let contended = queue.more && queue.jobs.is_empty();
        let next_due = queue.next_due.map(|due| in_own_time(env, due, reply.store_now));
        let next_look = if contended { Some(now + CONTENDED_WAIT) } else { next_due.filter(|_| !queue.more) };
        supplies.push(Supply {
            jobs: queue.jobs.into_iter().filter_map(|job| hold(shared, demand, job)).collect(),
            more: queue.more && !contended,
            next_look: next_look.into_iter().chain(poll).min(),
        });
    }
    shared.runs.claim_is_taken_in();
    let late = shared.board.supply(demands, supplies, by, now);
    shared.release(late.iter().map(lease_of));
}

/// From now on the job's lease is renewed. A job that is to be cancelled does not start at all.
fn hold(shared: &Shared, demand: &Demand, job: ClaimedJob) -> Option<ClaimedJob> {
    match shared.runs.hold(lease_of(&job), demand.index) {
        None => {}
        Some(Displaced::Run(older)) => {
            shared.cancel_run(&older, CancelCause::Lost);
        }
        // If it is not in the board any more, a slot has taken it and will see that it is lost.
        Some(Displaced::Unstarted(older)) if shared.board.take_out(older).is_some() => {
            shared.runs.let_go(older);
        }
        Some(Displaced::Unstarted(_)) => {}
    }
    if job.cancel_requested {
        let lease = lease_of(&job);
        // Never started, but it ends here: whoever hears of ends is told which job it was.
        let (run, _) = Run::of(job, shared.door.env().now(), None, &shared.surroundings);
        run.end();
        shared.runs.start(&Arc::new(run));
        shared.settler.push(Settlement { lease, outcome: Outcome::Cancel { failure: None } });
        return None;
    }
    Some(job)
}

/// A store's instant on this worker's clock: only the difference to the store's now is believed.
fn in_own_time(env: &Env, instant: Timestamp, store_now: Timestamp) -> Timestamp {
    env.now() + instant.since(store_now)
}

pub(super) fn lease_of(job: &ClaimedJob) -> LeaseKey {
    LeaseKey { id: job.id, generation: job.generation }
}
