//! A function is added to a host as if it were a service of its own type.

use backgroundjobs_core::hosting::{Host, ServiceResult, Stopping};

async fn watch(stopping: Stopping) -> ServiceResult {
    stopping.cancelled().await;
    Ok(())
}

fn main() {
    let _ = Host::builder().background("watch", watch);
}
