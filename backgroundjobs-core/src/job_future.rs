//! [`JobFuture`]: what a function given to `register_fn` answers with.

use std::future::Future;

/// Any future. It stands in bounds in place of [`Future`] so that the compiler can say, of a function that is
/// not async, what to write.
#[diagnostic::on_unimplemented(
    message = "a job's function must be `async`, but this one returns `{Self}`",
    label = "this must be an `async fn` or an `async` closure",
    note = "write `async fn name(args: YourArgs, ctx: JobContext) -> JobResult`",
    note = "or, as a closure, `async |args: YourArgs, ctx: JobContext| {{ ..; Ok(()) }}`"
)]
pub trait JobFuture: Future {}

// Without this the message would be about `Future`, of which we cannot say what to write.
#[diagnostic::do_not_recommend]
impl<F: Future> JobFuture for F {}
