//! A slot: a long-lived task that runs one job after another.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tracing::Instrument;

use super::Shared;
use super::board::Next;
use super::claimer::claim;
use super::deadlines::Act;
use super::execute::execute;
use super::run::{CancelCause, Run};
use super::runs::Start;
use super::verdict::{Circumstances, Ended, outcome};
use crate::catch_panic::catch_panic;
use crate::env::Checkpoint;
use crate::registry::Registration;
use crate::store::{ClaimedJob, LeaseKey, Outcome, Settlement};
use crate::{Payload, Timestamp};

/// Runs jobs of one queue until the worker closes. A slot that ends a job takes the next one itself; one that
/// finds none asks the store, unless somebody does already.
pub(super) async fn work(shared: &Shared, queue: usize) {
    let env = shared.door.env();
    let mut ran: Option<Ran> = None;
    loop {
        // The end of one run is the start of the next: the clock is read once.
        let now = ran.as_ref().map_or_else(|| env.now(), |ran| ran.over);
        let next = shared.board.next(queue, ran.as_ref().map(|ran| ran.took), now);
        if ran.take().is_some_and(|ran| ran.to_be_told) && !matches!(next, Next::Wait) {
            shared.settler.nudge();
        }
        match next {
            Next::Run(job) => ran = Some(run_and_settle(shared, job, now).await),
            Next::Claim(demands) => claim(shared, demands, Some(queue)).await,
            Next::End => {
                // What a claim in flight handed out after the close goes back, even if the settler has ended.
                shared.settler.drive(shared).await;
                return;
            }
            Next::Wait if shared.settler.is_behind() => {
                // With nothing to run, this task has the time to tell the store what has ended.
                shared.board.occupy(queue);
                shared.settler.drive(shared).await;
                shared.board.vacate(queue);
            }
            Next::Wait => wait(shared, queue).await,
        }
    }
}

/// How long a run took, and when the slot was free again.
struct Ran {
    took: Duration,
    over: Timestamp,
    /// Its outcome waits and nobody is about to tell the store.
    to_be_told: bool,
}

/// Waits for a wake, unless there is something to do after all: interest comes before the look, so that
/// nothing that happens in between is lost.
async fn wait(shared: &Shared, queue: usize) {
    let mut ready = std::pin::pin!(shared.board.ready(queue).notified());
    ready.as_mut().enable();
    if shared.board.is_worth_a_look(queue, shared.door.env().now()) {
        return;
    }
    ready.await;
}

/// Runs a job and hands its outcome to the settler.
async fn run_and_settle(shared: &Shared, job: ClaimedJob, started: Timestamp) -> Ran {
    let env = shared.door.env();
    let (id, attempt) = (job.id, job.attempt());
    let span = tracing::info_span!("job", %id, kind = %job.kind, queue = %job.queue, attempt);
    let registration = shared.registry.find(&job.kind);
    let timeout = registration.and_then(|registration| registration.timeout);
    let deadline = timeout.map(|timeout| started + timeout);
    let (run, args) = shared.runs.begin(job, started, deadline, &shared.surroundings);
    let circumstances = (registration, timeout);
    let (outcome, took) = run_to_outcome(shared, &run, args, circumstances).instrument(span).await;
    let settlement = Settlement { lease: run.lease, outcome };
    let accepted = shared.settler.accept(settlement, shared).await;
    let over = if accepted.waited { env.now() } else { started + took };
    Ran { took, over, to_be_told: accepted.to_be_told }
}

/// Runs a job to its outcome, and answers how long that took.
async fn run_to_outcome(
    shared: &Shared,
    run: &Arc<Run>,
    args: Payload,
    (registration, timeout): (Option<&Registration>, Option<Duration>),
) -> (Outcome, Duration) {
    let env = shared.door.env();
    let start = shared.runs.start(run);
    shared.board.has_started();
    if start != Start::Run {
        tracing::info!("{start:?} before it started");
        end(shared, run);
        let outcome = if start == Start::Lost { Outcome::Release } else { Outcome::Cancel { failure: None } };
        return (outcome, Duration::ZERO);
    }
    let (LeaseKey { id, generation }, attempt) = (run.lease, run.attempt);
    env.checkpoint(|| Checkpoint::BeforeRun { id, kind: run.kind.clone(), attempt, generation }).await;
    if shared.interrupted.load(Ordering::SeqCst) {
        shared.cancel_run(run, CancelCause::Stop);
    }
    if let Some(deadline) = run.deadline {
        shared.deadlines.insert(deadline, run.clone(), Act::TimeOut);
    }
    tracing::debug!("started");
    let ended = execute(&*shared.executor, env, run, args).await;
    end(shared, run);
    if let Some(deadline) = run.deadline {
        shared.deadlines.remove(deadline, run.lease, Act::TimeOut);
    }
    let circumstances = Circumstances {
        run,
        cause: run.cause(),
        is_stopping: shared.stopping.load(Ordering::SeqCst),
        policy: registration.and_then(|registration| registration.retry).unwrap_or(shared.retry),
        timeout,
        env,
    };
    // The handler's own error is asked for its text and dropped here, which may panic.
    let outcome = catch_panic(|| outcome(ended, &circumstances))
        .unwrap_or_else(|panic| outcome(Ended::Panicked(panic), &circumstances));
    let took = env.now().since(run.started);
    report(&outcome, took);
    env.checkpoint(|| Checkpoint::AfterRun { id, kind: run.kind.clone(), attempt, generation }).await;
    (outcome, took)
}

/// The handler is gone: a stop may wait for it.
fn end(shared: &Shared, run: &Run) {
    run.end();
    if shared.stopping.load(Ordering::SeqCst) {
        shared.runs.ended.notify_waiters();
    }
}

/// The run's last word in the log.
fn report(outcome: &Outcome, took: Duration) {
    match outcome {
        Outcome::Complete => tracing::info!(?took, "succeeded"),
        Outcome::Retry { delay, failure } => {
            tracing::warn!(?took, kind = %failure.kind, error = %failure.text, "failed; again in {delay:?}");
        }
        Outcome::Snooze { delay } => tracing::info!(?took, "snoozed; again in {delay:?}"),
        Outcome::Release => tracing::info!(?took, "handed back before its end"),
        Outcome::Fail { failure } => {
            tracing::error!(?took, kind = %failure.kind, error = %failure.text, "failed for good");
        }
        Outcome::Cancel { failure } => {
            let reason = failure.as_ref().map_or("", |failure| failure.text.as_str());
            tracing::info!(?took, reason, "cancelled");
        }
    }
}
