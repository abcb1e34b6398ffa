//! Stopping: in reverse, within one time for all, whatever fails on the way.

use std::time::Duration;

use super::builder::Hook;
use super::failure::{During, FailureCause, ServiceFailure};
use super::host::{Host, Part, Service};
use super::join::join_all;
use super::service::ErasedHosted;
use super::{HostError, HostPhase, ServiceState};
use crate::catch_panic::CatchPanic;
use crate::limits::HOST_LAST_MOMENT;
use crate::{BoxFuture, Env, Timestamp};

/// The time that all services share in a stop.
#[derive(Clone, Copy)]
pub(super) struct StopTimes {
    begun: Timestamp,
    limit: Duration,
    /// Until then services are stopped one after the other, and shall be done.
    soft: Timestamp,
    /// From then on they are dropped where they wait.
    hard: Timestamp,
}

impl StopTimes {
    pub(super) fn from_now(env: &Env, limit: Duration) -> Self {
        let now = env.now();
        // So that whoever looks at its deadline ends by itself.
        let last_moment = HOST_LAST_MOMENT.min(limit / 10);
        Self { begun: now, limit, soft: now + (limit - last_moment), hard: now + limit }
    }
}

impl Host {
    /// Stops every service, in reverse: each when the one after it has stopped. All share the
    /// [stop timeout](super::HostBuilder::stop_timeout) (25 s). When its last second begins, those that are left are
    /// told together; what has not ended with the time is dropped where it waits. One that fails keeps no other from
    /// being stopped.
    ///
    /// Harmless before a start, during one, and again: every call answers the one stop's outcome.
    ///
    /// Cancel safety: dropped before its end it may be called again and goes on, with the whole time again. Hooks, and
    /// the `stop` of a service that had not ended, are called again then.
    ///
    /// # Errors
    /// [`HostError::Failed`] has what failed: services of this host that failed before, then what failed in the stop.
    pub async fn stop(&self) -> Result<(), HostError> {
        self.stopped.get_or_init(|| self.stop_once()).await;
        let failures = self.alarm.failures();
        if failures.is_empty() { Ok(()) } else { Err(HostError::Failed { failures }) }
    }

    async fn stop_once(&self) {
        {
            let mut phase = self.phase.lock();
            match *phase {
                HostPhase::Built | HostPhase::Stopped => {
                    *phase = HostPhase::Stopped;
                    return self.alarm.ring();
                }
                _ => *phase = HostPhase::Stopping,
            }
        }
        self.alarm.ring();
        let times = StopTimes::from_now(&self.env, self.manner.stop_timeout);
        tokio::select! {
            biased;
            // What it has begun to start is then started, or dropped.
            () = self.start_is_over.cancelled() => {}
            () = self.env.sleep_until(times.soft) => {}
        }
        // One that hangs leaves the services their last moment.
        self.call_stop_hooks("on_stopping", &self.hooks.stopping, times.soft, times).await;
        self.stop_services(times).await;
        self.call_stop_hooks("on_stopped", &self.hooks.stopped, times.hard, times).await;
        *self.phase.lock() = HostPhase::Stopped;
    }

    async fn stop_services(&self, times: StopTimes) {
        let mut left = self.services.iter().rev();
        let mut late: Vec<BoxFuture<'_, ()>> = Vec::new();
        if !self.manner.stop_concurrently {
            for service in left.by_ref() {
                let mut stop: BoxFuture<'_, ()> = Box::pin(self.stop_service(service, times));
                tokio::select! {
                    biased;
                    () = &mut stop => {}
                    () = self.env.sleep_until(times.soft) => {
                        late.push(stop);
                        break;
                    }
                }
            }
        }
        late.extend(left.map(|service| -> BoxFuture<'_, ()> { Box::pin(self.stop_service(service, times)) }));
        join_all(late).await;
    }

    /// Tells a service to stop, and waits until it has, or was dropped.
    pub(super) async fn stop_service(&self, service: &Service, times: StopTimes) {
        let cause = match &service.part {
            Part::Hosted(hosted) => self.stop_hosted(service, &**hosted, times).await,
            Part::Background { .. } => self.stop_background(service, times).await,
        };
        if let Some(cause) = cause {
            let failure = ServiceFailure::new(&service.cell.name, During::Stop, cause);
            tracing::error!(error = %failure.text(), "a hosted service did not stop well; the stop goes on");
            service.cell.enter_because(ServiceState::Failed, failure.text());
            self.alarm.fail(failure);
        }
    }

    async fn stop_hosted(
        &self,
        service: &Service,
        hosted: &dyn ErasedHosted,
        times: StopTimes,
    ) -> Option<FailureCause> {
        let cell = &service.cell;
        if !cell.begin_stop(times.soft) {
            return None;
        }
        let limit = times.soft.since(self.env.now());
        let stop = CatchPanic::new(|| hosted.stop(limit));
        let ended = tokio::select! {
            biased;
            ended = self.scoped(cell.guarded("stop", stop)) => ended,
            () = self.env.sleep_until(times.hard) => return Some(FailureCause::TimedOut(times.limit)),
        };
        let cause = FailureCause::of(ended);
        if cause.is_none() {
            cell.enter(ServiceState::Stopped);
        }
        cause
    }

    async fn stop_background(&self, service: &Service, times: StopTimes) -> Option<FailureCause> {
        let cell = &service.cell;
        cell.begin_stop(times.soft);
        let task = service.task.get()?;
        tokio::select! {
            biased;
            () = task.ended() => return cell.take_stop_failure(),
            () = self.env.sleep_until(times.hard) => task.abort(),
        }
        tokio::select! {
            biased;
            () = task.ended() => cell.take_stop_failure().or(Some(FailureCause::TimedOut(times.limit))),
            () = self.env.sleep(HOST_LAST_MOMENT) => Some(FailureCause::Blocks(times.limit)),
        }
    }

    async fn call_stop_hooks(&self, name: &'static str, hooks: &[Hook], until: Timestamp, times: StopTimes) {
        for hook in hooks.iter().rev() {
            let cause = tokio::select! {
                biased;
                ended = self.scoped(CatchPanic::new(hook)) => FailureCause::of(ended),
                () = self.env.sleep_until(until) => Some(FailureCause::TimedOut(until.since(times.begun))),
            };
            if let Some(cause) = cause {
                self.alarm.fail(ServiceFailure::new(name, During::Stop, cause));
            }
        }
    }
}
