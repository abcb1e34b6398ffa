//! Clearing away finished jobs.

use std::time::Duration;

use backgroundjobs_core::{Inserted, JobId, JobState, Keep, KeyHold, Outcome, Retention, Timestamp};

use super::context::{Context, MICRO, With, at, fail, holds, same, secs};

const MANY: u32 = 1_000;

fn succeeded(keep: Keep) -> Retention {
    Retention { succeeded: keep, ..Retention::FOREVER }
}

fn all(keep: Keep) -> Retention {
    Retention { succeeded: keep, failed: keep, cancelled: keep }
}

/// `count` jobs that ended a second apart, the first at `from` and with the largest id.
async fn ended(cx: &Context, from: u64, count: usize, outcome: Outcome) -> Vec<JobId> {
    cx.insert(at(from), (0..count).map(|_| cx.job()).collect()).await;
    let jobs = cx.take(at(from), count).await.jobs;
    for (second, job) in (from..).zip(jobs.iter().rev()) {
        cx.end(at(second), job, outcome.clone()).await;
    }
    jobs.iter().rev().map(|job| job.id).collect()
}

async fn removes(cx: &Context, what: &str, now: Timestamp, retention: Retention, expected: u32) {
    same("P-1", format!("jobs removed {what}"), cx.prune(now, retention, MANY).await.removed, expected);
}

/// A job goes when it has been over for longer than its age, not when just as long.
pub(super) async fn age_is_exclusive(cx: &Context) {
    let outcomes = [Outcome::Complete, fail(), Outcome::Cancel { failure: None }];
    let mut ids = Vec::new();
    for outcome in outcomes {
        ids.push(cx.ended(at(5), outcome).await);
    }
    let keep = all(Keep::for_age(secs(60)));
    removes(cx, "at exactly their age", at(65), keep, 0).await;
    same("P-1", "jobs left at exactly their age", cx.left(&ids).await, ids.clone());
    removes(cx, "a microsecond past their age", at(65) + MICRO, keep, 3).await;
    same("P-1", "jobs left past their age", cx.left(&ids).await, vec![]);
}

/// Each state is counted for itself, and only its latest are kept.
pub(super) async fn counts_each_state_apart(cx: &Context) {
    let failed = ended(cx, 0, 3, fail()).await;
    let cancelled = ended(cx, 10, 2, Outcome::Cancel { failure: None }).await;
    let done = ended(cx, 20, 6, Outcome::Complete).await;
    let keep = Retention { succeeded: Keep::latest(2), failed: Keep::latest(2), cancelled: Keep::latest(2) };
    removes(cx, "beyond the latest 2 of each state", at(30), keep, 5).await;
    same("P-1", "failed jobs left", cx.left(&failed).await, failed[1..].to_vec());
    same("P-1", "cancelled jobs left", cx.left(&cancelled).await, cancelled);
    same("P-1", "succeeded jobs left", cx.left(&done).await, done[4..].to_vec());
    removes(cx, "a second time", at(30), keep, 0).await;
    removes(cx, "beyond the latest 0", at(30), succeeded(Keep::latest(0)), 2).await;
}

/// Either limit is enough, and each state has its own.
pub(super) async fn either_limit_is_enough(cx: &Context) {
    let done = ended(cx, 0, 4, Outcome::Complete).await;
    let failed = ended(cx, 0, 4, fail()).await;
    let both = Keep { max_age: Some(secs(10)), max_count: Some(3) };
    removes(cx, "by count", at(5), succeeded(both), 1).await;
    removes(cx, "by age", at(12), succeeded(both), 1).await;
    same("P-1", "succeeded jobs left", cx.left(&done).await, done[2..].to_vec());
    same("P-1", "jobs left of a state without limit", cx.left(&failed).await, failed);
    removes(cx, "where everything is kept", at(999_999_999), Retention::FOREVER, 0).await;
}

/// Waiting and running jobs never go, however old.
pub(super) async fn live_jobs_stay(cx: &Context) {
    let running = cx.running(at(0)).await.id;
    let retried = cx.running(at(0)).await;
    cx.end(at(0), &retried, super::context::retry(secs(0))).await;
    let waiting = cx.put(at(0), cx.job()).await;
    removes(cx, "where none is over", at(999_999_999), all(Keep::for_age(secs(0))), 0).await;
    removes(cx, "where none is over", at(999_999_999), all(Keep::latest(0)), 0).await;
    let ids = [running, retried.id, waiting];
    same("P-1", "jobs left", cx.left(&ids).await, ids.to_vec());
}

/// At most the limit, the longest over first, until nothing is left to do.
pub(super) async fn is_bounded_and_longest_over_first(cx: &Context) {
    for keep in [Keep::for_age(secs(1)), Keep::latest(0)] {
        let ids = ended(cx, 0, 5, Outcome::Complete).await;
        let first = cx.prune(at(100), succeeded(keep), 2).await;
        same("P-2", "jobs removed under a limit of 2", first.removed, 2);
        same("P-2", "jobs left", cx.left(&ids).await, ids[2..].to_vec());
        let now = first.next_prune.is_some_and(|next| next <= at(100));
        holds("P-3", "a next_prune not later than store_now after a full reply", now, first);
        same("P-2", "jobs removed next", cx.prune(at(100), succeeded(keep), 2).await.removed, 2);
        let last = cx.prune(at(100), succeeded(keep), 2).await;
        same("P-2", "jobs removed at last", (last.removed, last.next_prune), (1, None));
    }
}

/// `next_prune` is when there is more to do: then, and not before.
pub(super) async fn next_prune_is_when_there_is_work(cx: &Context) {
    let cancelled = Keep::for_age(secs(600));
    let keep = Retention { cancelled, ..succeeded(Keep::for_age(secs(60))) };
    let empty = cx.prune(at(0), keep, MANY).await;
    same("P-3", "next_prune of an empty store", (empty.removed, empty.next_prune), (0, None));
    ended(cx, 5, 2, Outcome::Complete).await;
    ended(cx, 1, 1, fail()).await;
    ended(cx, 1, 1, Outcome::Cancel { failure: None }).await;
    let mut now = at(10);
    for round in 1..=3 {
        let reply = cx.prune(now, keep, MANY).await;
        let next = reply.next_prune.filter(|next| *next > now);
        holds("P-3", "a next_prune later than store_now while a job grows old", next.is_some(), reply);
        now = next.unwrap_or(now);
        let before = cx.prune(now - MICRO, keep, MANY).await;
        same("P-3", format!("jobs removed before next_prune, round {round}"), before.removed, 0);
        same(
            "P-3",
            format!("jobs removed at next_prune, round {round}"),
            cx.prune(now, keep, 1).await.removed,
            1,
        );
    }
    let after = cx.prune(now, keep, MANY).await;
    same("P-3", "next_prune when no more job can grow old", after.next_prune, None);
    ended(cx, 700, 3, Outcome::Complete).await;
    let counted = cx.prune(at(800), succeeded(Keep::latest(2)), MANY).await;
    same("P-3", "next_prune of jobs kept by count", (counted.removed, counted.next_prune), (1, None));
}

/// A key held for a time is held on by a job that is gone; other keys went before.
pub(super) async fn a_key_held_for_a_time_stays(cx: &Context) {
    let job = cx.run(at(0), cx.keyed("k", KeyHold::For(secs(100)))).await;
    cx.end(at(1), &job, Outcome::Complete).await;
    removes(cx, "with a key held for a time", at(9), all(Keep::latest(0)), 1).await;
    same("P-1", "the record", cx.find(job.id).await, None);
    let last = at(100) - MICRO;
    for now in [at(10), last] {
        let answer = cx.offer(now, cx.keyed("k", KeyHold::UntilFinished)).await;
        same("U-4", "insert with the key of a pruned job", answer, Inserted::Existing(job.id));
    }
    let answer = cx.offer(at(100), cx.keyed("k", KeyHold::UntilFinished)).await;
    same("P-4", "insert once its time is over", answer, Inserted::New);
}

/// A pruned job is unknown, and its id is free.
pub(super) async fn a_pruned_job_is_unknown(cx: &Context) {
    let job = cx.job();
    let claimed = cx.run(at(0), job.clone()).await;
    cx.end(at(1), &claimed, Outcome::Complete).await;
    removes(cx, "all that is over", at(2), all(Keep::latest(0)), 1).await;
    let repeated = cx.settle(at(3), super::context::lease_of(&claimed), Outcome::Complete).await;
    same("S-1", "settle of a pruned job again", repeated, backgroundjobs_core::Settled::Lost);
    let other = job.with(|job| job.args = backgroundjobs_core::Payload::from_store("[]"));
    same("I-2", "insert with the id of a pruned job", cx.offer(at(4), other).await, Inserted::New);
    same("I-1", "its state", cx.state(claimed.id).await, JobState::Waiting);
}

/// An age beyond all time keeps for ever.
pub(super) async fn an_endless_age_keeps(cx: &Context) {
    let ids = ended(cx, 0, 2, Outcome::Complete).await;
    let keep = succeeded(Keep::for_age(Duration::MAX));
    for now in [at(1_000), Timestamp::MAX] {
        removes(cx, "of an endless age", now, keep, 0).await;
    }
    same("T-4", "jobs left", cx.left(&ids).await, ids);
}

/// `next_prune` saturates: a job that is too old only after the end of time never goes, and is no reason to ask
/// again at once; one that is too old at its last microsecond goes then.
pub(super) async fn next_prune_ends_with_time(cx: &Context) {
    let end = Timestamp::MAX;
    let ids = ended(cx, 0, 1, Outcome::Complete).await;
    let whole = end.since(at(0));
    for age in [whole, Duration::MAX] {
        let keep = succeeded(Keep::for_age(age));
        let reply = cx.prune(at(1), keep, MANY).await;
        let at_most = reply.next_prune.is_none_or(|next| next == end);
        holds("T-4", format!("no next_prune but the end of time under an age of {age:?}"), at_most, reply);
        let reply = cx.prune(end, keep, MANY).await;
        same(
            "P-3",
            "removed and next_prune at the end of time",
            (reply.removed, reply.next_prune),
            (0, None),
        );
    }
    let keep = succeeded(Keep::for_age(whole - MICRO));
    let reply = cx.prune(at(1), keep, MANY).await;
    same("P-3", "next_prune of a job too old at the end of time", reply.next_prune, Some(end));
    same("P-3", "jobs removed at the end of time", cx.prune(end, keep, MANY).await.removed, 1);
    same("P-3", "jobs left", cx.left(&ids).await, vec![]);
}
