//! Taking back jobs whose lease ran out.

use backgroundjobs_core::{CancelStatus, JobState, RecoverJobs, Settled, Timestamp, recovered_state};

use super::context::{
    BACKOFF, Context, KIND, LEASE, MICRO, QUEUE, With, answer, applied, at, fail, holds, lease_of, retry,
    same, secs,
};

/// A lease is over at its very end, not before; the job waits for its back-off.
pub(super) async fn takes_back_at_the_exact_end(cx: &Context) {
    let job = cx.running(at(0)).await;
    let before = cx.get(job.id).await;
    let end = at(0) + LEASE;
    let early = cx.recover(end - MICRO, 9).await;
    same("V-4", "jobs taken back a microsecond before the end", early.jobs, vec![]);
    same("V-4", "next_expiry before the end", early.next_expiry, Some(end));
    let reply = cx.recover(end, 9).await;
    same("V-1", "jobs taken back at the end", reply.jobs.len(), 1);
    same("V-4", "next_expiry when nothing runs", reply.next_expiry, None);
    let taken = &reply.jobs[0];
    let seen = (taken.id, taken.crashes, taken.state, taken.run_at);
    same("V-1", "what was taken back", seen, (job.id, 1, JobState::Waiting, end + BACKOFF));
    same("V-1", "its kind and queue", (taken.kind.as_str(), taken.queue.as_str()), (KIND, QUEUE));

    let mut after = cx.get(job.id).await;
    same("V-3", "failures added", after.failures.len(), 1);
    after.failures.clear();
    let expected = before.with_crash(end + BACKOFF);
    same("V-1", "the record taken back", after, expected);
    same("V-1", "settle of the old claim", cx.settle(end, lease_of(&job), fail()).await, Settled::Lost);
    same("V-2", "jobs taken back twice", cx.recover(end, 9).await.jobs, vec![]);
}

trait Crashed {
    fn with_crash(self, run_at: Timestamp) -> Self;
}

impl Crashed for backgroundjobs_core::JobRecord {
    fn with_crash(mut self, run_at: Timestamp) -> Self {
        (self.state, self.lease, self.crashes, self.run_at) =
            (JobState::Waiting, None, self.crashes + 1, run_at);
        self
    }
}

/// Each crash in a row waits longer, and the limit ends it.
pub(super) async fn backs_off_until_the_limit(cx: &Context) {
    let id = cx.put(at(0), cx.job().with(|job| job.max_crashes = 3)).await;
    let mut now = at(0);
    for crashes in 1..=2_u16 {
        cx.take_one(now).await;
        now = now + LEASE;
        let taken = cx.recover(now, 9).await.jobs.swap_remove(0);
        let expected = now + BACKOFF * crashes.into();
        same("V-1", format!("run_at after crash {crashes}"), taken.run_at, expected);
        same("V-1", "jobs before the back-off is over", cx.take(expected - MICRO, 9).await.jobs.len(), 0);
        now = expected;
    }
    cx.take_one(now).await;
    now = now + LEASE;
    let taken = cx.recover(now, 9).await.jobs.swap_remove(0);
    same("V-1", "crash 3 of 3", (taken.state, taken.crashes), (JobState::Failed, 3));
    let record = cx.get(id).await;
    same("V-1", "its state and end", (record.state, record.finished_at), (JobState::Failed, Some(now)));
    same("V-3", "attempts used up by crashes", record.attempts, 0);
    same("V-3", "failures recorded", record.failures.len(), 3);
    same("V-1", "jobs after the end", cx.take(at(99_999), 9).await.jobs.len(), 0);
}

/// A settle in between starts the count anew.
pub(super) async fn only_crashes_in_a_row_end_a_job(cx: &Context) {
    let id = cx.put(at(0), cx.job().with(|job| job.max_crashes = 2)).await;
    for round in 0..4_u64 {
        cx.take_one(at(round * 1_000)).await;
        let taken = cx.recover(at(round * 1_000 + 100), 9).await.jobs.swap_remove(0);
        same("S-4", "a first crash in a row", (taken.state, taken.crashes), (JobState::Waiting, 1));
        let job = cx.take_one(at(round * 1_000 + 200)).await;
        cx.end(at(round * 1_000 + 201), &job, retry(secs(0))).await;
    }
    same("S-4", "its state", cx.state(id).await, JobState::Waiting);
}

/// A flagged job is over once its lease ran out, at the crash limit too.
pub(super) async fn a_flagged_job_is_cancelled(cx: &Context) {
    for max_crashes in [3, 1] {
        let job = cx.run(at(0), cx.job().with(|job| job.max_crashes = max_crashes)).await;
        same("X-3", "cancel of a running job", cx.cancel(at(1), job.id).await, CancelStatus::Requested);
        let taken = cx.recover(at(100), 9).await.jobs.swap_remove(0);
        let expected = recovered_state(1, max_crashes, true);
        same("X-1", format!("a flagged job, crash 1 of {max_crashes}"), taken.state, expected);
        let record = cx.get(job.id).await;
        same("X-1", "its record", (record.state, record.finished_at), (expected, Some(at(100))));
        same("X-1", "jobs after it", cx.take(at(9_999), 9).await.jobs.len(), 0);
    }
}

/// At most the limit, those first whose lease ended first, and `next_expiry` tells of the rest.
pub(super) async fn is_bounded_and_earliest_first(cx: &Context) {
    let mut ids = Vec::new();
    for second in [3, 1, 4, 2] {
        ids.push((second, cx.running(at(second)).await.id));
    }
    ids.sort_by_key(|(second, _)| *second);
    let ids: Vec<_> = ids.into_iter().map(|(_, id)| id).collect();
    let taken =
        |jobs: &[backgroundjobs_core::RecoveredJob]| jobs.iter().map(|job| job.id).collect::<Vec<_>>();
    let now = at(3) + LEASE;
    let first = cx.recover(now, 2).await;
    same("V-4", "the two earliest", taken(&first.jobs), ids[..2].to_vec());
    same("V-4", "next_expiry of a full reply", first.next_expiry, Some(at(3) + LEASE));
    let second = cx.recover(now, 2).await;
    same("V-4", "the rest that ran out", taken(&second.jobs), vec![ids[2]]);
    same("V-4", "next_expiry of the lease that is left", second.next_expiry, Some(at(4) + LEASE));
}

/// Whatever its queue and kind, whoever claimed it.
pub(super) async fn takes_back_everyones(cx: &Context) {
    for (queue, kind) in [("a", "x"), ("b", "y"), ("c", "z")] {
        cx.put(at(0), cx.job_of(queue, kind)).await;
        cx.claim(at(0), &[(queue, 1)], &[kind]).await;
    }
    same("V-2", "jobs taken back of three workers", cx.recover(at(100), 9).await.jobs.len(), 3);
}

/// What was settled before, or never ran, is left alone, and an empty store is no trouble.
pub(super) async fn leaves_the_others_alone(cx: &Context) {
    let none = cx.recover(at(0), 9).await;
    same("V-4", "next_expiry of an empty store", none.next_expiry, None);
    let waiting = cx.running(at(0)).await;
    cx.end(at(1), &waiting, retry(secs(50))).await;
    let over = cx.ended(at(1), backgroundjobs_core::Outcome::Complete).await;
    same("V-1", "jobs taken back where none runs", cx.recover(at(9_999), 9).await.jobs, vec![]);
    same("V-1", "state of a finished job", cx.state(over).await, JobState::Succeeded);
    same("V-1", "run_at of a waiting job", cx.get(waiting.id).await.run_at, at(51));
}

/// No back-off means at once, and the settled generation is not what a recover touches.
pub(super) async fn no_backoff_is_at_once(cx: &Context) {
    let first = cx.running(at(0)).await;
    cx.end(at(1), &first, retry(secs(0))).await;
    cx.take_one(at(1)).await;
    let request = RecoverJobs::new(at(100), 9, secs(0));
    let reply = answer("recover", cx.store().recover(&request).await);
    same("V-1", "run_at without back-off", reply.jobs[0].run_at, at(100));
    let repeated = cx.settle(at(100), lease_of(&first), retry(secs(0))).await;
    same("S-1", "settle of the first claim again", repeated, applied(JobState::Waiting));
    same("V-1", "crashes handed out", cx.take_one(at(100)).await.crashes, 1);
}

/// A job that ends here waits for no back-off: its `run_at` stays.
pub(super) async fn a_job_that_ends_keeps_its_run_at(cx: &Context) {
    for flagged in [true, false] {
        let max_crashes = if flagged { 9 } else { 1 };
        let job = cx.run(at(0), cx.job().with(|job| job.max_crashes = max_crashes)).await;
        if flagged {
            cx.cancel(at(1), job.id).await;
        }
        let before = cx.get(job.id).await;
        cx.recover(at(100), 9).await;
        let after = cx.get(job.id).await;
        holds("V-1", "the job to be over", after.state.is_final(), &after);
        same("V-1", format!("run_at of a job that is {}", after.state), after.run_at, before.run_at);
    }
}
