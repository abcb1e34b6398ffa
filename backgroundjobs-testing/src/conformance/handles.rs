//! Several handles on the same data, and a handle that is opened again.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use backgroundjobs_core::{
    CancelStatus, ClaimJobs, InsertJobs, Inserted, JobState, JobStore, Keep, KeyHold, LeaseStatus, Outcome,
    Payload, Priority, PruneJobs, Retention, RunAt, SettleJobs, Settled, Settlement,
};

use super::context::{
    Context, KIND, QUEUE, With, answer, applied, at, holds, lease_of, queue, retry, same, secs, unique,
};
use super::lifecycle::declared;

/// What one handle does, another sees at once.
pub(super) async fn see_each_other(cx: &Context) {
    let other = cx.second_handle().await;
    let id = cx.put(at(0), cx.keyed("k", KeyHold::UntilFinished)).await;
    let records = answer("get", other.get(&[id]).await);
    same("F-6", "records of a job that the other handle stored", records.len(), 1);
    same("F-6", "the record", records[0].clone(), Some(cx.get(id).await));
    let again = cx.keyed("k", KeyHold::UntilFinished);
    let reply = answer("insert", other.insert(&InsertJobs::new(at(1), vec![again])).await);
    same("F-6", "a key that the other handle's job holds", reply.jobs, vec![Inserted::Existing(id)]);

    let claim = cx.claim_of(at(1), &[(QUEUE, 5)], &[KIND]);
    let reply = answer("claim", other.claim(&claim).await);
    same("F-6", "jobs that the other handle stored, claimed", reply.queues[0].jobs.len(), 1);
    let lease = lease_of(&reply.queues[0].jobs[0]);
    same("F-6", "jobs left to claim", cx.take(at(1), 5).await.jobs.len(), 0);
    same(
        "F-6",
        "settle of the other handle's claim",
        cx.settle(at(2), lease, Outcome::Complete).await,
        applied(JobState::Succeeded),
    );
    let late = SettleJobs::new(at(3), vec![Settlement { lease, outcome: retry(secs(1)) }]);
    let reply = answer("settle", other.settle(&late).await);
    same("F-6", "a settle that the other handle has made", reply.jobs, vec![applied(JobState::Succeeded)]);
}

/// Opening another handle changes nothing: what the first has handed out runs on.
pub(super) async fn opening_another_leaves_jobs_alone(cx: &Context) {
    let running = cx.running(at(0)).await;
    let waiting = cx.put(at(0), cx.job()).await;
    let before = (cx.get(running.id).await, cx.get(waiting).await);
    let other = cx.second_handle().await;
    let after = (cx.get(running.id).await, cx.get(waiting).await);
    same("L-1", "a running and a waiting job after another handle was prepared", after, before);
    answer("close", other.close().await);
    cx.end(at(1), &running, Outcome::Complete).await;
}

/// They have the same to offer.
pub(super) async fn declare_the_same(cx: &Context) {
    let other = cx.second_handle().await;
    same("F-9", "what a second handle declares", declared(&*other), declared(cx.store()));
}

/// What was opened again has the same to offer.
pub(super) async fn declare_the_same_when_opened_again(cx: &Context) {
    let before = declared(cx.store());
    same("L-3", "whether a store that can be opened again lasts", cx.store().profile().lasts, true);
    answer("close", cx.store().close().await);
    let again = cx.reopen().await;
    answer("prepare", again.prepare().await);
    same("F-9", "what it declares when opened again", declared(&*again), before);
}

/// A wait for a wake that is dropped, at any point, leaves no trace: the next one waits as well.
pub(super) async fn give_up_a_wait_for_a_wake(cx: &Context) {
    let wakes = cx.store().remote_wakes().expect("the check asks for a store that can");
    for polls in 0..3 {
        // It is not woken here, so it is polled without being asked for.
        let mut wait = pin!(wakes.next_wake());
        for _ in 0..polls {
            if let Poll::Ready(heard) = poll_fn(|task| Poll::Ready(wait.as_mut().poll(task))).await {
                answer("next_wake", heard);
                break;
            }
        }
    }
    let id = cx.put(at(0), cx.job()).await;
    same("W-3", "the job handed out after waits were given up", cx.take_one(at(0)).await.id, id);
}

/// They share a hub, so that a wake of one reaches the workers of all.
pub(super) async fn share_a_hub(cx: &Context) {
    let other = cx.second_handle().await;
    match (cx.store().local_hub(), other.local_hub()) {
        (Some(one), Some(two)) => holds("W-1", "one hub for both handles", one.is_same(two), (one, two)),
        (None, None) => {
            let polls = cx.store().profile().poll_interval.is_some();
            holds("W-1", "a poll interval, for handles without a hub", polls, cx.store().profile());
        }
        (one, two) => holds("W-1", "a hub for each handle or for none", false, (one, two)),
    }
}

/// Of jobs that two handles claim at once, each is handed out once.
pub(super) async fn claim_each_job_once(cx: &Context) {
    const JOBS: usize = 120;
    let handles = [cx.handle(), cx.second_handle().await];
    let jobs: Vec<_> = (0..JOBS).map(|_| cx.job()).collect();
    cx.insert(at(0), jobs).await;
    let claims =
        |_| (0..JOBS).map(|_| cx.claim_of(at(0), &[(QUEUE, 2)], &[KIND])).collect::<Vec<ClaimJobs>>();
    let replies = cx
        .race(4, |number, _| {
            let (handle, claims): (Arc<dyn JobStore>, _) = (handles[number % 2].clone(), claims(number));
            async move {
                let mut seen = Vec::new();
                for claim in claims {
                    let reply = answer("claim", handle.claim(&claim).await);
                    seen.extend(reply.queues[0].jobs.iter().map(|job| (job.id, job.generation)));
                }
                seen
            }
        })
        .await;
    let mut seen: Vec<_> = replies.into_iter().flatten().collect();
    // Claims that met may have left some to each other.
    seen.extend(cx.take(at(0), JOBS).await.jobs.iter().map(|job| (job.id, job.generation)));
    seen.sort_unstable();
    let first = seen.iter().all(|(_, generation)| *generation == 1);
    holds("C-1", "each job to be claimed once, with generation 1", first, &seen);
    seen.dedup();
    same("F-6", "different jobs handed out by two handles", seen.len(), JOBS);
}

/// What was stored is there after the store was closed and opened again: every job in every state, leases, keys,
/// pauses, and what a claim was answered.
pub(super) async fn keep_everything(cx: &Context) {
    let waiting = cx.put(at(0), cx.keyed("k", KeyHold::UntilFinished)).await;
    let claim = cx.claim_of(at(0), &[(QUEUE, 1)], &[KIND]);
    let claimed = cx.send(&claim).await.queues[0].jobs[0].clone();
    same("C-2", "the job handed out", claimed.id, waiting);
    let failed = cx.ended(at(1), super::context::fail()).await;
    let retried = cx.ended(at(2), retry(secs(60))).await;
    let done = cx.ended(at(3), Outcome::Complete).await;
    let ids = [waiting, failed, retried, done];
    let before = answer("get", cx.store().get(&ids).await);
    if let Some(control) = cx.store().control() {
        answer("pause", control.pause(at(4), &queue("paused")).await);
    }
    answer("close", cx.store().close().await);

    let store = cx.reopen().await;
    answer("prepare", store.prepare().await);
    same("L-3", "records after it was opened again", answer("get", store.get(&ids).await), before);
    let repeated = {
        let mut claim = claim.clone();
        claim.repeated = true;
        claim
    };
    let reply = answer("claim", store.claim(&repeated).await);
    let again: Vec<_> = reply.queues[0].jobs.iter().map(|job| (job.id, job.generation)).collect();
    same("L-3", "a claim repeated after it", again, vec![(claimed.id, claimed.generation)]);
    let other = cx.keyed("k", KeyHold::UntilFinished);
    let reply = answer("insert", store.insert(&InsertJobs::new(at(5), vec![other])).await);
    same("L-3", "a key held before it", reply.jobs, vec![Inserted::Existing(waiting)]);
    let end =
        SettleJobs::new(at(6), vec![Settlement { lease: lease_of(&claimed), outcome: Outcome::Complete }]);
    let reply = answer("settle", store.settle(&end).await);
    same(
        "L-3",
        "settle of a claim made before it",
        reply.jobs,
        vec![Settled::Applied { state: JobState::Succeeded }],
    );
    if let (Some(_), Some(inspect)) = (store.control(), store.inspect()) {
        let queues = answer("queues", inspect.queues(at(6)).await);
        let paused =
            queues.iter().any(|facts| facts.queue == queue("paused") && facts.paused_since == Some(at(4)));
        holds("L-3", "a queue paused before it to be paused still", paused, &queues);
    }
}

/// So is what no job has unless it was given, and what each kind of change has left.
pub(super) async fn keep_each_field(cx: &Context) {
    let full = cx.job_of("mail", "send_mail").with(|job| {
        job.args = Payload::from_store(r#"{"to":"ann"}"#);
        job.priority = Priority::LOWEST;
        job.run_at = RunAt::At(at(90) + Duration::from_micros(1));
        (job.max_attempts, job.max_crashes) = (3, 7);
        job.unique = unique("mail:ann", KeyHold::For(secs(50)));
        job.metadata = [("tenant".to_owned(), "7".to_owned())].into();
    });
    let full = cx.put(at(0), full).await;
    let (held, lost) = (cx.running(at(0)).await, cx.running(at(1)).await);
    same("R-1", "renewal", cx.renew(at(20), lease_of(&held)).await, LeaseStatus::Held);
    same("V-1", "jobs recovered", cx.recover(at(40), 9).await.jobs.len(), 1);
    same("X-3", "cancel", cx.cancel(at(41), held.id).await, CancelStatus::Requested);
    let pruned = cx.ended(at(42), Outcome::Complete).await;
    let retention = Retention { succeeded: Keep::latest(0), ..Retention::FOREVER };
    same(
        "P-1",
        "pruned",
        answer("prune", cx.store().prune(&PruneJobs::new(at(43), retention, 9)).await).removed,
        1,
    );
    let ids = [full, held.id, lost.id, pruned];
    let before = answer("get", cx.store().get(&ids).await);
    answer("close", cx.store().close().await);

    let store = cx.reopen().await;
    answer("prepare", store.prepare().await);
    same("L-3", "records after it was opened again", answer("get", store.get(&ids).await), before);
    for (now, expected) in [(at(49), Inserted::Existing(full)), (at(50), Inserted::New)] {
        let other = cx.keyed("mail:ann", KeyHold::UntilFinished);
        let reply = answer("insert", store.insert(&InsertJobs::new(now, vec![other])).await);
        same("L-3", format!("a key held for 50 s before it, at {now}"), reply.jobs, vec![expected]);
    }
}
