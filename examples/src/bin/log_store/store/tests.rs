//! What only shows inside: who waits for whom, and what becomes of a store whose disk fails.

use std::fs::{self, OpenOptions};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use backgroundjobs_core::*;
use uuid::Uuid;

use super::calls::Draft;
use super::state::State;
use super::{LogStore, MOST_UNWRITTEN};

/// A folder with a log, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("backgroundjobs-log-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder for tests");
        Self(folder)
    }

    fn log(&self) -> PathBuf {
        self.0.join("jobs.log")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

fn job(number: u128) -> NewJob {
    let (kind, queue) = (Kind::new("mail").unwrap(), QueueName::default_queue());
    NewJob::new(JobId::from_uuid(Uuid::from_u128(number)), kind, queue, Payload::from_store("{}"))
}

fn insert(numbers: impl IntoIterator<Item = u128>) -> InsertJobs {
    InsertJobs::new(Timestamp::UNIX_EPOCH, numbers.into_iter().map(job).collect())
}

fn poll<T>(call: Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Poll<T> {
    call.poll(&mut Context::from_waker(Waker::noop()))
}

fn lines(path: &Path) -> usize {
    fs::read_to_string(path).unwrap().lines().count()
}

async fn is_there(store: &LogStore, number: u128) -> bool {
    store.get(&[job(number).id]).await.unwrap()[0].is_some()
}

#[tokio::test]
async fn an_answer_waits_until_all_that_it_saw_is_on_the_disk() {
    let folder = Folder::new("waits");
    let path = folder.log();
    let store = LogStore::open(&path);
    let data = store.data(StoreOperation::Prepare).unwrap();
    let at_work = data.log.try_lock().expect("nobody writes"); // as one whose sync takes long

    let (first, id) = (insert([1]), [job(1).id]);
    let (mut insert_it, mut again, mut get) =
        (pin!(store.insert(&first)), pin!(store.insert(&first)), pin!(store.get(&id)));
    assert!(poll(insert_it.as_mut()).is_pending());
    assert!(poll(again.as_mut()).is_pending(), "`Existing` says that the job is stored");
    assert!(poll(get.as_mut()).is_pending());
    assert_eq!(lines(&path), 1, "nothing is on the disk but the first line");

    drop(at_work);
    data.turned.notify_waiters();
    assert_eq!(insert_it.await.unwrap().jobs, [Inserted::New]);
    assert_eq!(again.await.unwrap().jobs, [Inserted::Existing(id[0])]);
    assert!(get.await.unwrap()[0].is_some());
    assert_eq!(lines(&path), 2);
}

#[tokio::test]
async fn calls_that_wait_are_written_together_also_those_that_were_dropped() {
    let folder = Folder::new("together");
    let path = folder.log();
    let store = LogStore::open(&path);
    let data = store.data(StoreOperation::Prepare).unwrap();
    let at_work = data.log.try_lock().expect("nobody writes");
    let requests: Vec<_> = (1..=100).map(|number| insert([number])).collect();
    let mut calls: Vec<_> = requests.iter().map(|request| store.insert(request)).collect();
    assert!(calls.iter_mut().all(|call| poll(call.as_mut()).is_pending()));
    drop(calls.split_off(50));
    drop(at_work);
    data.turned.notify_waiters();
    for call in calls {
        assert_eq!(call.await.unwrap().jobs, [Inserted::New]);
    }
    assert_eq!(lines(&path), 2, "one line, so one sync");
    drop((store, data));
    let again = LogStore::open(&path);
    for number in 1..=100 {
        assert!(is_there(&again, number).await, "{number}");
    }
}

#[tokio::test]
async fn a_call_that_nobody_polls_any_more_holds_up_no_other() {
    let folder = Folder::new("left");
    let store = LogStore::open(folder.log());
    let data = store.data(StoreOperation::Prepare).unwrap();
    let at_work = data.log.try_lock().expect("nobody writes");
    let (first, second) = (insert([1]), insert([2]));
    let (mut left, mut other) = (pin!(store.insert(&first)), pin!(store.insert(&second)));
    assert!(poll(left.as_mut()).is_pending() && poll(other.as_mut()).is_pending());
    drop(at_work);
    data.turned.notify_waiters();
    assert!(poll(other.as_mut()).is_ready() && poll(left.as_mut()).is_ready());
}

#[tokio::test]
async fn callers_that_give_up_do_not_fill_memory_while_the_disk_stands() {
    let folder = Folder::new("stands");
    let store = LogStore::open(folder.log());
    let data = store.data(StoreOperation::Prepare).unwrap();
    let at_work = data.log.try_lock().expect("nobody writes");
    for number in 0..MOST_UNWRITTEN as u128 {
        let request = insert([number]);
        assert!(poll(pin!(store.insert(&request))).is_pending());
    }
    let (next, id) = (insert([u128::MAX]), [job(u128::MAX).id]);
    let (mut one_more, mut get) = (pin!(store.insert(&next)), pin!(store.get(&id)));
    assert!(poll(one_more.as_mut()).is_pending() && poll(get.as_mut()).is_pending());
    assert_eq!(data.memory.lock().unwritten.len(), MOST_UNWRITTEN, "it waits before it changes anything");
    drop(at_work);
    data.turned.notify_waiters();
    assert_eq!(one_more.await.unwrap().jobs, [Inserted::New]);
    assert!(get.await.unwrap()[0].is_some());
    assert!(data.memory.lock().unwritten.is_empty() && is_there(&store, 0).await);
}

#[test]
fn a_draft_that_is_undone_was_never_there() {
    let (now, later) = (Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH + Duration::from_secs(60));
    let mut new = insert(1..=6).jobs;
    for (job, hold) in new.iter_mut().zip([KeyHold::UntilFinished, KeyHold::For(Duration::from_secs(9))]) {
        job.unique = Some(UniqueKey { key: format!("{hold:?}").into(), hold });
    }
    let (id, queue) = (new[0].id, QueueName::default_queue());
    let (claim, worker) = (ClaimId::from_uuid(Uuid::nil()), WorkerId::from_uuid(Uuid::nil()));
    let claim = |limit| {
        let demand = vec![QueueDemand { queue: queue.clone(), limit }];
        ClaimJobs::new(now, claim, worker, demand, [new[0].kind.clone()].into(), Duration::from_secs(30))
    };
    let settle = |number: usize, outcome| {
        let lease = LeaseKey { id: new[number].id, generation: 1 };
        SettleJobs::new(now, vec![Settlement { lease, outcome }])
    };
    let failure = Failure::new(FailureKind::Error, "no");
    let mut state = State::default();
    let mut first = Draft::new(&mut state);
    first.insert(&new[..5], now).unwrap();
    first.claim(&claim(4), now);
    first.settle(&settle(0, Outcome::Complete), now);
    let before = state.clone();

    let mut draft = Draft::new(&mut state);
    draft.insert(&new[5..], now).unwrap();
    draft.settle(&settle(1, Outcome::Retry { delay: Duration::ZERO, failure }), now);
    draft.settle(&settle(2, Outcome::Complete), now);
    draft.cancel(&[new[3].id, new[4].id], now);
    assert_eq!(draft.recover(&RecoverJobs::new(later, 9, Duration::ZERO), later).jobs.len(), 1);
    draft.requeue(&[id], now);
    draft.pause(&queue, now).unwrap();
    draft.delete(&[new[5].id]);
    let keep = Keep::latest(0);
    let retention = Retention { succeeded: keep, failed: keep, cancelled: keep };
    assert!(draft.prune(&PruneJobs::new(later, retention, 9), later).removed > 1);
    assert!(draft.done().len() > 12, "{:?}", draft.done());
    draft.undo();
    assert_eq!(state, before);
}

#[tokio::test]
async fn after_a_write_that_failed_nothing_is_answered_until_the_log_is_opened_anew() {
    let folder = Folder::new("full");
    let path = folder.log();
    let store = LogStore::open(&path);
    store.insert(&insert([1])).await.unwrap();
    let data = store.data(StoreOperation::Prepare).unwrap();
    let disk = |read_only: bool| OpenOptions::new().read(true).append(!read_only).open(&path).unwrap();
    data.log.lock().set_file(disk(true)); // it takes no more
    let failed = store.insert(&insert([2])).await.unwrap_err();
    data.log.lock().set_file(disk(false)); // it takes some again, but memory has what the file has not
    let errors = [
        failed,
        store.insert(&insert([2])).await.unwrap_err(),
        store.insert(&insert([3])).await.unwrap_err(),
        store.get(&[job(2).id]).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!((error.kind(), error.is_retryable()), (StoreErrorKind::Unavailable, true));
        assert!(error.to_string().contains("the log could not be written"), "{error}");
    }
    drop((store, data));
    let again = LogStore::open(&path);
    assert!(is_there(&again, 1).await && !is_there(&again, 2).await);
}

#[tokio::test]
async fn a_log_that_cannot_be_written_anew_goes_on_as_it_is() {
    let folder = Folder::new("stays");
    let path = folder.log();
    let in_the_way = path.with_file_name("jobs.log.new");
    let store = LogStore::with_compaction(&path, 0);
    store.prepare().await.unwrap();
    fs::create_dir(&in_the_way).unwrap();
    store.insert(&insert(1..=10)).await.unwrap();
    let before = fs::metadata(&path).unwrap().len();
    for _ in 0..100 {
        pause_and_resume(&store).await;
    }
    assert!(fs::metadata(&path).unwrap().len() > before, "it grows");

    fs::remove_dir(&in_the_way).unwrap();
    for _ in 0..1_000 {
        pause_and_resume(&store).await;
    }
    let after = fs::metadata(&path).unwrap().len();
    assert!(after < 20 * before, "it was written anew: {before} bytes, then {after}");
    drop(store);
    let again = LogStore::open(&path);
    for number in 1..=10 {
        assert!(is_there(&again, number).await, "{number}");
    }
}

async fn pause_and_resume(store: &LogStore) {
    let (control, queue) = (store.control().unwrap(), QueueName::default_queue());
    control.pause(Timestamp::UNIX_EPOCH, &queue).await.unwrap();
    control.resume(Timestamp::UNIX_EPOCH, &queue).await.unwrap();
}
