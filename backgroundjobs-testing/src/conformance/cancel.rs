//! Cancelling: a request that must not evaporate.

use backgroundjobs_core::{CancelStatus, JobState, LeaseKey, Outcome, Step};

use super::context::{Context, applied, at, fail, holds, lease_of, same};
use super::settle::outcomes;

/// A waiting job is over at once, and is never handed out.
pub(super) async fn a_waiting_job_is_cancelled_at_once(cx: &Context) {
    let id = cx.put(at(0), cx.job()).await;
    let before = cx.get(id).await;
    same("X-3", "cancel of a waiting job", cx.cancel(at(5), id).await, CancelStatus::Cancelled);
    let record = cx.get(id).await;
    same("X-3", "its state and end", (record.state, record.finished_at), (JobState::Cancelled, Some(at(5))));
    same("X-3", "generation and attempts", (record.generation, record.attempts), (before.generation, 0));
    same("X-3", "jobs handed out", cx.take(at(6), 9).await.jobs.len(), 0);
    let again = cx.cancel(at(7), id).await;
    same("X-3", "cancel of a cancelled job", again, CancelStatus::Finished(JobState::Cancelled));
    same("X-3", "its end after that", cx.get(id).await.finished_at, Some(at(5)));
}

/// A running job is flagged, and nothing else.
pub(super) async fn a_running_job_is_flagged(cx: &Context) {
    let job = cx.running(at(0)).await;
    let mut expected = cx.get(job.id).await;
    same("X-3", "the flag before", expected.cancel_requested, false);
    for second in [1, 2] {
        let answer = cx.cancel(at(second), job.id).await;
        same("X-3", "cancel of a running job", answer, CancelStatus::Requested);
    }
    expected.cancel_requested = true;
    same("X-3", "the record flagged", cx.get(job.id).await, expected);
}

/// A finished job is unchanged, and one that is not there is an answer; in order.
pub(super) async fn answers_in_order(cx: &Context) {
    let succeeded = cx.ended(at(0), Outcome::Complete).await;
    let failed = cx.ended(at(0), fail()).await;
    let running = cx.running(at(0)).await.id;
    let waiting = cx.put(at(0), cx.job()).await;
    let before = (cx.get(succeeded).await, cx.get(failed).await);
    let ids = vec![running, succeeded, cx.job_id(), waiting, failed, waiting];
    let expected = vec![
        CancelStatus::Requested,
        CancelStatus::Finished(JobState::Succeeded),
        CancelStatus::Unknown,
        CancelStatus::Cancelled,
        CancelStatus::Finished(JobState::Failed),
        CancelStatus::Finished(JobState::Cancelled),
    ];
    same("X-3", "answers to six cancels", cx.cancel_all(at(1), ids).await, expected);
    same("X-3", "the finished jobs", (cx.get(succeeded).await, cx.get(failed).await), before);
}

/// No outcome takes a flagged job back to Waiting; Complete and Fail still stand.
pub(super) async fn no_outcome_forgets_a_cancel(cx: &Context) {
    for outcome in outcomes() {
        let job = cx.running(at(0)).await;
        cx.cancel(at(1), job.id).await;
        let clause = if matches!(outcome.step(), Step::Complete | Step::Fail) { "X-2" } else { "X-1" };
        let expected = outcome.settles_to(true);
        let answer = cx.settle(at(2), lease_of(&job), outcome.clone()).await;
        same(clause, format!("{outcome:?} of a flagged job"), answer, applied(expected));
        let record = cx.get(job.id).await;
        same(clause, "its record", (record.state, record.finished_at), (expected, Some(at(2))));
        same("S-1", "generation settled", record.settled, job.generation);
        same("S-5", "failures kept", record.failures.len(), usize::from(outcome.failure().is_some()));
        same(clause, "jobs handed out", cx.take(at(9_999), 9).await.jobs.len(), 0);
        let again = cx.settle(at(3), lease_of(&job), outcome).await;
        same("S-1", "the same settle again", again, applied(expected));
    }
}

/// A cancel that came too late for one claim does not touch the next job's.
pub(super) async fn the_flag_is_the_jobs_alone(cx: &Context) {
    cx.insert(at(0), vec![cx.job(), cx.job()]).await;
    let jobs = cx.take(at(0), 2).await.jobs;
    cx.cancel(at(1), jobs[0].id).await;
    let end = |job: &backgroundjobs_core::ClaimedJob| LeaseKey { id: job.id, generation: job.generation };
    let other = cx.settle(at(2), end(&jobs[1]), Outcome::Release).await;
    same("X-1", "release of a job that is not flagged", other, applied(JobState::Waiting));
    let again = cx.take_one(at(3)).await;
    holds("X-3", "no flag on a job nobody cancelled", !again.cancel_requested, &again);
}
