//! Starting: in order, or all together; what was started is stopped again when something fails.

use super::builder::Hook;
use super::cell::ServiceCell;
use super::failure::{During, FailureCause, ServiceFailure};
use super::host::{Host, Part, Service};
use super::join::join_all;
use super::runner::Runner;
use super::service::ErasedHosted;
use super::stop::StopTimes;
use super::{HostError, HostPhase, ServiceState, Stopping};
use crate::catch_panic::CatchPanic;
use crate::{BoxFuture, TaskKind, Timestamp};

/// Why the start does not go on.
enum Halted {
    /// The host shall stop.
    Told,
    Failed(ServiceFailure),
}

impl Host {
    /// Starts every service, in the order in which they were added: each when the one before is ready. When one fails,
    /// those before it are stopped, in reverse, and the rest is not started.
    ///
    /// A stop meanwhile wins: the service that is being started is dropped where it waits, and the others are stopped.
    ///
    /// Cancel safety: dropped before its end, what was started runs on; [`stop`](Self::stop) stops it.
    ///
    /// # Errors
    /// [`HostError::Failed`] has what failed, in the start and in the stop that followed it.
    /// [`HostError::Twice`], [`HostError::Stopped`] and [`HostError::NoRuntime`]: nothing was started.
    pub async fn start(&self) -> Result<(), HostError> {
        if self.start_once().await? { Ok(()) } else { self.stop().await.and(Err(HostError::Stopped)) }
    }

    /// Starts every service, and says whether all were; if not, the host is to be stopped.
    ///
    /// # Errors
    /// Nothing was started, and the host is as it was.
    pub(super) async fn start_once(&self) -> Result<bool, HostError> {
        if !self.env.can_spawn() {
            return Err(HostError::NoRuntime);
        }
        let starting = Starting::begin(self)?;
        let halted = self.start_all().await.err().unwrap_or_default();
        for halted in halted {
            if let Halted::Failed(failure) = halted {
                tracing::error!(error = %failure.text(), "a host does not start");
                self.alarm.fail(failure);
            }
        }
        Ok(starting.finish())
    }

    async fn start_all(&self) -> Result<(), Vec<Halted>> {
        let until = self.manner.start_timeout.map(|timeout| self.env.now() + timeout);
        self.call_start_hooks("on_starting", &self.hooks.starting, until).await.map_err(one)?;
        if self.manner.start_concurrently {
            let starts = self
                .services
                .iter()
                .map(|service| -> BoxFuture<'_, _> { Box::pin(self.start_service(service, until)) });
            let halted: Vec<Halted> =
                join_all(starts.collect()).await.into_iter().filter_map(Result::err).collect();
            if !halted.is_empty() {
                return Err(halted);
            }
        } else {
            for service in &self.services {
                self.start_service(service, until).await.map_err(one)?;
            }
        }
        self.call_start_hooks("on_started", &self.hooks.started, until).await.map_err(one)
    }

    async fn start_service(&self, service: &Service, until: Option<Timestamp>) -> Result<(), Halted> {
        match &service.part {
            Part::Background { .. } => self.spawn(service),
            Part::Hosted(hosted) => {
                if self.alarm.has_rung() {
                    return Err(Halted::Told);
                }
                let _starts = Starts::begin(&service.cell);
                self.start_hosted(service, &**hosted, until).await?;
                self.note_started(service).await
            }
        }
    }

    /// Starts a background service's task, unless a stop has begun.
    fn spawn(&self, service: &Service) -> Result<(), Halted> {
        let Part::Background { service: background, on_failure, may_end } = &service.part else {
            return Ok(());
        };
        let phase = self.phase.lock();
        if *phase != HostPhase::Starting || self.alarm.has_rung() {
            return Err(Halted::Told);
        }
        service.cell.enter(ServiceState::Running);
        let runner = Runner {
            service: background.clone(),
            cell: service.cell.clone(),
            on_failure: *on_failure,
            may_end: *may_end,
        };
        // Boxed here, because every future around it would have room for it twice.
        let run: BoxFuture<'static, ()> = Box::pin(runner.run());
        let task = self.env.spawn(TaskKind::Work, &*service.cell.name, self.scoped(run));
        // Under the lock, so that a stop that comes now finds it.
        if service.task.set(task).is_err() {
            unreachable!("a host is started once, and with it each service");
        }
        drop(phase);
        Ok(())
    }

    async fn start_hosted(
        &self,
        service: &Service,
        hosted: &dyn ErasedHosted,
        until: Option<Timestamp>,
    ) -> Result<(), Halted> {
        let cell = &service.cell;
        let start = CatchPanic::new(|| hosted.start(Stopping::new(cell.clone())));
        let start = self.scoped(cell.guarded("start", start));
        let cause = tokio::select! {
            biased;
            () = self.alarm.rings() => return Err(Halted::Told),
            ended = start => FailureCause::of(ended),
            () = self.start_time_is_over(until) => self.manner.start_timeout.map(FailureCause::TimedOut),
        };
        let Some(cause) = cause else { return Ok(()) };
        let failure = ServiceFailure::new(&cell.name, During::Start, cause);
        cell.enter_because(ServiceState::Failed, failure.text());
        Err(Halted::Failed(failure))
    }

    /// From now on a stop stops this service. If one has begun and passed it by, it is stopped here.
    async fn note_started(&self, service: &Service) -> Result<(), Halted> {
        {
            let phase = self.phase.lock();
            service.cell.enter(ServiceState::Running);
            if *phase == HostPhase::Starting {
                return Ok(());
            }
        }
        let times = StopTimes::from_now(&self.env, self.manner.stop_timeout);
        self.stop_service(service, times).await;
        Err(Halted::Told)
    }

    async fn call_start_hooks(
        &self,
        name: &'static str,
        hooks: &[Hook],
        until: Option<Timestamp>,
    ) -> Result<(), Halted> {
        for hook in hooks {
            let cause = tokio::select! {
                biased;
                () = self.alarm.rings() => return Err(Halted::Told),
                ended = self.scoped(CatchPanic::new(hook)) => FailureCause::of(ended),
                () = self.start_time_is_over(until) => self.manner.start_timeout.map(FailureCause::TimedOut),
            };
            if let Some(cause) = cause {
                return Err(Halted::Failed(ServiceFailure::new(name, During::Start, cause)));
            }
        }
        Ok(())
    }

    async fn start_time_is_over(&self, until: Option<Timestamp>) {
        match until {
            Some(until) => self.env.sleep_until(until).await,
            None => std::future::pending().await,
        }
    }
}

fn one(halted: Halted) -> Vec<Halted> {
    vec![halted]
}

/// A service that starts. One that is dropped where it waited has stopped.
struct Starts<'a>(&'a ServiceCell);

impl<'a> Starts<'a> {
    fn begin(cell: &'a ServiceCell) -> Self {
        cell.enter(ServiceState::Starting);
        Self(cell)
    }
}

impl Drop for Starts<'_> {
    fn drop(&mut self) {
        if self.0.state() == ServiceState::Starting {
            self.0.enter(ServiceState::Stopped);
        }
    }
}

/// A start under way; over when it is dropped, also before its end.
struct Starting<'a> {
    host: &'a Host,
}

impl<'a> Starting<'a> {
    fn begin(host: &'a Host) -> Result<Self, HostError> {
        let mut phase = host.phase.lock();
        match *phase {
            HostPhase::Built => {
                *phase = HostPhase::Starting;
                Ok(Self { host })
            }
            HostPhase::Starting | HostPhase::Running => Err(HostError::Twice),
            HostPhase::Stopping | HostPhase::Stopped => Err(HostError::Stopped),
        }
    }

    /// Whether the host runs now: a stop that came meanwhile wins.
    fn finish(&self) -> bool {
        let mut phase = self.host.phase.lock();
        let is_running = *phase == HostPhase::Starting && !self.host.alarm.has_rung();
        if is_running {
            *phase = HostPhase::Running;
        }
        is_running
    }
}

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        self.host.start_is_over.cancel();
    }
}
