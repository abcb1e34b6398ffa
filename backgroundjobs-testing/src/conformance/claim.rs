//! Claiming: which jobs are handed out, how many, in which order, and held by what.

use backgroundjobs_core::{JobState, Lease, Outcome, Priority, RunAt};

use super::context::{BACKOFF, Context, KIND, LEASE, MICRO, QUEUE, With, at, holds, ids_of, same, secs};

/// A job handed out runs, under a lease of the worker that asked.
pub(super) async fn hands_out_with_a_lease(cx: &Context) {
    let id = cx.put(at(0), cx.job().with(|job| job.run_at = RunAt::At(at(2)))).await;
    let before = cx.get(id).await;
    let request = cx.claim_of(at(5), &[(QUEUE, 1)], &[KIND]);
    let reply = cx.send(&request).await;
    same("C-1", "jobs handed out", reply.queues[0].jobs.len(), 1);
    let (job, record) = (&reply.queues[0].jobs[0], cx.get(id).await);
    same("C-1", "state", record.state, JobState::Running);
    let lease = Lease::new(request.worker, request.claim_id, at(5) + LEASE);
    same("C-1", "lease", record.lease.clone(), Some(lease));
    same("C-1", "claimed_at", record.claimed_at, Some(at(5)));
    holds("C-1", "a generation larger than before", record.generation > before.generation, &record);
    same("C-1", "generation handed out", job.generation, record.generation);
    same("C-1", "run_at handed out", job.run_at, at(2));
    same("C-1", "args handed out", job.args.as_str(), record.args.as_str());
    same("C-1", "kind handed out", job.kind.as_str(), KIND);
    same("C-1", "created_at handed out", job.created_at, at(0));
    same("C-1", "counters handed out", (job.attempts, job.crashes), (0, 0));
    same("C-1", "limit handed out", job.max_attempts, record.max_attempts);
    same("C-1", "flag handed out", job.cancel_requested, false);
}

/// A running job is handed to nobody, however often it is asked for, even after its lease ran out.
pub(super) async fn a_running_job_is_not_handed_out(cx: &Context) {
    cx.running(at(0)).await;
    for second in [0, 1, 29, 30, 9_999] {
        let again = cx.take(at(second), 9).await;
        same("C-1", format!("jobs handed out while one runs, after {second} s"), again.jobs.len(), 0);
        same("C-6", "next_due where nothing waits", again.next_due, None);
    }
}

/// Each claim of a job has a larger generation, whichever way the job came back.
pub(super) async fn generations_only_grow(cx: &Context) {
    let job = cx.job().with(|job| job.max_crashes = 100);
    let mut last = cx.run(at(0), job).await;
    let outcomes = [
        super::context::retry(secs(0)),
        Outcome::Snooze { delay: secs(0) },
        Outcome::Release,
        super::context::retry(secs(1)),
    ];
    for (round, outcome) in (1..).zip(outcomes) {
        cx.end(at(round * 10), &last, outcome.clone()).await;
        let next = cx.take_one(at(round * 10 + 1)).await;
        let grown = next.generation > last.generation;
        holds("C-1", format!("a larger generation after {outcome:?}"), grown, (&last, &next));
        last = next;
    }
    cx.recover(at(1_000), 9).await;
    let next = cx.take_one(at(1_000) + BACKOFF).await;
    holds("C-1", "a larger generation after a recover", next.generation > last.generation, (&last, &next));
}

/// A job is due at its very microsecond, not before.
pub(super) async fn due_at_the_exact_microsecond(cx: &Context) {
    let due = at(5) + MICRO * 7;
    let id = cx.put(at(0), cx.job().with(|job| job.run_at = RunAt::At(due))).await;
    let early = cx.take(due - MICRO, 9).await;
    same("C-2", "jobs a microsecond before run_at", ids_of(&early), vec![]);
    same("C-6", "next_due a microsecond before run_at", early.next_due, Some(due));
    same("C-2", "jobs at run_at", ids_of(&cx.take(due, 9).await), vec![id]);
}

/// Only the queues and the kinds that were asked for are handed out.
pub(super) async fn only_asked_queues_and_kinds(cx: &Context) {
    let mut ids = Vec::new();
    for (queue, kind) in [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y"), ("c", "x")] {
        ids.push(cx.put(at(0), cx.job_of(queue, kind)).await);
    }
    let reply = cx.claim(at(1), &[("b", 9), ("a", 9)], &["x", "z"]).await;
    same("C-2", "jobs of queue b and kind x", ids_of(&reply.queues[0]), vec![ids[2]]);
    same("C-2", "jobs of queue a and kind x", ids_of(&reply.queues[1]), vec![ids[0]]);
    let reply = cx.claim(at(1), &[("a", 9), ("none", 9)], &["y"]).await;
    same("C-2", "jobs of queue a and kind y", ids_of(&reply.queues[0]), vec![ids[1]]);
    same("C-2", "jobs of a queue that has none", ids_of(&reply.queues[1]), vec![]);
    let reply = cx.claim(at(1), &[("b", 9), ("c", 9)], &["x", "y"]).await;
    let all: Vec<_> = reply.queues.iter().flat_map(ids_of).collect();
    same("C-2", "jobs that were left", all, vec![ids[3], ids[4]]);
}

/// Each queue has its own limit, and gets all it has up to it.
pub(super) async fn limits_are_per_queue(cx: &Context) {
    for name in ["a", "b", "c", "d"] {
        cx.insert(at(0), (0..4).map(|_| cx.job_of(name, KIND)).collect()).await;
    }
    let reply = cx.claim(at(0), &[("d", 9), ("a", 1), ("b", 0), ("c", 4)], &[KIND]).await;
    let counts: Vec<_> = reply.queues.iter().map(|queue| queue.jobs.len()).collect();
    same("C-3", "jobs of queues with 4 each under limits of 9, 1, 0, 4", counts, vec![4, 1, 0, 4]);
    let reply = cx.claim(at(0), &[("a", 2), ("b", 9), ("c", 9)], &[KIND]).await;
    let counts: Vec<_> = reply.queues.iter().map(|queue| queue.jobs.len()).collect();
    same("C-3", "jobs left under limits of 2, 9, 9", counts, vec![2, 4, 0]);
}

/// High priority first, then the earlier, then the smaller id: across kinds, in whatever order they came.
pub(super) async fn hands_out_in_order(cx: &Context) {
    let mut expected = Vec::new();
    // The later a group is handed out, the smaller its ids and the earlier its insert.
    for (second, priority) in (0..).zip([0, 5, 6, 9]) {
        for run_at in [at(9) + MICRO, at(9), at(8)] {
            let group = ["x", "y", "x"].map(|kind| {
                cx.job_of(QUEUE, kind).with(|job| {
                    job.priority = Priority::new(priority).expect("a priority");
                    job.run_at = RunAt::At(run_at);
                })
            });
            let mut reversed = group.clone();
            reversed.reverse();
            cx.insert(at(second), reversed.to_vec()).await;
            expected.splice(0..0, group.map(|job| job.id));
        }
    }
    let mut seen = Vec::new();
    for limit in [2, 9, 1, 100] {
        let reply = cx.claim(at(10), &[(QUEUE, limit)], &["y", "x"]).await;
        seen.extend(ids_of(&reply.queues[0]));
    }
    same("C-4", "order by priority, run_at, id", seen, expected);
}

/// A job that is not due yet does not hold up one of a lower priority.
pub(super) async fn scheduled_jobs_do_not_block(cx: &Context) {
    let later = cx.job().with(|job| (job.priority, job.run_at) = (Priority::HIGHEST, RunAt::In(secs(60))));
    let foreign = cx.job_of(QUEUE, "foreign").with(|job| job.priority = Priority::HIGHEST);
    let due = cx.job().with(|job| job.priority = Priority::LOWEST);
    let id = due.id;
    cx.insert(at(0), vec![later, foreign, due]).await;
    let reply = cx.take(at(0), 1).await;
    same("C-3", "jobs behind scheduled and foreign ones", ids_of(&reply), vec![id]);
}

/// Asking for no queue, or knowing no kind, is answered with no job.
pub(super) async fn asking_for_nothing_is_answered(cx: &Context) {
    cx.put(at(0), cx.job()).await;
    same("F-2", "replies to a claim of no queue", cx.claim(at(0), &[], &[KIND]).await.queues.len(), 0);
    let reply = cx.claim(at(0), &[(QUEUE, 9)], &[]).await;
    same("C-2", "jobs for a worker that knows no kind", ids_of(&reply.queues[0]), vec![]);
    same("C-6", "next_due for a worker that knows no kind", reply.queues[0].next_due, None);
    same("C-7", "next_expiry where nothing runs", reply.next_expiry, None);
}
