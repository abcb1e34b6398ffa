//! [`HostHealth`]: how a host and its services stand, as values.

use std::fmt;

use crate::{ErrorText, Timestamp};

/// How a host and its services stand.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HostHealth {
    /// The host itself.
    pub phase: HostPhase,
    /// Each service, in the order in which they were added.
    pub services: Vec<ServiceHealth>,
}

/// How far a host has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum HostPhase {
    /// It was not started.
    Built,
    /// Its services are being started.
    Starting,
    /// Every service was started.
    Running,
    /// Its services are being stopped.
    Stopping,
    /// It is stopped for good.
    Stopped,
}

/// How a service stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceHealth {
    /// Its name.
    pub service: String,
    /// How it stands.
    pub state: ServiceState,
    /// Since when.
    pub since: Timestamp,
    /// Why it failed last, if it ever did: also while it runs again.
    pub why: Option<ErrorText>,
    /// How often it was started again.
    pub restarts: u64,
    /// How often it reported trouble that it survived.
    pub reports: u64,
    /// The last such report.
    pub last_report: Option<ServiceReport>,
    /// Its failures count: they are not ignored.
    pub(super) counts: bool,
}

/// The states of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ServiceState {
    /// It was not started.
    Built,
    /// It is being started.
    Starting,
    /// It was started, and is at work.
    Running,
    /// It failed, and is started again after a while.
    Restarting,
    /// It ended by itself, and may.
    Ended,
    /// It failed for good.
    Failed,
    /// It was told to stop.
    Stopping,
    /// It has stopped.
    Stopped,
}

/// Something that went wrong and that the service survived.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceReport {
    /// The service's name.
    pub service: String,
    /// When.
    pub at: Timestamp,
    /// What failed: `tick 3`, `task mail`, `refresh`, `execute` for a service that is started again or ignored.
    pub what: String,
    /// How.
    pub error: ErrorText,
}

impl HostHealth {
    /// Whether the program should get work: every service was started, and none has failed or is about to be
    /// started again, but for those whose failures are ignored.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let works = |service: &ServiceHealth| {
            !service.counts || matches!(service.state, ServiceState::Running | ServiceState::Ended)
        };
        self.phase == HostPhase::Running && self.services.iter().all(works)
    }

    /// Whether the program should be left alone: it is not stopped, and no service has failed for good, but for those
    /// whose failures are ignored. A program that starts or stops is live.
    #[must_use]
    pub fn is_live(&self) -> bool {
        let failed = |service: &ServiceHealth| service.counts && service.state == ServiceState::Failed;
        self.phase != HostPhase::Stopped && !self.services.iter().any(failed)
    }

    /// The service of this name.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&ServiceHealth> {
        self.services.iter().find(|service| service.service == name)
    }
}

impl ServiceState {
    /// The state's name in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Built => "built",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Restarting => "restarting",
            Self::Ended => "ended",
            Self::Failed => "failed",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for ServiceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for ServiceHealth {
    /// `mailer is failed since 2030-01-01T00:00:05Z: no route`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {} since {}", self.service, self.state, self.since)?;
        self.why.as_ref().map_or(Ok(()), |why| write!(f, ": {why}"))
    }
}
