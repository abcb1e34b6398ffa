//! Clearing away is done in parts, so that others can write in between.

mod support;

use std::time::Duration;

use backgroundjobs_core::{
    Failure, FailureKind, InsertJobs, JobId, JobStore, Keep, KeyHold, LeaseKey, NewJob, Outcome, Payload,
    PruneJobs, Retention, SettleJobs, Settlement, Timestamp, UniqueKey,
};
use backgroundjobs_sqlite::{Durability, SqliteOptions, SqliteStore};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Row};
use support::folder::Folder;
use support::jobs::{self, at};

const NOTHING: Keep = Keep::latest(0);
const NO_RECORD: Retention = Retention { succeeded: NOTHING, failed: NOTHING, cancelled: NOTHING };

fn open(folder: &Folder) -> SqliteStore {
    SqliteStore::new(SqliteOptions::new(folder.file("jobs.db")).durability(Durability::Test))
}

async fn settle(store: &SqliteStore, now: Timestamp, leases: Vec<LeaseKey>, outcome: &Outcome) {
    let outcomes = leases.into_iter().map(|lease| Settlement { lease, outcome: outcome.clone() }).collect();
    store.settle(&SettleJobs::new(now, outcomes)).await.expect("settled");
}

/// Inserts and ends so many jobs.
async fn ended(store: &SqliteStore, count: usize, change: impl Fn(&mut NewJob)) -> Vec<JobId> {
    let mut batch: Vec<_> = (0..count).map(|_| jobs::job()).collect();
    batch.iter_mut().for_each(change);
    let ids = batch.iter().map(|job| job.id).collect();
    for part in batch.chunks(500) {
        store.insert(&InsertJobs::new(at(0), part.to_vec())).await.expect("stored");
        let leases = jobs::claim(store, at(1), 500).await;
        assert_eq!(leases.len(), part.len());
        settle(store, at(2), leases, &Outcome::Complete).await;
    }
    ids
}

/// Calls until there is nothing left, and answers what each call removed.
async fn prune_all(store: &SqliteStore, limit: u32) -> Vec<u32> {
    let mut removed = Vec::new();
    loop {
        let reply = store.prune(&PruneJobs::new(at(3), NO_RECORD, limit)).await.expect("pruned");
        removed.push(reply.removed);
        if reply.next_prune.is_none() {
            return removed;
        }
        assert_eq!(reply.next_prune, Some(at(3)), "there is more");
        assert!(reply.removed > 0, "it comes along");
    }
}

#[tokio::test]
async fn one_call_deletes_a_thousand_jobs_at_most_whatever_its_limit() {
    let folder = Folder::new();
    let store = open(&folder);
    let ids = ended(&store, 2_500, |_| {}).await;
    assert_eq!(prune_all(&store, 100_000).await, [1_000, 1_000, 500]);
    assert!(store.get(&ids).await.expect("read").iter().all(Option::is_none));
}

#[tokio::test]
async fn one_call_deletes_few_jobs_whose_args_are_large() {
    let folder = Folder::new();
    let store = open(&folder);
    let large = Payload::from_store(format!("\"{}\"", "x".repeat(500_000)));
    let ids = ended(&store, 30, |job| job.args = large.clone()).await;
    let removed = prune_all(&store, 1_000).await;
    assert!(removed.iter().all(|removed| *removed <= 9), "about 4 MB at a time: {removed:?}");
    assert_eq!(removed.iter().sum::<u32>(), 30);
    assert!(store.get(&ids).await.expect("read").iter().all(Option::is_none));
}

/// Inserts so many jobs, each of which fails 25 times.
async fn failed(store: &SqliteStore, count: usize, text: &str) {
    store.insert(&InsertJobs::new(at(0), (0..count).map(|_| jobs::job()).collect())).await.expect("stored");
    let failure = Failure::new(FailureKind::Error, text);
    let retry = Outcome::Retry { delay: Duration::ZERO, failure: failure.clone() };
    for _ in 0..24 {
        settle(store, at(1), jobs::claim(store, at(1), count).await, &retry).await;
    }
    settle(store, at(2), jobs::claim(store, at(2), count).await, &Outcome::Fail { failure }).await;
}

#[tokio::test]
async fn one_call_deletes_few_jobs_with_many_failures_however_short() {
    let folder = Folder::new();
    let store = open(&folder);
    failed(&store, 800, "no").await;
    let removed = prune_all(&store, 1_000).await;
    assert!(removed.len() >= 3, "20,000 failures, about 8,000 at a time: {removed:?}");
    assert_eq!(removed.iter().sum::<u32>(), 800);
}

#[tokio::test]
async fn one_call_deletes_few_jobs_with_long_histories() {
    let folder = Folder::new();
    let store = open(&folder);
    failed(&store, 100, &"x".repeat(8_000)).await;
    let removed = prune_all(&store, 1_000).await;
    assert!(removed.len() >= 4, "20 MB of error texts, about 4 at a time: {removed:?}");
    assert_eq!(removed.iter().sum::<u32>(), 100);
}

#[tokio::test]
async fn one_call_forgets_a_thousand_keys_at_most_whatever_its_limit() {
    let folder = Folder::new();
    let store = open(&folder);
    for first in [0, 1_000, 2_000] {
        let keyed = (first..first + 1_000).map(|number: u32| {
            let hold = KeyHold::For(Duration::from_secs(1));
            let mut job = jobs::job();
            job.unique = Some(UniqueKey { key: number.to_string().into(), hold });
            job
        });
        store.insert(&InsertJobs::new(at(0), keyed.collect())).await.expect("stored");
    }
    let connect = SqliteConnectOptions::new().filename(folder.file("jobs.db"));
    let mut own = connect.connect().await.expect("a connection");
    let mut left = Vec::new();
    for _ in 0..4 {
        store.prune(&PruneJobs::new(at(3), NO_RECORD, 100_000)).await.expect("pruned");
        let count = sqlx::query("SELECT count(*) FROM backgroundjobs_keys").fetch_one(&mut own).await;
        left.push(count.expect("counted").get::<i64, _>(0));
    }
    assert_eq!(left, [2_000, 1_000, 0, 0]);
}
