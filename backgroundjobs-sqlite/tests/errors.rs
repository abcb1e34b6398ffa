//! What is wrong with a file is said with what to do about it, and whether to try again.

mod support;

use std::error::Error;
use std::time::Duration;

use backgroundjobs_core::{
    ControlStore, InsertJobs, InspectStore, JobStore, ListJobs, Payload, StoreError, StoreErrorKind,
};
use backgroundjobs_sqlite::{Durability, SqliteOptions, SqliteStore};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqlitePool};
use support::folder::Folder;
use support::jobs::{self, at};

async fn refused(file: impl Into<SqliteOptions>) -> StoreError {
    SqliteStore::new(file).prepare().await.expect_err("it cannot be prepared")
}

#[track_caller]
fn says(error: &StoreError, kind: StoreErrorKind, retryable: bool, words: &[&str]) {
    let text = error.to_string();
    assert_eq!((error.kind(), error.is_retryable()), (kind, retryable), "{text}: {:?}", error.source());
    for word in words {
        assert!(text.contains(word), "{text:?} says nothing of {word:?}");
    }
}

#[tokio::test]
async fn a_file_that_is_no_database() {
    let folder = Folder::new();
    let file = folder.file("letter.txt");
    std::fs::write(&file, "Dear Sir or Madam, ".repeat(1_000)).expect("written");
    let error = refused(file.clone()).await;
    says(
        &error,
        StoreErrorKind::Rejected,
        false,
        &["letter.txt", "is not a SQLite database", "name another file"],
    );
    assert!(error.source().expect("a cause").to_string().contains("file is not a database"));
    assert!(std::fs::read_to_string(file).expect("read").starts_with("Dear Sir"), "it is left alone");
}

#[tokio::test]
async fn a_folder_that_is_not_there() {
    let folder = Folder::new();
    let error = refused(folder.file("data/jobs.db")).await;
    says(&error, StoreErrorKind::Unavailable, true, &["jobs.db", "there is no folder", "data", "create it"]);
    std::fs::create_dir(folder.file("data")).expect("made");
    SqliteStore::new(folder.file("data/jobs.db"))
        .prepare()
        .await
        .expect("prepared, once the folder is there");
}

#[tokio::test]
async fn a_path_that_is_a_folder() {
    let folder = Folder::new();
    let error = refused(folder.path()).await;
    says(&error, StoreErrorKind::Unavailable, true, &["it is a folder", "name a file"]);
}

#[tokio::test]
async fn a_file_that_is_not_there_and_not_to_be_created() {
    let folder = Folder::new();
    let error = refused(SqliteOptions::new(folder.file("jobs.db")).create_if_missing(false)).await;
    says(&error, StoreErrorKind::Unavailable, true, &["it is not there and was not to be created"]);
    assert!(!folder.file("jobs.db").exists());
}

#[tokio::test]
async fn a_database_in_memory() {
    let error = refused(":memory:").await;
    says(&error, StoreErrorKind::Rejected, false, &["in memory", "name a file", "backgroundjobs-memory"]);
    let pool = SqlitePool::connect_lazy("sqlite::memory:").expect("options");
    says(&refused(&pool).await, StoreErrorKind::Rejected, false, &["in memory"]);
}

#[tokio::test]
async fn a_file_of_another_encoding() {
    let folder = Folder::new();
    let connect = SqliteConnectOptions::new().filename(folder.file("jobs.db")).create_if_missing(true);
    let mut own = connect.connect().await.expect("a connection");
    sqlx::raw_sql("PRAGMA encoding = 'UTF-16le'; CREATE TABLE mine (text TEXT)")
        .execute(&mut own)
        .await
        .expect("made");
    let error = refused(folder.file("jobs.db")).await;
    says(&error, StoreErrorKind::Rejected, false, &["UTF-16le", "only UTF-8 will do"]);
}

#[tokio::test]
async fn a_file_that_another_program_keeps_locked() {
    let folder = Folder::new();
    let patience = Duration::from_millis(20);
    let options = SqliteOptions::new(folder.file("jobs.db")).busy_timeout(patience);
    let store = SqliteStore::new(options.clone());
    let id = jobs::insert_one(&store).await;
    let mut own =
        SqliteConnectOptions::new().filename(folder.file("jobs.db")).connect().await.expect("a connection");
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut own).await.expect("locked");
    let request = InsertJobs::new(at(0), vec![jobs::job()]);
    let error = store.insert(&request).await.expect_err("locked out");
    says(&error, StoreErrorKind::Unavailable, true, &["locked by another program", "busy_timeout"]);
    assert!(store.get(&[id]).await.expect("reading needs no lock")[0].is_some());
    sqlx::raw_sql("COMMIT").execute(&mut own).await.expect("unlocked");
    store.insert(&request).await.expect("the same handle, once it is free");
}

#[tokio::test]
async fn a_disk_that_is_full_until_room_is_made() {
    let folder = Folder::new();
    let connect = SqliteConnectOptions::new().filename(folder.file("jobs.db")).create_if_missing(true);
    let store = SqliteStore::new(SqliteOptions::from(connect.pragma("max_page_count", "100")));
    let (mut stored, large) = (Vec::new(), Payload::from_store(format!("\"{}\"", "x".repeat(20_000))));
    let error = loop {
        let mut job = jobs::job();
        job.args = large.clone();
        let id = job.id;
        match store.insert(&InsertJobs::new(at(0), vec![job])).await {
            Ok(_) => stored.push(id),
            Err(error) => break error,
        }
        assert!(stored.len() < 100, "100 pages do not hold 2 MB");
    };
    says(&error, StoreErrorKind::Unavailable, true, &["no room", "the disk is full", "make room"]);
    assert!(stored.len() > 5, "{} stored", stored.len());
    let records = store.get(&stored).await.expect("what was stored is there");
    assert!(records.iter().all(Option::is_some));
    let count = store.list(&ListJobs::new(at(0), backgroundjobs_core::JobFilter::all(), None, 1_000)).await;
    assert_eq!(count.expect("listed").jobs.len(), stored.len(), "and nothing else");

    store.delete(at(1), &stored[..3]).await.expect("deleted");
    let mut job = jobs::job();
    job.args = large;
    store.insert(&InsertJobs::new(at(2), vec![job])).await.expect("there is room again");
}

#[tokio::test]
async fn a_damaged_file() {
    let folder = Folder::new();
    let file = folder.file("jobs.db");
    let store = SqliteStore::new(SqliteOptions::new(&file).durability(Durability::Test));
    for _ in 0..200 {
        jobs::insert_one(&store).await;
    }
    store.close().await.expect("closed");
    let mut bytes = std::fs::read(&file).expect("read");
    let from = 4_096 * 2;
    bytes[from..].fill(0x5a);
    std::fs::write(&file, bytes).expect("written");
    let store = SqliteStore::new(file);
    let error = store.insert(&InsertJobs::new(at(0), vec![jobs::job()])).await.expect_err("damaged");
    says(&error, StoreErrorKind::Corrupt, false, &["is damaged", "restore it from a copy"]);
}
