//! What a conformance check says when it fails.

mod planted;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use async_trait::async_trait;
use backgroundjobs_testing::conformance::{Check, FreshStore, StoreUnderTest};
use planted::{MUTANTS, Mutant, PlantedStore};

struct Fixture(Mutant);

#[async_trait]
impl StoreUnderTest for Fixture {
    async fn fresh(&self) -> FreshStore {
        FreshStore::new(PlantedStore::new(self.0))
    }
}

#[test]
fn look() {
    let mut n = 0;
    let mut missed = vec![];
    for planted in MUTANTS {
        let fixture: Arc<dyn StoreUnderTest> = Arc::new(Fixture(planted.mutant));
        let check = Check::find("model::random_calls_are_answered_alike").unwrap();
        let rt = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let r = catch_unwind(AssertUnwindSafe(|| rt.block_on(check.run(&fixture))));
        if r.is_err() {
            n += 1;
        } else {
            missed.push(planted.mutant)
        }
    }
    println!("killed {n} of {}; missed {missed:?}", MUTANTS.len());
}
