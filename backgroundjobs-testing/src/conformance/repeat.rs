//! Claims whose reply was lost.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use backgroundjobs_core::{CancelStatus, ClaimJobs, LeaseKey, Outcome};

use super::context::{
    BACKOFF, Context, KIND, LEASE, QUEUE, With, answer, at, holds, ids_of, lease_of, queue, same,
};

fn again(claim: &ClaimJobs, seconds: u64) -> ClaimJobs {
    claim.clone().with(|claim| (claim.repeated, claim.now) = (true, at(seconds)))
}

async fn many(cx: &Context, count: usize) {
    cx.insert(at(0), (0..count).map(|_| cx.job()).collect()).await;
}

/// The same jobs, the same generations, and nothing more, though there is more.
pub(super) async fn a_repeated_claim_answers_the_same(cx: &Context) {
    many(cx, 5).await;
    let claim = cx.claim_of(at(0), &[("other", 5), (QUEUE, 3)], &[KIND]);
    let first = cx.send(&claim).await;
    let held: Vec<_> = first.queues[1].jobs.iter().map(lease_of).collect();
    same("C-3", "jobs of the first claim", held.len(), 3);
    for second in [1, 2] {
        let reply = cx.send(&again(&claim, second)).await;
        let seen: Vec<_> = reply.queues[1].jobs.iter().map(lease_of).collect();
        same("C-5", "jobs and generations of a repeated claim", seen, held.clone());
        same("C-5", "jobs of its other queue", reply.queues[0].jobs.len(), 0);
    }
    same("C-5", "jobs left for another claim", cx.take(at(3), 9).await.jobs.len(), 2);
}

/// What ended meanwhile, or is held by another claim, is not in it.
pub(super) async fn a_repeated_claim_answers_what_still_runs(cx: &Context) {
    many(cx, 4).await;
    let claim = cx.claim_of(at(0), &[(QUEUE, 3)], &[KIND]);
    let first = cx.send(&claim).await;
    let jobs = &first.queues[0].jobs;
    cx.end(at(1), &jobs[0], Outcome::Complete).await;
    cx.end(at(1), &jobs[1], Outcome::Release).await;
    let other = cx.claim_of(at(2), &[(QUEUE, 1)], &[KIND]).with(|other| other.worker = claim.worker);
    let others = cx.send(&other).await;
    same("C-4", "the job that the worker's next claim took", ids_of(&others.queues[0]), vec![jobs[1].id]);
    let reply = cx.send(&again(&claim, 3)).await;
    same("C-5", "jobs that still run under the claim", ids_of(&reply.queues[0]), vec![jobs[2].id]);
    same("C-5", "its generation", lease_of(&reply.queues[0].jobs[0]), lease_of(&jobs[2]));
}

/// It says which jobs were asked to be cancelled meanwhile: their worker has not heard of it.
pub(super) async fn a_repeated_claim_tells_of_cancels(cx: &Context) {
    many(cx, 2).await;
    let claim = cx.claim_of(at(0), &[(QUEUE, 2)], &[KIND]);
    let first = cx.send(&claim).await;
    let flagged = first.queues[0].jobs[1].id;
    same("X-3", "cancel of a running job", cx.cancel(at(1), flagged).await, CancelStatus::Requested);
    let reply = cx.send(&again(&claim, 2)).await;
    let seen: Vec<_> = reply.queues[0].jobs.iter().map(|job| (job.id, job.cancel_requested)).collect();
    same(
        "C-5",
        "flags of a repeated claim",
        seen,
        vec![(first.queues[0].jobs[0].id, false), (flagged, true)],
    );
}

/// When the first never arrived, or all of it is over, the repeated claim is a claim.
pub(super) async fn a_repeated_claim_without_jobs_is_new(cx: &Context) {
    many(cx, 2).await;
    let claim = cx.claim_of(at(0), &[(QUEUE, 1)], &[KIND]);
    let reply = cx.send(&again(&claim, 0)).await;
    same("C-5", "jobs of a repeated claim that never arrived", reply.queues[0].jobs.len(), 1);
    let first = &reply.queues[0].jobs[0];
    cx.end(at(1), first, Outcome::Complete).await;
    let reply = cx.send(&again(&claim, 2)).await;
    same("C-5", "jobs of a repeated claim of which none runs", reply.queues[0].jobs.len(), 1);
    let second = &reply.queues[0].jobs[0];
    holds("C-5", "another job than the one that is over", second.id != first.id, second);
    let lease = cx.get(second.id).await.lease;
    let until = lease.as_ref().map(|lease| lease.until);
    same("C-1", "end of the lease it hands out", until, Some(at(2) + LEASE));
}

/// A job recovered from the claim and claimed by another is the other's.
pub(super) async fn a_recovered_job_left_the_claim(cx: &Context) {
    many(cx, 1).await;
    let claim = cx.claim_of(at(0), &[(QUEUE, 1)], &[KIND]);
    let lost = cx.send(&claim).await.queues.swap_remove(0).jobs.swap_remove(0);
    cx.recover(at(100), 9).await;
    let reply = cx.send(&again(&claim, 100)).await;
    same("C-5", "jobs of a claim that was recovered", ids_of(&reply.queues[0]), vec![]);
    let job = cx.take_one(at(100) + BACKOFF).await;
    same("C-2", "the job that another claim took", job.id, lost.id);
    let reply = cx.send(&again(&claim, 111)).await;
    same("C-5", "jobs of a claim that lost them to another", ids_of(&reply.queues[0]), vec![]);
}

/// It did not look for other jobs, so it says of each queue that there may be more, and nothing is lost.
pub(super) async fn a_repeated_claim_says_that_there_is_more(cx: &Context) {
    many(cx, 3).await;
    let claim = cx.claim_of(at(0), &[("other", 5), (QUEUE, 2), ("empty", 5)], &[KIND]);
    cx.send(&claim).await;
    let late = cx.put(at(1), cx.job_of("other", KIND)).await;
    let reply = cx.send(&again(&claim, 2)).await;
    let seen: Vec<_> = reply.queues.iter().map(|queue| (queue.jobs.len(), queue.more)).collect();
    let expected = vec![(0, true), (2, true), (0, true)];
    same("C-5", "jobs and `more` of a repeated claim, queue by queue", seen, expected);
    let next = cx.claim(at(2), &[("other", 5), (QUEUE, 5)], &[KIND]).await;
    let seen = (ids_of(&next.queues[0]), next.queues[1].jobs.len());
    same("C-5", "jobs that it did not look for", seen, (vec![late], 1));
}

/// A queue paused since then is marked, and its jobs are told of all the same: they run.
pub(super) async fn a_repeated_claim_tells_of_a_pause(cx: &Context) {
    let control = super::control::control(cx);
    many(cx, 3).await;
    cx.put(at(0), cx.job_of("other", KIND)).await;
    let claim = cx.claim_of(at(0), &[(QUEUE, 2), ("other", 1)], &[KIND]);
    let first = cx.send(&claim).await;
    answer("pause", control.pause(at(1), &queue(QUEUE)).await);
    let reply = cx.send(&again(&claim, 2)).await;
    let (paused, other) = (&reply.queues[0], &reply.queues[1]);
    same("C-5", "jobs of a queue paused meanwhile", ids_of(paused), ids_of(&first.queues[0]));
    let marks = (paused.paused, paused.more, paused.next_due);
    same("C-6", "mark, `more` and next_due of a queue paused meanwhile", marks, (true, false, None));
    same("C-5", "mark and `more` of a queue beside it", (other.paused, other.more), (false, true));
    answer("resume", control.resume(at(3), &queue(QUEUE)).await);
    let resumed = cx.send(&again(&claim, 4)).await.queues.swap_remove(0);
    same("C-5", "mark and `more` after the resume", (resumed.paused, resumed.more), (false, true));
}

/// A claim that is still at work when it is repeated and the repeat hand out jobs once, whichever comes first.
pub(super) async fn a_claim_and_its_repeat_hand_out_once(cx: &Context) {
    for _ in 0..5 {
        many(cx, 4).await;
        let claim = cx.claim_of(at(0), &[(QUEUE, 2)], &[KIND]);
        let repeat = again(&claim, 0);
        let mut first = pin!(cx.store().claim(&claim));
        // Sent, and at work unless the store answers at once.
        let early = poll_fn(|task| Poll::Ready(first.as_mut().poll(task))).await;
        // Both are polled from here on: a call that nobody polls may keep its place in the queue for a connection.
        let (first, second) = match early {
            Poll::Ready(reply) => (reply, cx.send(&repeat).await),
            Poll::Pending => {
                // The repeat has the first turn, so that it overtakes the claim wherever it can.
                let (second, first) = tokio::join!(cx.send(&repeat), first);
                (first, second)
            }
        };
        let mut seen: Vec<_> = [answer("claim", first), second]
            .iter()
            .flat_map(|reply| &reply.queues[0].jobs)
            .map(|job| (job.id, job.generation))
            .collect();
        seen.sort_unstable();
        seen.dedup();
        holds("C-5", "at most 2 jobs by a claim of 2 and its repeat", seen.len() <= 2, &seen);
        for (id, generation) in seen {
            cx.settle(at(1), LeaseKey { id, generation }, Outcome::Complete).await;
        }
        for job in cx.take(at(1), 9).await.jobs {
            cx.end(at(1), &job, Outcome::Complete).await;
        }
    }
}
