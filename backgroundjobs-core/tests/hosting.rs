//! A host: its services from start to stop.

use std::time::Duration;

use backgroundjobs_core::hosting::{Host, HostPhase, ServiceState, Stopping};
use backgroundjobs_testing::TestKit;
use parking_lot::Mutex;
use std::sync::Arc;

const SECOND: Duration = Duration::from_secs(1);

type Log = Arc<Mutex<Vec<String>>>;

#[tokio::test]
async fn a_loop_of_a_thousand_seconds_is_stopped_where_it_sleeps() {
    let (kit, log) = (TestKit::new(), Log::default());
    let seen = log.clone();
    let host = kit
        .start_host(Host::builder().background_fn("refresher", move |stopping: Stopping| {
            let seen = seen.clone();
            async move {
                while stopping.sleep(SECOND * 1_000).await.has_elapsed() {
                    seen.lock().push(format!("tick at {}", stopping.now()));
                }
                seen.lock().push("told to stop".to_owned());
                Ok(())
            }
        }))
        .await;
    assert_eq!(host.health().phase, HostPhase::Running);
    _ = kit.advance(SECOND * 2_500).await;
    let begun = kit.now();
    kit.run(host.stop()).await.expect("it stops well");
    assert_eq!(kit.now(), begun, "nothing is waited for");
    let log = log.lock().clone();
    assert_eq!(log, ["tick at 2030-01-01T00:16:40Z", "tick at 2030-01-01T00:33:20Z", "told to stop"]);
    assert_eq!(host.health().services[0].state, ServiceState::Stopped);
    kit.finish().await;
}
