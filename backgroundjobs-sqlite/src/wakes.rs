//! Hearing of what other connections commit: other processes, and transactions of this program.
//!
//! SQLite tells nobody that a file has changed, but a connection can ask for a number, `data_version`, that changes when
//! another connection has committed. That is one trip to its thread, and no lock of the file, so it is asked for often.

use std::time::Duration;

use async_trait::async_trait;
use backgroundjobs_core::{Clock, RemoteWakes, StoreError, StoreOperation, SystemClock};

use crate::SqliteStore;
use crate::db::{Args, Db};
use crate::engine::Engine;
use crate::error::Failed;
use crate::sql::Sql;

/// How long after a look the next one follows. The only time that this store waits for by itself: no answer about a job
/// depends on it, and no kit calls it.
const LOOK_EVERY: Duration = Duration::from_millis(100);

#[async_trait]
impl RemoteWakes for SqliteStore {
    async fn next_wake(&self) -> Result<(), StoreError> {
        let clock = SystemClock::new();
        loop {
            let engine = self.open(StoreOperation::NextWake)?;
            let heard = engine.home.heard.notified();
            tokio::select! {
                biased;
                () = heard => return Ok(()),
                () = clock.sleep_until(clock.now() + LOOK_EVERY) => {}
            }
            let engine = self.open(StoreOperation::NextWake)?;
            let changed = engine.has_changed().await;
            if self.told(StoreOperation::NextWake, changed)? {
                // Whoever else waits would not see this change again.
                engine.home.heard.notify_waiters();
                return Ok(());
            }
        }
    }
}

impl Engine {
    /// Whether another connection has committed since this was last asked. A writer that is at work, or not open, is not
    /// waited for: then the next look tells.
    async fn has_changed(&self) -> Result<bool, Failed> {
        match self.idle_writer() {
            Some(mut db) => has_changed(&mut db, &self.sql).await,
            None => Ok(false),
        }
    }
}

/// Whether another connection has committed since this one was last asked.
pub(crate) async fn has_changed(db: &mut Db, sql: &Sql) -> Result<bool, Failed> {
    let answers = db.run(&sql.text("PRAGMA data_version"), Args::new()).await?;
    let version = answers[0].number()?;
    let before = db.seen_version.replace(version);
    Ok(before.is_some_and(|before| before != version))
}

#[cfg(test)]
mod tests {
    use backgroundjobs_core::{InsertJobs, JobStore};

    use super::*;
    use crate::test_file::{TestFile, at, job};

    /// Another store on the file.
    async fn insert_elsewhere(file: &TestFile, number: u64) {
        let other = SqliteStore::new(file.engine.options.clone());
        other.insert(&InsertJobs::new(at(0), vec![job(number)])).await.expect("stored");
    }

    #[tokio::test]
    async fn only_what_others_commit_is_a_change() {
        let file = TestFile::new();
        file.engine.insert(&InsertJobs::new(at(0), vec![job(1)])).await.expect("stored");
        assert!(!file.engine.has_changed().await.expect("asked"), "its own commit");
        insert_elsewhere(&file, 2).await;
        assert!(file.engine.has_changed().await.expect("asked"), "another's commit");
        assert!(!file.engine.has_changed().await.expect("asked"), "once");
        let db = file.engine.writer().await.expect("the connection");
        insert_elsewhere(&file, 3).await;
        assert!(!file.engine.has_changed().await.expect("asked"), "a writer at work is not waited for");
        drop(db);
        assert!(file.engine.has_changed().await.expect("asked"), "and the next look tells");
    }

    #[tokio::test]
    async fn everybody_who_waits_hears_of_a_change() {
        let file = TestFile::new();
        let store = SqliteStore::new(file.engine.options.clone());
        store.prepare().await.expect("prepared");
        insert_elsewhere(&file, 1).await;
        let (one, two) = tokio::join!(store.next_wake(), store.next_wake());
        one.and(two).expect("heard");
    }
}
