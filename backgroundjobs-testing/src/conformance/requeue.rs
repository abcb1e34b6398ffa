//! Putting finished jobs back.

use backgroundjobs_core::{Inserted, JobId, JobState, KeyHold, Outcome, RequeueStatus, Settled, Timestamp};

use super::context::{
    Context, MICRO, QUEUE, With, answer, at, fail, holds, lease_of, queue, retry, same, secs,
};
use super::control::control;

async fn requeue(cx: &Context, now: Timestamp, ids: &[JobId]) -> Vec<RequeueStatus> {
    let reply = answer("requeue", control(cx).requeue(now, ids).await);
    same("T-1", "store_now of a requeue", reply.store_now, now);
    reply.jobs
}

fn requeued() -> Vec<RequeueStatus> {
    vec![RequeueStatus::Requeued(queue(QUEUE))]
}

async fn holder(cx: &Context, now: Timestamp) -> Inserted {
    cx.offer(now, cx.keyed("k", KeyHold::UntilFinished)).await
}

/// The counters start anew; generation, settled and failures stay, and old claims stay over.
pub(super) async fn starts_the_counters_anew(cx: &Context) {
    let first = cx.run(at(0), cx.job().with(|job| job.max_crashes = 9)).await;
    cx.end(at(1), &first, retry(secs(0))).await;
    cx.take_one(at(1)).await;
    cx.recover(at(100), 9).await;
    let last = cx.take_one(at(200)).await;
    cx.cancel(at(201), last.id).await;
    cx.end(at(202), &last, fail()).await;
    let before = cx.get(last.id).await;
    same("O-1", "requeue of a failed job", requeue(cx, at(300), &[last.id]).await, requeued());

    let mut expected = before.clone();
    (expected.state, expected.run_at, expected.finished_at) = (JobState::Waiting, at(300), None);
    (expected.attempts, expected.crashes, expected.cancel_requested) = (0, 0, false);
    same("O-1", "the record put back", cx.get(last.id).await, expected);
    same("O-1", "failures that stay", before.failures.len(), 3);
    let again = cx.take_one(at(300)).await;
    holds("C-1", "a larger generation", again.generation > last.generation, &again);
    let stale = cx.settle(at(301), lease_of(&first), retry(secs(0))).await;
    same("S-1", "settle of the first claim", stale, Settled::Lost);
    cx.end(at(302), &again, Outcome::Release).await;
    same("O-1", "state after a release: no flag", cx.state(last.id).await, JobState::Waiting);
}

/// A job that crashed too often has all its crashes ahead of it again.
pub(super) async fn a_crashed_job_starts_anew(cx: &Context) {
    let crashed = cx.run(at(0), cx.job().with(|job| job.max_crashes = 1)).await.id;
    cx.recover(at(100), 9).await;
    same("O-1", "requeue of a crashed job", requeue(cx, at(101), &[crashed]).await, requeued());
    same("O-1", "its crashes", cx.get(crashed).await.crashes, 0);
}

/// Every final state goes back; what is not over is left alone, what is unknown is said.
pub(super) async fn answers_each_in_order(cx: &Context) {
    let done = cx.ended(at(0), Outcome::Complete).await;
    let failed = cx.ended(at(0), fail()).await;
    let cancelled = cx.ended(at(0), Outcome::Cancel { failure: None }).await;
    let running = cx.running(at(0)).await.id;
    let waiting = cx.put(at(0), cx.job()).await;
    let before = (cx.get(running).await, cx.get(waiting).await);
    let ids = [done, running, cx.job_id(), failed, waiting, cancelled, done];
    let back = || RequeueStatus::Requeued(queue(QUEUE));
    let expected = vec![
        back(),
        RequeueStatus::NotFinished(JobState::Running),
        RequeueStatus::Unknown,
        back(),
        RequeueStatus::NotFinished(JobState::Waiting),
        back(),
        RequeueStatus::NotFinished(JobState::Waiting),
    ];
    same("O-3", "answers to seven requeues", requeue(cx, at(1), &ids).await, expected);
    same("O-3", "the jobs that were not over", (cx.get(running).await, cx.get(waiting).await), before);
    same("O-1", "jobs due after it", cx.take(at(1), 9).await.jobs.len(), 4);
    same("F-2", "requeue of nothing", requeue(cx, at(1), &[]).await, vec![]);
}

/// It takes its key again; where another holds it, it stays as it is.
pub(super) async fn takes_its_key_again_or_conflicts(cx: &Context) {
    let mut ended = Vec::new();
    for hold in [KeyHold::UntilFinished, KeyHold::UntilStarted] {
        let job = cx.run(at(0), cx.keyed("k", hold)).await;
        cx.end(at(1), &job, Outcome::Complete).await;
        ended.push(job.id);
    }
    let before = cx.get(ended[1]).await;
    let expected = vec![RequeueStatus::Requeued(queue(QUEUE)), RequeueStatus::Conflict(ended[0])];
    same("O-2", "requeue of two jobs with one key", requeue(cx, at(2), &ended).await, expected);
    same("O-2", "the job in conflict", cx.get(ended[1]).await, before);
    same("O-2", "insert with the key", holder(cx, at(3)).await, Inserted::Existing(ended[0]));
    cx.cancel(at(4), ended[0]).await;

    same("O-2", "requeue once the key is free", requeue(cx, at(5), &ended[1..]).await, requeued());
    same("O-2", "insert with the key", holder(cx, at(6)).await, Inserted::Existing(ended[1]));
    let started = cx.take_one(at(7)).await;
    same("C-9", "the job handed out", started.id, ended[1]);
    same("C-9", "insert with a key held until the start", holder(cx, at(8)).await, Inserted::New);
}

/// A key held for a time is held anew once it lapsed, and as before while it had not.
pub(super) async fn a_key_held_for_a_time_is_held_right(cx: &Context) {
    let job = cx.run(at(0), cx.keyed("k", KeyHold::For(secs(100)))).await;
    cx.end(at(10), &job, Outcome::Complete).await;
    same("O-2", "requeue while it holds its key", requeue(cx, at(50), &[job.id]).await, requeued());
    let last = at(100) - MICRO;
    same("O-2", "insert before the first end", holder(cx, last).await, Inserted::Existing(job.id));
    let again = cx.take_one(at(60)).await;
    cx.end(at(61), &again, Outcome::Complete).await;
    let successor = cx.put(at(100), cx.keyed("k", KeyHold::UntilFinished)).await;
    cx.cancel(at(101), successor).await;
    same("O-2", "requeue after it lapsed", requeue(cx, at(200), &[job.id]).await, requeued());
    let last = at(300) - MICRO;
    same("O-2", "insert before the second end", holder(cx, last).await, Inserted::Existing(job.id));
    same("U-1", "insert at the second end", holder(cx, at(300)).await, Inserted::New);
}

/// A key that lapsed is free to be taken again, for its full time; one that another holds by now is not, be it
/// held for a time by a job that is over.
pub(super) async fn a_lapsed_key_is_taken_again_or_conflicts(cx: &Context) {
    let hold = KeyHold::For(secs(10));
    let job = cx.run(at(0), cx.keyed("k", hold)).await;
    cx.end(at(1), &job, Outcome::Complete).await;
    same("O-2", "requeue once its key lapsed", requeue(cx, at(20), &[job.id]).await, requeued());
    let last = at(30) - MICRO;
    same("O-2", "insert before the end of a full time", holder(cx, last).await, Inserted::Existing(job.id));
    cx.cancel(at(29), job.id).await;

    let before = cx.get(job.id).await;
    let conflict = |holder| vec![RequeueStatus::Conflict(holder)];
    let second = cx.put(at(30), cx.keyed("k", KeyHold::UntilFinished)).await;
    same("O-2", "requeue when another took the key", requeue(cx, at(31), &[job.id]).await, conflict(second));
    same("O-2", "insert with the key", holder(cx, at(32)).await, Inserted::Existing(second));
    cx.cancel(at(33), second).await;
    let third = cx.run(at(40), cx.keyed("k", hold)).await.id;
    let last = at(50) - MICRO;
    same("O-2", "requeue while another runs", requeue(cx, at(41), &[job.id]).await, conflict(third));
    let leased = cx.get(third).await.generation;
    let lease = backgroundjobs_core::LeaseKey { id: third, generation: leased };
    cx.settle(at(42), lease, Outcome::Complete).await;
    same("O-2", "requeue when another is over", requeue(cx, last, &[job.id]).await, conflict(third));
    same("O-2", "the job in conflict", cx.get(job.id).await, before);

    same("O-2", "requeue once another's key lapsed", requeue(cx, at(50), &[job.id]).await, requeued());
    let last = at(60) - MICRO;
    same("O-2", "insert before the end of its time", holder(cx, last).await, Inserted::Existing(job.id));
    same("U-1", "insert at the end of its time", holder(cx, at(60)).await, Inserted::New);
}
