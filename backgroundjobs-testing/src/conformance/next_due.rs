//! When to ask again: `next_due` and `next_expiry`.

use backgroundjobs_core::{Outcome, Priority, RunAt, Timestamp};

use super::context::{Context, KIND, LEASE, MICRO, QUEUE, With, at, ids_of, lease_of, retry, same, secs};

async fn next_due(cx: &Context, now: Timestamp) -> Option<Timestamp> {
    let reply = cx.take(now, 9).await;
    same("C-2", "jobs due", ids_of(&reply), vec![]);
    reply.next_due
}

/// The earliest of the asked queue and kinds, whatever its priority; not of others.
pub(super) async fn is_the_earliest_that_may_be_claimed(cx: &Context) {
    let later =
        |queue, kind, seconds: u64| cx.job_of(queue, kind).with(|job| job.run_at = RunAt::At(at(seconds)));
    let urgent = later(QUEUE, KIND, 30).with(|job| job.priority = Priority::HIGHEST);
    let others = vec![later("other", KIND, 1), later(QUEUE, "foreign", 2), urgent, later(QUEUE, "known", 20)];
    cx.insert(at(0), others).await;
    let asked = [(QUEUE, 9), ("empty", 9), ("other", 9)];
    let reply = cx.claim(at(0), &asked, &[KIND, "known"]).await;
    let due: Vec<_> = reply.queues.iter().map(|queue| queue.next_due).collect();
    same("C-6", "next_due of three queues", due, vec![Some(at(20)), None, Some(at(1))]);
}

/// A reply that reached its limit says that there is more, until there is none.
pub(super) async fn a_full_reply_tells_of_the_rest(cx: &Context) {
    for seconds in [1, 2, 50] {
        cx.put(at(0), cx.job().with(|job| job.run_at = RunAt::At(at(seconds)))).await;
    }
    same("C-6", "more while another job is due", cx.take(at(3), 1).await.more, true);
    same("C-3", "jobs of the next claim", cx.take(at(3), 1).await.jobs.len(), 1);
    let rest = cx.take(at(3), 1).await;
    same("C-2", "jobs due", ids_of(&rest), vec![]);
    same("C-6", "next_due after a reply that was not full", rest.next_due, Some(at(50)));
    same("C-6", "next_due where nothing waits", cx.take(at(50), 9).await.next_due, None);
}

/// Every way back to Waiting moves it, and so does every way out.
pub(super) async fn follows_every_change(cx: &Context) {
    let job = cx.running(at(0)).await;
    same("C-6", "next_due while the job runs", next_due(cx, at(0)).await, None);
    cx.end(at(1), &job, retry(secs(9))).await;
    same("C-6", "next_due after a retry", next_due(cx, at(1)).await, Some(at(10)));
    let job = cx.take_one(at(10)).await;
    cx.end(at(11), &job, Outcome::Snooze { delay: secs(4) }).await;
    same("C-6", "next_due after a snooze", next_due(cx, at(11)).await, Some(at(15)));
    let job = cx.take_one(at(16)).await;
    cx.end(at(17), &job, Outcome::Release).await;
    let released = cx.take_one(at(18)).await;
    same("S-3", "run_at after a release", released.run_at, at(15));
    let recovered = cx.recover(at(60), 9).await.jobs;
    same("C-6", "next_due after a recover", next_due(cx, at(60)).await, Some(recovered[0].run_at));
    let earlier = cx.put(at(60), cx.job().with(|job| job.run_at = RunAt::In(MICRO))).await;
    same("C-6", "next_due after an insert for earlier", next_due(cx, at(60)).await, Some(at(60) + MICRO));
    cx.cancel_all(at(60), vec![earlier, job.id]).await;
    same("C-6", "next_due after all were cancelled", next_due(cx, at(60)).await, None);
}

/// The earliest end of any lease: other workers', queues', kinds', and those just handed out.
pub(super) async fn next_expiry_is_the_stores_earliest(cx: &Context) {
    cx.insert(at(0), vec![cx.job_of("a", "x"), cx.job_of("b", "y")]).await;
    let none = cx.claim(at(0), &[("c", 9)], &["z"]).await;
    same("C-7", "next_expiry where nothing runs", none.next_expiry, None);
    let mine = cx.claim(at(5), &[("a", 9)], &["x"]).await;
    same("C-7", "next_expiry of the reply that hands out", mine.next_expiry, Some(at(5) + LEASE));
    let short = cx.claim_of(at(7), &[("b", 9)], &["y"]).with(|claim| claim.lease = secs(3));
    let theirs = cx.send(&short).await;
    same("C-7", "next_expiry with a shorter lease", theirs.next_expiry, Some(at(10)));
    let nobody = cx.claim(at(8), &[("c", 9)], &["z"]).await;
    same("C-7", "next_expiry told to a stranger", nobody.next_expiry, Some(at(10)));

    cx.renew(at(9), lease_of(&theirs.queues[0].jobs[0])).await;
    let nobody = cx.claim(at(9), &[("c", 9)], &["z"]).await;
    same("C-7", "next_expiry after a renew", nobody.next_expiry, Some(at(5) + LEASE));
    cx.end(at(9), &mine.queues[0].jobs[0], Outcome::Complete).await;
    let nobody = cx.claim(at(9), &[("c", 9)], &["z"]).await;
    same("C-7", "next_expiry after the first was settled", nobody.next_expiry, Some(at(9) + LEASE));
    let late = cx.claim(at(500), &[("c", 9)], &["z"]).await;
    same("C-7", "next_expiry of a lease that ran out", late.next_expiry, Some(at(9) + LEASE));
    cx.recover(at(500), 9).await;
    let after = cx.claim(at(500), &[("c", 9)], &["z"]).await;
    same("C-7", "next_expiry after the recover", after.next_expiry, None);
}
