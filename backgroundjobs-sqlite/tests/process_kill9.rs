//! Processes that are killed at random points, and one that is stopped for longer than its lease: what was acknowledged is
//! there, what ran twice is explained, and everything ends.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{EnqueueOptions, FailureKind, JobId, JobRecord, JobState, JobStore, Retention};
use backgroundjobs_sqlite::prelude::*;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Row};
use support::folder::Folder;

const FILE: &str = "BACKGROUNDJOBS_TEST_FILE";
const ROLE: &str = "BACKGROUNDJOBS_TEST_ROLE";
const LEASE: Duration = Duration::from_millis(500);
const LIMIT: Duration = Duration::from_secs(60);
/// Tasks of a child that enqueue.
const SENDERS: u128 = 4;

#[derive(Serialize, Deserialize)]
struct Work {
    millis: u64,
}

impl JobArgs for Work {
    const KIND: &'static str = "work";
}

/// A program on the file, with short leases. It says what it begins (`S`) and what it was told has ended (`D`).
fn program(file: SqliteOptions, says: impl Fn(String) + Send + Sync + 'static) -> Arc<BackgroundJobs> {
    let says = Arc::new(says);
    let ended = says.clone();
    let jobs = BackgroundJobs::builder(|options| {
        let options = options.use_sqlite(file).queue("default", 4).retention(Retention::FOREVER);
        let options = options.lease(LEASE, LEASE / 4).crashes(u16::MAX, Duration::from_millis(10));
        options.on_finished(move |run| ended(format!("D {} {}", run.id, run.state)))
    })
    .register_fn(move |work: Work, ctx: JobContext| {
        says(format!("S {} 0", ctx.id()));
        async move {
            ctx.sleep(Duration::from_millis(work.millis)).await;
            Ok(())
        }
    });
    Arc::new(jobs.build().expect("built"))
}

/// Run by the other tests, in a process of its own; by itself it does nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let (Ok(file), Ok(role)) = (std::env::var(FILE), std::env::var(ROLE)) else { return };
    let jobs = program(SqliteOptions::new(file), |line| println!("\n{line}"));
    jobs.start().await.expect("started");
    println!("\nready");
    match role.as_str() {
        "holds one" => {
            jobs.manager().enqueue(Work { millis: 400 }).await.expect("enqueued");
            jobs.wait_until_idle(LIMIT).await.expect("idle");
            // The store may be idle before this worker has heard what became of its own end.
            jobs.stop(LIMIT).await.expect("stopped");
            println!("\nL lost {}", jobs.stats().lost);
        }
        role => {
            let says_early = role == "says so early";
            let senders = (0..SENDERS).map(|_| send(jobs.manager(), says_early));
            let senders: Vec<_> = senders.map(Box::pin).collect();
            for sender in senders {
                spawn(sender);
            }
            std::future::pending::<()>().await;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a process of its own, outside every kit")]
fn spawn(sender: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(sender);
}

/// Enqueues, and says each job (`E`) once that was acknowledged; or, as a planted bug, before.
async fn send(manager: Arc<dyn JobManager>, says_early: bool) {
    loop {
        let id = JobId::from_uuid(random_id());
        if says_early {
            println!("\nE {id} 0");
        }
        let options = EnqueueOptions::new().id(id);
        manager.enqueue_with(Work { millis: 1 }, options).await.expect("enqueued");
        if !says_early {
            println!("\nE {id} 0");
        }
    }
}

fn random_id() -> uuid::Uuid {
    uuid::Uuid::from_u128((u128::from(random()) << 64) | u128::from(random()))
}

/// Different in each process and at each call.
fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one wait of this test: until a process is somewhere in its work"
)]
fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

struct Process {
    child: Child,
    lines: JoinHandle<Vec<String>>,
}

impl Process {
    /// A child that has come up.
    #[expect(clippy::disallowed_methods, reason = "reads a pipe, which would fill up else")]
    fn start(folder: &Folder, role: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("a path"));
        command.args(["--exact", "child", "--nocapture"]).env(FILE, folder.file("jobs.db")).env(ROLE, role);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        while line.trim() != "ready" {
            line.clear();
            assert!(output.read_line(&mut line).expect("text") > 0, "a child ended before it was ready");
        }
        let lines = std::thread::spawn(move || {
            let mut lines = Vec::new();
            let mut line = String::new();
            // The last line of a process that was killed may be a part of one.
            while output.read_line(&mut line).is_ok_and(|bytes| bytes > 0) && line.ends_with('\n') {
                lines.push(line.trim().to_owned());
                line.clear();
            }
            lines
        });
        Self { child, lines }
    }

    fn kill(mut self) -> Vec<String> {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
        self.lines.join().expect("read")
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(sent.expect("there is a kill").success());
    }
}

/// What processes said, in order as far as they ran one after the other.
#[derive(Default)]
struct Account {
    enqueued: BTreeSet<JobId>,
    /// Jobs that were told to have ended well, with the round in which they were.
    ended: BTreeMap<JobId, usize>,
    begun: BTreeMap<JobId, Vec<usize>>,
}

impl Account {
    fn take(&mut self, round: usize, lines: &[String]) {
        for line in lines {
            let mut words = line.split(' ');
            let (Some(what), Some(Ok(id))) = (words.next(), words.next().map(str::parse::<JobId>)) else {
                continue;
            };
            match what {
                "E" => _ = self.enqueued.insert(id),
                "S" => self.begun.entry(id).or_default().push(round),
                "D" if words.next() == Some("succeeded") => _ = self.ended.insert(id, round),
                _ => {}
            }
        }
    }

    /// Acknowledged jobs that are not there, and acknowledged ends that are not.
    fn lost(&self, records: &BTreeMap<JobId, JobRecord>) -> Vec<String> {
        let gone =
            self.enqueued.iter().filter(|id| !records.contains_key(id)).map(|id| format!("{id} is gone"));
        let open = self
            .ended
            .keys()
            .filter(|id| records.get(id).is_some_and(|record| record.state != JobState::Succeeded));
        gone.chain(open.map(|id| format!("{id} has no end"))).collect()
    }

    /// Jobs that began in a later round than the one in which their end was acknowledged.
    fn unexplained(&self) -> Vec<JobId> {
        let again = |(id, end): (&JobId, &usize)| {
            self.begun.get(id).is_some_and(|begun| begun.iter().any(|round| round > end)).then_some(*id)
        };
        self.ended.iter().filter_map(again).collect()
    }

    fn begun_twice(&self) -> usize {
        self.begun.values().filter(|rounds| rounds.len() > 1).count()
    }
}

async fn records(folder: &Folder, ids: &BTreeSet<JobId>) -> BTreeMap<JobId, JobRecord> {
    let store = SqliteStore::new(folder.file("jobs.db"));
    let ids: Vec<_> = ids.iter().copied().collect();
    let mut found = BTreeMap::new();
    for ids in ids.chunks(1_000) {
        let records = store.get(ids).await.expect("read").into_iter().flatten();
        found.extend(records.map(|record| (record.id, record)));
    }
    found
}

async fn expect_whole(folder: &Folder) {
    let connect = SqliteConnectOptions::new().filename(folder.file("jobs.db"));
    let mut connection = connect.connect().await.expect("a connection");
    let row = sqlx::query("PRAGMA integrity_check").fetch_one(&mut connection).await.expect("checked");
    assert_eq!(row.get::<String, _>(0), "ok");
}

/// Kills so many processes that work on one file at a time, round after round; then lets a last one end everything.
async fn rounds(rounds: usize, at_a_time: usize, role: &str) -> (Account, BTreeMap<JobId, JobRecord>) {
    let folder = Folder::new();
    let mut account = Account::default();
    for round in 0..rounds {
        let processes: Vec<_> = (0..at_a_time).map(|_| Process::start(&folder, role)).collect();
        for process in processes {
            pause(Duration::from_micros(random() % 80_000));
            account.take(round, &process.kill());
        }
        expect_whole(&folder).await;
    }
    let said = Arc::new(Mutex::new(Vec::new()));
    let heard = said.clone();
    let last = program(SqliteOptions::new(folder.file("jobs.db")), move |line| heard.lock().push(line));
    last.start().await.expect("started");
    // Leases of the dead run out, and their jobs wait again.
    last.wait_until_idle(LIMIT).await.expect("everything ends");
    last.stop(LIMIT).await.expect("stopped");
    account.take(rounds, &said.lock());
    let mut ids = account.enqueued.clone();
    ids.extend(account.begun.keys());
    let records = records(&folder, &ids).await;
    (account, records)
}

fn expect_right(account: &Account, records: &BTreeMap<JobId, JobRecord>, rounds: usize) {
    assert_eq!(account.lost(records), [""; 0]);
    assert_eq!(account.unexplained(), []);
    let unended: Vec<_> = records.values().filter(|record| record.state != JobState::Succeeded).collect();
    assert!(unended.is_empty(), "{unended:#?}");
    let is_crash =
        |record: &&JobRecord| record.failures.iter().any(|one| one.failure.kind == FailureKind::Crash);
    let crashed = records.values().filter(is_crash).count();
    println!(
        "{rounds} rounds: {} jobs acknowledged, {} ends, {crashed} taken back, {} begun twice",
        account.enqueued.len(),
        account.ended.len(),
        account.begun_twice()
    );
    assert!(account.enqueued.len() > rounds * 3 && account.ended.len() > rounds * 3 && crashed > rounds / 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_by_sixty_kills_of_a_process() {
    let (account, records) = rounds(60, 1, "works").await;
    expect_right(&account, &records, 60);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_by_sixty_rounds_of_two_processes_killed_on_one_file() {
    let (account, records) = rounds(60, 2, "works").await;
    expect_right(&account, &records, 60);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_is_acknowledged_before_its_commit_is_found_missing() {
    let (account, records) = rounds(20, 1, "says so early").await;
    let lost = account.lost(&records);
    assert!(!lost.is_empty(), "20 kills found none of {} early acknowledgements", account.enqueued.len());
}

/// It is stopped for twice its lease while it runs a job; another takes the job and ends it; what the first says of it
/// then is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_was_stopped_for_twice_its_lease_has_lost_its_job() {
    let folder = Folder::new();
    let stopped = Process::start(&folder, "holds one");
    // Its handler takes 400 ms.
    pause(Duration::from_millis(150));
    stopped.signal("-STOP");
    let said = Arc::new(Mutex::new(Vec::new()));
    let heard = said.clone();
    let other = program(SqliteOptions::new(folder.file("jobs.db")), move |line| heard.lock().push(line));
    other.start().await.expect("started");
    pause(LEASE * 2);
    other.wait_until_idle(LIMIT).await.expect("the other ends it");
    stopped.signal("-CONT");
    let mut process = stopped;
    assert!(process.child.wait().expect("it ends").success());
    let lines = process.lines.join().expect("read");
    assert!(lines.iter().any(|line| line == "L lost 1"), "{lines:?}");
    other.stop(LIMIT).await.expect("stopped");

    let mut account = Account::default();
    account.take(0, &lines);
    account.take(1, &said.lock());
    let id = *account.begun.keys().next().expect("it began");
    assert_eq!(account.begun[&id], [0, 1], "begun by each");
    assert_eq!(account.ended.get(&id), Some(&1), "ended by the other alone");
    let record = records(&folder, &BTreeSet::from([id])).await.remove(&id).expect("there");
    assert_eq!((record.state, record.generation, record.settled), (JobState::Succeeded, 2, 2));
}
