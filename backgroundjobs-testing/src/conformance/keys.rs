//! Unique keys: how long each is held, who lets go of it, and who never takes it again.

use backgroundjobs_core::{Inserted, JobId, JobState, KeyHold, NewJob, Outcome, RunAt, Timestamp};

use super::context::{BACKOFF, Context, MICRO, With, applied, at, fail, lease_of, retry, same, secs};

const KEY: &str = "task:the one";

/// Says who keeps a new job with the key out, if anybody does; what it inserts is gone again.
async fn holder(cx: &Context, now: Timestamp) -> Option<JobId> {
    let job = cx.keyed(KEY, KeyHold::UntilFinished);
    let id = job.id;
    match cx.offer(now, job).await {
        Inserted::Existing(holder) => Some(holder),
        Inserted::New => {
            cx.cancel(now, id).await;
            None
        }
    }
}

async fn held_by(cx: &Context, clause: &str, when: &str, now: Timestamp, expected: Option<JobId>) {
    same(clause, format!("holder of the key {when}"), holder(cx, now).await, expected);
}

fn later(job: NewJob) -> NewJob {
    job.with(|job| job.run_at = RunAt::In(secs(1_000)))
}

/// While it is held, others are refused and nothing of them is stored; other keys are free.
pub(super) async fn a_held_key_keeps_others_out(cx: &Context) {
    let id = cx.put(at(0), cx.keyed(KEY, KeyHold::UntilFinished)).await;
    for hold in [KeyHold::UntilFinished, KeyHold::UntilStarted, KeyHold::For(secs(9))] {
        let loser =
            cx.job_of("elsewhere", "other").with(|job| job.unique = super::context::unique(KEY, hold));
        let loser_id = loser.id;
        same("U-2", "insert with a held key", cx.offer(at(1), loser).await, Inserted::Existing(id));
        same("U-2", "the record of who was kept out", cx.find(loser_id).await, None);
    }
    let others = ["task:The one", "task:the one ", "task:the on%", "", "task:the_one", "task:the oné"];
    for key in others {
        let answer = cx.offer(at(1), cx.keyed(key, KeyHold::UntilFinished)).await;
        same("U-2", format!("insert with another key, {key:?}"), answer, Inserted::New);
    }
}

/// `UntilFinished` is held through every return to Waiting, and let go at each of the ends.
pub(super) async fn until_finished_ends_with_the_job(cx: &Context) {
    for outcome in [Outcome::Complete, fail(), Outcome::Cancel { failure: None }] {
        let job = cx.run(at(0), cx.keyed(KEY, KeyHold::UntilFinished)).await;
        held_by(cx, "U-1", "while the job runs", at(1), Some(job.id)).await;
        cx.end(at(2), &job, retry(secs(0))).await;
        held_by(cx, "U-1", "while the job waits to be retried", at(3), Some(job.id)).await;
        cx.take_one(at(4)).await;
        cx.recover(at(90), 9).await;
        held_by(cx, "U-1", "after a crash", at(91), Some(job.id)).await;
        let job = cx.take_one(at(90) + BACKOFF).await;
        cx.end(at(101), &job, outcome.clone()).await;
        held_by(cx, "S-6", &format!("after {outcome:?}"), at(101), None).await;
    }
}

/// It is let go by a cancel, by a recover that ends the job, and by a retry of a flagged job.
pub(super) async fn until_finished_ends_at_every_end(cx: &Context) {
    let waiting = cx.put(at(0), cx.keyed(KEY, KeyHold::UntilFinished)).await;
    cx.cancel(at(1), waiting).await;
    held_by(cx, "X-3", "after the waiting job was cancelled", at(1), None).await;

    let flagged = cx.run(at(0), cx.keyed(KEY, KeyHold::UntilFinished)).await;
    cx.cancel(at(1), flagged.id).await;
    held_by(cx, "X-3", "while the flagged job runs", at(1), Some(flagged.id)).await;
    cx.end(at(2), &flagged, retry(secs(0))).await;
    held_by(cx, "S-6", "after a retry of the flagged job", at(2), None).await;

    cx.run(at(0), cx.keyed(KEY, KeyHold::UntilFinished).with(|job| job.max_crashes = 1)).await;
    cx.recover(at(90), 9).await;
    held_by(cx, "V-5", "after the last crash", at(90), None).await;
}

/// `UntilStarted` is let go by the claim.
pub(super) async fn until_started_ends_with_the_claim(cx: &Context) {
    let id = cx.put(at(0), cx.keyed(KEY, KeyHold::UntilStarted)).await;
    held_by(cx, "U-1", "while the job waits", at(1), Some(id)).await;
    let job = cx.take_one(at(2)).await;
    held_by(cx, "C-9", "after the job was claimed", at(2), None).await;
    cx.end(at(3), &job, Outcome::Release).await;
    held_by(cx, "U-3", "after the job was released", at(3), None).await;
}

/// `UntilStarted` is let go by a cancel too: the job will never start.
pub(super) async fn until_started_ends_with_a_cancel(cx: &Context) {
    let id = cx.put(at(0), cx.keyed(KEY, KeyHold::UntilStarted)).await;
    cx.cancel(at(1), id).await;
    held_by(cx, "X-3", "after the waiting job was cancelled", at(1), None).await;
}

/// `For` ends at its exact microsecond, whatever became of the job.
pub(super) async fn held_for_a_time_ends_at_its_microsecond(cx: &Context) {
    let hold = KeyHold::For(secs(10) + MICRO * 3);
    let end = at(10) + MICRO * 3;
    for ending in ["waiting", "running", "succeeded", "cancelled"] {
        let id = cx.put(at(0), later(cx.keyed(KEY, hold))).await;
        match ending {
            "running" => drop(cx.take(at(1_000), 1).await),
            "succeeded" => {
                let job = cx.take_one(at(1_000)).await;
                cx.end(at(1), &job, Outcome::Complete).await;
            }
            "cancelled" => drop(cx.cancel(at(1), id).await),
            _ => {}
        }
        held_by(cx, "U-1", &format!("a microsecond before its end, {ending}"), end - MICRO, Some(id)).await;
        held_by(cx, "U-1", &format!("at its end, {ending}"), end, None).await;
        cx.cancel(at(11), id).await;
    }
}

/// A key that lapsed belongs to who took it next: the first job's end does not let go of it.
pub(super) async fn a_lapsed_key_is_its_successors(cx: &Context) {
    let first = cx.run(at(0), cx.keyed(KEY, KeyHold::For(secs(10)))).await;
    let second = cx.put(at(10), later(cx.keyed(KEY, KeyHold::UntilFinished))).await;
    cx.end(at(11), &first, Outcome::Complete).await;
    held_by(cx, "U-1", "after the first job's end", at(12), Some(second)).await;

    cx.cancel(at(12), second).await;
    let first = cx.run(at(20), cx.keyed(KEY, KeyHold::UntilStarted)).await;
    let second = cx.put(at(20), later(cx.keyed(KEY, KeyHold::UntilFinished))).await;
    cx.end(at(21), &first, retry(secs(0))).await;
    held_by(cx, "U-3", "after a retry of the first job", at(22), Some(second)).await;
    let first = cx.take_one(at(22)).await;
    held_by(cx, "C-9", "after the first job was claimed again", at(23), Some(second)).await;
    cx.end(at(24), &first, fail()).await;
    held_by(cx, "S-6", "after the first job's end", at(25), Some(second)).await;
}

/// Neither a retry, a snooze, a release nor a recover takes a key again, so none can meet its successor.
pub(super) async fn a_key_let_go_is_not_taken_again(cx: &Context) {
    for outcome in [retry(secs(0)), Outcome::Snooze { delay: secs(0) }, Outcome::Release] {
        let first = cx.run(at(0), cx.keyed(KEY, KeyHold::UntilStarted)).await;
        let second = cx.put(at(1), later(cx.keyed(KEY, KeyHold::UntilFinished))).await;
        let answer = cx.settle(at(2), lease_of(&first), outcome.clone()).await;
        same(
            "U-3",
            format!("{outcome:?} of a job whose key another holds"),
            answer,
            applied(JobState::Waiting),
        );
        held_by(cx, "U-3", "after it", at(3), Some(second)).await;
        cx.cancel_all(at(4), vec![first.id, second]).await;
        held_by(cx, "U-3", "after both are over", at(5), None).await;
    }
    let first = cx.run(at(0), cx.keyed(KEY, KeyHold::UntilStarted)).await;
    let second = cx.put(at(1), later(cx.keyed(KEY, KeyHold::UntilFinished))).await;
    same("U-3", "jobs taken back beside a successor", cx.recover(at(90), 9).await.jobs.len(), 1);
    held_by(cx, "U-3", "after the recover", at(90), Some(second)).await;
    cx.cancel(at(91), second).await;
    held_by(cx, "U-3", "while the recovered job waits", at(91), None).await;
    let again = cx.take_one(at(90) + BACKOFF).await;
    same("V-1", "the recovered job", again.id, first.id);
}

/// The key that a job gave is in its record, held or not.
pub(super) async fn the_record_keeps_the_key(cx: &Context) {
    let job = cx.run(at(0), cx.keyed(KEY, KeyHold::UntilStarted)).await;
    cx.end(at(1), &job, Outcome::Complete).await;
    let expected = super::context::unique(KEY, KeyHold::UntilStarted);
    same("G-1", "the key in the record", cx.get(job.id).await.unique, expected);
}
