//! The custom store of the example keeps the store contract, all of it that can be checked.

#[path = "../src/bin/custom_store/store.rs"]
mod store;

use async_trait::async_trait;
use backgroundjobs_testing::conformance::{FreshStore, StoreUnderTest};
use store::MapStore;

struct Map;

#[async_trait]
impl StoreUnderTest for Map {
    async fn fresh(&self) -> FreshStore {
        FreshStore::new(MapStore::new())
    }
}

backgroundjobs_testing::store_conformance!(Map);
