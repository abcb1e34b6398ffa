//! Async functions as handlers.

use std::future::Future;

use crate::{BackgroundJob, JobArgs, JobContext, JobResult};

/// A function as a handler.
pub(crate) struct FnJob<F>(pub(crate) F);

impl<A, F, Fut> BackgroundJob<A> for FnJob<F>
where
    A: JobArgs,
    F: Fn(A, JobContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = JobResult> + Send,
{
    fn execute(&self, args: A, context: JobContext) -> impl Future<Output = JobResult> + Send {
        (self.0)(args, context)
    }
}

/// A function with state of its own as a handler; each run gets a clone of the state.
pub(crate) struct FnJobWith<S, F> {
    pub(crate) state: S,
    pub(crate) function: F,
}

impl<A, S, F, Fut> BackgroundJob<A> for FnJobWith<S, F>
where
    A: JobArgs,
    S: Clone + Send + Sync + 'static,
    F: Fn(S, A, JobContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = JobResult> + Send,
{
    fn execute(&self, args: A, context: JobContext) -> impl Future<Output = JobResult> + Send {
        (self.function)(self.state.clone(), args, context)
    }
}
