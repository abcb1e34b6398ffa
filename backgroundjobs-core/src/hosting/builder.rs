//! [`HostBuilder`]: puts a host together and reports every mistake at once.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::build_error::{HostBuildError, HostBuildProblem};
use super::functions::{FnBackground, FnBackgroundWith, FnHosted};
use super::host::{Host, Part, Parts};
use super::service::{ErasedBackground, ErasedHosted};
use super::{
    BackgroundService, HostedService, OnFailure, ServiceFuture, ServiceReport, ServiceResult, Stopping,
};
use crate::events::Listeners;
use crate::failure::chain;
use crate::limits::HOST_STOP_TIMEOUT;
use crate::{BoxFuture, Env, JobManager};

/// What the host does at one point of its life.
pub(super) type Hook = Box<dyn Fn() -> BoxFuture<'static, ServiceResult> + Send + Sync>;

/// What the host does at each point of its life.
#[derive(Default)]
pub(super) struct Hooks {
    pub(super) starting: Vec<Hook>,
    pub(super) started: Vec<Hook>,
    pub(super) stopping: Vec<Hook>,
    pub(super) stopped: Vec<Hook>,
}

/// How services are started and stopped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    pub(super) stop_timeout: Duration,
    pub(super) start_timeout: Option<Duration>,
    pub(super) start_concurrently: bool,
    pub(super) stop_concurrently: bool,
}

/// Collects services, then [`build`](Self::build)s. They are started in the order in which they are added, and
/// stopped in reverse.
#[must_use = "nothing runs before .build()? and .run(..).await?"]
pub struct HostBuilder {
    drafts: Vec<Draft>,
    hooks: Hooks,
    manner: Manner,
    manager: Option<Arc<dyn JobManager>>,
    env: Option<Env>,
    on_report: Listeners<ServiceReport>,
    problems: Vec<HostBuildProblem>,
}

/// A service whose name is not checked yet.
struct Draft {
    name: String,
    part: Part,
}

impl HostBuilder {
    pub(super) fn new() -> Self {
        Self {
            drafts: Vec::new(),
            hooks: Hooks::default(),
            manner: Manner {
                stop_timeout: HOST_STOP_TIMEOUT,
                start_timeout: None,
                start_concurrently: false,
                stop_concurrently: false,
            },
            manager: None,
            env: None,
            on_report: Listeners::default(),
            problems: Vec::new(),
        }
    }

    /// Adds a service that starts and stops: the program's [`BackgroundJobs`](crate::BackgroundJobs), or a type of your
    /// own. Its name is how health, errors and logs call it.
    pub fn service(self, name: impl Into<String>, service: impl HostedService) -> Self {
        self.hosted(name, Arc::new(service))
    }

    /// As [`service`](Self::service), for one that others hold too.
    pub fn shared_service<S: HostedService>(self, name: impl Into<String>, service: Arc<S>) -> Self {
        self.hosted(name, service)
    }

    /// Adds two async functions as a service that starts and stops.
    pub fn service_fn<Start, Stop, Started, Stopped>(
        self,
        name: impl Into<String>,
        start: Start,
        stop: Stop,
    ) -> Self
    where
        Start: Fn(Stopping) -> Started + Send + Sync + 'static,
        Stop: Fn(Duration) -> Stopped + Send + Sync + 'static,
        Started: ServiceFuture<Output = ServiceResult> + Send,
        Stopped: ServiceFuture<Output = ServiceResult> + Send,
    {
        self.service(name, FnHosted { start, stop })
    }

    /// Adds a service that works until it is told to stop: a [`TimedService`](super::TimedService), the worker of a
    /// [`TaskQueue`](super::TaskQueue), or a type of your own. Its name is how health, errors and logs call it.
    pub fn background(self, name: impl Into<String>, service: impl BackgroundService) -> Self {
        self.in_background(name, Arc::new(service))
    }

    /// As [`background`](Self::background), for one that others hold too.
    pub fn shared_background<S: BackgroundService>(self, name: impl Into<String>, service: Arc<S>) -> Self {
        self.in_background(name, service)
    }

    /// Adds an async function or closure that works until it is told to stop.
    pub fn background_fn<F, Fut>(self, name: impl Into<String>, function: F) -> Self
    where
        F: Fn(Stopping) -> Fut + Send + Sync + 'static,
        Fut: ServiceFuture<Output = ServiceResult> + Send,
    {
        self.background(name, FnBackground(function))
    }

    /// Adds an async function that gets a clone of `state`, and works until it is told to stop.
    pub fn background_fn_with<S, F, Fut>(self, name: impl Into<String>, state: S, function: F) -> Self
    where
        S: Clone + Send + Sync + 'static,
        F: Fn(S, Stopping) -> Fut + Send + Sync + 'static,
        Fut: ServiceFuture<Output = ServiceResult> + Send,
    {
        self.background(name, FnBackgroundWith { state, function })
    }

    /// What follows when the background service added last fails; the host stops unless set.
    pub fn on_failure(mut self, policy: OnFailure) -> Self {
        self.configure_last("on_failure", |on_failure, _| *on_failure = policy);
        self
    }

    /// The background service added last may come to an end of its own: when it returns `Ok`, it has done its work,
    /// and the rest goes on. An error or a panic of it is a failure as before.
    pub fn may_end(mut self) -> Self {
        self.configure_last("may_end", |_, may_end| *may_end = true);
        self
    }

    /// Starts all services together; one after the other unless this is said. Their beginnings still come in
    /// order. All errors are gathered.
    pub const fn start_concurrently(mut self) -> Self {
        self.manner.start_concurrently = true;
        self
    }

    /// Stops all services together; in reverse, one after the other, unless this is said.
    pub const fn stop_concurrently(mut self) -> Self {
        self.manner.stop_concurrently = true;
        self
    }

    /// How long the start of all services may take; no limit unless set.
    pub const fn start_timeout(mut self, timeout: Duration) -> Self {
        self.manner.start_timeout = Some(timeout);
        self
    }

    /// How long the stop of all services may take; 25 s unless set, which is less than the 30 s that containers are
    /// given as a rule. What has not stopped then is dropped where it waits. Services are told to be done a second
    /// earlier, or a tenth of the time when that is less.
    pub const fn stop_timeout(mut self, timeout: Duration) -> Self {
        self.manner.stop_timeout = timeout;
        self
    }

    /// Is called before the first service starts. An error ends the start. Hooks of one kind are called in the order
    /// in which they were added; those of the stop in reverse.
    pub fn on_starting<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: ServiceFuture<Output = ServiceResult> + Send + 'static,
    {
        self.hooks.starting.push(boxed(hook));
        self
    }

    /// Is called when every service was started. An error ends the start: all services are stopped.
    pub fn on_started<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: ServiceFuture<Output = ServiceResult> + Send + 'static,
    {
        self.hooks.started.push(boxed(hook));
        self
    }

    /// Is called before the first service is stopped, within the time of the stop. An error is gathered; the stop
    /// goes on.
    pub fn on_stopping<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: ServiceFuture<Output = ServiceResult> + Send + 'static,
    {
        self.hooks.stopping.push(boxed(hook));
        self
    }

    /// Is called when every service has stopped, within the time of the stop. An error is gathered.
    pub fn on_stopped<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: ServiceFuture<Output = ServiceResult> + Send + 'static,
    {
        self.hooks.stopped.push(boxed(hook));
        self
    }

    /// Calls `listener` with each trouble that a service survives: a failed tick, task or refresh, a restart. It
    /// must be quick and must not block. The same is logged as an error.
    pub fn on_report(mut self, listener: impl Fn(&ServiceReport) + Send + Sync + 'static) -> Self {
        self.on_report.add(listener);
        self
    }

    /// The manager that is the current one of [`BackgroundJobManager`](crate::BackgroundJobManager) in the services;
    /// unless given, that of the one [`BackgroundJobs`](crate::BackgroundJobs) among them, where there is one.
    pub fn manager(mut self, manager: Arc<dyn JobManager>) -> Self {
        self.manager = Some(manager);
        self
    }

    /// The clock, the randomness and the tasks to run on; the system's unless set. A test kit sets its own.
    pub fn env(mut self, env: Env) -> Self {
        self.env = Some(env);
        self
    }

    /// Checks everything and puts it together. Nothing runs yet.
    ///
    /// # Errors
    /// [`HostBuildError`] lists every mistake, each with what to write instead.
    pub fn build(self) -> Result<Host, HostBuildError> {
        let Self { drafts, hooks, manner, manager, env, on_report, mut problems } = self;
        if drafts.is_empty() {
            problems.push(HostBuildProblem::NoService);
        }
        let mut taken = BTreeSet::new();
        for Draft { name, part } in &drafts {
            if let Err(source) = crate::name::check(name) {
                problems.push(HostBuildProblem::Name { of: name.clone(), source });
            } else if !taken.insert(name) {
                problems.push(HostBuildProblem::NameTwice { name: name.clone() });
            }
            if let Err(error) = part.check() {
                problems.push(HostBuildProblem::Settings { service: name.clone(), text: chain(&*error) });
            }
        }
        if !problems.is_empty() {
            return Err(HostBuildError::new(problems));
        }
        let manager = manager.or_else(|| {
            let mut managers = drafts.iter().filter_map(|draft| draft.part.manager());
            managers.next().filter(|_| managers.next().is_none())
        });
        Ok(Host::assemble(Parts {
            services: drafts.into_iter().map(|draft| (draft.name, draft.part)).collect(),
            hooks,
            manner,
            manager,
            env: env.unwrap_or_else(Env::system),
            on_report,
        }))
    }

    fn hosted(mut self, name: impl Into<String>, service: Arc<dyn ErasedHosted>) -> Self {
        self.drafts.push(Draft { name: name.into(), part: Part::Hosted(service) });
        self
    }

    fn in_background(mut self, name: impl Into<String>, service: Arc<dyn ErasedBackground>) -> Self {
        let part = Part::Background { service, on_failure: OnFailure::StopHost, may_end: false };
        self.drafts.push(Draft { name: name.into(), part });
        self
    }

    fn configure_last(&mut self, method: &'static str, change: impl FnOnce(&mut OnFailure, &mut bool)) {
        match self.drafts.last_mut() {
            Some(Draft { part: Part::Background { on_failure, may_end, .. }, .. }) => {
                change(on_failure, may_end);
            }
            Some(Draft { name, .. }) => {
                self.problems.push(HostBuildProblem::NotInBackground { service: name.clone(), method });
            }
            None => self.problems.push(HostBuildProblem::NothingToConfigure { method }),
        }
    }
}

fn boxed<F, Fut>(hook: F) -> Hook
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: ServiceFuture<Output = ServiceResult> + Send + 'static,
{
    Box::new(move || Box::pin(hook()))
}

impl fmt::Debug for HostBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.drafts.iter().map(|draft| draft.name.as_str()).collect();
        f.debug_struct("HostBuilder")
            .field("services", &names)
            .field("manner", &self.manner)
            .finish_non_exhaustive()
    }
}
