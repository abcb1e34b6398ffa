//! [`crash_everywhere`]: a scenario with a crash at each point that its processes come to.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::caught::{caught, message};
use crate::ledger::Ledger;
use crate::{TestKit, TestKitBuilder};

/// Points after which a scenario is taken to have no end.
const MAX_POINTS: u64 = 100_000;

/// What crashes at every point have shown.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a report says how many crashes there were, and what came of them; a test that does not look may have seen none"]
#[non_exhaustive]
pub struct CrashReport {
    /// The points at which a process crashed: how often each was met.
    pub points: BTreeMap<String, u64>,
    /// How many crashes there were: one for each run of the scenario but the last.
    pub crashes: u64,
    /// Runs that were made again, because the first had ended and the store was not told, over all crashes.
    pub reruns: u64,
    /// Jobs that were taken back because their worker's lease ran out, over all crashes.
    pub recoveries: u64,
}

/// Runs a scenario again and again. The first time the first [node](TestKit::node) that comes to a point crashes
/// there; the second time, at the second point; and so on until there are no more. Points are: before and after
/// each store call of a node's tasks, before and after each run; the call that prepares the store is made by
/// whoever starts the node, and is none. The node starts again at once, with nothing but what the
/// store has. After each run `judge` looks at the [`Ledger`]; the last run is one without a crash.
///
/// The scenario starts its nodes, enqueues through them or another program, and lets time pass until all is over
/// (a lost lease takes 30 s). The store must be made in the scenario and outlive its nodes.
///
/// ```
/// # use backgroundjobs_core::prelude::*;
/// # use backgroundjobs_memory::prelude::*;
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Serialize, Deserialize)]
/// # struct Mail;
/// # impl JobArgs for Mail { const KIND: &'static str = "mail"; }
/// use backgroundjobs_testing::{Ledger, Limits, crash_everywhere};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let report = crash_everywhere(
///     async |kit| {
///         let store = MemoryStore::new();
///         let node = kit.node("a").start(move || {
///             let store = store.clone();
///             BackgroundJobs::builder(|options| options.use_store(store))
///                 .register_fn(async |_: Mail, _: JobContext| Ok(()))
///         });
///         node.await.manager().enqueue(Mail).await.expect("stored");
///         let _ = kit.drain(Limits::new()).await;
///     },
///     Ledger::assert_at_least_once,
/// )
/// .await;
/// assert!(report.crashes > 5 && report.reruns > 0 && report.recoveries > 0, "{report:?}");
/// # }
/// ```
///
/// # Panics
/// When the scenario or the judge fails, with the point of the crash; when no node comes to any point.
pub async fn crash_everywhere(scenario: impl AsyncFn(&TestKit), judge: impl Fn(&Ledger)) -> CrashReport {
    crash_everywhere_with(TestKit::builder(), scenario, judge).await
}

/// As [`crash_everywhere`], on kits put together by hand.
///
/// # Panics
/// As [`crash_everywhere`] does.
pub async fn crash_everywhere_with(
    builder: TestKitBuilder,
    scenario: impl AsyncFn(&TestKit),
    judge: impl Fn(&Ledger),
) -> CrashReport {
    let mut report = CrashReport { points: BTreeMap::new(), crashes: 0, reruns: 0, recoveries: 0 };
    for at in 1..=MAX_POINTS {
        let kit = builder.build();
        crash_at(&kit, at);
        let end = caught(scenario(&kit)).await;
        let place = kit.shared().plan.happened();
        kit.abandon();
        let told = |what: &str, text: &str| -> ! {
            let place = place
                .clone()
                .map_or_else(|| "without a crash".into(), |place| format!("crash {at}, {place}"));
            panic!("{place}: {what}: {text}")
        };
        if let Err(text) = end {
            told("the scenario failed", &text);
        }
        let ledger = match caught(kit.ledger()).await {
            Ok(ledger) => ledger,
            Err(text) => told("there is no ledger", &text),
        };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| judge(&ledger))) {
            told("the judge found a fault", &message(&*panic));
        }
        let Some(place) = place else {
            assert!(
                at > 1,
                "no node came to any point: start the program by kit.node(..).start(..), and let time pass"
            );
            return report;
        };
        *report.points.entry(place).or_default() += 1;
        report.crashes += 1;
        report.reruns += ledger.reruns();
        report.recoveries += ledger.recoveries();
    }
    panic!(
        "after {MAX_POINTS} crashes there are still more points: give crash_everywhere a shorter scenario"
    );
}

/// Has the node that comes to the `at`th point crash there, and start again.
fn crash_at(kit: &TestKit, at: u64) {
    let shared = Arc::downgrade(kit.shared());
    kit.shared().plan.set(at, move |life| {
        let Some(shared) = shared.upgrade() else { return };
        let node = shared.nodes.lock().iter().find(|node| node.is_life(life)).cloned();
        if let Some(node) = node {
            node.crash_and_restart();
        }
    });
}
