//! A service that works in the background is added as one that only starts and stops.

use backgroundjobs_core::hosting::{BackgroundService, Host, ServiceResult, Stopping};

struct Watch;
impl BackgroundService for Watch {
    async fn execute(&self, stopping: Stopping) -> ServiceResult {
        stopping.cancelled().await;
        Ok(())
    }
}

fn main() {
    let _ = Host::builder().service("watch", Watch);
}
