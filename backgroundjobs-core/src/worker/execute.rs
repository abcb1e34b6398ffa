//! One run of a handler, whoever asked for it: guarded against panics, told to stop, and dropped if it does not.

use std::future::{Future, ready};
use std::sync::Arc;

use super::run::{CancelCause, Run};
use super::verdict::Ended;
use crate::catch_panic::CatchPanic;
use crate::env::Outside;
use crate::executor::JobRun;
use crate::{Env, JobContext, JobExecutor, Payload};

/// Runs the handler to its end, or until it had its time to stop; then its future is gone, and so are its
/// calls on the blocking pool.
pub(super) async fn execute(executor: &dyn JobExecutor, env: &Env, run: &Arc<Run>, args: Payload) -> Ended {
    let handler = CatchPanic::new(|| executor.execute(JobRun::new(args, JobContext::new(run.clone()))));
    let what = || Outside::Handler { id: run.lease.id, kind: run.kind.clone(), attempt: run.attempt };
    let mut handler = env.outside(what, handler);
    let mut ended = tokio::select! {
        biased;
        ended = &mut handler => Some(ended),
        () = run.to_be_dropped() => None,
    };
    if ended.is_none() {
        ended = last_words(run, &mut handler).await;
    }
    run.close_to_calls();
    if run.is_blocking() {
        // A wrapper did not wait for it.
        run.cancel(CancelCause::GivenUp);
        warn_of_blocking(run);
        let returned = std::pin::pin!(run.blocking_calls_ended());
        env.outside(what, returned).await;
    }
    match ended {
        Some(Ok(result)) => Ended::Returned(result),
        Some(Err(message)) => Ended::Panicked(message),
        None => Ended::Dropped,
    }
}

/// What a handler answers after all that is to be dropped now. One on the blocking pool cannot be dropped, and
/// nobody else may have the job before it has returned: the lease is renewed, the slot stays taken, and what it
/// returns counts.
async fn last_words<T>(run: &Run, mut handler: impl Future<Output = T> + Unpin) -> Option<T> {
    run.close_to_calls();
    if run.is_blocking() {
        warn_of_blocking(run);
    }
    loop {
        // Before the look at the handler: a call that is over now has left its answer there.
        let is_blocking = run.is_blocking();
        tokio::select! {
            biased;
            late = &mut handler => return Some(late),
            () = ready(()), if !is_blocking => return None,
            () = run.blocking_calls_ended() => {}
        }
    }
}

fn warn_of_blocking(run: &Run) {
    tracing::warn!(
        id = %run.lease.id,
        kind = %run.kind,
        "the blocking handler did not return when told to stop, and cannot be dropped; it is waited for: let \
         it look at ctx.is_cancelled() between its steps"
    );
}
