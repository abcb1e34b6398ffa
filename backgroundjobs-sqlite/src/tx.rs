//! Enqueueing in a transaction of the user's own: the job and the user's rows are committed together, or neither.

use std::collections::HashMap;
use std::sync::Arc;

use backgroundjobs_core::{
    EnqueueError, EnqueueOptions, Enqueued, InsertJobs, Inserted, InsertedJobs, JobArgs, JobDraft,
    JobManager, NewJob, StoreError, StoreErrorKind, StoreOperation,
};
use sqlx::{Sqlite, Transaction};

use crate::SqliteStore;
use crate::db::{Args, InTransaction, Theirs};
use crate::engine::{Engine, lane_of};
use crate::error::Failed;
use crate::insert::{Ends, arriving, new_ones};
use crate::lanes::Lane;

impl SqliteStore {
    /// Enqueues a job in a transaction of your own: it is there once you commit, and never was if you do not. A worker
    /// of this program, or of another, starts it after the commit: it looks for changes every 100 ms.
    ///
    /// `tx` is a transaction on the file of this store, which must have been prepared: started jobs have done that.
    /// `manager` is that of the jobs (`jobs.manager()`, or in a handler `ctx.manager()`), which checks the job and fills in
    /// what was left open, as for any other.
    ///
    /// ```
    /// use backgroundjobs_core::prelude::*;
    /// use backgroundjobs_sqlite::prelude::*;
    /// use serde::{Deserialize, Serialize};
    /// use sqlx::SqlitePool;
    /// # use std::time::Duration;
    ///
    /// #[derive(Serialize, Deserialize)]
    /// struct Welcome {
    ///     name: String,
    /// }
    ///
    /// impl JobArgs for Welcome {
    ///     const KIND: &'static str = "welcome";
    /// }
    ///
    /// async fn welcome(_: Welcome, _: JobContext) -> JobResult {
    ///     Ok(())
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = std::env::temp_dir().join(format!("backgroundjobs-doc-tx-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// # let file = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.join("app.db")).create_if_missing(true);
    /// # let pool = SqlitePool::connect_with(file).await?;
    /// # sqlx::raw_sql("CREATE TABLE users (name TEXT)").execute(&pool).await?;
    /// let store = SqliteStore::new(&pool);
    /// let shared = store.clone();
    /// let jobs = BackgroundJobs::builder(|options| options.use_store(shared)).register_fn(welcome).build()?;
    /// jobs.start().await?;
    ///
    /// let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
    /// sqlx::query("INSERT INTO users VALUES ('masa')").execute(&mut *tx).await?;
    /// store.enqueue_in_tx(&mut tx, &jobs.manager(), Welcome { name: "masa".into() }).await?;
    /// tx.commit().await?;
    /// # jobs.wait_until_idle(Duration::from_secs(10)).await?;
    /// # jobs.stop(Duration::from_secs(10)).await?;
    /// # assert_eq!(jobs.stats().succeeded, 1);
    /// # pool.close().await;
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Two things differ from other enqueues. On power loss the job is as safe as your connection's `synchronous` makes the
    /// commit. And a transaction that reads before it writes can fail with `SQLITE_BUSY`, whatever the timeout: begin it
    /// with `pool.begin_with("BEGIN IMMEDIATE")`.
    ///
    /// Cancel safety: dropped before its end it may have written a part; then roll back.
    ///
    /// # Errors
    /// [`EnqueueError`]; the transaction is as it was before, and can go on. Not where the disk is full or fails
    /// ([`StoreErrorKind::Unavailable`]): then SQLite may have rolled back all of it, your rows as well, and what is run on
    /// it after that is no part of any transaction. So go no further with it. sqlx 0.9 takes its connection to be in a
    /// transaction still, and `begin_with` on that is an error until it is closed.
    pub async fn enqueue_in_tx<A: JobArgs>(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        manager: &Arc<dyn JobManager>,
        args: A,
    ) -> Result<Enqueued, EnqueueError> {
        self.enqueue_in_tx_with(tx, manager, args, EnqueueOptions::new()).await
    }

    /// As [`enqueue_in_tx`](Self::enqueue_in_tx), with options of its own.
    ///
    /// # Errors
    /// [`EnqueueError`], after which the transaction is as [`enqueue_in_tx`](Self::enqueue_in_tx) says.
    pub async fn enqueue_in_tx_with<A: JobArgs>(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        manager: &Arc<dyn JobManager>,
        args: A,
        options: EnqueueOptions,
    ) -> Result<Enqueued, EnqueueError> {
        let kind = || A::KIND.to_owned();
        let draft =
            JobDraft::of(&args, options).map_err(|source| EnqueueError::Args { kind: kind(), source })?;
        let request = manager.to_insert(vec![draft]).ok_or_else(|| EnqueueError::Prepare {
            kind: kind(),
            source: StoreError::new(
                StoreOperation::Insert,
                StoreErrorKind::Rejected,
                "this manager stores no jobs; hand in that of the jobs: jobs.manager()",
            ),
        })?;
        let request = request.map_err(|error| error.source)?;
        let id = request.jobs[0].id;
        let reply = self.insert_in_tx(tx, &request).await.map_err(|source| match source.kind() {
            StoreErrorKind::Conflict { .. } => EnqueueError::IdTaken { kind: kind(), id },
            _ => EnqueueError::Store { kind: kind(), id, source },
        })?;
        Ok(match reply.jobs[0] {
            Inserted::New => Enqueued { id, is_new: true },
            Inserted::Existing(id) => Enqueued { id, is_new: false },
        })
    }

    /// Inserts in a transaction of your own, as [`JobStore::insert`](backgroundjobs_core::JobStore::insert) does in one of
    /// the store's: what [`enqueue_in_tx`](Self::enqueue_in_tx) calls.
    ///
    /// # Errors
    /// [`StoreError`], after which the transaction is as [`enqueue_in_tx`](Self::enqueue_in_tx) says.
    pub async fn insert_in_tx(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        request: &InsertJobs,
    ) -> Result<InsertedJobs, StoreError> {
        let engine = self.open(StoreOperation::Insert)?;
        let mut runs = Theirs(tx);
        let inserted = engine.insert_in(&mut runs, request).await;
        if inserted.is_err() {
            // Where it did not even come to the savepoint, or SQLite took everything back, there is none to go back to.
            _ = runs.run(&engine.sql.text(TAKE_BACK), Args::new()).await;
        }
        let jobs = self.told(StoreOperation::Insert, inserted.map_err(said_of_theirs))?;
        Ok(InsertedJobs { store_now: request.now, jobs })
    }
}

impl Engine {
    async fn insert_in(&self, runs: &mut Theirs<'_>, request: &InsertJobs) -> Result<Vec<Inserted>, Failed> {
        let numbers = self.lanes_in(runs, &request.jobs).await?;
        let mut there = self.look_for(runs, || request.jobs.iter()).await?;
        let answers = there.insert(&request.jobs, request.now)?;
        let (mut rows, mut keys) = (Vec::new(), Vec::new());
        for job in new_ones(&request.jobs, &answers) {
            rows.push(arriving(job, request.now, |lane| numbers.get(lane).copied())?);
            keys.extend(job.unique.as_ref().map(|unique| (unique, job.id, request.now)));
        }
        self.write_rows(runs, &rows, &keys, Ends { begin: "", end: "RELEASE {p}insert" }).await?;
        Ok(answers)
    }

    /// The numbers of the lanes of these jobs. They are not learned: what is not committed may never be.
    async fn lanes_in(&self, runs: &mut Theirs<'_>, jobs: &[NewJob]) -> Result<HashMap<Lane, i64>, Failed> {
        let named: Vec<_> =
            jobs.iter().map(|job| (job.queue.as_str(), job.kind.as_str(), job.priority.level())).collect();
        let named = serde_json::to_string(&named).expect("texts and numbers can be written");
        let answers = runs.run(&self.sql.text(LANES), Args::new().with(named)).await?;
        let lanes = answers[2].rows.iter().map(lane_of);
        lanes.map(|lane| lane.map(|(number, lane)| (lane, number))).collect()
    }
}

/// The tables may be missing where the transaction is on another file.
fn said_of_theirs(failed: Failed) -> Failed {
    if let Failed::Sql(error) = &failed
        && error.as_database_error().is_some_and(|error| error.message().contains("no such table"))
    {
        return Failed::rejected(
            "the transaction's database does not have this store's tables: begin it on the file of the store, after the \
             jobs were started or the store prepared",
        );
    }
    failed
}

const LANES: &str = "\
SAVEPOINT {p}insert;
INSERT INTO {p}lanes (queue, kind, priority)
    SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each($1) WHERE true
    ON CONFLICT DO NOTHING;
SELECT l.lane, l.queue, l.kind, l.priority FROM (SELECT DISTINCT value FROM json_each($1)) e
    CROSS JOIN {p}lanes l ON l.queue = e.value ->> 0 AND l.kind = e.value ->> 1 AND l.priority = e.value ->> 2";

const TAKE_BACK: &str = "ROLLBACK TO {p}insert; RELEASE {p}insert";
