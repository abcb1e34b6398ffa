//! Async functions as services.

use std::future::Future;
use std::time::Duration;

use super::{BackgroundService, HostedService, ServiceResult, Stopping};

/// Any future. It stands in bounds in place of [`Future`] so that the compiler can say, of a function that is not
/// async, what to write.
#[diagnostic::on_unimplemented(
    message = "a service's function must be `async`, but this one returns `{Self}`",
    label = "this must be an `async fn` or an `async` closure",
    note = "write `async fn name(stopping: Stopping) -> ServiceResult`, or `async |stopping: Stopping| {{ ..; Ok(()) }}`",
    note = "a closure that uses what it captures clones it: `move |stopping| {{ let pool = pool.clone(); async move {{ ..; Ok(()) }} }}`"
)]
pub trait ServiceFuture: Future {}

// Without this the message would be about `Future`, of which we cannot say what to write.
#[diagnostic::do_not_recommend]
impl<F: Future> ServiceFuture for F {}

/// A function as a background service.
pub(super) struct FnBackground<F>(pub(super) F);

impl<F, Fut> BackgroundService for FnBackground<F>
where
    F: Fn(Stopping) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ServiceResult> + Send,
{
    fn execute(&self, stopping: Stopping) -> impl Future<Output = ServiceResult> + Send {
        (self.0)(stopping)
    }
}

/// A function with state of its own as a background service; each call gets a clone of the state.
pub(super) struct FnBackgroundWith<S, F> {
    pub(super) state: S,
    pub(super) function: F,
}

impl<S, F, Fut> BackgroundService for FnBackgroundWith<S, F>
where
    S: Clone + Send + Sync + 'static,
    F: Fn(S, Stopping) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ServiceResult> + Send,
{
    fn execute(&self, stopping: Stopping) -> impl Future<Output = ServiceResult> + Send {
        (self.function)(self.state.clone(), stopping)
    }
}

/// Two functions as a hosted service.
pub(super) struct FnHosted<Start, Stop> {
    pub(super) start: Start,
    pub(super) stop: Stop,
}

impl<Start, Stop, Started, Stopped> HostedService for FnHosted<Start, Stop>
where
    Start: Fn(Stopping) -> Started + Send + Sync + 'static,
    Stop: Fn(Duration) -> Stopped + Send + Sync + 'static,
    Started: Future<Output = ServiceResult> + Send,
    Stopped: Future<Output = ServiceResult> + Send,
{
    fn start(&self, stopping: Stopping) -> impl Future<Output = ServiceResult> + Send {
        (self.start)(stopping)
    }

    fn stop(&self, limit: Duration) -> impl Future<Output = ServiceResult> + Send {
        (self.stop)(limit)
    }
}
