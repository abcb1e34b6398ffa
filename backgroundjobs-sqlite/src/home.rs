//! [`Home`]: what all stores of this process on one file share, however they came to it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Weak};

use backgroundjobs_core::WakeHub;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// The homes that are in use. It holds nothing alive and no state of any job: it only lets two stores that were opened
/// apart on one file find each other, so that a job that one inserts wakes the other's workers (clause W-1).
static HOMES: LazyLock<Mutex<HashMap<Address, Weak<Home>>>> = LazyLock::new(Mutex::default);

/// A file and a table prefix in small letters: to SQLite capitals make no other tables.
type Address = (PathBuf, String);

#[derive(Default)]
pub(crate) struct Home {
    pub(crate) hub: WakeHub,
    /// Tells those who wait for changes of other connections that one was seen.
    pub(crate) heard: Notify,
}

impl Home {
    /// The home of the file at `path`.
    pub(crate) fn of(path: &Path, prefix: &str) -> Arc<Self> {
        let mut homes = HOMES.lock();
        let key = (one_name_of(path), prefix.to_ascii_lowercase());
        if let Some(home) = homes.get(&key).and_then(Weak::upgrade) {
            return home;
        }
        homes.retain(|_, home| home.strong_count() > 0);
        let home = Arc::new(Self::default());
        homes.insert(key, Arc::downgrade(&home));
        home
    }
}

/// The same for every way to write the path, whether the file is there yet or not.
fn one_name_of(path: &Path) -> PathBuf {
    if let Ok(path) = path.canonicalize() {
        return path;
    }
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match path.parent().and_then(|folder| folder.canonicalize().ok()) {
        Some(folder) => folder.join(path.file_name().unwrap_or(OsStr::new(""))),
        None => path,
    }
}
