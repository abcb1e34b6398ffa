//! Calls whose future is dropped halfway: each at every point where it waits. One that was dropped may still take
//! effect a little later, as on a server that was sent it already; but wholly, and once.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use backgroundjobs_core::{
    CancelJobs, CountJobs, FailureKind, InsertJobs, Inserted, JobFilter, JobId, JobRecord, JobState, Keep,
    KeyHold, LeaseStatus, ListJobs, Outcome, PruneJobs, RecoverJobs, RenewLeases, Retention, RunAt,
    SettleJobs, Settled, Settlement, StoreError, StoreErrorKind,
};

use super::context::{
    BACKOFF, Context, KIND, LEASE, QUEUE, With, answer, applied, at, holds, ids_of, lease_of, retry, same,
    secs,
};

/// How many times a call is polled before it is dropped, at most; one that waits more often is not tried further.
const POLLS: usize = 40;

/// How many items a call has.
const ITEMS: usize = 4;

/// Polls a call so many times, each when it asks for it, and drops it; whether it was answered in time.
async fn dropped<T>(polls: usize, call: impl Future<Output = Result<T, StoreError>>) -> bool {
    let (mut call, mut polled) = (pin!(call), 0);
    poll_fn(|cx| {
        if polled == polls {
            return Poll::Ready(false);
        }
        polled += 1;
        call.as_mut().poll(cx).map(|reply| {
            _ = answer("a call to its end", reply);
            true
        })
    })
    .await
}

/// Repeats `round` with a call that is dropped after 0, 1, 2 … polls, until it is answered before.
async fn at_every_point(mut round: impl AsyncFnMut(usize) -> bool) {
    for polls in 0..=POLLS {
        if round(polls).await {
            break;
        }
    }
}

async fn records(cx: &Context, ids: &[JobId]) -> Vec<Option<JobRecord>> {
    answer("get", cx.store().get(ids).await)
}

/// Jobs of this round, running.
async fn running(cx: &Context) -> Vec<backgroundjobs_core::ClaimedJob> {
    cx.insert(at(0), (0..ITEMS).map(|_| cx.job()).collect()).await;
    let jobs = cx.take(at(0), ITEMS).await.jobs;
    same("C-3", "jobs handed out", jobs.len(), ITEMS);
    jobs
}

/// An insert has stored all of its jobs, keys included, or none.
pub(super) async fn an_insert_is_whole_or_nothing(cx: &Context) {
    let mut polls_made = 0;
    at_every_point(async |polls| {
        polls_made = polls;
        let key = |job: usize| format!("{polls}/{job}");
        let jobs: Vec<_> = (0..20).map(|job| cx.keyed(&key(job), KeyHold::UntilFinished)).collect();
        let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
        let request = InsertJobs::new(at(0), jobs);
        let answered = dropped(polls, cx.store().insert(&request)).await;
        let left = cx.left(&ids).await.len();
        holds("F-1", format!("all 20 jobs or none after {polls} polls"), left == 0 || left == 20, left);
        cx.insert(at(0), request.jobs).await;
        same("I-2", "jobs stored once the call was repeated", cx.left(&ids).await, ids.clone());
        let other = cx.offer(at(0), cx.keyed(&key(7), KeyHold::UntilFinished)).await;
        same("F-1", "the key of a job that was stored", other, Inserted::Existing(ids[7]));
        answered
    })
    .await;
    let (due, stored) = (cx.take(at(0), 9_999).await.jobs.len(), 20 * (polls_made + 1));
    same("F-1", "jobs to be claimed of dropped and repeated calls", due, stored);
}

/// A claim has handed out all that it would have or nothing; repeated, it answers the same jobs once.
pub(super) async fn a_claim_is_whole_or_nothing(cx: &Context) {
    at_every_point(async |polls| {
        let jobs: Vec<_> = (0..ITEMS).map(|_| cx.job()).collect();
        let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
        cx.insert(at(0), jobs).await;
        let mut claim = cx.claim_of(at(1), &[(QUEUE, ITEMS)], &[KIND]);
        let answered = dropped(polls, cx.store().claim(&claim)).await;
        let records: Vec<_> = records(cx, &ids).await.into_iter().flatten().collect();
        let running = records.iter().filter(|job| job.state == JobState::Running).count();
        let what = format!("all {ITEMS} jobs running or none after {polls} polls");
        holds("F-1", what, running == 0 || running == ITEMS, &records);
        let whole = records.iter().all(|job| {
            let leased = job.lease.as_ref().is_some_and(|lease| lease.claim_id == claim.claim_id);
            match job.state {
                JobState::Running => job.generation == 1 && leased && job.claimed_at == Some(at(1)),
                _ => job.generation == 0 && job.lease.is_none() && job.claimed_at.is_none(),
            }
        });
        holds("F-1", "generation, lease and instant of a claim, or none of them", whole, &records);
        claim.repeated = true;
        let again = cx.send(&claim).await.queues.swap_remove(0).jobs;
        let seen: Vec<_> = again.iter().map(|job| (job.id, job.generation)).collect();
        let expected: Vec<_> = ids.iter().map(|id| (*id, 1)).collect();
        same("C-5", format!("the claim repeated after {polls} polls"), seen, expected);
        for job in &again {
            cx.end(at(2), job, Outcome::Complete).await;
        }
        answered
    })
    .await;
}

/// Each outcome of a settle is applied whole, with its failure and its counters, or not; repeated, it counts once.
pub(super) async fn a_settle_is_whole_or_nothing(cx: &Context) {
    at_every_point(async |polls| {
        let jobs = running(cx).await;
        let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
        let before = records(cx, &ids).await;
        let end = |job| Settlement { lease: lease_of(job), outcome: retry(secs(1_000_000)) };
        let request = SettleJobs::new(at(1), jobs.iter().map(end).collect());
        let answered = dropped(polls, cx.store().settle(&request)).await;
        let after = records(cx, &ids).await;
        let settled = |job: &JobRecord| {
            let counted = (job.attempts, job.failures.len(), job.settled) == (1, 1, 1);
            job.state == JobState::Waiting && job.lease.is_none() && counted
        };
        for (before, after) in before.iter().zip(&after) {
            let whole = before == after || after.as_ref().is_some_and(settled);
            holds("F-1", format!("a job settled wholly or not at all after {polls} polls"), whole, after);
        }
        let again = cx.settle_all(at(1), request.outcomes).await;
        same("S-1", "the settle repeated", again, vec![applied(JobState::Waiting); ITEMS]);
        let after = records(cx, &ids).await;
        let counted = after.iter().flatten().all(settled);
        holds("S-1", "one attempt and one failure of each after the repeat", counted, &after);
        answered
    })
    .await;
}

/// Each job is taken back whole, with its crash recorded, or not; repeated, no crash counts twice.
pub(super) async fn a_recover_is_whole_or_nothing(cx: &Context) {
    at_every_point(async |polls| {
        let jobs = running(cx).await;
        let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
        let before = records(cx, &ids).await;
        let request = RecoverJobs::new(at(100), 999, BACKOFF);
        let answered = dropped(polls, cx.store().recover(&request)).await;
        let taken_back = |job: &JobRecord| {
            let crash = job.failures.first().is_some_and(|it| it.failure.kind == FailureKind::Crash);
            let counted = (job.crashes, job.failures.len(), job.attempts) == (1, 1, 0);
            job.state == JobState::Waiting && job.lease.is_none() && crash && counted
        };
        let after = records(cx, &ids).await;
        for (before, after) in before.iter().zip(&after) {
            let whole = before == after || after.as_ref().is_some_and(taken_back);
            holds("F-1", format!("a job taken back wholly or not at all after {polls} polls"), whole, after);
        }
        cx.recover(at(100), 999).await;
        let after = records(cx, &ids).await;
        let counted = after.iter().flatten().all(taken_back);
        holds("V-1", "one crash of each after the repeat", counted, &after);
        cx.cancel_all(at(100), ids).await;
        answered
    })
    .await;
}

/// Each job is cancelled whole, its key let go, or not.
pub(super) async fn a_cancel_is_whole_or_nothing(cx: &Context) {
    at_every_point(async |polls| {
        let key = format!("{polls}");
        let (keyed, plain) = (cx.keyed(&key, KeyHold::UntilFinished), cx.job());
        let ids = [keyed.id, plain.id];
        cx.insert(at(0), vec![keyed, plain]).await;
        let before = records(cx, &ids).await;
        let request = CancelJobs::new(at(1), ids.to_vec());
        let answered = dropped(polls, cx.store().cancel(&request)).await;
        let cancelled = |job: &JobRecord| job.state == JobState::Cancelled && job.finished_at == Some(at(1));
        let after = records(cx, &ids).await;
        for (before, after) in before.iter().zip(&after) {
            let whole = before == after || after.as_ref().is_some_and(cancelled);
            holds("F-1", format!("a job cancelled wholly or not at all after {polls} polls"), whole, after);
        }
        let other = cx.keyed(&key, KeyHold::UntilFinished);
        let was_cancelled = cx.state(ids[0]).await == JobState::Cancelled;
        let offered = cx.offer(at(1), other.clone()).await;
        let is_cancelled = cx.state(ids[0]).await == JobState::Cancelled;
        let whole = match offered {
            Inserted::New => is_cancelled,
            Inserted::Existing(holder) => holder == ids[0] && !was_cancelled,
        };
        holds("F-1", "the key of a job with the job, let go or held", whole, offered);
        cx.cancel_all(at(1), vec![ids[0], ids[1], other.id]).await;
        answered
    })
    .await;
}

/// What a dropped prune has removed is gone whole, and the rest is there.
pub(super) async fn a_prune_is_whole_or_nothing(cx: &Context) {
    at_every_point(async |polls| {
        let jobs = running(cx).await;
        let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
        let failed = |job| Settlement { lease: lease_of(job), outcome: super::context::fail() };
        let settled = cx.settle_all(at(1), jobs.iter().map(failed).collect()).await;
        holds("S-1", "claims to be settled", !settled.contains(&Settled::Lost), &settled);
        let before = records(cx, &ids).await;
        let retention = Retention { failed: Keep::for_age(secs(1)), ..Retention::FOREVER };
        let request = PruneJobs::new(at(9), retention, 999);
        let answered = dropped(polls, cx.store().prune(&request)).await;
        let after = records(cx, &ids).await;
        for (before, after) in before.iter().zip(&after) {
            let whole = after.is_none() || before == after;
            holds("F-1", format!("a job removed wholly or not at all after {polls} polls"), whole, after);
        }
        cx.prune(at(9), retention, 999).await;
        same("P-1", "jobs left after the repeat", cx.left(&ids).await, vec![]);
        answered
    })
    .await;
}

/// Each job is requeued or deleted whole, or not.
pub(super) async fn an_operators_call_is_whole_or_nothing(cx: &Context) {
    let control = super::control::control(cx);
    at_every_point(async |polls| {
        let jobs = running(cx).await;
        let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
        let failed = |job| Settlement { lease: lease_of(job), outcome: super::context::fail() };
        cx.settle_all(at(1), jobs.iter().map(failed).collect()).await;
        let before = records(cx, &ids).await;
        let requeued = dropped(polls, control.requeue(at(2), &ids)).await;
        let anew = |job: &JobRecord| {
            let counters = (job.attempts, job.crashes, job.finished_at) == (0, 0, None);
            job.state == JobState::Waiting && job.run_at == at(2) && counters
        };
        let after = records(cx, &ids).await;
        for (before, after) in before.iter().zip(&after) {
            let whole = before == after || after.as_ref().is_some_and(anew);
            holds("F-1", format!("a job requeued wholly or not at all after {polls} polls"), whole, after);
        }
        let deleted = dropped(polls, control.delete(at(3), &ids)).await;
        let left = records(cx, &ids).await;
        for (before, after) in after.iter().zip(&left) {
            let whole = after.is_none() || before == after || after.as_ref().is_some_and(anew);
            holds("F-1", format!("a job deleted wholly or not at all after {polls} polls"), whole, after);
        }
        answer("delete", control.delete(at(3), &ids).await);
        same("O-4", "jobs left after the repeat", cx.left(&ids).await, vec![]);
        requeued && deleted
    })
    .await;
}

/// Each lease is held for the new time or for the old one.
pub(super) async fn a_renew_is_whole_or_nothing(cx: &Context) {
    at_every_point(async |polls| {
        let jobs = running(cx).await;
        let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
        let before = records(cx, &ids).await;
        let request = RenewLeases::new(at(5), LEASE, jobs.iter().map(lease_of).collect());
        let answered = dropped(polls, cx.store().renew(&request)).await;
        let renewed = |before: &Option<JobRecord>| {
            let mut job = before.clone().expect("it was stored");
            job.lease.as_mut().expect("it runs").until = at(5) + LEASE;
            Some(job)
        };
        for (before, after) in before.iter().zip(&records(cx, &ids).await) {
            let whole = before == after || renewed(before) == *after;
            holds("F-1", format!("a lease renewed wholly or not at all after {polls} polls"), whole, after);
        }
        let again = cx.renew_all(at(5), LEASE, request.leases).await;
        same("R-1", "the renew repeated", again, vec![LeaseStatus::Held; ITEMS]);
        for job in &jobs {
            cx.end(at(6), job, Outcome::Complete).await;
        }
        answered
    })
    .await;
}

/// A look that is given up, at whatever point, leaves no trace: the next calls are answered.
pub(super) async fn a_look_leaves_no_trace(cx: &Context) {
    let id = cx.put(at(0), cx.job().with(|job| job.run_at = RunAt::In(secs(1_000)))).await;
    let list = ListJobs::new(at(0), JobFilter::all(), None, 9);
    at_every_point(async |polls| {
        let mut answered = dropped(polls, cx.store().get(&[id])).await;
        if let Some(inspect) = cx.store().inspect() {
            answered &= dropped(polls, inspect.count(&CountJobs::new(at(0), JobFilter::all()))).await;
            answered &= dropped(polls, inspect.list(&list)).await;
            answered &= dropped(polls, inspect.queues(at(0))).await;
        }
        same("F-1", "state of a job after looks that were given up", cx.state(id).await, JobState::Waiting);
        let other = cx.running(at(1)).await;
        cx.end(at(2), &other, Outcome::Release).await;
        cx.cancel(at(3), other.id).await;
        answered
    })
    .await;
}

/// A store whose preparing was given up, at whatever point, can be prepared.
pub(super) async fn a_prepare_may_be_made_again(cx: &Context) {
    at_every_point(async |polls| {
        let fresh = cx.another().await;
        let answered = dropped(polls, fresh.prepare()).await;
        let again = fresh.prepare().await;
        holds("L-1", format!("a prepare after one dropped after {polls} polls"), again.is_ok(), &again);
        let stored = fresh.insert(&InsertJobs::new(at(0), vec![cx.job()])).await;
        same("L-1", "an insert into it", answer("insert", stored).jobs, vec![Inserted::New]);
        answered
    })
    .await;
}

/// A store whose closing was given up, at whatever point, can be closed.
pub(super) async fn a_close_may_be_made_again(cx: &Context) {
    at_every_point(async |polls| {
        let fresh = cx.another().await;
        answer("prepare", fresh.prepare().await);
        answer("insert", fresh.insert(&InsertJobs::new(at(0), vec![cx.job()])).await);
        let answered = dropped(polls, fresh.close()).await;
        let again = fresh.close().await;
        holds("L-2", format!("a close after one dropped after {polls} polls"), again.is_ok(), &again);
        let late = fresh.insert(&InsertJobs::new(at(0), vec![cx.job()])).await;
        let closed = late.as_ref().is_err_and(|error| error.kind() == StoreErrorKind::Closed);
        holds("F-7", "an insert after it to be refused as Closed", closed, &late);
        answered
    })
    .await;
}

/// Calls that were given up, however many, leave room for others.
pub(super) async fn many_calls_given_up_leave_room(cx: &Context) {
    const MANY: usize = 2_000;
    for _ in 0..MANY {
        let request = InsertJobs::new(at(0), vec![cx.job()]);
        let mut call = pin!(cx.store().insert(&request));
        // Sent, if the store takes a step to do so, and given up at once.
        _ = poll_fn(|task| Poll::Ready(call.as_mut().poll(task))).await;
    }
    let id = cx.put(at(0), cx.job_of("other", KIND)).await;
    let claimed = cx.claim(at(0), &[("other", 5)], &[KIND]).await.queues.swap_remove(0);
    same("F-1", format!("jobs handed out after {MANY} calls given up"), ids_of(&claimed), vec![id]);
}
