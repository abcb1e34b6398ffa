//! The memory store keeps the store contract.

use std::sync::Arc;

use async_trait::async_trait;
use backgroundjobs_core::JobStore;
use backgroundjobs_memory::MemoryStore;
use backgroundjobs_testing::conformance::StoreFixture;

struct Memory;

#[async_trait]
impl StoreFixture for Memory {
    async fn fresh(&self) -> Arc<dyn JobStore> {
        Arc::new(MemoryStore::new())
    }
}

backgroundjobs_testing::store_conformance!(Memory);
