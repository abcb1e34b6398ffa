//! The task of one background service: runs it, and does what its failures ask for.

use std::sync::Arc;

use super::cell::ServiceCell;
use super::failure::{During, FailureCause, ServiceFailure};
use super::service::ErasedBackground;
use super::{OnFailure, ServiceResult, ServiceState, Stopping};
use crate::ErrorText;
use crate::catch_panic::CatchPanic;

pub(super) struct Runner {
    pub(super) service: Arc<dyn ErasedBackground>,
    pub(super) cell: Arc<ServiceCell>,
    pub(super) on_failure: OnFailure,
    pub(super) may_end: bool,
}

impl Runner {
    /// Runs the service until it has ended for good.
    pub(super) async fn run(self) {
        let Self { cell, .. } = &self;
        let mut restarts = 0;
        loop {
            let begun = cell.env.now();
            let stopping = Stopping::new(cell.clone());
            let ended = CatchPanic::new(|| self.service.execute(stopping.clone())).await;
            if stopping.is_stopping() {
                return self.stopped(ended);
            }
            let cause = match FailureCause::of(ended) {
                None if self.may_end => return cell.enter(ServiceState::Ended),
                None => FailureCause::Returned,
                Some(cause) => cause,
            };
            let failure = ServiceFailure::new(&cell.name, During::Run, cause);
            let next = match self.on_failure {
                OnFailure::StopHost => None,
                OnFailure::Ignore => return self.ignore(&failure),
                OnFailure::Restart(policy) => policy.next(restarts, cell.env.now().since(begun), &cell.env),
            };
            let Some((restart, wait)) = next else { return self.fail(failure, restarts) };
            restarts = restart;
            cell.enter_restart(failure.text());
            cell.report(
                "execute".to_owned(),
                ErrorText::new(&format!("{}; restart {restart} in a row comes in {wait:?}", failure.text())),
            );
            if !stopping.sleep(wait).await.has_elapsed() {
                return cell.enter(ServiceState::Stopped);
            }
            cell.enter(ServiceState::Running);
        }
    }

    fn stopped(&self, ended: Result<ServiceResult, String>) {
        match FailureCause::of(ended) {
            None => self.cell.enter(ServiceState::Stopped),
            Some(cause) => self.cell.fail_stop(cause),
        }
    }

    fn ignore(&self, failure: &ServiceFailure) {
        self.cell.enter_because(ServiceState::Failed, failure.text());
        self.cell.report("execute".to_owned(), failure.text());
    }

    fn fail(&self, failure: ServiceFailure, restarts: u16) {
        let text = failure.text();
        tracing::error!(service = &*self.cell.name, error = %text, restarts, "a hosted service failed; the host stops");
        self.cell.enter_because(ServiceState::Failed, text);
        self.cell.alarm.fail(failure);
    }
}
