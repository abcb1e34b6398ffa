//! [`JobExecutor`]: turns a claimed job into an outcome.

use std::sync::Arc;

use async_trait::async_trait;

use crate::registry::Registry;
use crate::{BoxFuture, JobContext, JobError, JobResult, Payload};

/// One run: the args as stored, and what is known of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct JobRun {
    /// The args, not decoded yet.
    pub args: Payload,
    /// Which job, which attempt, until when.
    pub context: JobContext,
}

impl JobRun {
    pub(crate) const fn new(args: Payload, context: JobContext) -> Self {
        Self { args, context }
    }
}

/// Turns a claimed job into an outcome: the seam for middleware.
///
/// The innermost executor decodes the args and runs the handler. Wrap it with
/// [`Options::wrap_executor`](crate::Options::wrap_executor) to do something around every run, or instead of
/// it. Timeout, cancellation and the guard against panics lie outside all executors, so they hold for a
/// wrapper's own code too.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an executor of jobs: it lacks `impl JobExecutor`",
    label = "does not implement `JobExecutor`",
    note = "write `#[async_trait::async_trait] impl JobExecutor for YourType` with `async fn execute(&self, run: JobRun) -> JobResult`",
    note = "keep the `Arc<dyn JobExecutor>` that you were given in a field, and call it from there"
)]
#[async_trait]
pub trait JobExecutor: Send + Sync + 'static {
    /// Runs one job. May be dropped where it waits, when the run is cancelled and does not end.
    async fn execute(&self, run: JobRun) -> JobResult;
}

/// The innermost executor.
pub(crate) struct HandlerExecutor {
    registry: Arc<Registry>,
}

impl HandlerExecutor {
    pub(crate) const fn new(registry: Arc<Registry>) -> Self {
        Self { registry }
    }
}

impl JobExecutor for HandlerExecutor {
    // Written out, not by the macro: the handler's future is boxed already.
    fn execute<'a, 'b>(&'a self, run: JobRun) -> BoxFuture<'b, JobResult>
    where
        'a: 'b,
        Self: 'b,
    {
        match self.registry.handler(run.context.kind()) {
            Some(handler) => handler.run(run.args, run.context),
            None => {
                let error = format!(
                    "no handler for {:?} is registered here: call .register(..) for it",
                    run.context.kind()
                );
                Box::pin(async move { Err(JobError::from(error)) })
            }
        }
    }
}
