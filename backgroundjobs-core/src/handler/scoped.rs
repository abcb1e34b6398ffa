//! Handlers that are made afresh for each run.

use std::future::Future;
use std::marker::PhantomData;

use crate::{BackgroundJob, JobArgs, JobContext, JobError, JobResult};

/// Makes a handler for each run, and drops it after the run.
pub(crate) struct ScopedJob<F, H> {
    factory: F,
    handler: PhantomData<fn() -> H>,
}

impl<F, H> ScopedJob<F, H> {
    pub(crate) const fn new(factory: F) -> Self {
        Self { factory, handler: PhantomData }
    }
}

impl<A, H, F, Fut> BackgroundJob<A> for ScopedJob<F, H>
where
    A: JobArgs,
    H: BackgroundJob<A>,
    F: Fn(JobContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<H, JobError>> + Send,
{
    async fn execute(&self, args: A, context: JobContext) -> JobResult {
        let handler = (self.factory)(context.clone()).await?;
        handler.execute(args, context).await
    }
}
