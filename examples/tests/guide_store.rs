//! The store of `docs/writing-a-store.md` keeps the store contract, and its steps are as the guide says.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use backgroundjobs_core::{JobStore, StoreError, StoreErrorKind, StoreOperation};
use backgroundjobs_testing::conformance::{CHECKS, Check, FreshStore, OwnClock, StoreUnderTest, run_all};
use backgroundjobs_testing::{LayeredStore, StoreLayer, VirtualClock};
use examples::guide_store::{Data, GuideStore};

const GUIDE: &str = include_str!("../../docs/writing-a-store.md");

struct Guide;

#[async_trait]
impl StoreUnderTest for Guide {
    async fn fresh(&self) -> FreshStore {
        let data = Data::default();
        FreshStore::new(GuideStore::open(data.clone(), None)).guarded_by(data)
    }

    async fn second_handle(&self, fresh: &FreshStore) -> Option<Arc<dyn JobStore>> {
        Some(Arc::new(GuideStore::open(fresh.guard::<Data>().clone(), None)))
    }

    async fn reopen(&self, fresh: &FreshStore) -> Option<Arc<dyn JobStore>> {
        Some(Arc::new(GuideStore::open(fresh.guard::<Data>().clone(), None)))
    }

    async fn own_clock(&self) -> Option<OwnClock> {
        let clock = VirtualClock::new();
        let store = GuideStore::open(Data::default(), Some(Arc::new(clock.clone())));
        Some(OwnClock::new(FreshStore::new(store), move |now| _ = clock.set(now)))
    }
}

backgroundjobs_testing::store_conformance!(Guide);

/// A store of which only some methods are written.
struct Unfinished(&'static [StoreOperation]);

struct Written(&'static [StoreOperation]);

#[async_trait]
impl StoreUnderTest for Unfinished {
    async fn fresh(&self) -> FreshStore {
        let store = Arc::new(GuideStore::open(Data::default(), None));
        FreshStore::new(LayeredStore::with(store, Written(self.0)))
    }
}

impl StoreLayer for Written {
    async fn around<T: Send>(
        &self,
        operation: StoreOperation,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        if self.0.contains(&operation) {
            return call.await;
        }
        Err(StoreError::new(operation, StoreErrorKind::Other, "not written yet"))
    }
}

/// The steps of the guide's table, each with the methods that it adds, in the order of the guide.
const METHODS: [(StoreOperation, &str); 9] = [
    (StoreOperation::Prepare, "prepare"),
    (StoreOperation::Insert, "insert"),
    (StoreOperation::Get, "get"),
    (StoreOperation::Claim, "claim"),
    (StoreOperation::Settle, "settle"),
    (StoreOperation::Cancel, "cancel"),
    (StoreOperation::Renew, "renew"),
    (StoreOperation::Recover, "recover"),
    (StoreOperation::Prune, "prune"),
];

/// What does not fail once the first so many methods are written.
async fn good_checks(written: usize) -> BTreeSet<&'static str> {
    let operations: Vec<_> = METHODS[..written].iter().map(|(operation, _)| *operation).collect();
    let report = run_all(Unfinished(operations.leak())).await;
    report.results.iter().filter(|result| result.outcome.is_ok()).map(|result| result.check.name()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_each_step_the_checks_pass_that_the_guide_names() {
    let (mut written, mut steps, mut named) = (0, 0, 0);
    let mut before = good_checks(0).await;
    let table = GUIDE.lines().skip_while(|line| !line.starts_with("| step |")).skip(2);
    for row in table.take_while(|line| line.starts_with('|')) {
        let [_, _, methods, checks, _] = row.split('|').collect::<Vec<_>>()[..] else { panic!("{row}") };
        while METHODS.get(written).is_some_and(|(_, name)| methods.contains(&format!("`{name}`"))) {
            written += 1;
        }
        let after = good_checks(written).await;
        // The keys are in every method of the guide's store, so their step shows nothing new here.
        let is_of_methods = methods.contains('`');
        for pattern in checks.split('`').skip(1).step_by(2) {
            let theme = pattern.strip_suffix('*');
            let is_meant = |name: &str| theme.map_or(name == pattern, |theme| name.starts_with(theme));
            let meant: Vec<_> = CHECKS.iter().map(Check::name).filter(|name| is_meant(name)).collect();
            assert!(!meant.is_empty(), "there is no check {pattern}");
            let failing: Vec<_> = meant.iter().filter(|name| !after.contains(**name)).collect();
            assert!(failing.is_empty(), "after{methods}these fail: {failing:?}");
            let is_new = meant.iter().any(|name| !before.contains(name));
            assert!(is_new || !is_of_methods, "{pattern} passes before{methods}");
            named += 1;
        }
        steps += 1;
        before = after;
    }
    assert_eq!((steps, written), (8, METHODS.len()));
    assert!(named > 25, "only {named} checks are named");
    assert_eq!(before.len(), CHECKS.len(), "checks that fail at the end");
}
