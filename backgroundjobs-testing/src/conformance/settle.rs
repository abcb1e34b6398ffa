//! Settling: what each outcome does, and which claim may still say so.

use backgroundjobs_core::{
    ClaimedJob, JobRecord, JobState, LeaseKey, Outcome, Priority, RunAt, Settled, Settlement, Step,
};

use super::context::{BACKOFF, Context, LEASE, With, applied, at, error, fail, lease_of, retry, same, secs};

/// Every outcome there is.
pub(super) fn outcomes() -> [Outcome; 7] {
    [
        Outcome::Complete,
        retry(secs(7)),
        Outcome::Snooze { delay: secs(7) },
        Outcome::Release,
        fail(),
        Outcome::Cancel { failure: None },
        Outcome::Cancel { failure: Some(error("no longer wanted")) },
    ]
}

/// Each outcome takes the step of its name, and leaves the rest of the record alone.
pub(super) async fn each_outcome_takes_its_step(cx: &Context) {
    for outcome in outcomes() {
        let job = cx.job().with(|job| {
            (job.run_at, job.priority) = (RunAt::At(at(1)), Priority::HIGHEST);
            job.max_attempts = 2;
        });
        let id = cx.put(at(0), job).await;
        let claimed = cx.take_one(at(2)).await;
        same("C-4", "the urgent job", claimed.id, id);
        let before = cx.get(id).await;
        let expected = outcome.settles_to(false);
        let answer = cx.settle(at(3), lease_of(&claimed), outcome.clone()).await;
        same("S-1", format!("answer to {outcome:?}"), answer, applied(expected));
        let mut after = cx.get(id).await;
        same("S-5", "failures added", after.failures.len(), usize::from(outcome.failure().is_some()));
        after.failures.clear();
        same("S-3", format!("the record after {outcome:?}"), after, settled(before, &outcome, expected));
        cx.cancel(at(4), id).await;
    }
}

fn settled(record: JobRecord, outcome: &Outcome, state: JobState) -> JobRecord {
    let mut after = record;
    (after.state, after.lease, after.settled) = (state, None, after.generation);
    match outcome {
        Outcome::Retry { delay, .. } | Outcome::Snooze { delay } => after.run_at = at(3) + *delay,
        _ => {}
    }
    after.attempts += u16::from(matches!(outcome.step(), Step::Retry | Step::Fail));
    after.finished_at = state.is_final().then_some(at(3));
    after
}

/// A job that retries or snoozes comes back at its instant; a released one is due as before.
pub(super) async fn jobs_come_back_when_they_should(cx: &Context) {
    let job = cx.running(at(0)).await;
    cx.end(at(1), &job, retry(secs(10))).await;
    same("S-3", "jobs before the retry", cx.take(at(10), 9).await.jobs.len(), 0);
    let job = cx.take_one(at(11)).await;
    same("S-3", "attempts and number of the second attempt", (job.attempts, job.attempt()), (1, 2));
    cx.end(at(12), &job, Outcome::Snooze { delay: secs(20) }).await;
    same("S-3", "jobs before the snooze ends", cx.take(at(31), 9).await.jobs.len(), 0);
    let job = cx.take_one(at(32)).await;
    cx.end(at(33), &job, Outcome::Release).await;
    let job = cx.take_one(at(33)).await;
    same("S-3", "run_at and attempts after a release", (job.run_at, job.attempts), (at(32), 1));
    cx.end(at(34), &job, retry(secs(0))).await;
    same("S-3", "attempts after a retry without delay", cx.take_one(at(34)).await.attempts, 2);
}

async fn repeat(cx: &Context, job: &ClaimedJob, outcome: Outcome, expected: Settled) {
    let before = cx.get(job.id).await;
    let what = format!("settle of generation {} again, {}", job.generation, before.state);
    same("S-1", &what, cx.settle(at(90), lease_of(job), outcome).await, expected);
    same("S-1", format!("the record after {what}"), cx.get(job.id).await, before);
}

/// A settle whose reply was lost is repeated in vain and in peace, wherever the job is by then.
pub(super) async fn repeating_is_harmless(cx: &Context) {
    let first = cx.running(at(0)).await;
    cx.end(at(1), &first, retry(secs(5))).await;
    repeat(cx, &first, retry(secs(5)), applied(JobState::Waiting)).await;
    let second = cx.take_one(at(6)).await;
    repeat(cx, &first, retry(secs(5)), applied(JobState::Running)).await;
    cx.end(at(7), &second, Outcome::Complete).await;
    repeat(cx, &second, Outcome::Complete, applied(JobState::Succeeded)).await;
    let failed = cx.running(at(8)).await;
    cx.end(at(9), &failed, fail()).await;
    repeat(cx, &failed, fail(), applied(JobState::Failed)).await;
}

/// A claim that is over cannot say anything any more.
pub(super) async fn a_stale_claim_is_lost(cx: &Context) {
    let first = cx.running(at(0)).await;
    cx.recover(at(40), 9).await;
    repeat(cx, &first, Outcome::Complete, Settled::Lost).await;
    let second = cx.take_one(at(40) + BACKOFF).await;
    for outcome in outcomes() {
        repeat(cx, &first, outcome, Settled::Lost).await;
    }
    cx.end(at(51), &second, retry(secs(0))).await;
    repeat(cx, &first, Outcome::Complete, Settled::Lost).await;
    let third = cx.take_one(at(52)).await;
    cx.end(at(53), &third, Outcome::Complete).await;
    repeat(cx, &first, Outcome::Complete, Settled::Lost).await;
    repeat(cx, &second, retry(secs(0)), Settled::Lost).await;
}

/// A generation that never was is Lost, and so is a job that is not there.
pub(super) async fn an_unknown_claim_is_lost(cx: &Context) {
    let job = cx.running(at(0)).await;
    let before = cx.get(job.id).await;
    let future = LeaseKey { id: job.id, generation: job.generation + 1 };
    let nobody = LeaseKey { id: cx.job_id(), generation: 1 };
    for lease in [future, nobody] {
        let answer = cx.settle(at(1), lease, Outcome::Complete).await;
        same("F-3", format!("settle of {lease:?}"), answer, Settled::Lost);
    }
    same("S-1", "the record", cx.get(job.id).await, before);
    let fresh = cx.put(at(0), cx.job()).await;
    for generation in [0, 1] {
        let lease = LeaseKey { id: fresh, generation };
        let answer = cx.settle(at(1), lease, fail()).await;
        same("S-1", format!("settle of generation {generation} of a waiting job"), answer, Settled::Lost);
    }
    same("S-1", "its state", cx.state(fresh).await, JobState::Waiting);
}

/// A batch is answered in order, item by item; one that is lost does not touch the others.
pub(super) async fn a_batch_is_answered_in_order(cx: &Context) {
    cx.insert(at(0), (0..3).map(|_| cx.job()).collect()).await;
    let jobs = cx.take(at(0), 3).await.jobs;
    let end = |lease, outcome| Settlement { lease, outcome };
    let answers = cx
        .settle_all(
            at(1),
            vec![
                end(lease_of(&jobs[2]), fail()),
                end(LeaseKey { id: cx.job_id(), generation: 1 }, Outcome::Complete),
                end(lease_of(&jobs[0]), Outcome::Complete),
                end(lease_of(&jobs[1]), retry(secs(0))),
                end(lease_of(&jobs[0]), Outcome::Complete),
            ],
        )
        .await;
    let expected = vec![
        applied(JobState::Failed),
        Settled::Lost,
        applied(JobState::Succeeded),
        applied(JobState::Waiting),
        applied(JobState::Succeeded),
    ];
    same("S-1", "answers to [fail, unknown, complete, retry, complete again]", answers, expected);
}

/// A lease that ran out still counts while nobody took the job back.
pub(super) async fn counts_after_the_lease_ran_out(cx: &Context) {
    for outcome in outcomes() {
        let job = cx.running(at(0)).await;
        let late = at(0) + LEASE + secs(500);
        let answer = cx.settle(late, lease_of(&job), outcome.clone()).await;
        let expected = outcome.settles_to(false);
        same("S-2", format!("late settle as {outcome:?}"), answer, applied(expected));
        same("S-2", "jobs to recover after it", cx.recover(late, 9).await.jobs, vec![]);
        cx.cancel(late, job.id).await;
    }
}

/// Only crashes in a row count: each settle but Release starts them anew.
pub(super) async fn crashes_are_counted_in_a_row(cx: &Context) {
    for outcome in outcomes() {
        let job = cx.running(at(0)).await;
        cx.recover(at(100), 9).await;
        let again = cx.take_one(at(200)).await;
        same("V-1", "crashes handed out after one", again.crashes, 1);
        cx.end(at(201), &again, outcome.clone()).await;
        let expected = u16::from(outcome == Outcome::Release);
        same("S-4", format!("crashes after {outcome:?}"), cx.get(job.id).await.crashes, expected);
        cx.cancel(at(202), job.id).await;
    }
}

/// A flagged job does not wait again, so no delay moves its `run_at`; the rest is as for any other job.
pub(super) async fn a_flagged_job_keeps_its_run_at(cx: &Context) {
    let outcomes = outcomes().into_iter().filter(|outcome| outcome.settles_to(false) == JobState::Waiting);
    for outcome in outcomes {
        let job = cx.run(at(2), cx.job().with(|job| job.run_at = RunAt::At(at(1)))).await;
        cx.cancel(at(2), job.id).await;
        let before = cx.get(job.id).await;
        cx.end(at(3), &job, outcome.clone()).await;
        let mut after = cx.get(job.id).await;
        after.failures.clear();
        let mut expected = settled(before.clone(), &outcome, JobState::Cancelled);
        expected.run_at = before.run_at;
        same("S-3", format!("the record of a flagged job after {outcome:?}"), after, expected);
    }
}
