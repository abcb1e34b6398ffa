//! What a store says of itself, opening it, closing it, and asking it for nothing.

use std::fmt::Debug;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use backgroundjobs_core::{
    CancelJobs, CountJobs, InsertJobs, JobFilter, JobStore, LeaseKey, ListJobs, Outcome, PruneJobs,
    RecoverJobs, RenewLeases, Retention, SettleJobs, Settlement, StoreError, StoreErrorKind,
};

use super::context::{BACKOFF, Context, KIND, LEASE, QUEUE, at, holds, queue, same};

/// The profile is constant, and promises no more than the store keeps.
pub(super) async fn the_profile_makes_sense(cx: &Context) {
    let profile = cx.store().profile();
    holds("profile", "a name", !profile.name.trim().is_empty(), profile);
    let polls = profile.poll_interval.is_some() || cx.store().local_hub().is_some();
    holds("W-1", "a hub, or a poll interval", polls, profile);
    let busy = profile.poll_interval == Some(Duration::ZERO);
    holds("profile", "a poll interval longer than nothing", !busy, profile);
    cx.running(at(0)).await;
    same("F-9", "the profile later on", cx.store().profile(), profile);
}

/// What a store says that it has.
pub(super) fn declared(store: &dyn JobStore) -> impl PartialEq + Debug + use<> {
    let has = [
        ("hub", store.local_hub().is_some()),
        ("remote wakes", store.remote_wakes().is_some()),
        ("inspect", store.inspect().is_some()),
        ("control", store.control().is_some()),
    ];
    (store.profile(), has)
}

/// A store has later, and closed, what it said in the beginning that it has.
pub(super) async fn what_is_declared_stays(cx: &Context) {
    let before = declared(cx.store());
    cx.running(at(0)).await;
    same("F-9", "what is declared once a job ran", &declared(cx.store()), &before);
    close(cx).await;
    same("F-9", "what is declared once it is closed", &declared(cx.store()), &before);
}

/// Preparing again, and by several at once, changes nothing: what another process runs, runs on.
pub(super) async fn preparing_again_is_harmless(cx: &Context) {
    let running = cx.running(at(0)).await.id;
    let waiting = cx.put(at(0), cx.job()).await;
    let before = (cx.get(running).await, cx.get(waiting).await);
    let results = cx.race(4, |_, store| async move { store.prepare().await }).await;
    for result in results {
        holds("L-1", "prepare to be answered again", result.is_ok(), &result);
    }
    let after = (cx.get(running).await, cx.get(waiting).await);
    same("L-1", "a running and a waiting job after it", after, before);
}

/// A closed store refuses every call, and may be closed again.
pub(super) async fn a_closed_store_refuses(cx: &Context) {
    let job = cx.running(at(0)).await;
    let lease = super::context::lease_of(&job);
    let store = cx.store();
    for time in ["first", "second"] {
        let result = store.close().await;
        holds("L-2", format!("the {time} close to be answered"), result.is_ok(), &result);
    }
    let outcomes = vec![Settlement { lease, outcome: Outcome::Complete }];
    refused("insert", store.insert(&InsertJobs::new(at(1), vec![cx.job()])).await);
    refused("claim", store.claim(&cx.claim_of(at(1), &[(QUEUE, 1)], &[KIND])).await);
    refused("renew", store.renew(&RenewLeases::new(at(1), LEASE, vec![lease])).await);
    refused("settle", store.settle(&SettleJobs::new(at(1), outcomes)).await);
    refused("recover", store.recover(&RecoverJobs::new(at(1), 9, BACKOFF)).await);
    refused("cancel", store.cancel(&CancelJobs::new(at(1), vec![job.id])).await);
    refused("get", store.get(&[job.id]).await);
    refused("prune", store.prune(&PruneJobs::new(at(1), Retention::FOREVER, 9)).await);
    refused("prepare", store.prepare().await);
}

/// A closed store answers no question about many jobs.
pub(super) async fn a_closed_store_shows_nothing(cx: &Context) {
    cx.put(at(0), cx.job()).await;
    let inspect = cx.store().inspect().expect("the check asks for a store that can");
    close(cx).await;
    refused("count", inspect.count(&CountJobs::new(at(1), JobFilter::all())).await);
    refused("list", inspect.list(&ListJobs::new(at(1), JobFilter::all(), None, 9)).await);
    refused("queues", inspect.queues(at(1)).await);
}

/// A closed store does nothing that an operator asks.
pub(super) async fn a_closed_store_obeys_no_operator(cx: &Context) {
    let over = cx.ended(at(0), Outcome::Complete).await;
    let control = super::control::control(cx);
    close(cx).await;
    refused("requeue", control.requeue(at(1), &[over]).await);
    refused("delete", control.delete(at(1), &[over]).await);
    refused("pause", control.pause(at(1), &queue(QUEUE)).await);
    refused("resume", control.resume(at(1), &queue(QUEUE)).await);
}

/// A closed store hears nothing of other processes, and a wait that it was closed under ends.
pub(super) async fn a_closed_store_hears_nothing(cx: &Context) {
    let wakes = cx.store().remote_wakes().expect("the check asks for a store that can");
    let mut wait = pin!(wakes.next_wake());
    let early = poll_fn(|task| Poll::Ready(wait.as_mut().poll(task))).await;
    if early.is_ready() {
        close(cx).await;
    } else {
        // At once: a wait works only while it is polled, and a close may have to wait for its end.
        let ((), ended) = tokio::join!(close(cx), wait);
        let closed = ended.as_ref().err().is_none_or(|error| error.kind() == StoreErrorKind::Closed);
        holds(
            "F-7",
            "a wait that a store was closed under to end, or to be refused as Closed",
            closed,
            &ended,
        );
    }
    refused("next_wake", wakes.next_wake().await);
}

async fn close(cx: &Context) {
    let result = cx.store().close().await;
    holds("L-2", "close to be answered", result.is_ok(), &result);
}

#[track_caller]
fn refused<T: std::fmt::Debug>(call: &str, reply: Result<T, StoreError>) {
    let closed = reply.as_ref().is_err_and(|error| error.kind() == StoreErrorKind::Closed);
    holds("F-7", format!("{call} of a closed store to be refused as Closed"), closed, &reply);
}

/// Asking nothing is answered with nothing.
pub(super) async fn empty_requests_are_answered(cx: &Context) {
    same("F-2", "insert of nothing", cx.insert(at(0), vec![]).await, vec![]);
    same("F-2", "renew of nothing", cx.renew_all(at(0), LEASE, vec![]).await, vec![]);
    same("F-2", "settle of nothing", cx.settle_all(at(0), vec![]).await, vec![]);
    same("F-2", "cancel of nothing", cx.cancel_all(at(0), vec![]).await, vec![]);
    same("F-2", "get of nothing", cx.left(&[]).await, vec![]);
    same("F-2", "claim of nothing", cx.claim(at(0), &[], &[]).await.queues.len(), 0);
    let pruned = cx.prune(at(0), Retention::FOREVER, 9).await;
    same("F-2", "prune of nothing", (pruned.removed, pruned.next_prune), (0, None));
}

/// Ids that nobody knows are answered, by every call that names ids, beside those that are known.
pub(super) async fn unknown_ids_are_answered(cx: &Context) {
    use backgroundjobs_core::{CancelStatus, JobState, LeaseStatus, Settled};
    let job = cx.running(at(0)).await;
    let known = super::context::lease_of(&job);
    let unknown = LeaseKey { id: cx.job_id(), generation: 1 };
    let renewed = cx.renew_all(at(1), LEASE, vec![unknown, known]).await;
    same("F-3", "renew of [unknown, known]", renewed, vec![LeaseStatus::Lost, LeaseStatus::Held]);
    let cancelled = cx.cancel_all(at(1), vec![unknown.id, job.id]).await;
    let expected = vec![CancelStatus::Unknown, CancelStatus::Requested];
    same("F-3", "cancel of [unknown, known]", cancelled, expected);
    let outcomes = [unknown, known].map(|lease| Settlement { lease, outcome: Outcome::Complete });
    let settled = cx.settle_all(at(1), outcomes.into()).await;
    let expected = vec![Settled::Lost, Settled::Applied { state: JobState::Succeeded }];
    same("F-3", "settle of [unknown, known]", settled, expected);
    same("F-3", "get of [unknown, known]", cx.left(&[unknown.id, job.id]).await, vec![job.id]);
}
