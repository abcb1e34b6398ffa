//! Ends of many jobs in one call: most go by one statement without a look, and the others are told apart from them.

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use backgroundjobs_core::{
    Failure, FailureKind, InsertJobs, Inserted, JobId, JobState, JobStore, KeyHold, LeaseKey, NewJob,
    Outcome, RecoverJobs, SettleJobs, Settled, Settlement, UniqueKey,
};
use backgroundjobs_sqlite::{Durability, SqliteOptions, SqliteStore};
use support::folder::Folder;
use support::jobs::{self, at};

const SUCCEEDED: Settled = Settled::Applied { state: JobState::Succeeded };

/// So many jobs, claimed; every third one for the second time.
async fn claimed(store: &SqliteStore, count: usize) -> Vec<LeaseKey> {
    for _ in 0..count.div_ceil(1_000) {
        let batch = (0..count.min(1_000)).map(|_| jobs::job()).collect();
        store.insert(&InsertJobs::new(at(0), batch)).await.expect("stored");
    }
    let first = jobs::claim(store, at(1), count).await;
    let again =
        Outcome::Retry { delay: Duration::ZERO, failure: Failure::new(FailureKind::Error, "once more") };
    let thirds: Vec<_> = first.iter().step_by(3).copied().collect();
    settle(store, thirds.iter().map(|lease| (*lease, again.clone()))).await;
    let second = jobs::claim(store, at(2), count).await;
    assert_eq!((first.len(), second.len()), (count, thirds.len()));
    assert!(second.iter().all(|lease| lease.generation == 2));
    let latest: BTreeMap<JobId, LeaseKey> =
        first.into_iter().chain(second).map(|lease| (lease.id, lease)).collect();
    latest.into_values().collect()
}

async fn settle(store: &SqliteStore, ends: impl IntoIterator<Item = (LeaseKey, Outcome)>) -> Vec<Settled> {
    let outcomes = ends.into_iter().map(|(lease, outcome)| Settlement { lease, outcome }).collect();
    store.settle(&SettleJobs::new(at(2), outcomes)).await.expect("settled").jobs
}

#[tokio::test]
async fn each_of_many_ends_is_answered_in_its_place() {
    let folder = Folder::new();
    let store = SqliteStore::new(SqliteOptions::new(folder.file("jobs.db")).durability(Durability::Test));
    // More of one generation than one statement takes.
    let leases = claimed(&store, 2_000).await;
    let mut ends = Vec::new();
    let mut expected = Vec::new();
    for (index, lease) in leases.iter().enumerate() {
        let (end, answer) = match index % 50 {
            7 => (Outcome::Release, Settled::Applied { state: JobState::Waiting }),
            8 => (Outcome::Cancel { failure: None }, Settled::Applied { state: JobState::Cancelled }),
            _ => (Outcome::Complete, SUCCEEDED),
        };
        ends.push((*lease, end));
        expected.push(answer);
    }
    let answers = settle(&store, ends.clone()).await;
    assert_eq!(answers, expected);
    assert_eq!(settle(&store, ends).await, expected, "once more, it is answered as before");
    let ids: Vec<_> = leases.iter().map(|lease| lease.id).collect();
    for (record, expected) in store.get(&ids).await.expect("read").into_iter().zip(expected) {
        assert_eq!(Settled::Applied { state: record.expect("there").state }, expected);
    }
}

#[tokio::test]
async fn one_end_too_late_among_many_is_lost_and_no_other() {
    let folder = Folder::new();
    let store = SqliteStore::new(SqliteOptions::new(folder.file("jobs.db")).durability(Durability::Test));
    let leases = claimed(&store, 900).await;
    let mut ends: Vec<_> = leases.iter().map(|lease| (*lease, Outcome::Complete)).collect();
    // Of the first generation, which was settled, and is told how the job is now; of none; of no job; and of the next.
    ends[3].0.generation -= 1;
    ends[4].0.generation = 0;
    ends[5].0.id = jobs::id();
    ends[6].0.generation += 1;
    assert_eq!(leases[3].generation, 2, "a job of the second generation");
    let mut expected = vec![SUCCEEDED; leases.len()];
    expected[3] = Settled::Applied { state: JobState::Running };
    expected[4..=6].fill(Settled::Lost);
    assert_eq!(settle(&store, ends).await, expected);
}

fn keyed(number: usize) -> NewJob {
    let mut job = jobs::job();
    job.unique = Some(UniqueKey { key: number.to_string().into(), hold: KeyHold::UntilFinished });
    job
}

/// The keys of those that a call ended are let go, whether all of it was still held or not, and no other.
#[tokio::test]
async fn of_many_ends_each_lets_go_of_its_own_key() {
    const COUNT: usize = 30;
    let folder = Folder::new();
    let store = SqliteStore::new(SqliteOptions::new(folder.file("jobs.db")).durability(Durability::Test));
    let insert = async || {
        let reply = store.insert(&InsertJobs::new(at(0), (0..COUNT).map(keyed).collect())).await;
        reply.expect("stored").jobs
    };
    assert_eq!(insert().await, [Inserted::New; COUNT]);
    let mut leases = jobs::claim(&store, at(1), COUNT).await;
    leases.sort_unstable_by_key(|lease| lease.id);
    let complete =
        |leases: &[LeaseKey]| leases.iter().map(|lease| (*lease, Outcome::Complete)).collect::<Vec<_>>();
    assert_eq!(settle(&store, complete(&leases[..8])).await, [SUCCEEDED; 8]);
    let recovered = store.recover(&RecoverJobs::new(at(60), 100, Duration::ZERO)).await.expect("recovered");
    assert_eq!(recovered.jobs.len(), COUNT - 8);
    let again = jobs::claim(&store, at(61), 12).await;
    assert_eq!(again.len(), 12, "jobs 8 to 19 run, and the rest waits");
    let mut late = vec![SUCCEEDED; 8];
    late.resize(COUNT, Settled::Lost);
    assert_eq!(settle(&store, complete(&leases)).await, late);
    let is_new = |answers: Vec<Inserted>| answers.iter().map(|it| *it == Inserted::New).collect::<Vec<_>>();
    let mut expected = vec![false; COUNT];
    expected[..8].fill(true);
    assert_eq!(is_new(insert().await), expected, "those that run or wait hold theirs");
    assert_eq!(settle(&store, complete(&again)).await, [SUCCEEDED; 12]);
    expected[..8].fill(false);
    expected[8..20].fill(true);
    assert_eq!(is_new(insert().await), expected, "those that ended had them");
}
