//! The tables: made once, kept apart from the user's own, refused when they are of a later version.

mod support;

use std::error::Error;

use backgroundjobs_core::{JobState, JobStore, Outcome, SettleJobs, Settled, Settlement, StoreErrorKind};
use backgroundjobs_sqlite::{DEFAULT_TABLE_PREFIX, Durability, SqliteOptions, SqliteStore};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row};
use support::folder::Folder;
use support::jobs::{self, at};

fn options(folder: &Folder) -> SqliteOptions {
    SqliteOptions::new(folder.file("jobs.db")).durability(Durability::Test)
}

/// The user's own connection.
async fn own(folder: &Folder) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(folder.file("jobs.db")).create_if_missing(true);
    options.connect().await.expect("a connection")
}

async fn run(connection: &mut SqliteConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.expect("it runs");
}

async fn texts(connection: &mut SqliteConnection, sql: &str) -> Vec<String> {
    let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await.expect("it runs");
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn preparing_twice_and_from_two_stores_changes_nothing() {
    let folder = Folder::new();
    let store = SqliteStore::new(options(&folder));
    store.prepare().await.expect("prepared");
    let id = jobs::insert_one(&store).await;
    let mut own = own(&folder).await;
    let look = "SELECT sql FROM sqlite_schema ORDER BY name";
    let before = texts(&mut own, look).await;
    store.prepare().await.expect("prepared again");
    let other = SqliteStore::new(options(&folder));
    other.prepare().await.expect("prepared by another");
    assert_eq!(texts(&mut own, look).await, before);
    assert!(other.get(&[id]).await.expect("read")[0].is_some());
}

#[tokio::test]
async fn the_users_tables_and_migrations_stay_as_they_are() {
    let folder = Folder::new();
    let mut own = own(&folder).await;
    run(
        &mut own,
        "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT);
         INSERT INTO _sqlx_migrations VALUES (1, 'users');
         CREATE TABLE jobs (id INTEGER PRIMARY KEY, title TEXT);
         INSERT INTO jobs VALUES (1, 'carpenter');
         PRAGMA user_version = 17;",
    )
    .await;
    let store = SqliteStore::new(options(&folder));
    jobs::insert_one(&store).await;
    let others = format!(
        "SELECT name FROM sqlite_schema WHERE tbl_name NOT LIKE '{}%' ORDER BY name",
        DEFAULT_TABLE_PREFIX.replace('_', "\\_")
    );
    let others = others.replace("%'", "%' ESCAPE '\\'");
    assert_eq!(
        texts(&mut own, &others).await,
        ["_sqlx_migrations", "jobs", "sqlite_autoindex__sqlx_migrations_1"]
    );
    assert_eq!(texts(&mut own, "SELECT title FROM jobs").await, ["carpenter"]);
    assert_eq!(texts(&mut own, "SELECT description FROM _sqlx_migrations").await, ["users"]);
    let version: i64 = sqlx::query("PRAGMA user_version").fetch_one(&mut own).await.expect("a row").get(0);
    assert_eq!(version, 17);
}

#[tokio::test]
async fn stores_with_different_prefixes_share_a_file_and_nothing_else() {
    let folder = Folder::new();
    let one = SqliteStore::new(options(&folder).table_prefix("mail_"));
    let two = SqliteStore::new(options(&folder).table_prefix("Print2_"));
    let (first, second) = (jobs::insert_one(&one).await, jobs::insert_one(&two).await);
    let found = [one.get(&[first, second]).await, two.get(&[first, second]).await]
        .map(|records| records.expect("read").iter().map(Option::is_some).collect::<Vec<_>>());
    assert_eq!(found, [[true, false], [false, true]]);
    let (one, two) = (one.local_hub().expect("a hub"), two.local_hub().expect("a hub"));
    assert!(!one.is_same(two), "a job of one is no news to the other");
}

/// The second store was told that the table `mail9_meta` exists.
#[tokio::test]
async fn a_prefix_is_the_same_in_capitals() {
    let folder = Folder::new();
    let one = SqliteStore::new(options(&folder).table_prefix("Mail9_"));
    let id = jobs::insert_one(&one).await;
    let two = SqliteStore::new(options(&folder).table_prefix("mail9_"));
    let leases = jobs::claim(&two, at(1), 9).await;
    assert_eq!(leases.iter().map(|lease| lease.id).collect::<Vec<_>>(), [id]);
    let end = Settlement { lease: leases[0], outcome: Outcome::Complete };
    let settled = two.settle(&SettleJobs::new(at(2), vec![end])).await.expect("settled");
    assert_eq!(settled.jobs, [Settled::Applied { state: JobState::Succeeded }]);
    let hubs = [&one, &two].map(|store| store.local_hub().expect("a hub"));
    assert!(std::ptr::eq(hubs[0], hubs[1]), "they wake each other's workers");
}

#[tokio::test]
async fn a_prefix_that_will_not_do_is_refused_with_the_reason() {
    let folder = Folder::new();
    let long = "p".repeat(41);
    for (prefix, reason) in [
        ("", "it is empty"),
        ("my jobs", "other characters"),
        ("j\"; DROP TABLE users; --", "other characters"),
        ("1jobs_", "starts with a digit"),
        ("sqlite_", "SQLite's own"),
        (long.as_str(), "longer than 40 bytes"),
    ] {
        let error =
            SqliteStore::new(options(&folder).table_prefix(prefix)).prepare().await.expect_err("refused");
        assert_eq!((error.kind(), error.is_retryable()), (StoreErrorKind::Rejected, false), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
        assert!(SqliteStore::schema_sql(prefix).is_err());
    }
    assert!(!folder.file("jobs.db").exists(), "nothing was opened");
}

#[tokio::test]
async fn a_later_schema_is_refused_and_left_alone() {
    let folder = Folder::new();
    let store = SqliteStore::new(options(&folder));
    let id = jobs::insert_one(&store).await;
    store.close().await.expect("closed");
    let mut own = own(&folder).await;
    run(&mut own, "UPDATE backgroundjobs_meta SET value = 99 WHERE name = 'schema_version'").await;
    let store = SqliteStore::new(options(&folder));
    for error in [store.prepare().await.expect_err("refused"), store.get(&[id]).await.expect_err("refused")] {
        assert_eq!((error.kind(), error.is_retryable()), (StoreErrorKind::Rejected, false));
        let text = error.to_string();
        assert!(text.contains("schema version 99") && text.contains("update this program"), "{text}");
    }
    assert_eq!(texts(&mut own, "SELECT hex(id) FROM backgroundjobs_jobs").await.len(), 1);
    run(&mut own, "UPDATE backgroundjobs_meta SET value = 1 WHERE name = 'schema_version'").await;
    store.prepare().await.expect("the same handle, once it fits");
}

#[tokio::test]
async fn a_table_of_another_program_under_the_same_name_is_refused() {
    let folder = Folder::new();
    let mut own = own(&folder).await;
    run(&mut own, "CREATE TABLE backgroundjobs_meta (name TEXT, value INTEGER)").await;
    let error = SqliteStore::new(options(&folder)).prepare().await.expect_err("refused");
    assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    assert!(error.to_string().contains("name another SqliteOptions::table_prefix"), "{error}");
    assert_eq!(texts(&mut own, "SELECT name FROM sqlite_schema").await.len(), 1, "nothing is half migrated");
}

#[tokio::test]
async fn a_migration_that_fails_halfway_leaves_nothing() {
    let folder = Folder::new();
    let mut own = own(&folder).await;
    run(&mut own, "CREATE TABLE backgroundjobs_failures (mine TEXT)").await;
    let error = SqliteStore::new(options(&folder)).prepare().await.expect_err("the name is taken");
    let cause = error.source().expect("SQLite's own words").to_string();
    assert!(cause.contains("backgroundjobs_failures"), "{cause}");
    assert_eq!(texts(&mut own, "SELECT name FROM sqlite_schema").await, ["backgroundjobs_failures"]);
    run(&mut own, "DROP TABLE backgroundjobs_failures").await;
    SqliteStore::new(options(&folder)).prepare().await.expect("prepared");
}

#[tokio::test]
async fn the_printed_schema_is_what_a_store_makes() {
    let folder = Folder::new();
    let store = SqliteStore::new(options(&folder).table_prefix("mine_"));
    store.prepare().await.expect("prepared");
    let look = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name";
    let made = texts(&mut own(&folder).await, look).await;

    let by_hand = Folder::new();
    let mut own = own(&by_hand).await;
    run(&mut own, &SqliteStore::schema_sql("mine_").expect("a prefix that will do")).await;
    assert_eq!(texts(&mut own, look).await, made);
    own.close().await.expect("closed");
    let store = SqliteStore::new(options(&by_hand).table_prefix("mine_"));
    let id = jobs::insert_one(&store).await;
    assert!(store.get(&[id]).await.expect("read")[0].is_some());
}
