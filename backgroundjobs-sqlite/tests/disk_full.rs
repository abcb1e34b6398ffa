//! A disk that is full while jobs run, and room that is made later.

mod support;

use std::time::Duration;

use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{EnqueueError, JobState};
use backgroundjobs_sqlite::prelude::*;
use backgroundjobs_testing::{Limits, TestKit};
use serde::{Deserialize, Serialize};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Row};
use support::folder::Folder;

#[derive(Serialize, Deserialize)]
struct Letter {
    text: String,
}

impl JobArgs for Letter {
    const KIND: &'static str = "letter";
}

/// Every letter fails once, so that its failure has to be stored as well.
async fn send(letter: Letter, ctx: JobContext) -> JobResult {
    if ctx.attempt() == 1 { Err(letter.text.as_str().into()) } else { Ok(()) }
}

/// A file of which other tables take most, and how many pages it has.
async fn filled(folder: &Folder) -> (SqliteConnection, i64) {
    let connect = SqliteConnectOptions::new().filename(folder.file("jobs.db")).create_if_missing(true);
    let mut own = connect.connect().await.expect("a connection");
    // Makes the store's tables, which are to have room.
    SqliteStore::new(folder.file("jobs.db")).prepare_and_close().await;
    let filler = "CREATE TABLE filler (bytes BLOB); INSERT INTO filler VALUES (zeroblob(4000000))";
    sqlx::raw_sql(filler).execute(&mut own).await.expect("filled");
    let pages = sqlx::query("PRAGMA page_count").fetch_one(&mut own).await.expect("counted").get(0);
    (own, pages)
}

trait PrepareAndClose {
    async fn prepare_and_close(&self);
}

impl PrepareAndClose for SqliteStore {
    async fn prepare_and_close(&self) {
        use backgroundjobs_core::JobStore;
        self.prepare().await.expect("prepared");
        self.close().await.expect("closed");
    }
}

#[tokio::test]
async fn what_was_acknowledged_runs_once_there_is_room_again() {
    let folder = Folder::new();
    let (mut own, pages) = filled(&folder).await;
    let connect = SqliteConnectOptions::new().filename(folder.file("jobs.db"));
    let connect = connect.pragma("max_page_count", (pages + 40).to_string());
    let kit = TestKit::new();
    let builder = BackgroundJobs::builder(|options| options.use_sqlite(SqliteOptions::from(connect)));
    let jobs =
        kit.start(builder.register_fn(send).retry(RetryPolicy::new().first(Duration::from_secs(1)))).await;
    let (mut enqueued, manager) = (Vec::new(), jobs.manager());
    let error = loop {
        match manager.enqueue(Letter { text: "x".repeat(3_000) }).await {
            Ok(job) => enqueued.push(job.id),
            Err(error) => break error,
        }
        assert!(enqueued.len() < 1_000, "40 pages do not hold 3 MB");
    };
    assert!(matches!(&error, EnqueueError::Store { source, .. } if source.is_retryable()), "{error}");
    assert!(enqueued.len() > 10, "{} enqueued", enqueued.len());
    // The failures of their first attempts have no room either.
    let blocked = kit.advance(Duration::from_secs(60)).await;
    assert!(jobs.stats().store_errors > 0, "{blocked}");
    assert!(blocked.succeeded < enqueued.len() as u64, "{blocked}");

    sqlx::raw_sql(AssertSqlSafe("DROP TABLE filler")).execute(&mut own).await.expect("room is made");
    let rest = kit.drain(Limits::new()).await;
    assert_eq!(blocked.succeeded + rest.succeeded, enqueued.len() as u64, "{rest}");
    kit.jobs().await.assert_enqueued::<Letter>().state(JobState::Succeeded).times(enqueued.len());
    manager.enqueue(Letter { text: "there is room".into() }).await.expect("enqueued");
    assert_eq!(kit.drain(Limits::new()).await.succeeded, 1);
    kit.ledger().await.assert_at_least_once();
    kit.finish().await;
}
