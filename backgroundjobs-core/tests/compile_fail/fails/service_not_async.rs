//! A service's function is not async.

use backgroundjobs_core::hosting::{Host, ServiceResult, Stopping};

fn watch(_stopping: Stopping) -> ServiceResult {
    Ok(())
}

fn main() {
    let _ = Host::builder().background_fn("watch", watch);
}
