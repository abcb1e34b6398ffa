//! Hearing of what other connections commit: other processes, and transactions of this program.
//!
//! SQLite tells nobody that a file has changed, but a connection can ask for a number, `data_version`, that changes when
//! another connection has committed. That is two trips to its thread and no lock, so it is asked for often.

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
