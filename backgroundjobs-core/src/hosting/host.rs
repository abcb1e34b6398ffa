//! [`Host`]: services that are started and stopped together.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::builder::{Hooks, HostBuilder, Manner};
use super::cell::{Alarm, ServiceCell};
use super::service::{ErasedBackground, ErasedHosted};
use super::{HostHealth, HostPhase, OnFailure, ServiceReport, ServiceResult, ServiceState};
use crate::env::TaskHandle;
use crate::events::Listeners;
use crate::{BackgroundJobManager, Env, JobManager};

/// Services that are started and stopped together.
///
/// ```text
/// Host::builder().background(name, service).build()?  →  run(until the program shall end).await?
/// ```
///
/// [`run`](Self::run) is [`start`](Self::start), a wait, and [`stop`](Self::stop); they may be called apart. A host
/// is started once. Dropping one that was not stopped tells every service to stop, and warns; it cannot wait.
pub struct Host {
    pub(super) env: Env,
    pub(super) services: Vec<Service>,
    pub(super) hooks: Hooks,
    pub(super) manner: Manner,
    manager: Option<Arc<dyn JobManager>>,
    pub(super) alarm: Arc<Alarm>,
    pub(super) phase: Mutex<HostPhase>,
    /// No start is under way any more.
    pub(super) start_is_over: CancellationToken,
    pub(super) stopped: OnceCell<()>,
}

/// One service of a host.
pub(super) struct Service {
    pub(super) cell: Arc<ServiceCell>,
    pub(super) part: Part,
    /// That of a background service, once it was started.
    pub(super) task: OnceLock<TaskHandle>,
}

/// What a service is.
pub(super) enum Part {
    Hosted(Arc<dyn ErasedHosted>),
    Background { service: Arc<dyn ErasedBackground>, on_failure: OnFailure, may_end: bool },
}

impl Part {
    pub(super) fn check(&self) -> ServiceResult {
        match self {
            Self::Hosted(service) => service.check(),
            Self::Background { service, .. } => service.check(),
        }
    }

    pub(super) fn manager(&self) -> Option<Arc<dyn JobManager>> {
        match self {
            Self::Hosted(service) => service.manager(),
            Self::Background { .. } => None,
        }
    }
}

/// What the builder puts together.
pub(super) struct Parts {
    pub(super) services: Vec<(String, Part)>,
    pub(super) hooks: Hooks,
    pub(super) manner: Manner,
    pub(super) manager: Option<Arc<dyn JobManager>>,
    pub(super) env: Env,
    pub(super) on_report: Listeners<ServiceReport>,
}

impl Host {
    /// Starts to put a host together.
    pub fn builder() -> HostBuilder {
        HostBuilder::new()
    }

    pub(super) fn assemble(parts: Parts) -> Self {
        let Parts { services, hooks, manner, manager, env, on_report } = parts;
        let alarm = Arc::<Alarm>::default();
        let services = services.into_iter().map(|(name, part)| Service {
            cell: ServiceCell::new(name.into(), env.clone(), alarm.clone(), on_report.clone()),
            part,
            task: OnceLock::new(),
        });
        Self {
            services: services.collect(),
            hooks,
            manner,
            manager,
            alarm,
            phase: Mutex::new(HostPhase::Built),
            start_is_over: CancellationToken::new(),
            stopped: OnceCell::new(),
            env,
        }
    }

    /// How the host and each of its services stand.
    #[must_use]
    pub fn health(&self) -> HostHealth {
        let services = self.services.iter().map(|service| service.cell.health(service.counts()));
        HostHealth { phase: *self.phase.lock(), services: services.collect() }
    }

    /// Asks the host to stop, as its `shutdown` would; [`run`](Self::run) then stops it.
    pub fn request_stop(&self) {
        self.alarm.ring();
    }

    /// Waits until the host shall stop: a service failed whose failure stops it, or somebody
    /// [asked](Self::request_stop) or called [`stop`](Self::stop). For programs that start and stop it themselves.
    ///
    /// Cancel safety: may be dropped and called again.
    pub async fn stop_requested(&self) {
        self.alarm.rings().await;
    }

    /// Runs `future` with the services' manager as the current one, where they have one.
    pub(super) fn scoped<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        let manager = self.manager.clone();
        async move {
            match manager {
                Some(manager) => BackgroundJobManager::scope(manager, future).await,
                None => future.await,
            }
        }
    }
}

impl Service {
    /// Whether its failures count.
    fn counts(&self) -> bool {
        !matches!(self.part, Part::Background { on_failure: OnFailure::Ignore, .. })
    }

    /// Whether something of it is left to be stopped.
    pub(super) fn is_at_work(&self) -> bool {
        match &self.part {
            Part::Hosted(_) => {
                matches!(
                    self.cell.state(),
                    ServiceState::Starting | ServiceState::Running | ServiceState::Stopping
                )
            }
            Part::Background { .. } => self.task.get().is_some_and(|task| !task.has_ended()),
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if !matches!(*self.phase.get_mut(), HostPhase::Built | HostPhase::Stopped) {
            tracing::warn!(
                "a host was dropped without stop(): its services are told to stop, and nobody waits for them; call \
                 host.run(..).await, or host.stop().await before"
            );
            let now = self.env.now();
            self.services.iter().for_each(|service| service.cell.tell_to_stop(now));
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.services.iter().map(|service| &*service.cell.name).collect();
        f.debug_struct("Host")
            .field("phase", &*self.phase.lock())
            .field("services", &names)
            .finish_non_exhaustive()
    }
}
