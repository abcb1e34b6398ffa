//! Pausing, resuming, deleting.

use backgroundjobs_core::{
    ControlStore, DeleteStatus, Inserted, JobId, KeyHold, Outcome, RunAt, Settled, Timestamp,
};

use super::context::{BACKOFF, Context, KIND, QUEUE, With, answer, at, ids_of, lease_of, queue, same, secs};

pub(super) fn control(cx: &Context) -> &dyn ControlStore {
    cx.store().control().expect("the check asks for a store that can")
}

async fn pause(cx: &Context, now: Timestamp, name: &str) {
    answer("pause", control(cx).pause(now, &queue(name)).await);
}

async fn resume(cx: &Context, now: Timestamp, name: &str) {
    answer("resume", control(cx).resume(now, &queue(name)).await);
}

async fn delete(cx: &Context, now: Timestamp, ids: &[JobId]) -> Vec<DeleteStatus> {
    answer("delete", control(cx).delete(now, ids).await)
}

/// A paused queue hands out nothing and has no `next_due`; the others are as before.
pub(super) async fn a_paused_queue_hands_out_nothing(cx: &Context) {
    cx.put(at(0), cx.job()).await;
    let later = cx.job_of(QUEUE, KIND).with(|job| job.run_at = RunAt::In(secs(60)));
    let other = cx.job_of("other", KIND);
    let other_id = other.id;
    cx.insert(at(0), vec![later, other]).await;
    pause(cx, at(0), QUEUE).await;
    let reply = cx.claim(at(1), &[(QUEUE, 9), ("other", 9)], &[KIND]).await;
    let paused = &reply.queues[0];
    same("C-2", "jobs of a paused queue", ids_of(paused), vec![]);
    same("C-6", "next_due and mark of a paused queue", (paused.next_due, paused.paused), (None, true));
    same("C-2", "jobs of a queue beside it", ids_of(&reply.queues[1]), vec![other_id]);
    same("C-2", "mark of a queue beside it", reply.queues[1].paused, false);
    resume(cx, at(2), QUEUE).await;
    let reply = cx.take(at(2), 9).await;
    let seen = (reply.jobs.len(), reply.next_due, reply.paused);
    same("O-6", "jobs, next_due and mark after the resume", seen, (1, Some(at(60)), false));
}

/// A queue can be paused before it has jobs, and jobs inserted meanwhile wait.
pub(super) async fn a_queue_without_jobs_can_be_paused(cx: &Context) {
    pause(cx, at(0), QUEUE).await;
    cx.put(at(1), cx.job()).await;
    same("O-5", "jobs of a queue paused before", cx.take(at(2), 9).await.jobs.len(), 0);
    resume(cx, at(3), QUEUE).await;
    resume(cx, at(3), QUEUE).await;
    resume(cx, at(3), "never paused").await;
    same("O-6", "jobs after two resumes", cx.take(at(3), 9).await.jobs.len(), 1);
}

/// Jobs that run, run on: they are renewed, settled and recovered.
pub(super) async fn jobs_of_a_paused_queue_run_on(cx: &Context) {
    cx.insert(at(0), (0..2).map(|_| cx.job()).collect()).await;
    let jobs = cx.take(at(0), 2).await.jobs;
    pause(cx, at(1), QUEUE).await;
    let renewed = cx.renew(at(2), lease_of(&jobs[0])).await;
    same("O-5", "renew in a paused queue", renewed, backgroundjobs_core::LeaseStatus::Held);
    cx.end(at(3), &jobs[0], Outcome::Complete).await;
    same("V-2", "jobs taken back in a paused queue", cx.recover(at(100), 9).await.jobs.len(), 1);
    same("C-2", "jobs handed out after it", cx.take(at(100) + BACKOFF, 9).await.jobs.len(), 0);
}

/// Pausing again keeps the first instant; a paused queue is listed though it has no job.
pub(super) async fn the_first_pause_counts(cx: &Context) {
    pause(cx, at(5), "empty").await;
    pause(cx, at(9), "empty").await;
    cx.put(at(0), cx.job_of("busy", KIND)).await;
    let inspect = cx.store().inspect().expect("the check asks for a store that can");
    let seen = async |now| {
        let queues = answer("queues", inspect.queues(now).await);
        queues.into_iter().map(|facts| (facts.queue, facts.paused_since)).collect::<Vec<_>>()
    };
    let expected = vec![(queue("busy"), None), (queue("empty"), Some(at(5)))];
    same("N-6", "queues with one paused twice", seen(at(10)).await, expected);
    resume(cx, at(11), "empty").await;
    same("O-6", "queues after the resume", seen(at(11)).await, vec![(queue("busy"), None)]);
    pause(cx, at(12), "empty").await;
    same("O-5", "a queue paused anew", seen(at(12)).await[1].1, Some(at(12)));
}

/// A running job is refused; the others are gone, and their ids unknown.
pub(super) async fn deletes_what_does_not_run(cx: &Context) {
    let over = cx.ended(at(0), Outcome::Complete).await;
    let running = cx.running(at(0)).await;
    let waiting = cx.put(at(0), cx.job()).await;
    let unknown = cx.job_id();
    let answers = delete(cx, at(1), &[waiting, running.id, unknown, over, waiting]).await;
    let expected = vec![
        DeleteStatus::Deleted,
        DeleteStatus::Running,
        DeleteStatus::Unknown,
        DeleteStatus::Deleted,
        DeleteStatus::Unknown,
    ];
    same("O-4", "answers to [waiting, running, unknown, over, waiting again]", answers, expected);
    same("O-4", "jobs left", cx.left(&[waiting, running.id, over]).await, vec![running.id]);
    let reply = cx.take(at(2), 9).await;
    same("O-4", "jobs and next_due after it", (reply.jobs.len(), reply.next_due), (0, None));
    let settled = cx.settle(at(3), lease_of(&running), Outcome::Complete).await;
    holds_applied(settled);
    same("F-2", "delete of nothing", delete(cx, at(4), &[]).await, vec![]);
}

#[track_caller]
fn holds_applied(settled: Settled) {
    super::context::holds("O-4", "the running job to go on", settled != Settled::Lost, settled);
}

/// A deleted job's key is free, but for one held for a time by a job that is over.
pub(super) async fn a_deleted_job_lets_go_of_its_key(cx: &Context) {
    for (name, hold) in [
        ("finished", KeyHold::UntilFinished),
        ("started", KeyHold::UntilStarted),
        ("for", KeyHold::For(secs(100))),
    ] {
        let id = cx.put(at(0), cx.keyed(name, hold)).await;
        same("O-4", "delete of a waiting job", delete(cx, at(1), &[id]).await, vec![DeleteStatus::Deleted]);
        let answer = cx.offer(at(2), cx.keyed(name, KeyHold::UntilFinished)).await;
        same("O-4", format!("insert with the key {name:?} of a deleted job"), answer, Inserted::New);
    }
    for job in cx.take(at(2), 9).await.jobs {
        cx.end(at(2), &job, Outcome::Complete).await;
    }
    let job = cx.run(at(3), cx.keyed("kept", KeyHold::For(secs(100)))).await;
    cx.end(at(4), &job, Outcome::Complete).await;
    same(
        "O-4",
        "delete of a job that is over",
        delete(cx, at(5), &[job.id]).await,
        vec![DeleteStatus::Deleted],
    );
    let answer = cx.offer(at(6), cx.keyed("kept", KeyHold::UntilFinished)).await;
    same("O-4", "insert with a key held for a time", answer, Inserted::Existing(job.id));
    let answer = cx.offer(at(103), cx.keyed("kept", KeyHold::UntilFinished)).await;
    same("U-4", "insert once its time is over", answer, Inserted::New);
}
