//! Jobs enqueued in a transaction of the user's own.

mod support;

use std::sync::Arc;
use std::time::Duration;

use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{EnqueueError, EnqueueOptions, JobStore, StoreErrorKind};
use backgroundjobs_sqlite::prelude::*;
use backgroundjobs_testing::{Limits, TestKit};
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Connection, Row, SqlitePool};
use support::folder::Folder;

#[derive(Serialize, Deserialize)]
struct Welcome {
    name: String,
}

impl JobArgs for Welcome {
    const KIND: &'static str = "welcome";
}

fn masa() -> Welcome {
    Welcome { name: "masa".into() }
}

/// A program with users of its own and jobs beside them.
struct Program {
    kit: TestKit,
    pool: SqlitePool,
    store: SqliteStore,
    node: Arc<BackgroundJobs>,
    _folder: Folder,
}

impl Program {
    async fn start() -> Self {
        let folder = Folder::new();
        let connect = SqliteConnectOptions::new().filename(folder.file("app.db")).create_if_missing(true);
        let pool = SqlitePool::connect_with(connect).await.expect("a pool");
        sqlx::raw_sql("CREATE TABLE users (name TEXT)").execute(&pool).await.expect("made");
        let store = SqliteStore::new(&pool);
        let kit = TestKit::new();
        let shared = store.clone();
        let builder = BackgroundJobs::builder(|options| options.use_store(shared));
        let node = kit.start(builder.register_fn(welcome)).await;
        Self { kit, pool, store, node, _folder: folder }
    }

    async fn begin(&self) -> sqlx::Transaction<'static, sqlx::Sqlite> {
        let mut tx = self.pool.begin().await.expect("begun");
        sqlx::query("INSERT INTO users VALUES ('masa')").execute(&mut *tx).await.expect("inserted");
        tx
    }

    async fn users(&self) -> i64 {
        sqlx::query("SELECT count(*) FROM users").fetch_one(&self.pool).await.expect("counted").get(0)
    }

    /// What ran, given time.
    async fn ran(&self) -> u64 {
        // A commit of others is seen by polling: on the kit nobody listens.
        let polled = self.kit.advance(Duration::from_secs(6)).await.succeeded;
        polled + self.kit.drain(Limits::new()).await.succeeded
    }
}

async fn welcome(args: Welcome, _: JobContext) -> JobResult {
    if args.name == "masa" { Ok(()) } else { Err("who is that?".into()) }
}

#[tokio::test]
async fn the_job_and_the_users_rows_are_committed_together() {
    let program = Program::start().await;
    let mut tx = program.begin().await;
    let enqueued =
        program.store.enqueue_in_tx(&mut tx, &program.node.manager(), masa()).await.expect("enqueued");
    assert!(enqueued.is_new);
    assert!(
        program.store.get(&[enqueued.id]).await.expect("read")[0].is_none(),
        "nobody sees it before the commit"
    );
    tx.commit().await.expect("committed");
    assert!(program.store.get(&[enqueued.id]).await.expect("read")[0].is_some());
    assert_eq!((program.ran().await, program.users().await), (1, 1));
    program.kit.finish().await;
}

#[tokio::test]
async fn neither_is_there_after_a_rollback() {
    let program = Program::start().await;
    let mut tx = program.begin().await;
    let enqueued =
        program.store.enqueue_in_tx(&mut tx, &program.node.manager(), masa()).await.expect("enqueued");
    tx.rollback().await.expect("rolled back");
    assert!(program.store.get(&[enqueued.id]).await.expect("read")[0].is_none());
    assert_eq!((program.ran().await, program.users().await), (0, 0));
    // The lane that was made for it was rolled back as well, and is made again.
    let mut tx = program.begin().await;
    program.store.enqueue_in_tx(&mut tx, &program.node.manager(), masa()).await.expect("enqueued");
    tx.commit().await.expect("committed");
    assert_eq!((program.ran().await, program.users().await), (1, 1));
    program.kit.finish().await;
}

#[tokio::test]
async fn what_a_rolled_back_transaction_called_a_lane_is_free_for_another() {
    let program = Program::start().await;
    let mut tx = program.begin().await;
    program.store.enqueue_in_tx(&mut tx, &program.node.manager(), masa()).await.expect("enqueued");
    tx.rollback().await.expect("rolled back");
    let options = EnqueueOptions::new().priority(Priority::HIGHEST);
    let job = program.node.manager().enqueue_with(masa(), options).await.expect("enqueued");
    let record = program.store.get(&[job.id]).await.expect("read").remove(0).expect("a record");
    assert_eq!(record.priority, Priority::HIGHEST);
    assert_eq!(program.ran().await, 1);
    program.kit.finish().await;
}

#[tokio::test]
async fn a_key_that_is_held_is_answered_and_the_transaction_goes_on() {
    let program = Program::start().await;
    let options = || EnqueueOptions::new().unique("masa").delay(Duration::from_secs(60));
    let first = program.node.manager().enqueue_with(masa(), options()).await.expect("enqueued");
    let mut tx = program.begin().await;
    let manager = program.node.manager();
    let second =
        program.store.enqueue_in_tx_with(&mut tx, &manager, masa(), options()).await.expect("answered");
    assert_eq!((second.id, second.is_new), (first.id, false));
    tx.commit().await.expect("committed");
    assert_eq!((program.ran().await, program.users().await), (1, 1));
    program.kit.finish().await;
}

#[tokio::test]
async fn a_key_taken_in_a_transaction_is_held_after_it() {
    let program = Program::start().await;
    let options = || EnqueueOptions::new().unique("masa").delay(Duration::from_secs(60));
    let mut tx = program.begin().await;
    let manager = program.node.manager();
    let first =
        program.store.enqueue_in_tx_with(&mut tx, &manager, masa(), options()).await.expect("enqueued");
    let again =
        program.store.enqueue_in_tx_with(&mut tx, &manager, masa(), options()).await.expect("answered");
    assert_eq!((again.id, again.is_new), (first.id, false), "within the transaction as well");
    tx.commit().await.expect("committed");
    let second = manager.enqueue_with(masa(), options()).await.expect("answered");
    assert_eq!((second.id, second.is_new), (first.id, false));
    program.kit.finish().await;
}

#[tokio::test]
async fn an_error_leaves_the_transaction_as_it_was() {
    let program = Program::start().await;
    let manager = program.node.manager();
    let taken = manager.enqueue(masa()).await.expect("enqueued");
    let mut tx = program.begin().await;
    let other = || Welcome { name: "somebody else".into() };
    let same_id = EnqueueOptions::new().id(taken.id);
    let error =
        program.store.enqueue_in_tx_with(&mut tx, &manager, other(), same_id).await.expect_err("taken");
    assert!(matches!(error, EnqueueError::IdTaken { id, .. } if id == taken.id), "{error}");
    let nowhere = EnqueueOptions::new().queue("nowhere");
    let error =
        program.store.enqueue_in_tx_with(&mut tx, &manager, other(), nowhere).await.expect_err("no queue");
    assert!(matches!(error, EnqueueError::UnknownQueue { .. }), "{error}");
    program.store.enqueue_in_tx(&mut tx, &manager, masa()).await.expect("enqueued");
    tx.commit().await.expect("committed");
    assert_eq!((program.ran().await, program.users().await), (2, 1));
    program.kit.finish().await;
}

#[tokio::test]
async fn a_transaction_on_another_file_is_told_so() {
    let program = Program::start().await;
    let elsewhere = SqlitePool::connect("sqlite::memory:").await.expect("a pool");
    let mut tx = elsewhere.begin().await.expect("begun");
    let error =
        program.store.enqueue_in_tx(&mut tx, &program.node.manager(), masa()).await.expect_err("no tables");
    let EnqueueError::Store { source, .. } = &error else { panic!("{error}") };
    assert_eq!(source.kind(), StoreErrorKind::Rejected);
    assert!(source.to_string().contains("begin it on the file of the store"), "{source}");
    sqlx::raw_sql("CREATE TABLE goes_on (text TEXT)")
        .execute(&mut *tx)
        .await
        .expect("the transaction goes on");
    tx.commit().await.expect("committed");
    program.kit.finish().await;
}

/// SQLite takes everything back by itself, and what follows would be no part of any transaction.
#[tokio::test]
async fn a_full_disk_takes_the_whole_transaction_back() {
    let program = Program::start().await;
    let pages: i64 = sqlx::query("PRAGMA page_count").fetch_one(&program.pool).await.expect("counted").get(0);
    let mut connection = program.pool.acquire().await.expect("a connection");
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await.expect("begun");
    let full = format!("PRAGMA max_page_count = {}", pages + 5);
    sqlx::raw_sql(AssertSqlSafe(full)).execute(&mut *tx).await.expect("set");
    let (manager, mut enqueued) = (program.node.manager(), Vec::new());
    let error = loop {
        match program.store.enqueue_in_tx(&mut tx, &manager, Welcome { name: "x".repeat(600) }).await {
            Ok(job) => enqueued.push(job.id),
            Err(error) => break error,
        }
        assert!(enqueued.len() < 1_000, "5 pages do not hold 600 kB");
    };
    assert!(matches!(&error, EnqueueError::Store { source, .. } if source.is_retryable()), "{error}");
    assert!(enqueued.len() > 5, "{} enqueued", enqueued.len());
    tx.commit().await.expect_err("there is nothing left to commit");
    // The driver's own count is wrong from here on, as the docs say.
    connection.begin_with("BEGIN IMMEDIATE").await.expect_err("it is taken to be in a transaction");
    connection.close().await.expect("closed");
    assert_eq!((program.ran().await, program.users().await), (0, 0));
    assert!(program.store.get(&enqueued).await.expect("read").iter().all(Option::is_none));
    program.kit.finish().await;
}
