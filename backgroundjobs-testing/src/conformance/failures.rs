//! The failures a job keeps.

use backgroundjobs_core::{Failure, FailureKind, Outcome, RecordedFailure};

use super::context::{BACKOFF, Context, With, at, error, retry, same, secs};

/// Each failure has its time, its text, its kind, and the number of its attempt.
pub(super) async fn carry_time_attempt_and_kind(cx: &Context) {
    let job = cx.running(at(0)).await;
    cx.end(at(1), &job, retry(secs(0))).await;
    let job = cx.take_one(at(2)).await;
    cx.end(at(3), &job, Outcome::Snooze { delay: secs(0) }).await;
    let job = cx.take_one(at(4)).await;
    let panic = Failure::new(FailureKind::Panic, "index out of bounds");
    cx.end(at(5), &job, Outcome::Retry { delay: secs(0), failure: panic.clone() }).await;
    cx.take_one(at(6)).await;
    cx.recover(at(50), 9).await;
    let job = cx.take_one(at(50) + BACKOFF).await;
    let timeout = Failure::new(FailureKind::Timeout, "after 30 s");
    cx.end(at(61), &job, Outcome::Fail { failure: timeout.clone() }).await;

    let mut failures = cx.get(job.id).await.failures;
    same("V-3", "failures recorded", failures.len(), 4);
    let crash = failures.remove(2);
    let seen = (crash.at, crash.attempt, crash.failure.kind);
    same("V-3", "the crash", seen, (at(50), 3, FailureKind::Crash));
    let expected = vec![
        RecordedFailure::new(at(1), 1, error("failed")),
        RecordedFailure::new(at(5), 2, panic),
        RecordedFailure::new(at(61), 3, timeout),
    ];
    same("S-5", "the failures that were settled", failures, expected);
}

/// The reason of a cancel is kept too.
pub(super) async fn keep_the_reason_of_a_cancel(cx: &Context) {
    let job = cx.running(at(0)).await;
    let reason = Failure::new(FailureKind::Cancel, "superseded");
    cx.end(at(1), &job, Outcome::Cancel { failure: Some(reason.clone()) }).await;
    let record = cx.get(job.id).await;
    same("S-5", "failures of a cancel", record.failures, vec![RecordedFailure::new(at(1), 1, reason)]);
    same("S-3", "attempts used up by a cancel", record.attempts, 0);
}

/// Of many failures the newest 25 are kept, oldest first, numbered on.
pub(super) async fn keep_the_newest_25(cx: &Context) {
    let mut job = cx.run(at(0), cx.job().with(|job| job.max_attempts = 100)).await;
    for round in 1..=30_u64 {
        let failure = error(&format!("failure {round}"));
        cx.end(at(round), &job, Outcome::Retry { delay: secs(0), failure }).await;
        job = cx.take_one(at(round)).await;
    }
    let record = cx.get(job.id).await;
    same("S-3", "attempts used up", record.attempts, 30);
    let expected: Vec<_> =
        (6..=30_u16).map(|n| RecordedFailure::new(at(n.into()), n, error(&format!("failure {n}")))).collect();
    same("S-5", "the failures kept of 30", record.failures, expected.clone());
    cx.recover(at(1_000), 9).await;
    let after = cx.get(job.id).await.failures;
    same("V-3", "failures kept after a crash", after.len(), 25);
    same("V-3", "all but the oldest and the crash", &after[..24], &expected[1..]);
    same("V-3", "the number of the crash", after[24].attempt, 31);
}
