//! [`BackgroundJobManager`]: enqueueing from code that cannot be handed a manager.

use std::future::Future;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use super::{EnqueueError, EnqueueManyError, EnqueueOptions, Enqueued, JobManager, JobManagerExt};
use crate::{JobArgs, Timestamp};

/// The one global of this library: what [`BackgroundJobs::install`](crate::BackgroundJobs::install) set.
static INSTALLED: OnceLock<Weak<dyn JobManager>> = OnceLock::new();

tokio::task_local! {
    static SCOPED: Arc<dyn JobManager>;
}

/// Enqueues from code that cannot be handed a manager, through the one that is current there.
///
/// Inside [`scope`](Self::scope) that is the scope's manager; so it is in every handler, where it is the
/// manager of the jobs that run it. Elsewhere it is the one of the jobs that were
/// [installed](crate::BackgroundJobs::install). A task that a program spawns by itself is outside any scope
/// until it is wrapped in one again.
///
/// Code that can take an `Arc<dyn JobManager>` is easier to test and should.
///
/// ```
/// use backgroundjobs_core::BackgroundJobManager;
/// # use backgroundjobs_core::prelude::*;
/// # use backgroundjobs_memory::prelude::*;
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Serialize, Deserialize)]
/// # struct RegisterUser { name: String }
/// # impl JobArgs for RegisterUser { const KIND: &'static str = "register_user"; }
/// # async fn register_user(_user: RegisterUser, _ctx: JobContext) -> JobResult { Ok(()) }
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let jobs =
///     BackgroundJobs::builder(|options| options.use_in_memory()).register_fn(register_user).build()?;
/// jobs.install()?;
///
/// // Anywhere in the program:
/// BackgroundJobManager::enqueue(RegisterUser { name: "masa".into() }).await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub enum BackgroundJobManager {}

impl BackgroundJobManager {
    /// The manager that is current here.
    ///
    /// # Errors
    /// [`NoManagerError`] names the call that is missing.
    pub fn current() -> Result<Arc<dyn JobManager>, NoManagerError> {
        if let Ok(scoped) = SCOPED.try_with(Arc::clone) {
            return Ok(scoped);
        }
        let installed = INSTALLED.get().ok_or(NoManagerError::NotInstalled)?;
        installed.upgrade().ok_or(NoManagerError::Dropped)
    }

    /// Makes `manager` the current one for `future`, and for nothing else: so tests run beside each other.
    ///
    /// Cancel safety: that of `future`.
    pub async fn scope<F: Future>(manager: Arc<dyn JobManager>, future: F) -> F::Output {
        SCOPED.scope(manager, future).await
    }

    /// Enqueues a job to run as soon as a slot is free: [`JobManagerExt::enqueue`] on the current manager.
    ///
    /// # Errors
    /// [`EnqueueError::NoManager`] when none is current; else as the manager says.
    pub async fn enqueue<A: JobArgs>(args: A) -> Result<Enqueued, EnqueueError> {
        Self::enqueue_with(args, EnqueueOptions::new()).await
    }

    /// Enqueues a job to run after `delay`: [`JobManagerExt::enqueue_in`] on the current manager.
    ///
    /// # Errors
    /// [`EnqueueError::NoManager`] when none is current; else as the manager says.
    pub async fn enqueue_in<A: JobArgs>(args: A, delay: Duration) -> Result<Enqueued, EnqueueError> {
        Self::enqueue_with(args, EnqueueOptions::new().delay(delay)).await
    }

    /// Enqueues a job to run at `instant`: [`JobManagerExt::enqueue_at`] on the current manager.
    ///
    /// # Errors
    /// [`EnqueueError::NoManager`] when none is current; else as the manager says.
    pub async fn enqueue_at<A: JobArgs>(args: A, instant: Timestamp) -> Result<Enqueued, EnqueueError> {
        Self::enqueue_with(args, EnqueueOptions::new().at(instant)).await
    }

    /// Enqueues a job with options of its own: [`JobManagerExt::enqueue_with`] on the current manager.
    ///
    /// # Errors
    /// [`EnqueueError::NoManager`] when none is current; else as the manager says.
    pub async fn enqueue_with<A: JobArgs>(
        args: A,
        options: EnqueueOptions,
    ) -> Result<Enqueued, EnqueueError> {
        let manager = Self::current().map_err(no_manager::<A>)?;
        manager.enqueue_with(args, options).await
    }

    /// Enqueues a job for each args: [`JobManagerExt::enqueue_many`] on the current manager.
    ///
    /// # Errors
    /// [`EnqueueError::NoManager`] when none is current; else as the manager says.
    pub async fn enqueue_many<A, I>(args: I) -> Result<Vec<Enqueued>, EnqueueManyError>
    where
        A: JobArgs,
        I: IntoIterator<Item = A> + Send,
        I::IntoIter: Send,
    {
        let nothing_stored =
            |error| EnqueueManyError { stored: Vec::new(), index: 0, source: no_manager::<A>(error) };
        let manager = Self::current().map_err(nothing_stored)?;
        manager.enqueue_many(args).await
    }
}

fn no_manager<A: JobArgs>(reason: NoManagerError) -> EnqueueError {
    EnqueueError::NoManager { kind: A::KIND.to_owned(), reason }
}

/// Makes `manager` the global one, once and for as long as it lives.
pub(crate) fn install(manager: &Arc<dyn JobManager>) -> Result<(), InstallError> {
    INSTALLED.set(Arc::downgrade(manager)).map_err(|_| InstallError::Twice)
}

/// Runs `code` with `manager` as the current one: for a poll, or a call on a thread of its own.
pub(crate) fn sync_scope<T>(manager: Arc<dyn JobManager>, code: impl FnOnce() -> T) -> T {
    SCOPED.sync_scope(manager, code)
}

/// No manager is current.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoManagerError {
    /// Nothing was installed, and this is outside any scope.
    #[error(
        "there is no current manager here: call jobs.install() once after build(), or run this inside \
         BackgroundJobManager::scope(manager, ..), which a task spawned by hand needs anew"
    )]
    NotInstalled,
    /// The jobs that were installed are gone.
    #[error(
        "the jobs that were installed have been dropped: keep them for as long as the program enqueues \
         (install() alone does not)"
    )]
    Dropped,
}

/// Why jobs could not be installed.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// Some were installed before.
    #[error(
        "jobs were installed before, and that is done once in a program: hand out jobs.manager(), or wrap \
         code in BackgroundJobManager::scope(manager, ..)"
    )]
    Twice,
}

crate::readable::debug_is_text!(NoManagerError, InstallError);
