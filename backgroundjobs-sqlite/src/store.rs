//! [`SqliteStore`]: the handle. It checks that it is open, settles what time it is, and leaves the rest to the engine.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use backgroundjobs_core::{
    CancelJobs, CancelStatus, ClaimJobs, ClaimedJobs, ControlStore, CountJobs, DeleteStatus, InsertJobs,
    InsertedJobs, InspectStore, JobCounts, JobId, JobPage, JobRecord, JobStore, Keep, ListJobs, PruneJobs,
    PrunedJobs, QueueFacts, QueueName, RecoverJobs, RecoveredJobs, RemoteWakes, RenewLeases, RenewedLeases,
    RequeuedJobs, Retention, SettleJobs, SettledJobs, StoreError, StoreErrorKind, StoreOperation,
    StoreProfile, Timestamp, WakeHub, step_aside,
};

use crate::engine::Engine;
use crate::error::Failed;
use crate::options::SqliteOptions;
use crate::schema;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Keeps jobs in a SQLite file.
///
/// The file is opened, and its tables made or brought up to date, by the first call. A clone is another handle on the
/// same connections; [`close`](JobStore::close) closes the one handle it is called on, and the connections with the last
/// one. Two stores that are opened on one file, in one process or in several, see each other's changes at once.
pub struct SqliteStore {
    engine: Arc<Engine>,
    closed: AtomicBool,
}

impl SqliteStore {
    /// A store in this file: a path, or [`SqliteOptions`].
    #[must_use]
    pub fn new(file: impl Into<SqliteOptions>) -> Self {
        Self::handle_on(Arc::new(Engine::new(file.into())))
    }

    /// The tables that a store makes, as SQL: for who keeps the schema of a database in files of their own. The prefix is
    /// [`DEFAULT_TABLE_PREFIX`](crate::DEFAULT_TABLE_PREFIX), or that of
    /// [`SqliteOptions::table_prefix`]. A file that has these tables is taken as it is.
    ///
    /// # Errors
    /// When the prefix will not do.
    pub fn schema_sql(table_prefix: &str) -> Result<String, StoreError> {
        let refused = |failed: Failed| failed.told(StoreOperation::Prepare, Path::new(""));
        schema::check_prefix(table_prefix).map_err(refused)?;
        Ok(schema::text(table_prefix))
    }

    fn handle_on(engine: Arc<Engine>) -> Self {
        engine.handle_opened();
        Self { engine, closed: AtomicBool::new(false) }
    }

    pub(crate) fn open(&self, operation: StoreOperation) -> Result<&Engine, StoreError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(StoreError::new(operation, StoreErrorKind::Closed, "this handle was closed"));
        }
        Ok(&self.engine)
    }

    /// The answer of a call that may have had the connection that writes. Before its caller goes on with that, whoever waits
    /// for the connection is let go first: it hands over its next command, and the file is worked on meanwhile. Not for
    /// inserts: whoever enqueues one by one is back so soon that the next transaction takes its next job along.
    async fn written<T>(
        &self,
        operation: StoreOperation,
        call: impl Future<Output = Result<T, Failed>>,
    ) -> Result<T, StoreError> {
        let result = call.await;
        step_aside().await;
        self.told(operation, result)
    }

    pub(crate) fn told<T>(
        &self,
        operation: StoreOperation,
        result: Result<T, Failed>,
    ) -> Result<T, StoreError> {
        result.map_err(self.engine.told(operation))
    }
}

impl Clone for SqliteStore {
    /// Another handle on the same connections, open.
    fn clone(&self) -> Self {
        Self::handle_on(self.engine.clone())
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        if !*self.closed.get_mut() {
            self.engine.handle_closed();
        }
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("path", &self.engine.path())
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl JobStore for SqliteStore {
    fn profile(&self) -> StoreProfile {
        StoreProfile::shared("sqlite").retention(Retention {
            succeeded: Keep::for_age(DAY),
            failed: Keep::for_age(DAY * 7),
            cancelled: Keep::for_age(DAY * 7),
        })
    }

    async fn prepare(&self) -> Result<(), StoreError> {
        let engine = self.open(StoreOperation::Prepare)?;
        self.told(StoreOperation::Prepare, engine.writer().await.map(drop))
    }

    async fn close(&self) -> Result<(), StoreError> {
        if !self.closed.swap(true, Ordering::AcqRel) && self.engine.handle_closed() {
            self.told(StoreOperation::Close, self.engine.close().await)?;
        }
        Ok(())
    }

    async fn insert(&self, request: &InsertJobs) -> Result<InsertedJobs, StoreError> {
        let engine = self.open(StoreOperation::Insert)?;
        let jobs = self.told(StoreOperation::Insert, engine.insert(request).await)?;
        Ok(InsertedJobs { store_now: request.now, jobs })
    }

    async fn claim(&self, request: &ClaimJobs) -> Result<ClaimedJobs, StoreError> {
        let engine = self.open(StoreOperation::Claim)?;
        self.written(StoreOperation::Claim, engine.claim(request, request.now)).await
    }

    async fn renew(&self, request: &RenewLeases) -> Result<RenewedLeases, StoreError> {
        let engine = self.open(StoreOperation::Renew)?;
        let leases = self.written(StoreOperation::Renew, engine.renew(request, request.now)).await?;
        Ok(RenewedLeases { store_now: request.now, leases })
    }

    async fn settle(&self, request: &SettleJobs) -> Result<SettledJobs, StoreError> {
        let engine = self.open(StoreOperation::Settle)?;
        let jobs = self.written(StoreOperation::Settle, engine.settle(request, request.now)).await?;
        Ok(SettledJobs { store_now: request.now, jobs })
    }

    async fn recover(&self, request: &RecoverJobs) -> Result<RecoveredJobs, StoreError> {
        let engine = self.open(StoreOperation::Recover)?;
        self.written(StoreOperation::Recover, engine.recover(request, request.now)).await
    }

    async fn cancel(&self, request: &CancelJobs) -> Result<Vec<CancelStatus>, StoreError> {
        let engine = self.open(StoreOperation::Cancel)?;
        self.written(StoreOperation::Cancel, engine.cancel(&request.ids, request.now)).await
    }

    async fn get(&self, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>, StoreError> {
        let engine = self.open(StoreOperation::Get)?;
        self.told(StoreOperation::Get, engine.get(ids).await)
    }

    async fn prune(&self, request: &PruneJobs) -> Result<PrunedJobs, StoreError> {
        let engine = self.open(StoreOperation::Prune)?;
        self.written(StoreOperation::Prune, engine.prune(request, request.now)).await
    }

    fn local_hub(&self) -> Option<&WakeHub> {
        Some(&self.engine.home.hub)
    }

    fn remote_wakes(&self) -> Option<&dyn RemoteWakes> {
        Some(self)
    }

    fn inspect(&self) -> Option<&dyn InspectStore> {
        Some(self)
    }

    fn control(&self) -> Option<&dyn ControlStore> {
        Some(self)
    }
}

#[async_trait]
impl InspectStore for SqliteStore {
    async fn count(&self, request: &CountJobs) -> Result<JobCounts, StoreError> {
        let engine = self.open(StoreOperation::Count)?;
        let rows = self.told(StoreOperation::Count, engine.count(&request.filter).await)?;
        Ok(JobCounts { store_now: request.now, rows })
    }

    async fn list(&self, request: &ListJobs) -> Result<JobPage, StoreError> {
        let engine = self.open(StoreOperation::List)?;
        let (jobs, next) = self.told(StoreOperation::List, engine.list(request).await)?;
        Ok(JobPage { store_now: request.now, jobs, next })
    }

    async fn queues(&self, _now: Timestamp) -> Result<Vec<QueueFacts>, StoreError> {
        let engine = self.open(StoreOperation::Queues)?;
        self.told(StoreOperation::Queues, engine.queues().await)
    }
}

#[async_trait]
impl ControlStore for SqliteStore {
    async fn requeue(&self, now: Timestamp, ids: &[JobId]) -> Result<RequeuedJobs, StoreError> {
        let engine = self.open(StoreOperation::Requeue)?;
        let jobs = self.written(StoreOperation::Requeue, engine.requeue(ids, now)).await?;
        Ok(RequeuedJobs { store_now: now, jobs })
    }

    async fn delete(&self, _now: Timestamp, ids: &[JobId]) -> Result<Vec<DeleteStatus>, StoreError> {
        let engine = self.open(StoreOperation::Delete)?;
        self.written(StoreOperation::Delete, engine.delete(ids)).await
    }

    async fn pause(&self, now: Timestamp, queue: &QueueName) -> Result<(), StoreError> {
        let engine = self.open(StoreOperation::Pause)?;
        self.written(StoreOperation::Pause, engine.pause(queue, now)).await
    }

    async fn resume(&self, _now: Timestamp, queue: &QueueName) -> Result<(), StoreError> {
        let engine = self.open(StoreOperation::Resume)?;
        self.written(StoreOperation::Resume, engine.resume(queue)).await
    }
}
