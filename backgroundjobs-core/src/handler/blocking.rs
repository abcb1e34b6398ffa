//! Functions that block their thread, as handlers.

use std::future::{Future, pending, poll_fn};
use std::panic::resume_unwind;
use std::pin::{Pin, pin};
use std::sync::Arc;

use tokio::sync::oneshot::{self, error::RecvError};

use crate::catch_panic::catch_panic;
use crate::manager::sync_scope;
use crate::{BackgroundJob, JobArgs, JobContext, JobResult};

/// A function that blocks its thread, as a handler: each run is a call on the blocking pool.
pub(crate) struct BlockingJob<F>(Arc<F>);

impl<F> BlockingJob<F> {
    pub(crate) fn new(function: F) -> Self {
        Self(Arc::new(function))
    }
}

impl<A, F> BackgroundJob<A> for BlockingJob<F>
where
    A: JobArgs,
    F: Fn(A, JobContext) -> JobResult + Send + Sync + 'static,
{
    async fn execute(&self, args: A, context: JobContext) -> JobResult {
        if context.is_closed_to_calls() {
            // Its time is over, and its slot is about to drop it here.
            return pending().await;
        }
        let (function, env) = (self.0.clone(), context.env().clone());
        let (answer, result) = oneshot::channel();
        let (inside, span) = (context.clone(), tracing::Span::current());
        env.spawn_blocking(Box::new(move || {
            // The run is not over before the call has returned, whoever still waits.
            let Some(running) = inside.begin_blocking_call() else { return };
            let result = if inside.was_told_to_stop() {
                Ok(Err("told to stop before a thread of the blocking pool was free".into()))
            } else {
                let manager = inside.manager().clone();
                let call = || span.in_scope(|| sync_scope(manager, || function(args, inside)));
                catch_panic(call)
            };
            // Nobody to tell when the run was dropped meanwhile; its slot still waits for the call.
            _ = answer.send((result, running));
        }));
        match returned(result, &context).await {
            Ok((Ok(result), _)) => result,
            // It has been reported where it happened; here it only goes on to where runs end.
            Ok((Err(panic), _)) => resume_unwind(Box::new(panic)),
            Err(_) => Err("the runtime shut down before the blocking handler was called".into()),
        }
    }
}

/// Waits for what the call returns.
async fn returned<T>(mut result: oneshot::Receiver<T>, context: &JobContext) -> Result<T, RecvError> {
    // Changes nothing by itself. Being woken by it lets a kit wait anew for the thread, which may end now.
    let mut told_to_stop = pin!(context.told_to_stop());
    let mut was_told = false;
    poll_fn(|cx| {
        let answer = Pin::new(&mut result).poll(cx);
        if answer.is_pending() {
            was_told = was_told || told_to_stop.as_mut().poll(cx).is_ready();
            if let Some(hooks) = context.env().hooks() {
                // Once told it waits for nothing any more.
                hooks.waits_for_thread(context.looks_for_cancel().filter(|_| !was_told));
            }
        }
        answer
    })
    .await
}
