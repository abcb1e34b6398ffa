//! [`HostedService`] and [`BackgroundService`]: what a host starts and stops.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::Stopping;
use crate::{BoxFuture, JobManager};

/// Why a service failed: any error. `?` makes one of a `std::error::Error` and of an `anyhow::Error`, `.into()`
/// of a text.
pub type ServiceError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// What a service's methods return.
pub type ServiceResult<T = ()> = Result<T, ServiceError>;

/// Something that is started and stopped with the program: a listener, a pool, the program's jobs.
///
/// Both methods are written as plain `async fn`s. For work that goes on until it is told to stop,
/// [`BackgroundService`] is shorter.
///
/// ```
/// use std::time::Duration;
/// use backgroundjobs_core::hosting::{HostedService, ServiceResult, Stopping};
/// # struct Pool;
/// # impl Pool {
/// #     async fn connect(&self) -> Result<(), std::io::Error> { Ok(()) }
/// #     async fn close(&self, _limit: Duration) -> Result<(), std::io::Error> { Ok(()) }
/// # }
///
/// impl HostedService for Pool {
///     async fn start(&self, _stopping: Stopping) -> ServiceResult {
///         Ok(self.connect().await?)
///     }
///
///     async fn stop(&self, limit: Duration) -> ServiceResult {
///         Ok(self.close(limit).await?)
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a hosted service: it lacks `impl HostedService`",
    label = "does not implement `HostedService`",
    note = "work that goes on until it is told to stop is added with `background` or `background_fn` instead of `service`",
    note = "for a type of your own write `impl HostedService for YourType` with `async fn start(&self, stopping: Stopping) -> ServiceResult` and `async fn stop(&self, limit: Duration) -> ServiceResult`"
)]
pub trait HostedService: Send + Sync + 'static {
    /// Starts; returns once it is ready. The services after it are started then. An error or a panic ends the
    /// start of the host. `stopping` is over when this service is about to be stopped.
    ///
    /// Cancel safety: it is dropped where it waits when the host is stopped meanwhile, or its start takes longer
    /// than the host allows. It is not stopped then.
    fn start(&self, stopping: Stopping) -> impl Future<Output = ServiceResult> + Send;

    /// Stops; returns once it has. `limit` is what is left of the time that all services share.
    ///
    /// It is dropped where it waits when the time is over, and called again when a stop is called again that was
    /// dropped halfway.
    fn stop(&self, limit: Duration) -> impl Future<Output = ServiceResult> + Send;

    /// What is wrong with its settings, if something is: asked once, by
    /// [`build`](super::HostBuilder::build), which tells the mistakes of all services at once.
    ///
    /// # Errors
    /// What is wrong, and what to write instead.
    fn check(&self) -> ServiceResult {
        Ok(())
    }

    /// The manager that it enqueues through, if it is the program's jobs. Where one service of a host has one, it is
    /// the current one of [`BackgroundJobManager`](crate::BackgroundJobManager) in all services.
    fn manager(&self) -> Option<Arc<dyn JobManager>> {
        None
    }
}

/// Work that goes on until it is told to stop.
///
/// ```
/// use std::time::Duration;
/// use backgroundjobs_core::hosting::{BackgroundService, ServiceResult, Stopping};
///
/// struct Heartbeat {
///     every: Duration,
/// }
///
/// impl BackgroundService for Heartbeat {
///     async fn execute(&self, stopping: Stopping) -> ServiceResult {
///         while stopping.sleep(self.every).await.has_elapsed() {
///             println!("alive at {}", stopping.now());
///         }
///         Ok(())
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a background service: it lacks `impl BackgroundService`",
    label = "does not implement `BackgroundService`",
    note = "a function or closure is added with `background_fn` instead of `background`",
    note = "for a type of your own write `impl BackgroundService for YourType` with `async fn execute(&self, stopping: Stopping) -> ServiceResult`"
)]
pub trait BackgroundService: Send + Sync + 'static {
    /// Does its work until `stopping` says so, in a task of its own. An error, a panic, and a return before it was
    /// told to stop are failures: what follows is the service's [`OnFailure`](super::OnFailure). It may be called
    /// again then.
    ///
    /// It is dropped where it waits when it goes on after the host's time to stop is over.
    fn execute(&self, stopping: Stopping) -> impl Future<Output = ServiceResult> + Send;

    /// What is wrong with its settings, if something is: asked once, by
    /// [`build`](super::HostBuilder::build), which tells the mistakes of all services at once.
    ///
    /// # Errors
    /// What is wrong, and what to write instead.
    fn check(&self) -> ServiceResult {
        Ok(())
    }
}

/// A hosted service of any type.
pub(super) trait ErasedHosted: Send + Sync + 'static {
    fn start(&self, stopping: Stopping) -> BoxFuture<'_, ServiceResult>;
    fn stop(&self, limit: Duration) -> BoxFuture<'_, ServiceResult>;
    fn check(&self) -> ServiceResult;
    fn manager(&self) -> Option<Arc<dyn JobManager>>;
}

impl<S: HostedService> ErasedHosted for S {
    fn start(&self, stopping: Stopping) -> BoxFuture<'_, ServiceResult> {
        Box::pin(HostedService::start(self, stopping))
    }

    fn stop(&self, limit: Duration) -> BoxFuture<'_, ServiceResult> {
        Box::pin(HostedService::stop(self, limit))
    }

    fn check(&self) -> ServiceResult {
        HostedService::check(self)
    }

    fn manager(&self) -> Option<Arc<dyn JobManager>> {
        HostedService::manager(self)
    }
}

/// A background service of any type.
pub(super) trait ErasedBackground: Send + Sync + 'static {
    fn execute(&self, stopping: Stopping) -> BoxFuture<'_, ServiceResult>;
    fn check(&self) -> ServiceResult;
}

impl<S: BackgroundService> ErasedBackground for S {
    fn execute(&self, stopping: Stopping) -> BoxFuture<'_, ServiceResult> {
        Box::pin(BackgroundService::execute(self, stopping))
    }

    fn check(&self) -> ServiceResult {
        BackgroundService::check(self)
    }
}
