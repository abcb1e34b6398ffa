//! The custom store of the example keeps the store contract, all of it that can be checked.

#[path = "../src/bin/custom_store/store.rs"]
mod store;

use std::sync::Arc;

use async_trait::async_trait;
use backgroundjobs_core::JobStore;
use backgroundjobs_testing::conformance::StoreFixture;
use store::MapStore;

struct Fixture;

#[async_trait]
impl StoreFixture for Fixture {
    async fn fresh(&self) -> Arc<dyn JobStore> {
        Arc::new(MapStore::new())
    }
}

backgroundjobs_testing::store_conformance!(Fixture);
