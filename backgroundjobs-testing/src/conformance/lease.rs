//! Renewing leases.

use std::time::Duration;

use backgroundjobs_core::{CancelStatus, LeaseKey, LeaseStatus, Outcome, Timestamp};

use super::context::{Context, LEASE, MICRO, at, lease_of, retry, same, secs};

async fn until(cx: &Context, lease: LeaseKey) -> Option<Timestamp> {
    cx.get(lease.id).await.lease.map(|lease| lease.until)
}

/// A renewed lease ends the asked time after the store's time, be that earlier or later than before.
pub(super) async fn renewing_sets_the_end(cx: &Context) {
    let lease = lease_of(&cx.running(at(0)).await);
    let before = cx.get(lease.id).await;
    let durations: [Duration; 3] = [secs(60), secs(1), secs(40) + MICRO];
    for (second, duration) in (20..).zip(durations) {
        let answers = cx.renew_all(at(second), duration, vec![lease]).await;
        same("R-1", "a held lease", answers, vec![LeaseStatus::Held]);
        same("R-1", "end of the lease", until(cx, lease).await, Some(at(second) + duration));
    }
    let mut after = cx.get(lease.id).await;
    after.lease.clone_from(&before.lease);
    same("R-1", "the record but for the end of its lease", after, before);
    let end = at(22) + secs(40) + MICRO;
    same("R-1", "jobs to recover before the new end", cx.recover(end - MICRO, 9).await.jobs, vec![]);
    same("R-1", "jobs to recover at the new end", cx.recover(end, 9).await.jobs.len(), 1);
}

/// A lease that ran out can still be renewed, while nobody took the job back.
pub(super) async fn renewing_late_still_counts(cx: &Context) {
    let lease = lease_of(&cx.running(at(0)).await);
    let late = at(0) + LEASE + secs(100);
    same("R-1", "a lease that ran out", cx.renew(late, lease).await, LeaseStatus::Held);
    same("R-1", "end of the lease", until(cx, lease).await, Some(late + LEASE));
    same("R-1", "jobs to recover after it", cx.recover(late, 9).await.jobs, vec![]);
}

/// Hearing of a cancel does not cost the lease.
pub(super) async fn a_flagged_lease_is_held_on(cx: &Context) {
    let lease = lease_of(&cx.running(at(0)).await);
    same("X-3", "cancel of a running job", cx.cancel(at(1), lease.id).await, CancelStatus::Requested);
    for second in [2, 3] {
        let answer = cx.renew(at(second), lease).await;
        same("R-1", "a lease of a flagged job", answer, LeaseStatus::CancelRequested);
        same("R-1", "end of its lease", until(cx, lease).await, Some(at(second) + LEASE));
    }
}

/// A claim that is over is Lost, and renewing it touches nobody else's.
pub(super) async fn a_lost_lease_is_left_alone(cx: &Context) {
    let settled = cx.running(at(0)).await;
    cx.end(at(1), &settled, Outcome::Complete).await;
    let waiting = cx.running(at(0)).await;
    cx.end(at(1), &waiting, retry(secs(1))).await;
    let reclaimed = cx.take_one(at(2)).await;
    let recovered = cx.running(at(0)).await;
    cx.renew(at(2), lease_of(&reclaimed)).await;
    cx.recover(at(0) + LEASE, 9).await;

    let nobody = LeaseKey { id: cx.job_id(), generation: 1 };
    let never = LeaseKey { id: reclaimed.id, generation: reclaimed.generation + 1 };
    for lease in [lease_of(&settled), lease_of(&waiting), lease_of(&recovered), never, nobody] {
        let before = cx.find(lease.id).await;
        let answer = cx.renew(at(31), lease).await;
        same("R-2", format!("renew of {lease:?}"), answer, LeaseStatus::Lost);
        same("R-2", "the record after it", cx.find(lease.id).await, before);
    }
}

/// A batch is answered in order, and what is lost does not cost the rest.
pub(super) async fn a_batch_is_answered_in_order(cx: &Context) {
    cx.insert(at(0), (0..3).map(|_| cx.job()).collect()).await;
    let jobs = cx.take(at(0), 3).await.jobs;
    cx.cancel(at(1), jobs[0].id).await;
    cx.end(at(1), &jobs[1], Outcome::Complete).await;
    let leases = [2, 1, 0].map(|index: usize| lease_of(&jobs[index])).to_vec();
    let answers = cx.renew_all(at(5), LEASE, leases).await;
    let expected = vec![LeaseStatus::Held, LeaseStatus::Lost, LeaseStatus::CancelRequested];
    same("R-1", "answers to [held, settled, flagged]", answers, expected);
    same("R-1", "end of the first", until(cx, lease_of(&jobs[2])).await, Some(at(5) + LEASE));
}
