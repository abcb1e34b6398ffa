//! A store on a time of its own.

use backgroundjobs_core::{
    InsertJobs, Inserted, JobState, Keep, KeyHold, NewJob, Outcome, PruneJobs, RecoverJobs, RenewLeases,
    Retention, RunAt, SettleJobs, Settlement, Timestamp,
};

use super::context::{
    BACKOFF, Context, KIND, LEASE, QUEUE, With, answer, at, holds, lease_of, retry, same, secs,
};

/// Callers whose clocks are years wrong, both ways.
const WRONG: [u64; 2] = [0, 400_000_000];

async fn insert(cx: &Context, caller: Timestamp, job: NewJob) -> (Timestamp, Inserted) {
    let reply = answer("insert", cx.store().insert(&InsertJobs::new(caller, vec![job])).await);
    (reply.store_now, reply.jobs[0])
}

/// Only the store's clock says what is due, leased and lost, whatever callers believe.
pub(super) async fn its_clock_decides(cx: &Context) {
    for (round, wrong) in WRONG.into_iter().enumerate() {
        let (caller, start) = (at(wrong), 1_000 * (round as u64 + 1));
        cx.set_own_clock(at(start));
        let job = cx.job().with(|job| job.run_at = RunAt::In(secs(10)));
        let (store_now, _) = insert(cx, caller, job).await;
        same("T-1", "store_now of an insert", store_now, at(start));
        let claim = || cx.claim_of(caller, &[(QUEUE, 1)], &[KIND]);
        cx.set_own_clock(at(start + 9));
        let reply = answer("claim", cx.store().claim(&claim()).await);
        same("T-1", "jobs handed out before the store's time", reply.queues[0].jobs.len(), 0);
        same("T-1", "next_due", reply.queues[0].next_due, Some(at(start + 10)));
        cx.set_own_clock(at(start + 10));
        let reply = answer("claim", cx.store().claim(&claim()).await);
        same("T-1", "jobs handed out at the store's time", reply.queues[0].jobs.len(), 1);
        let job = &reply.queues[0].jobs[0];
        same("T-2", "next_expiry", reply.next_expiry, Some(at(start + 10) + LEASE));

        let renew = RenewLeases::new(caller, LEASE, vec![lease_of(job)]);
        cx.set_own_clock(at(start + 20));
        answer("renew", cx.store().renew(&renew).await);
        same(
            "T-2",
            "a renewed lease",
            cx.get(job.id).await.lease.map(|lease| lease.until),
            Some(at(start + 20) + LEASE),
        );
        let recover = RecoverJobs::new(caller, 9, BACKOFF);
        cx.set_own_clock(at(start + 49));
        same(
            "T-1",
            "jobs taken back within the lease",
            answer("recover", cx.store().recover(&recover).await).jobs.len(),
            0,
        );
        let end = SettleJobs::new(caller, vec![Settlement { lease: lease_of(job), outcome: retry(secs(5)) }]);
        answer("settle", cx.store().settle(&end).await);
        same("T-2", "run_at of a retry", cx.get(job.id).await.run_at, at(start + 54));
        cx.set_own_clock(at(start + 60));
        let reply = answer("claim", cx.store().claim(&claim()).await);
        let lost = &reply.queues[0].jobs[0];
        cx.set_own_clock(at(start + 60) + LEASE);
        let taken_back = answer("recover", cx.store().recover(&recover).await);
        same("T-1", "jobs taken back at the lease's end", taken_back.jobs.len(), 1);
        same(
            "T-2",
            "run_at of a job taken back",
            cx.get(lost.id).await.run_at,
            at(start + 60) + LEASE + BACKOFF,
        );
        let cancel = backgroundjobs_core::CancelJobs::new(caller, vec![lost.id]);
        answer("cancel", cx.store().cancel(&cancel).await);
        same("T-1", "finished_at", cx.get(lost.id).await.finished_at, Some(at(start + 60) + LEASE));
    }
}

/// Keys end, and finished jobs grow old, by the store's clock.
pub(super) async fn keys_and_ages_go_by_its_clock(cx: &Context) {
    for (round, wrong) in WRONG.into_iter().enumerate() {
        let (caller, start) = (at(wrong), 1_000 * (round as u64 + 1));
        let keyed = || cx.keyed("k", KeyHold::For(secs(100)));
        cx.set_own_clock(at(start));
        let (_, first) = insert(cx, caller, keyed()).await;
        same("T-1", "insert with a key that nobody holds any more", first, Inserted::New);
        cx.set_own_clock(at(start + 99));
        let (_, second) = insert(cx, caller, keyed()).await;
        holds("T-1", "the key to be held up to its end", second != Inserted::New, second);
        cx.set_own_clock(at(start + 100));
        let (_, third) = insert(cx, caller, keyed()).await;
        same("T-1", "insert at the key's end", third, Inserted::New);

        let claim = cx.claim_of(caller, &[(QUEUE, 9)], &[KIND]);
        let reply = answer("claim", cx.store().claim(&claim).await);
        let ends = reply.queues[0]
            .jobs
            .iter()
            .map(|job| Settlement { lease: lease_of(job), outcome: Outcome::Complete });
        answer("settle", cx.store().settle(&SettleJobs::new(caller, ends.collect())).await);
        let succeeded = Keep { max_age: Some(secs(50)), max_count: None };
        let prune = PruneJobs::new(caller, Retention { succeeded, ..Retention::FOREVER }, 9);
        cx.set_own_clock(at(start + 150));
        same(
            "T-1",
            "jobs removed that are as old as they may be",
            answer("prune", cx.store().prune(&prune).await).removed,
            0,
        );
        cx.set_own_clock(at(start + 151));
        let removed = answer("prune", cx.store().prune(&prune).await).removed;
        same("T-1", "jobs removed that are older", removed, 2);
        let left = reply.queues[0].jobs[0].id;
        same("T-1", "a job that was removed", cx.find(left).await.map(|job| job.state), None::<JobState>);
        // The key that is still held goes with time.
        cx.set_own_clock(at(start + 400));
    }
}
