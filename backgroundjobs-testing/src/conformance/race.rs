//! Calls made at once.

use std::sync::Arc;

use backgroundjobs_core::{
    CancelJobs, CancelStatus, ClaimedJobs, DeleteStatus, InsertJobs, Inserted, InsertedJobs, JobId, JobState,
    JobStore, Keep, KeyHold, LeaseStatus, NewJob, Outcome, PruneJobs, RecoverJobs, RenewLeases,
    RequeueStatus, Retention, SettleJobs, Settled, Settlement, StoreError, Timestamp,
};

use super::context::{BACKOFF, Context, KIND, LEASE, QUEUE, answer, at, holds, lease_of, same, secs};

const RACERS: usize = 8;
const ROUNDS: usize = 10;

async fn claim_rounds(
    store: Arc<dyn JobStore>,
    claims: Vec<backgroundjobs_core::ClaimJobs>,
) -> Vec<ClaimedJobs> {
    let mut replies = Vec::new();
    for claim in claims {
        replies.push(answer("claim", store.claim(&claim).await));
    }
    replies
}

/// Of jobs that many claim at once each is handed out once, and none is left behind.
pub(super) async fn jobs_are_claimed_exactly_once(cx: &Context) {
    let jobs: Vec<_> = (0..RACERS * ROUNDS * 5).map(|_| cx.job()).collect();
    let mut expected: Vec<_> = jobs.iter().map(|job| job.id).collect();
    cx.insert(at(0), jobs).await;
    let replies = cx
        .race(RACERS, |_, store| {
            let claim = || cx.claim_of(at(0), &[(QUEUE, 4)], &[KIND]);
            claim_rounds(store, (0..ROUNDS).map(|_| claim()).collect())
        })
        .await;
    let mut seen: Vec<_> = replies
        .iter()
        .flatten()
        .flat_map(|reply| &reply.queues[0].jobs)
        .map(|job| (job.id, job.generation))
        .collect();
    for _ in 0..expected.len() {
        let rest = cx.take(at(0), 10).await.jobs;
        if rest.is_empty() {
            break;
        }
        seen.extend(rest.iter().map(|job| (job.id, job.generation)));
    }
    seen.sort_unstable();
    let again: Vec<_> = seen.iter().filter(|job| job.1 != 1).collect();
    holds("C-1", "each job to be claimed once, with generation 1", again.is_empty(), &again);
    let seen: Vec<_> = seen.into_iter().map(|(id, _)| id).collect();
    expected.sort_unstable();
    let twice = seen.windows(2).filter(|pair| pair[0] == pair[1]).count();
    same("C-1", "jobs handed out twice by claims made at once", twice, 0);
    same("C-3", "jobs handed out after all", seen.len(), expected.len());
    same("C-1", "the jobs", seen, expected);
}

async fn insert(store: Arc<dyn JobStore>, request: InsertJobs) -> Result<InsertedJobs, StoreError> {
    store.insert(&request).await
}

/// Of concurrent inserts with one key one wins, and the others are told who.
pub(super) async fn a_key_has_one_winner(cx: &Context) {
    for round in 0..ROUNDS {
        let key = format!("key {round}");
        one_wins(cx, at(0), (0..RACERS).map(|_| cx.keyed(&key, KeyHold::UntilFinished)).collect()).await;
    }
}

/// Of concurrent inserts that find a key lapsed one takes it.
pub(super) async fn a_lapsed_key_has_one_winner(cx: &Context) {
    for round in 0..ROUNDS {
        let key = format!("key {round}");
        let keyed = || cx.keyed(&key, KeyHold::For(secs(10)));
        cx.put(at(0), keyed()).await;
        one_wins(cx, at(10), (0..RACERS).map(|_| keyed()).collect()).await;
    }
}

/// Inserts at once jobs that have one key.
async fn one_wins(cx: &Context, now: Timestamp, jobs: Vec<NewJob>) {
    let replies =
        cx.race(RACERS, |racer, store| insert(store, InsertJobs::new(now, vec![jobs[racer].clone()]))).await;
    let answers: Vec<_> = replies.into_iter().map(|reply| answer("insert", reply).jobs[0]).collect();
    let winner = answers.iter().position(|answer| *answer == Inserted::New);
    let winner = jobs[winner.unwrap_or_default()].id;
    let expected: Vec<_> = jobs
        .iter()
        .map(|job| if job.id == winner { Inserted::New } else { Inserted::Existing(winner) })
        .collect();
    same("U-5", "answers to inserts with one key", answers, expected);
    let ids: Vec<_> = jobs.iter().map(|job| job.id).collect();
    same("U-5", "jobs stored", cx.left(&ids).await, vec![winner]);
}

/// A job inserted by several callers at once is stored once.
pub(super) async fn an_id_is_stored_once(cx: &Context) {
    let job = cx.job();
    let replies = cx.race(RACERS, |_, store| insert(store, InsertJobs::new(at(0), vec![job.clone()]))).await;
    let answers: Vec<_> = replies.into_iter().map(|reply| answer("insert", reply).jobs[0]).collect();
    let new = answers.iter().filter(|answer| **answer == Inserted::New).count();
    let existing = answers.iter().filter(|answer| **answer == Inserted::Existing(job.id)).count();
    same("I-2", "new and existing of one job inserted at once", (new, existing), (1, RACERS - 1));
    same("I-2", "jobs stored", cx.take(at(0), 9).await.jobs.len(), 1);
}

/// Batches that take the same keys in opposite orders do not fail each other.
pub(super) async fn crossing_batches_do_not_deadlock(cx: &Context) {
    for round in 0..ROUNDS {
        let keys: Vec<_> = (0..20).map(|key| format!("{round}/{key}")).collect();
        let replies = cx
            .race(RACERS, |racer, store| {
                let keyed = |key: &String| cx.keyed(key, KeyHold::UntilFinished);
                let jobs = match racer % 2 {
                    0 => keys.iter().map(keyed).collect(),
                    _ => keys.iter().rev().map(keyed).collect(),
                };
                insert(store, InsertJobs::new(at(0), jobs))
            })
            .await;
        let mut new = 0;
        for reply in replies {
            holds("F-8", "crossing batches to be answered", reply.is_ok(), &reply);
            let reply = answer("insert", reply);
            new += reply.jobs.iter().filter(|answer| **answer == Inserted::New).count();
        }
        same("U-5", "jobs stored of 8 crossing batches with 20 keys", new, keys.len());
    }
}

/// A job whose lease ran out is taken back by one of those who try.
pub(super) async fn a_job_is_recovered_once(cx: &Context) {
    cx.insert(at(0), (0..50).map(|_| cx.job()).collect()).await;
    let mut expected: Vec<_> = cx.take(at(0), 50).await.jobs.iter().map(|job| job.id).collect();
    let replies = cx
        .race(RACERS, |_, store| async move {
            answer("recover", store.recover(&RecoverJobs::new(at(100), 20, BACKOFF)).await).jobs
        })
        .await;
    let mut seen: Vec<_> = replies.into_iter().flatten().map(|job| (job.id, job.crashes)).collect();
    seen.extend(cx.recover(at(100), 99).await.jobs.iter().map(|job| (job.id, job.crashes)));
    seen.sort_unstable();
    holds("V-2", "each job to have crashed once", seen.iter().all(|job| job.1 == 1), &seen);
    expected.sort_unstable();
    let seen: Vec<_> = seen.into_iter().map(|job| job.0).collect();
    same("V-2", "jobs taken back by callers at once", seen, expected);
}

/// Settles and recovers of one claim at once: either all settles stand, or one recover does.
pub(super) async fn one_claim_has_one_end(cx: &Context) {
    for round in 0..ROUNDS {
        let job = cx.running(at(0)).await;
        let lease = lease_of(&job);
        let ends = cx
            .race(6, |racer, store| async move {
                match (racer + round) % 6 {
                    0..4 => {
                        let outcomes = vec![Settlement { lease, outcome: Outcome::Complete }];
                        let reply = store.settle(&SettleJobs::new(at(100), outcomes)).await;
                        End::Settled(answer("settle", reply).jobs[0])
                    }
                    _ => {
                        let reply = store.recover(&RecoverJobs::new(at(100), 1, BACKOFF)).await;
                        End::Recovered(answer("recover", reply).jobs.iter().any(|taken| taken.id == lease.id))
                    }
                }
            })
            .await;
        let applied = ends.iter().filter(|end| matches!(end, End::Settled(Settled::Applied { .. }))).count();
        let recovered = ends.iter().filter(|end| matches!(end, End::Recovered(true))).count();
        let state = cx.state(job.id).await;
        let expected = match state {
            JobState::Succeeded => (4, 0),
            _ => (0, 1),
        };
        same(
            "S-1",
            format!("settles applied and recovers of a job that is {state}"),
            (applied, recovered),
            expected,
        );
        cx.cancel(at(100), job.id).await;
    }
}

/// A lease that ran out is held on or taken back, not both.
pub(super) async fn a_lease_is_held_or_taken_back(cx: &Context) {
    for round in 0..ROUNDS {
        let lease = lease_of(&cx.running(at(0)).await);
        let ends = cx
            .race(2, |racer, store| async move {
                if (racer + round) % 2 == 0 {
                    let reply = store.renew(&RenewLeases::new(at(100), LEASE, vec![lease])).await;
                    (answer("renew", reply).leases[0] != LeaseStatus::Lost, false)
                } else {
                    let reply = store.recover(&RecoverJobs::new(at(100), 9, BACKOFF)).await;
                    (false, answer("recover", reply).jobs.iter().any(|job| job.id == lease.id))
                }
            })
            .await;
        let held = ends.iter().any(|end| end.0);
        let taken_back = ends.iter().any(|end| end.1);
        holds("R-2", "a lease to be held on or taken back", held != taken_back, ("both, or neither", held));
        let settled = cx.settle(at(101), lease, Outcome::Complete).await;
        same("R-1", "whether a lease that was held on can be settled", settled != Settled::Lost, held);
    }
}

/// A prune beside a requeue deletes a job that is over, or leaves one that waits again.
pub(super) async fn a_requeued_job_is_not_pruned(cx: &Context) {
    let retention = Retention { failed: Keep::for_age(secs(1)), ..Retention::FOREVER };
    for round in 0..ROUNDS {
        let mut ids = Vec::new();
        for _ in 0..3 {
            ids.push(cx.ended(at(0), super::context::fail()).await);
        }
        let answers = cx
            .race(2, |racer, store| {
                let ids = ids.clone();
                async move {
                    if (racer + round) % 2 == 0 {
                        let reply = store.prune(&PruneJobs::new(at(100), retention, 999)).await;
                        answer("prune", reply);
                        return Vec::new();
                    }
                    let control = store.control().expect("the check asks for a store that can");
                    answer("requeue", control.requeue(at(100), &ids).await).jobs
                }
            })
            .await;
        let answers = ids.iter().zip(answers.iter().flatten());
        let requeued = answers.filter(|(_, status)| matches!(status, RequeueStatus::Requeued(_)));
        let expected: Vec<_> = requeued.map(|(id, _)| *id).collect();
        same("P-1", "jobs left of those that were requeued beside a prune", cx.left(&ids).await, expected);
        cx.cancel_all(at(100), ids).await;
    }
}

/// A delete beside a claim leaves what was handed out.
pub(super) async fn a_claimed_job_is_not_deleted(cx: &Context) {
    for round in 0..ROUNDS {
        let jobs: Vec<_> = (0..3).map(|_| cx.job()).collect();
        let ids: Vec<_> = jobs.iter().map(|job| job.id).collect();
        cx.insert(at(0), jobs).await;
        let claim = cx.claim_of(at(0), &[(QUEUE, 3)], &[KIND]);
        let answers = cx
            .race(2, |racer, store| {
                let (ids, claim) = (ids.clone(), claim.clone());
                async move {
                    if (racer + round) % 2 == 0 {
                        let control = store.control().expect("the check asks for a store that can");
                        return (answer("delete", control.delete(at(0), &ids).await), Vec::new());
                    }
                    let jobs = answer("claim", store.claim(&claim).await).queues.swap_remove(0).jobs;
                    (Vec::new(), jobs.iter().map(|job| job.id).collect())
                }
            })
            .await;
        let statuses = ids.iter().zip(answers.iter().flat_map(|answer| &answer.0));
        let kept: Vec<_> =
            statuses.filter(|(_, status)| **status != DeleteStatus::Deleted).map(|(id, _)| *id).collect();
        let handed: Vec<JobId> = answers.iter().flat_map(|answer| &answer.1).copied().collect();
        let whole = handed.iter().all(|id| kept.contains(id));
        holds("O-4", "no job to be handed out and deleted", whole, ("handed out", handed, "kept", &kept));
        same("O-4", "jobs left of those that were deleted beside a claim", cx.left(&ids).await, kept);
        cx.cancel_all(at(0), ids).await;
    }
}

#[derive(Debug)]
enum End {
    Settled(Settled),
    Recovered(bool),
}

/// A cancel beside a retry either flags the running job or cancels the waiting one; it is never lost.
pub(super) async fn a_cancel_is_never_lost(cx: &Context) {
    for round in 0..ROUNDS {
        let job = cx.running(at(0)).await;
        let lease = lease_of(&job);
        let answers = cx
            .race(3, |racer, store| async move {
                match (racer + round) % 3 {
                    0 => {
                        let outcomes = vec![Settlement { lease, outcome: super::context::retry(secs(0)) }];
                        answer("settle", store.settle(&SettleJobs::new(at(1), outcomes)).await);
                        None
                    }
                    1 => {
                        let request = RenewLeases::new(at(1), secs(5), vec![lease]);
                        answer("renew", store.renew(&request).await);
                        None
                    }
                    _ => {
                        Some(answer("cancel", store.cancel(&CancelJobs::new(at(1), vec![lease.id])).await)[0])
                    }
                }
            })
            .await;
        let cancel = answers.into_iter().flatten().next();
        let heard = matches!(cancel, Some(CancelStatus::Requested | CancelStatus::Cancelled));
        holds("X-3", "a cancel that was taken", heard, cancel);
        same("X-1", "state after a cancel beside a retry", cx.state(job.id).await, JobState::Cancelled);
    }
}
