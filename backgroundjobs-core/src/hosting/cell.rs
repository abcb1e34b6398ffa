//! What a host knows of one service, shared by the host, the service's task and its handles.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::failure::{FailureCause, ServiceFailure};
use super::{ServiceHealth, ServiceReport, ServiceState};
use crate::events::Listeners;
use crate::{Env, ErrorText, Timestamp};

/// One service: its name, how it stands, and whether it shall stop.
pub(super) struct ServiceCell {
    pub(super) name: Arc<str>,
    pub(super) env: Env,
    pub(super) token: CancellationToken,
    pub(super) alarm: Arc<Alarm>,
    listeners: Listeners<ServiceReport>,
    status: Mutex<Status>,
}

struct Status {
    state: ServiceState,
    since: Timestamp,
    why: Option<ErrorText>,
    restarts: u64,
    reports: u64,
    last_report: Option<Box<ServiceReport>>,
    stop_deadline: Option<Timestamp>,
    /// How its stop failed, until the host has taken it.
    stop_failure: Option<Box<FailureCause>>,
}

/// By what a service has the host stopped, and what it fails with.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    rung: CancellationToken,
    failures: Mutex<Vec<ServiceFailure>>,
}

impl Alarm {
    /// The host shall stop.
    pub(super) fn ring(&self) {
        self.rung.cancel();
    }

    /// The host shall stop, and fail with this.
    pub(super) fn fail(&self, failure: ServiceFailure) {
        self.failures.lock().push(failure);
        self.ring();
    }

    /// Waits until the host shall stop. Cancel safe.
    pub(super) async fn rings(&self) {
        self.rung.cancelled().await;
    }

    pub(super) fn has_rung(&self) -> bool {
        self.rung.is_cancelled()
    }

    pub(super) fn failures(&self) -> Vec<ServiceFailure> {
        self.failures.lock().clone()
    }
}

impl ServiceCell {
    pub(super) fn new(
        name: Arc<str>,
        env: Env,
        alarm: Arc<Alarm>,
        listeners: Listeners<ServiceReport>,
    ) -> Arc<Self> {
        let status = Status {
            state: ServiceState::Built,
            since: env.now(),
            why: None,
            restarts: 0,
            reports: 0,
            last_report: None,
            stop_deadline: None,
            stop_failure: None,
        };
        Arc::new(Self {
            name,
            env,
            token: CancellationToken::new(),
            alarm,
            listeners,
            status: Mutex::new(status),
        })
    }

    pub(super) fn state(&self) -> ServiceState {
        self.status.lock().state
    }

    /// It stands so from now on. Why it was otherwise is kept: what restarts has failed before.
    pub(super) fn enter(&self, state: ServiceState) {
        let now = self.env.now();
        let mut status = self.status.lock();
        (status.state, status.since) = (state, now);
    }

    /// It stands so from now on, for this reason.
    pub(super) fn enter_because(&self, state: ServiceState, why: ErrorText) {
        let now = self.env.now();
        let mut status = self.status.lock();
        (status.state, status.since, status.why) = (state, now, Some(why));
    }

    /// It will be started again.
    pub(super) fn enter_restart(&self, why: ErrorText) {
        self.enter_because(ServiceState::Restarting, why);
        self.status.lock().restarts += 1;
    }

    /// Tells it to stop, and until when. Says whether it was at work.
    pub(super) fn begin_stop(&self, deadline: Timestamp) -> bool {
        let now = self.env.now();
        let was_at_work = {
            let mut status = self.status.lock();
            let is_new = matches!(status.state, ServiceState::Running | ServiceState::Restarting);
            if is_new {
                (status.state, status.since) = (ServiceState::Stopping, now);
            }
            is_new || status.state == ServiceState::Stopping
        };
        self.tell_to_stop(deadline);
        was_at_work
    }

    /// Tells it to stop, and until when.
    pub(super) fn tell_to_stop(&self, deadline: Timestamp) {
        self.status.lock().stop_deadline = Some(deadline);
        self.token.cancel();
    }

    pub(super) fn stop_deadline(&self) -> Option<Timestamp> {
        self.status.lock().stop_deadline
    }

    /// It was told to stop, and ended so.
    pub(super) fn fail_stop(&self, cause: FailureCause) {
        self.status.lock().stop_failure = Some(Box::new(cause));
    }

    pub(super) fn take_stop_failure(&self) -> Option<FailureCause> {
        self.status.lock().stop_failure.take().map(|cause| *cause)
    }

    /// Something went wrong that the service survives.
    pub(super) fn report(&self, what: String, error: ErrorText) {
        tracing::error!(service = &*self.name, what, %error, "a hosted service reports trouble, and goes on");
        let report = ServiceReport { service: self.name.to_string(), at: self.env.now(), what, error };
        {
            let mut status = self.status.lock();
            status.reports += 1;
            status.last_report = Some(Box::new(report.clone()));
        }
        self.listeners.tell(|| report);
    }

    pub(super) fn health(&self, counts: bool) -> ServiceHealth {
        let status = self.status.lock();
        ServiceHealth {
            service: self.name.to_string(),
            state: status.state,
            since: status.since,
            why: status.why.clone(),
            restarts: status.restarts,
            reports: status.reports,
            last_report: status.last_report.as_deref().cloned(),
            counts,
        }
    }
}
