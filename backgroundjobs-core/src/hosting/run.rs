//! A host from its start to its end.

use std::future::{Future, pending};
use std::pin::pin;

use super::host::Host;
use super::{HostError, HostPhase};

impl Host {
    /// Starts every service, waits until `shutdown` has ended or the host [shall stop](Self::stop_requested), and
    /// stops them. A shutdown during the start ends the start.
    ///
    /// `shutdown` is whatever ends a program: a signal, the end of a test, a future that never ends. Return the error
    /// from `main`, so that the process does not end as if all were well.
    ///
    /// Cancel safety: dropped before its end, the services run on; [`stop`](Self::stop) stops them.
    ///
    /// # Errors
    /// As [`start`](Self::start) and [`stop`](Self::stop): also when a service failed in between.
    pub async fn run(&self, shutdown: impl Future<Output = ()>) -> Result<(), HostError> {
        self.run_until(shutdown, pending()).await
    }

    /// As [`run`](Self::run), with a second word: when `second` ends after the first, the host does not wait any
    /// longer. `signals()`, of the feature of that name, is such a pair.
    ///
    /// Cancel safety: as that of [`run`](Self::run).
    ///
    /// # Errors
    /// As [`run`](Self::run); and [`HostError::Interrupted`] names what had not stopped when `second` ended.
    pub async fn run_until(
        &self,
        first: impl Future<Output = ()>,
        second: impl Future<Output = ()>,
    ) -> Result<(), HostError> {
        let (mut first, mut is_told) = (pin!(first), false);
        let started = tokio::select! {
            biased;
            started = self.start_once() => started?,
            () = &mut first => {
                is_told = true;
                false
            }
        };
        if started {
            tokio::select! {
                biased;
                () = &mut first => is_told = true,
                () = self.stop_requested() => {}
            }
        }
        let told_twice = async {
            if !is_told {
                first.await;
            }
            second.await;
        };
        tokio::select! {
            biased;
            stopped = self.stop() => stopped,
            () = told_twice => Err(self.interrupt()),
        }
    }

    /// Drops every service that has not stopped, and names it.
    fn interrupt(&self) -> HostError {
        *self.phase.lock() = HostPhase::Stopped;
        let left: Vec<String> = self
            .services
            .iter()
            .filter(|service| service.is_at_work())
            .map(|service| service.cell.name.to_string())
            .collect();
        let now = self.env.now();
        for service in &self.services {
            service.cell.tell_to_stop(now);
            if let Some(task) = service.task.get() {
                task.abort();
            }
        }
        HostError::Interrupted { left, failures: self.alarm.failures() }
    }
}
