//! The SQLite store keeps the store contract, on real files.

mod support;

use std::sync::Arc;

use async_trait::async_trait;
use backgroundjobs_core::JobStore;
use backgroundjobs_sqlite::{Durability, SqliteOptions, SqliteStore};
use backgroundjobs_testing::conformance::{FreshStore, StoreUnderTest};
use support::folder::Folder;

struct Sqlite(Durability);

impl Sqlite {
    /// A store with connections of its own.
    fn open(&self, folder: &Folder) -> SqliteStore {
        SqliteStore::new(SqliteOptions::new(folder.file("jobs.db")).durability(self.0))
    }
}

#[async_trait]
impl StoreUnderTest for Sqlite {
    async fn fresh(&self) -> FreshStore {
        let folder = Folder::new();
        FreshStore::new(self.open(&folder)).guarded_by(folder)
    }

    async fn second_handle(&self, fresh: &FreshStore) -> Option<Arc<dyn JobStore>> {
        Some(Arc::new(self.open(fresh.guard())))
    }

    async fn reopen(&self, fresh: &FreshStore) -> Option<Arc<dyn JobStore>> {
        Some(Arc::new(self.open(fresh.guard())))
    }
}

/// As programs use it.
mod that_survives_power_loss {
    use super::*;

    backgroundjobs_testing::store_conformance!(Sqlite(Durability::PowerLoss));
}

/// Other commits, the same meaning; and it finds what depends on how long a commit takes.
mod that_does_not_wait_for_the_disk {
    use super::*;

    backgroundjobs_testing::store_conformance!(Sqlite(Durability::Test));
}
