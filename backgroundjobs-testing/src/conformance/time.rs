//! The store's time, and what it must survive.

use std::time::Duration;

use backgroundjobs_core::{JobState, KeyHold, LeaseStatus, Outcome, RecoverJobs, RunAt, Settled, Timestamp};

use super::context::{Context, KIND, LEASE, QUEUE, With, answer, applied, at, lease_of, retry, same, secs};

/// Nothing but the time that was given counts: not an earlier call's, not the machine's.
pub(super) async fn only_the_given_time_counts(cx: &Context) {
    let far = |years: u64| Timestamp::UNIX_EPOCH + secs(years * 31_557_600);
    let id = cx.put(far(1), cx.job().with(|job| job.run_at = RunAt::In(secs(10)))).await;
    same("T-1", "jobs due 9 s later, in 1971", cx.take(far(1) + secs(9), 9).await.jobs.len(), 0);
    let job = cx.take_one(far(1) + secs(10)).await;
    same(
        "T-1",
        "jobs to recover within the lease, in 1971",
        cx.recover(far(1) + secs(11), 9).await.jobs,
        vec![],
    );
    cx.end(far(900), &job, retry(secs(1))).await;
    same("T-2", "run_at of a retry, in 2870", cx.get(id).await.run_at, far(900) + secs(1));
    same("T-1", "jobs due, in 2869", cx.take(far(899), 9).await.jobs.len(), 0);
}

/// Sums beyond all time are its end.
pub(super) async fn the_far_future_saturates(cx: &Context) {
    let endless = Duration::MAX;
    let id = cx.put(at(0), cx.job().with(|job| job.run_at = RunAt::In(endless))).await;
    same("T-4", "run_at in endless time", cx.get(id).await.run_at, Timestamp::MAX);
    same("T-4", "next_due in endless time", cx.take(at(0), 9).await.next_due, Some(Timestamp::MAX));
    cx.cancel(at(0), id).await;

    let id = cx.put(at(0), cx.keyed("k", KeyHold::For(endless))).await;
    let claim = cx.claim_of(at(0), &[(QUEUE, 1)], &[KIND]).with(|claim| claim.lease = endless);
    let reply = cx.send(&claim).await;
    same("T-4", "next_expiry of an endless lease", reply.next_expiry, Some(Timestamp::MAX));
    let job = &reply.queues[0].jobs[0];
    let answers = cx.renew_all(at(1), endless, vec![lease_of(job)]).await;
    same("T-4", "renew for endless time", answers, vec![LeaseStatus::Held]);
    cx.renew(at(1), lease_of(job)).await;
    let request = RecoverJobs::new(at(100), 9, endless);
    let recovered = answer("recover", cx.store().recover(&request).await);
    same("T-4", "run_at after an endless back-off", recovered.jobs[0].run_at, Timestamp::MAX);
    let key = cx.offer(Timestamp::MAX - secs(1), cx.keyed("k", KeyHold::UntilFinished)).await;
    same("T-4", "insert with a key held for ever", key, backgroundjobs_core::Inserted::Existing(id));

    for outcome in [
        Outcome::Snooze { delay: endless },
        Outcome::Retry { delay: endless, failure: super::context::error("x") },
    ] {
        let job = cx.running(at(0)).await;
        cx.end(at(0), &job, outcome).await;
        same("T-4", "run_at after an endless delay", cx.get(job.id).await.run_at, Timestamp::MAX);
    }
}

/// At the end of time jobs are still due, leased and settled.
pub(super) async fn the_end_of_time_is_a_time(cx: &Context) {
    let end = Timestamp::MAX;
    let job = cx.running(end).await;
    let lease = cx.get(job.id).await.lease;
    same("T-4", "end of a lease taken then", lease.as_ref().map(|lease| lease.until), Some(end));
    cx.end(end, &job, retry(secs(1))).await;
    let job = cx.take_one(end).await;
    cx.end(end, &job, Outcome::Complete).await;
    same("T-4", "its end", cx.get(job.id).await.finished_at, Some(end));
}

/// Time that steps back makes jobs wait, and nothing else.
pub(super) async fn stepping_back_is_harmless(cx: &Context) {
    let id = cx.put(at(100), cx.job()).await;
    let early = cx.take(at(50), 9).await;
    same("T-3", "jobs before they were inserted", early.jobs.len(), 0);
    same("C-6", "next_due then", early.next_due, Some(at(100)));
    let job = cx.take_one(at(100)).await;
    same("T-3", "jobs to recover before the claim", cx.recover(at(60), 9).await.jobs, vec![]);
    same("T-3", "renew before the claim", cx.renew(at(60), lease_of(&job)).await, LeaseStatus::Held);
    let settled = cx.settle(at(40), lease_of(&job), retry(secs(5))).await;
    same("T-3", "settle before the claim", settled, applied(JobState::Waiting));
    same("T-2", "run_at after it", cx.get(id).await.run_at, at(45));
    let job = cx.take_one(at(45)).await;
    cx.end(at(10), &job, Outcome::Complete).await;
    let record = cx.get(id).await;
    same("T-3", "created_at, finished_at", (record.created_at, record.finished_at), (at(100), Some(at(10))));
    let repeated = cx.settle(at(5), lease_of(&job), Outcome::Complete).await;
    same("T-3", "settle again", repeated, Settled::Applied { state: JobState::Succeeded });
    let keep = backgroundjobs_core::Retention {
        succeeded: backgroundjobs_core::Keep::for_age(secs(1)),
        ..backgroundjobs_core::Retention::FOREVER
    };
    same("T-3", "jobs pruned before their end", cx.prune(at(5), keep, 9).await.removed, 0);
    same("T-3", "the job", cx.state(id).await, JobState::Succeeded);
}

/// A worker whose clock is behind or ahead sees only what its request's time says.
pub(super) async fn leases_are_counted_from_each_request(cx: &Context) {
    let first = cx.running(at(300)).await;
    let second = cx.running(at(0)).await;
    let ends = (cx.get(first.id).await.lease, cx.get(second.id).await.lease);
    let ends = (ends.0.map(|lease| lease.until), ends.1.map(|lease| lease.until));
    same("T-2", "ends of two leases", ends, (Some(at(300) + LEASE), Some(at(0) + LEASE)));
    let taken = cx.recover(at(30), 9).await;
    same("T-1", "jobs to recover", taken.jobs.len(), 1);
    same("V-4", "next_expiry", taken.next_expiry, Some(at(300) + LEASE));
}
