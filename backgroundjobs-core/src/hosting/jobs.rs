//! A program's jobs as a service of its host.

use std::sync::Arc;
use std::time::Duration;

use super::{HostedService, ServiceResult, Stopping};
use crate::{BackgroundJobs, JobManager, StopReport};

/// Its `stop` drains for what is left of the limit after two cancel graces (5 s each): one in which runs that outlast
/// the drain may end, and one for the store to be told.
impl HostedService for BackgroundJobs {
    async fn start(&self, _: Stopping) -> ServiceResult {
        Ok(Self::start(self).await?)
    }

    async fn stop(&self, limit: Duration) -> ServiceResult {
        let drain = limit.saturating_sub(self.cancel_grace() * 2);
        let report = Self::stop(self, drain).await?;
        if report.is_clean() { Ok(()) } else { Err(Box::new(LeftBehind { report })) }
    }

    fn manager(&self) -> Option<Arc<dyn JobManager>> {
        Some(Self::manager(self))
    }
}

#[derive(Debug, thiserror::Error)]
#[error(
    "{} of its handlers block their threads and still run, and {} of its parts still wait for the store",
    report.still_running.len(),
    report.calls_in_flight.len()
)]
struct LeftBehind {
    report: StopReport,
}
