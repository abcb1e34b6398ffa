use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use backgroundjobs_core::{InsertJobs, Inserted, KeyHold, NewJob, Payload, StoreErrorKind, UniqueKey};

use super::*;
use crate::db::Db;
use crate::test_file::{TestFile, at, claim, id, job};

type Insert<'a> = Pin<Box<dyn Future<Output = Result<Vec<Inserted>, Failed>> + Send + 'a>>;

/// Inserts of one job each that have joined the group, in this order, while somebody else has the connection; and what
/// counts its commits from then on.
async fn joined<'a>(file: &'a TestFile, jobs: Vec<NewJob>) -> (Vec<Insert<'a>>, Arc<AtomicU64>) {
    // Makes the file and the lane.
    file.engine.insert(&InsertJobs::new(at(0), vec![job(0)])).await.expect("stored");
    // Opens both that read.
    for _ in 0..2 {
        assert!(file.engine.get(&[id(0)]).await.expect("read")[0].is_some());
    }
    let mut db = file.engine.writer().await.expect("the connection");
    let commits = count_commits(&mut db).await;
    let mut inserts: Vec<Insert<'a>> = Vec::new();
    for job in jobs {
        inserts.push(Box::pin(async move { file.engine.insert(&InsertJobs::new(at(1), vec![job])).await }));
    }
    for insert in &mut inserts {
        assert!(insert.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    drop(db);
    (inserts, commits)
}

async fn all(mut inserts: Vec<Insert<'_>>) -> Vec<Result<Vec<Inserted>, Failed>> {
    let mut answers: Vec<_> = inserts.iter().map(|_| None).collect();
    poll_fn(|cx| {
        for (insert, answer) in inserts.iter_mut().zip(&mut answers) {
            if answer.is_none()
                && let Poll::Ready(ready) = insert.as_mut().poll(cx)
            {
                *answer = Some(ready);
            }
        }
        if answers.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    answers.into_iter().flatten().collect()
}

async fn count_commits(db: &mut Db) -> Arc<AtomicU64> {
    let count = Arc::new(AtomicU64::new(0));
    let counted = count.clone();
    let mut handle = db.connection().lock_handle().await.expect("a handle");
    handle.set_commit_hook(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        true
    });
    count
}

#[tokio::test]
async fn inserts_that_wait_go_together_in_one_commit() {
    let file = TestFile::new();
    let (inserts, commits) = joined(&file, (1..=32).map(job).collect()).await;
    for answer in all(inserts).await {
        assert_eq!(answer.expect("stored"), [Inserted::New]);
    }
    assert_eq!(commits.load(Ordering::Relaxed), 1);
    let claimed = file.engine.claim(&claim(1, at(2), 99), at(2)).await.expect("claimed");
    assert_eq!(claimed.queues[0].jobs.len(), 33);
}

#[tokio::test]
async fn each_of_a_group_is_answered_for_itself() {
    let file = TestFile::new();
    let keyed = |number: u64| {
        let mut job = job(number);
        job.unique = Some(UniqueKey { key: "k".into(), hold: KeyHold::UntilFinished });
        job
    };
    let mut other = job(0);
    other.args = Payload::from_store("[]");
    let (inserts, commits) = joined(&file, vec![keyed(1), other, job(0), keyed(2), job(3)]).await;
    let mut answers = all(inserts).await;
    let conflict = answers.remove(1).expect_err("another job has the id");
    assert!(matches!(conflict, Failed::Own(StoreErrorKind::Conflict { index: 0 }, _)), "{conflict:?}");
    let answers: Vec<_> = answers.into_iter().map(|answer| answer.expect("answered")[0]).collect();
    let existing = |number| Inserted::Existing(id(number));
    assert_eq!(answers, [Inserted::New, existing(0), existing(1), Inserted::New]);
    assert_eq!(commits.load(Ordering::Relaxed), 1);
}

/// Whoever writes for all may be dropped at any point: then the next does it, and nobody is told anything else than if it
/// had not happened.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_is_dropped_while_it_writes_for_all_leaves_it_to_the_next() {
    let (mut with_its_job, mut without) = (0, 0);
    for round in 0..60_u32 {
        let file = TestFile::new();
        let (mut inserts, _) = joined(&file, (1..=4).map(job).collect()).await;
        let mut first = inserts.remove(0);
        // Some rounds give the connection's thread time between two polls, and so end later.
        for poll in 0..round % 12 {
            if first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                break;
            }
            for _ in 0..(round / 12) * poll {
                assert_eq!(file.engine.get(&[id(0)]).await.expect("read").len(), 1);
            }
        }
        drop(first);
        for answer in all(inserts).await {
            assert_eq!(answer.expect("stored"), [Inserted::New], "round {round}");
        }
        let stored = file.engine.get(&[id(1), id(2), id(3), id(4)]).await.expect("read");
        assert!(stored[1..].iter().all(Option::is_some), "round {round}");
        match stored[0] {
            Some(_) => with_its_job += 1,
            None => without += 1,
        }
    }
    assert!(with_its_job > 0 && without > 0, "{with_its_job} committed, {without} not: both are to be seen");
}

#[tokio::test]
async fn a_caller_that_is_gone_while_it_waits_inserts_nothing() {
    let file = TestFile::new();
    let (mut inserts, _) = joined(&file, (1..=3).map(job).collect()).await;
    drop(inserts.remove(1));
    assert_eq!(all(inserts).await.len(), 2);
    let stored = file.engine.get(&[id(1), id(2), id(3)]).await.expect("read");
    assert_eq!(stored.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
}

#[test]
fn a_group_is_bounded_but_one_request_always_goes() {
    let group = Group::default();
    let request = |jobs: usize| InsertJobs::new(at(0), vec![job(1); jobs]);
    let tickets = [MOST_JOBS * 2, 1, MOST_JOBS - 1, 1].map(|jobs| group.join(&request(jobs)));
    let taken =
        |group: &Group| group.take().iter().map(|ticket| ticket.request.jobs.len()).collect::<Vec<_>>();
    assert_eq!(taken(&group), [MOST_JOBS * 2]);
    assert_eq!(taken(&group), [1, MOST_JOBS - 1]);
    assert_eq!(taken(&group), [1]);
    assert!(taken(&group).is_empty());
    drop(tickets);
}
