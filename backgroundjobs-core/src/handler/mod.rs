//! [`BackgroundJob`]: what runs a kind of job, and the forms a handler may have.

mod blocking;
mod function;
mod scoped;

use std::future::Future;
use std::marker::PhantomData;

pub(crate) use blocking::BlockingJob;
pub(crate) use function::{FnJob, FnJobWith};
pub(crate) use scoped::ScopedJob;

use crate::{BoxFuture, JobArgs, JobContext, JobError, JobResult, Payload};

/// Runs the jobs of one kind. Dependencies are fields; `execute` is written as a plain `async fn`.
///
/// ```
/// use backgroundjobs_core::{BackgroundJob, JobArgs, JobContext, JobResult};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Serialize, Deserialize)]
/// # struct RegisterUser { name: String }
/// # impl JobArgs for RegisterUser { const KIND: &'static str = "register_user"; }
///
/// struct Welcome {
///     greeting: String,
/// }
///
/// impl BackgroundJob<RegisterUser> for Welcome {
///     async fn execute(&self, user: RegisterUser, _ctx: JobContext) -> JobResult {
///         println!("{}, {}", self.greeting, user.name);
///         Ok(())
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot run jobs with args `{A}`",
    label = "needs `impl BackgroundJob<{A}> for {Self}`",
    note = "write `async fn execute(&self, args: {A}, ctx: JobContext) -> JobResult` in it; for a function use `register_fn`"
)]
pub trait BackgroundJob<A: JobArgs>: Send + Sync + 'static {
    /// Runs one job. `Ok` ends it as Succeeded; an error says what shall follow, see [`JobError`]. A panic
    /// is a failed attempt.
    ///
    /// The same job may be run more than once (after a crash, or a lost lease): see
    /// `docs/delivery-guarantees.md`. The future is dropped where it waits 5 seconds after the run was
    /// cancelled.
    fn execute(&self, args: A, context: JobContext) -> impl Future<Output = JobResult> + Send;
}

/// A handler of any kind, behind one type.
pub(crate) trait ErasedHandler: Send + Sync + 'static {
    fn run(&self, args: Payload, context: JobContext) -> BoxFuture<'_, JobResult>;
}

/// Decodes the args, then runs the handler.
pub(crate) struct Typed<A, H> {
    handler: H,
    args: PhantomData<fn(A)>,
}

impl<A, H> Typed<A, H> {
    pub(crate) const fn new(handler: H) -> Self {
        Self { handler, args: PhantomData }
    }
}

impl<A: JobArgs, H: BackgroundJob<A>> ErasedHandler for Typed<A, H> {
    fn run(&self, args: Payload, context: JobContext) -> BoxFuture<'_, JobResult> {
        Box::pin(async move {
            let args = args.decode::<A>().map_err(|source| undecodable(&context, source))?;
            self.handler.execute(args, context).await
        })
    }
}

/// An ordinary failed attempt: a newer worker may know these args.
fn undecodable(context: &JobContext, source: serde_json::Error) -> JobError {
    #[derive(Debug, thiserror::Error)]
    #[error("the stored args of {kind} do not fit its type: they were written by another version of it")]
    struct Undecodable {
        kind: String,
        source: serde_json::Error,
    }
    Undecodable { kind: context.kind().to_string(), source }.into()
}
