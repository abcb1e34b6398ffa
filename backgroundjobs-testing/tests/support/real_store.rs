//! A memory store whose every call is answered by a thread of its own, after 0 to 400 µs of real time.

use std::sync::Arc;

use backgroundjobs_core::{StoreError, StoreOperation};
use backgroundjobs_memory::MemoryStore;
use backgroundjobs_testing::{LayeredStore, StoreLayer};

use super::{real_answer, some_time};

pub(crate) type RealStore = LayeredStore<AnsweredByThreads>;

pub(crate) struct AnsweredByThreads;

/// Such a store.
pub(crate) fn real_store(store: MemoryStore) -> RealStore {
    LayeredStore::with(Arc::new(store), AnsweredByThreads)
}

impl StoreLayer for AnsweredByThreads {
    async fn around<T: Send>(
        &self,
        operation: StoreOperation,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        // Those are what the kit looks with, at each timer: a test would be of nothing else.
        if !matches!(operation, StoreOperation::Count | StoreOperation::List | StoreOperation::Queues) {
            real_answer(some_time()).await;
        }
        call.await
    }
}
