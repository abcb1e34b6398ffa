//! The log store of the example keeps the store contract, and what it says of the disk.

#[path = "../src/bin/log_store/store/mod.rs"]
mod store;

use std::fs;
use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use backgroundjobs_core::prelude::*;
use backgroundjobs_core::*;
use backgroundjobs_testing::conformance::{FreshStore, StoreUnderTest};
use backgroundjobs_testing::{Fault, Faults, FaultyStore, Limits, Odds, TestKit, crash_everywhere, explore};
use serde::{Deserialize, Serialize};
use store::LogStore;
use uuid::Uuid;

struct OnDisk;

/// A folder of its own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static FOLDERS: AtomicU64 = AtomicU64::new(0);
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let path =
            PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("log-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder for tests");
        Self(path)
    }

    fn log(&self) -> PathBuf {
        self.0.join("jobs.log")
    }

    /// A new file each time: some file systems sync one that is emptied and written again.
    fn write(&self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        _ = fs::remove_file(self.log());
        fs::write(self.log(), bytes)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

/// Written anew all the time, so that every check is one of that, too.
fn open(folder: &Folder) -> LogStore {
    LogStore::with_compaction(folder.log(), 1 << 10)
}

#[async_trait]
impl StoreUnderTest for OnDisk {
    async fn fresh(&self) -> FreshStore {
        let folder = Folder::new();
        FreshStore::new(open(&folder)).guarded_by(folder)
    }

    async fn reopen(&self, fresh: &FreshStore) -> Option<Arc<dyn JobStore>> {
        Some(Arc::new(open(fresh.guard::<Folder>())))
    }
}

backgroundjobs_testing::store_conformance!(OnDisk);

fn id(number: u128) -> JobId {
    JobId::from_uuid(Uuid::from_u128(number))
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn key(text: &str, hold: KeyHold) -> Option<UniqueKey> {
    Some(UniqueKey { key: text.into(), hold })
}

/// Every kind of record, by calls of which each changes something: so many calls.
const CALLS: usize = 11;

async fn call(store: &LogStore, number: usize) {
    let (kind, queue, second) =
        (Kind::new("mail").expect("a name"), QueueName::default_queue(), Duration::from_secs(1));
    let new =
        |number| NewJob::new(id(number), kind.clone(), queue.clone(), Payload::from_store("[\"\u{e9}\\n\"]"));
    let (control, now) =
        (store.control().expect("it has control"), at(i64::try_from(number).expect("a small number")));
    let lease = |job, generation| LeaseKey { id: id(job), generation };
    let settle = async |job, outcome| {
        let outcomes = vec![Settlement { lease: lease(job, 1), outcome }];
        assert_ne!(
            store.settle(&SettleJobs::new(now, outcomes)).await.expect("the store answers").jobs,
            [Settled::Lost]
        );
    };
    match number {
        0 => {
            // Nothing in them is as it is unless it was given.
            let (mut first, mut other) = (new(1), new(2));
            first.unique = key("until it is over", KeyHold::UntilFinished);
            (first.max_attempts, first.max_crashes, first.priority) = (7, 8, Priority::HIGHEST);
            other.unique = key("for a while", KeyHold::For(second * 1_000));
            other.metadata.insert("tenant".into(), "7".into());
            store
                .insert(&InsertJobs::new(now, vec![first, other, new(3), new(4)]))
                .await
                .map(drop)
                .expect("the store answers");
        }
        1 => {
            let (claim, worker) =
                (ClaimId::from_uuid(Uuid::from_u128(8)), WorkerId::from_uuid(Uuid::from_u128(9)));
            let demand = vec![QueueDemand { queue: queue.clone(), limit: 3 }];
            let request = ClaimJobs::new(now, claim, worker, demand, [kind.clone()].into(), second);
            assert_eq!(store.claim(&request).await.expect("the store answers").queues[0].jobs.len(), 3);
        }
        2 => {
            let leases = vec![lease(1, 1), lease(3, 1)];
            store
                .renew(&RenewLeases::new(now, second * 5, leases))
                .await
                .map(drop)
                .expect("the store answers");
        }
        3 => {
            let failure = Failure::new(FailureKind::Error, "no \"route\"\n");
            settle(1, Outcome::Retry { delay: second, failure }).await;
        }
        4 => settle(2, Outcome::Complete).await,
        5 => assert_eq!(
            store.cancel(&CancelJobs::new(now, vec![id(3)])).await.expect("the store answers"),
            [CancelStatus::Requested]
        ),
        6 => {
            store
                .insert(&InsertJobs::new(now, vec![new(5), new(6)]))
                .await
                .map(drop)
                .expect("the store answers");
        }
        7 => assert_eq!(
            store.recover(&RecoverJobs::new(now, 9, second)).await.expect("the store answers").jobs.len(),
            1
        ),
        8 => assert!(matches!(
            control.requeue(now, &[id(2)]).await.expect("the store answers").jobs[..],
            [RequeueStatus::Requeued(_)]
        )),
        9 => assert_eq!(
            control.delete(now, &[id(4)]).await.expect("the store answers"),
            [DeleteStatus::Deleted]
        ),
        _ => control.pause(now, &queue).await.expect("the store answers"),
    }
}

/// All that a store says of itself.
async fn all(store: &LogStore) -> Result<String, StoreError> {
    let ids: Vec<_> = (1..=6).map(id).collect();
    let inspect = store.inspect().expect("it has inspect");
    let args = |job: &JobRecord| job.args.as_str().to_owned();
    let jobs = store.get(&ids).await?;
    let args: Vec<_> = jobs.iter().flatten().map(args).collect();
    let mut probes = Vec::new();
    for (text, now) in [("until it is over", at(100)), ("for a while", at(100)), ("for a while", at(2_000))] {
        // A job that is refused, or else is deleted again, tells who holds a key.
        let (kind, args) = (Kind::new("probe").expect("a name"), Payload::from_store("0"));
        let mut probe = NewJob::new(id(99), kind, QueueName::default_queue(), args);
        probe.unique = key(text, KeyHold::UntilFinished);
        probes.push(store.insert(&InsertJobs::new(now, vec![probe])).await?.jobs);
        store.control().expect("it has control").delete(now, &[id(99)]).await?;
    }
    let counts = inspect.count(&CountJobs::new(at(100), JobFilter::all())).await?;
    Ok(format!("{jobs:?} {args:?} {counts:?} {:?} {probes:?}", inspect.queues(at(100)).await?))
}

/// The bytes after each call, from none on, and what the store said then.
async fn history() -> Vec<(Vec<u8>, String)> {
    let folder = Folder::new();
    let mut history = Vec::new();
    for calls in 0..=CALLS {
        let store = LogStore::open(folder.log());
        if calls > 0 {
            call(&store, calls - 1).await;
        } else {
            store.prepare().await.expect("the store answers");
        }
        let bytes = fs::read(folder.log()).expect("a file");
        history.push((bytes.clone(), all(&store).await.expect("the store answers")));
        store.close().await.expect("the store answers");
        folder.write(bytes).expect("a file"); // without what `all` has tried
    }
    assert!(
        history
            .is_sorted_by(|before, after| before.0.len() < after.0.len() && after.0.starts_with(&before.0))
    );
    assert!(history.windows(2).all(|calls| calls[0].1 != calls[1].1), "each call changes something");
    history
}

#[tokio::test]
async fn whatever_is_torn_of_the_last_write_all_before_it_is_there() {
    let history = history().await;
    let folder = Folder::new();
    let mut cuts = 0;
    for (before, after) in history.iter().zip(&history[1..]) {
        // Every byte of the last, which is short: each cut costs some syncs.
        let step = if after.0.len() == history[CALLS].0.len() { 1 } else { 37 };
        for end in (before.0.len()..after.0.len()).step_by(step).chain([after.0.len()]) {
            folder.write(&after.0[..end]).unwrap();
            let store = LogStore::open(folder.log());
            let said = all(&store).await.unwrap();
            assert_eq!(&said, if end < after.0.len() { &before.1 } else { &after.1 }, "cut at byte {end}");
            store.close().await.unwrap();
            cuts += 1;
        }
    }
    // What is cut off is gone before the next write, and the first line may be torn, too.
    let (whole, before) = (&history[CALLS].0, history[CALLS - 1].0.len());
    for end in [0, 1, 20, before, before + 1, before + 26, whole.len() - 1] {
        folder.write(&whole[..end]).unwrap();
        let store = LogStore::open(folder.log());
        call(&store, CALLS - 1).await;
        store.close().await.unwrap();
        let said = all(&LogStore::open(folder.log())).await.unwrap();
        let is_right =
            if end < before { said.contains("paused_since: Some") } else { said == history[CALLS].1 };
        assert!(is_right, "cut at byte {end}: {said}");
        cuts += 1;
    }
    assert!(cuts > 150, "{cuts} cuts");
}

#[tokio::test]
async fn a_log_that_is_damaged_before_its_end_is_not_opened_and_not_changed() {
    let history = history().await;
    let folder = Folder::new();
    let (whole, last) = (&history[CALLS].0, history[CALLS - 1].0.len());
    for place in (0..last).filter(|place| *place < 200 || place % 3 == 0) {
        // One bit; and all from here up to the last line, gone or overwritten.
        let mut flipped = whole.clone();
        flipped[place] ^= 1 << (place % 8);
        let lost = [&whole[..place], &whole[last..]].concat();
        let blank = [&whole[..place], &vec![0; last - place][..], &whole[last..]].concat();
        for damaged in [flipped, lost, blank].into_iter().take(if place % 4 == 0 { 3 } else { 1 }) {
            let is_between_lines = history.iter().any(|(bytes, _)| bytes.len() == place);
            if is_between_lines && damaged.len() < whole.len() {
                continue; // whole lines are missing: their checksums do not tell
            }
            folder.write(&damaged).unwrap();
            let error = LogStore::open(folder.log()).prepare().await.expect_err("it is damaged");
            assert_eq!(error.kind(), StoreErrorKind::Corrupt, "byte {place}: {error}");
            let text = error.to_string();
            assert!(text.contains("jobs.log is damaged at byte ") && !error.is_retryable(), "{text}");
            assert_eq!(fs::read(folder.log()).unwrap(), damaged, "it was changed");
        }
    }
}

#[tokio::test]
async fn a_file_of_somebody_else_is_left_alone() {
    let folder = Folder::new();
    for text in ["[package]\n", "x", "backgroundjobs log 2\n", "backgroundjobs log 1 \n"] {
        folder.write(text).unwrap();
        let error = LogStore::open(folder.log()).prepare().await.expect_err("it is no log");
        assert!(error.to_string().contains("it is no log of jobs, or not of this version"), "{error}");
        assert_eq!(fs::read_to_string(folder.log()).unwrap(), text);
    }
}

#[tokio::test]
async fn a_log_that_is_written_anew_keeps_everything_whenever_it_is_interrupted() {
    let history = history().await;
    let (bytes, said) = &history[CALLS];
    let folder = Folder::new();
    folder.write(bytes).unwrap();
    let store = LogStore::with_compaction(folder.log(), 0);
    let control = store.control().unwrap();
    let (mut rewritten, mut largest) = (0, 0);
    let mut before = bytes.len();
    for _ in 0..2_000 {
        for queue in [QueueName::new("other").unwrap(), QueueName::default_queue()] {
            control.pause(at(200), &queue).await.unwrap();
        }
        control.resume(at(200), &QueueName::new("other").unwrap()).await.unwrap();
        let length = fs::metadata(folder.log()).unwrap().len() as usize;
        (rewritten, largest) = (rewritten + usize::from(length < before), largest.max(length));
        before = length;
    }
    assert!(rewritten > 3 && largest < 9 * bytes.len(), "{rewritten} times, up to {largest} bytes");
    store.close().await.unwrap();
    let anew = fs::read(folder.log()).unwrap();
    // Before it takes the log's place a new file is half written, or whole; afterwards it is the log.
    for (log, new) in [(bytes, Some(&anew[..anew.len() / 2])), (bytes, Some(&anew[..])), (&anew, None)] {
        folder.write(log).unwrap();
        new.map_or(Ok(()), |new| fs::write(folder.0.join("jobs.log.new"), new)).unwrap();
        let store = LogStore::open(folder.log());
        assert_eq!(&all(&store).await.unwrap(), said);
        assert!(!folder.0.join("jobs.log.new").exists());
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_log_has_one_store_at_a_time() {
    let folder = Folder::new();
    let (first, second) = (LogStore::open(folder.log()), LogStore::open(folder.log()));
    first.prepare().await.unwrap();
    let error = second.prepare().await.expect_err("the first has it");
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    let text = error.to_string();
    assert!(
        text.contains("jobs.log: it is in use by another store of this process; share that one"),
        "{text}"
    );
    first.close().await.unwrap();
    second.prepare().await.unwrap();
    drop(second);
    LogStore::open(folder.log()).prepare().await.unwrap();
}

#[derive(Serialize, Deserialize)]
struct Work(u32);
impl JobArgs for Work {
    const KIND: &'static str = "work";
}

async fn work(Work(number): Work, ctx: JobContext) -> JobResult {
    ctx.sleep(Duration::from_secs(number.into())).await;
    if number % 3 == 0 && ctx.attempt() == 1 { Err("not yet".into()) } else { Ok(()) }
}

fn program(store: Arc<dyn JobStore>) -> Builder {
    BackgroundJobs::builder(|options| options.use_shared_store(store)).register_fn(work)
}

#[tokio::test]
async fn no_job_is_lost_when_calls_fail_and_replies_get_lost() {
    let in_trouble = async |kit: &TestKit| {
        let folder = Folder::new();
        let faults = Faults::seeded(kit.seed().unwrap_or_default())
            .everywhere(Odds::none().error(0.1).lost_reply(0.1))
            .quiet_from(kit.now() + Duration::from_secs(60));
        let faulty = FaultyStore::around(Arc::new(open(&folder)), &kit.clock(), faults);
        let log = faulty.log();
        let jobs = kit.start(program(Arc::new(faulty))).await;
        for number in 0..12 {
            let later = Duration::from_secs(number.into());
            _ = kit.run(jobs.manager().enqueue_in(Work(number), later)).await; // may fail: then it need not run
        }
        let report = kit.drain(Limits::new()).await;
        assert!(log.count(Fault::LostReply) > 0 && report.retried > 0, "{report}");
        kit.ledger().await.assert_at_least_once();
    };
    let seen = explore(0..10, in_trouble).await;
    assert!(seen.traces > 5, "{seen}");
}

/// The kit ends a program's tasks and not its store. So the next process closes that, as the system does at a death,
/// and opens the log anew.
#[tokio::test]
async fn no_job_is_lost_wherever_the_process_crashes() {
    let with_a_crash = async |kit: &TestKit| {
        let folder = Folder::new();
        let (log, last) = (folder.log(), Mutex::<Option<Arc<LogStore>>>::default());
        let process = move || {
            let store = Arc::new(LogStore::open(&log));
            if let Some(dead) = last.lock().unwrap().replace(store.clone()) {
                let closed = pin!(dead.close()).poll(&mut Context::from_waker(Waker::noop()));
                assert!(closed.is_ready());
            }
            program(store)
        };
        let node = kit.node("worker").start(process).await;
        node.manager().enqueue_many((1..=3).map(Work)).await.expect("it is stored");
        let _ = kit.drain(Limits::new()).await;
    };
    let report = crash_everywhere(with_a_crash, |ledger| {
        ledger.assert_at_least_once();
        ledger.assert_no_overlap();
    });
    let report = report.await;
    assert!(report.crashes > 10 && report.recoveries > 0, "{report:?}");
}
