//! The memory store keeps the store contract.

use std::sync::Arc;

use async_trait::async_trait;
use backgroundjobs_core::JobStore;
use backgroundjobs_memory::MemoryStore;
use backgroundjobs_testing::VirtualClock;
use backgroundjobs_testing::conformance::{FreshStore, OwnClock, StoreUnderTest};

struct Memory;

impl Memory {
    /// A handle that the checks do not close finds the jobs again.
    fn guarded(store: MemoryStore) -> FreshStore {
        FreshStore::new(store.clone()).guarded_by(store)
    }
}

#[async_trait]
impl StoreUnderTest for Memory {
    async fn fresh(&self) -> FreshStore {
        Self::guarded(MemoryStore::new())
    }

    async fn second_handle(&self, fresh: &FreshStore) -> Option<Arc<dyn JobStore>> {
        Some(Arc::new(fresh.guard::<MemoryStore>().clone()))
    }

    async fn own_clock(&self) -> Option<OwnClock> {
        let clock = VirtualClock::new();
        let store = MemoryStore::with_clock(Arc::new(clock.clone()));
        Some(OwnClock::new(Self::guarded(store), move |now| _ = clock.set(now)))
    }
}

backgroundjobs_testing::store_conformance!(Memory);

/// The same behind a pointer, as programs hand stores around.
macro_rules! behind {
    ($module:ident, $pointer:expr) => {
        mod $module {
            use super::*;

            struct Behind;

            #[async_trait]
            impl StoreUnderTest for Behind {
                async fn fresh(&self) -> FreshStore {
                    FreshStore::new(($pointer)(MemoryStore::new()))
                }
            }

            backgroundjobs_testing::store_conformance!(Behind);
        }
    };
}

behind!(in_an_arc, Arc::new);
behind!(in_a_box, Box::new);
behind!(in_an_arc_of_any_store, |store| Arc::new(store) as Arc<dyn JobStore>);
