//! The log store of the example keeps the store contract, and what it says of the disk.

#[path = "../src/bin/log_store/store/mod.rs"]
mod store;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use backgroundjobs_core::JobStore;
use backgroundjobs_testing::conformance::{FreshStore, StoreUnderTest};
use store::LogStore;

struct OnDisk;

/// A folder of its own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static FOLDERS: AtomicU64 = AtomicU64::new(0);
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let path =
            PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("log-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder for tests");
        Self(path)
    }

    fn log(&self) -> PathBuf {
        self.0.join("jobs.log")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

/// Written anew all the time, so that every check is one of that, too.
fn open(folder: &Folder) -> LogStore {
    LogStore::with_compaction(folder.log(), 1 << 10)
}

#[async_trait]
impl StoreUnderTest for OnDisk {
    async fn fresh(&self) -> FreshStore {
        let folder = Folder::new();
        FreshStore::new(open(&folder)).guarded_by(folder)
    }

    async fn reopen(&self, fresh: &FreshStore) -> Option<Arc<dyn JobStore>> {
        Some(Arc::new(open(fresh.guard::<Folder>())))
    }
}

backgroundjobs_testing::store_conformance!(OnDisk);
