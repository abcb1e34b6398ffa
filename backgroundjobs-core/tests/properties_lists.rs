//! Filters, cursors and limits of anything: each page and each operator's verb sees exactly the jobs it is about.

#[path = "support/properties.rs"]
mod properties;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{
    CancelJobs, ClaimId, ClaimJobs, Failure, FailureKind, InsertJobs, JobCursor, JobFilter, JobRecord,
    JobStore, JobSummary, KeyHold, Kind, LeaseKey, ListJobs, NewJob, Outcome, Payload, QueueDemand,
    QueueName, SettleJobs, Settlement, UniqueKey, WorkerId,
};
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::TestKit;
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestCaseResult};
use uuid::Uuid;

use self::properties::{Seen, check};

/// The last one of each has no job.
const QUEUES: [&str; 5] = ["default", "mail", "é語😀", "Mail", "nothing"];
const KINDS: [&str; 5] = ["a", "send_mail", "b c", "ü", "nobody"];

/// What becomes of a job before it is looked for.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Wait,
    Run,
    RunFlagged,
    Succeed,
    Retry,
    Fail,
    CancelWaiting,
    CancelRunning,
}

#[derive(Clone, Debug)]
struct Made {
    id: u128,
    queue: usize,
    kind: usize,
    key: Option<u8>,
    fate: Fate,
}

fn any_fate() -> impl Strategy<Value = Fate> {
    use Fate::{CancelRunning, CancelWaiting, Fail, Retry, Run, RunFlagged, Succeed, Wait};
    let fates = [Wait, Run, RunFlagged, Succeed, Retry, Fail, CancelWaiting, CancelRunning];
    proptest::sample::select(fates.to_vec())
}

fn any_made() -> impl Strategy<Value = Made> {
    let id = prop_oneof![6 => any::<u128>(), 3 => 0..400_u128, 1 => Just(u128::MAX), 1 => Just(0)];
    let key = proptest::option::weighted(0.3, 0..4_u8);
    (id, 0..4_usize, 0..4_usize, key, any_fate()).prop_map(|(id, queue, kind, key, fate)| Made {
        id,
        queue,
        kind,
        key,
        fate,
    })
}

fn any_filter() -> impl Strategy<Value = JobFilter> {
    let some = |count: usize| proptest::option::weighted(0.5, proptest::collection::vec(0..count, 0..4));
    (some(QUEUES.len()), some(KINDS.len()), some(JobState::ALL.len())).prop_map(|(queues, kinds, states)| {
        let mut filter = JobFilter::all();
        filter.queues = queues.map(|all| all.into_iter().map(|at| queue(QUEUES[at])).collect());
        filter.kinds = kinds.map(|all| all.into_iter().map(|at| kind(KINDS[at])).collect());
        filter.states = states.map(|all| all.into_iter().map(|at| JobState::ALL[at]).collect());
        filter
    })
}

fn any_limit() -> impl Strategy<Value = usize> {
    prop_oneof![0..4_usize, 5..300_usize, Just(usize::MAX)]
}

fn queue(name: &str) -> QueueName {
    QueueName::new(name).expect("a name")
}

fn kind(name: &str) -> Kind {
    Kind::new(name).expect("a name")
}

fn id(bits: u128) -> JobId {
    JobId::from_uuid(Uuid::from_u128(bits))
}

/// The filter's rule, written again.
fn lets_through(filter: &JobFilter, job: &JobRecord) -> bool {
    let of_queue = filter.queues.iter().flatten().any(|queue| *queue == job.queue);
    let of_kind = filter.kinds.iter().flatten().any(|kind| *kind == job.kind);
    let in_state = filter.states.iter().flatten().any(|state| *state == job.state);
    (of_queue || filter.queues.is_none())
        && (of_kind || filter.kinds.is_none())
        && (in_state || filter.states.is_none())
}

/// A store with jobs, and a program that looks after them.
struct Stock {
    kit: TestKit,
    store: MemoryStore,
    jobs: Arc<BackgroundJobs>,
    ids: Vec<JobId>,
}

impl Stock {
    async fn of(made: &[Made]) -> Self {
        let kit = TestKit::new();
        // Whatever is left here is meant to be.
        kit.abandon();
        let store = MemoryStore::new();
        let shared = store.clone();
        let jobs = kit.build(BackgroundJobs::builder(|options| options.use_store(shared).producer_only()));
        let ids = made.iter().map(|made| id(made.id)).collect();
        let stock = Self { kit, store, jobs, ids };
        // In two steps, so that the second one finds keys that the first one has let go.
        let (first, second) = made.split_at(made.len() / 2);
        stock.put(first).await;
        stock.put(second).await;
        stock
    }

    async fn put(&self, made: &[Made]) {
        let now = self.kit.now();
        for made in made {
            let args = Payload::from_store("null");
            let mut job = NewJob::new(id(made.id), kind(KINDS[made.kind]), queue(QUEUES[made.queue]), args);
            job.unique =
                made.key.map(|key| UniqueKey { key: key.to_string().into(), hold: KeyHold::UntilFinished });
            // An id that is there already stays what it is.
            _ = self.store.insert(&InsertJobs::new(now, vec![job])).await;
        }
        let fates: BTreeMap<JobId, Fate> = made.iter().map(|made| (id(made.id), made.fate)).collect();
        let of = |fate: fn(&Fate) -> bool| fates.iter().filter(move |(_, is)| fate(is)).map(|(id, _)| *id);
        let waiting = of(|fate| matches!(fate, Fate::CancelWaiting)).collect();
        self.store.cancel(&CancelJobs::new(now, waiting)).await.expect("answers");
        let settlements = self.claim_all().await.into_iter().filter_map(|lease| {
            let outcome = fates.get(&lease.id).map_or(Some(Outcome::Release), |fate| outcome(*fate))?;
            Some(Settlement { lease, outcome })
        });
        self.store.settle(&SettleJobs::new(now, settlements.collect())).await.expect("answers");
        let flagged = of(|fate| matches!(fate, Fate::RunFlagged)).collect();
        self.store.cancel(&CancelJobs::new(now, flagged)).await.expect("answers");
    }

    async fn claim_all(&self) -> Vec<LeaseKey> {
        let claim_id = ClaimId::from_uuid(self.kit.env().job_id().as_uuid());
        let worker = WorkerId::from_uuid(Uuid::nil());
        let queues = QUEUES.map(|name| QueueDemand { queue: queue(name), limit: 1_000 }).to_vec();
        let lease = Duration::from_secs(30);
        let request = ClaimJobs::new(self.kit.now(), claim_id, worker, queues, KINDS.map(kind).into(), lease);
        let claimed = self.store.claim(&request).await.expect("answers").queues;
        let jobs = claimed.into_iter().flat_map(|queue| queue.jobs);
        jobs.map(|job| LeaseKey { id: job.id, generation: job.generation }).collect()
    }

    /// Every job, newest id first.
    async fn records(&self) -> Vec<JobRecord> {
        let mut records: Vec<JobRecord> =
            self.store.get(&self.ids).await.expect("answers").into_iter().flatten().collect();
        records.sort_by_key(|record| std::cmp::Reverse(record.id.as_uuid().as_u128()));
        records.dedup_by_key(|record| record.id);
        records
    }
}

/// How the run of a job of this fate ends; one that runs on has no end.
fn outcome(fate: Fate) -> Option<Outcome> {
    let failure = Failure::new(FailureKind::Error, "as asked");
    match fate {
        Fate::Wait | Fate::CancelWaiting => Some(Outcome::Release),
        Fate::Run | Fate::RunFlagged => None,
        Fate::Succeed => Some(Outcome::Complete),
        Fate::Retry => Some(Outcome::Retry { delay: Duration::from_secs(1), failure }),
        Fate::Fail => Some(Outcome::Fail { failure }),
        Fate::CancelRunning => Some(Outcome::Cancel { failure: Some(failure) }),
    }
}

/// Checks `property` on a stock of up to so many jobs.
fn check_on_stock<S>(
    cases: u32,
    jobs: usize,
    input: S,
    property: impl AsyncFn(&Stock, S::Value) -> TestCaseResult,
) where
    S: Strategy<Value: std::fmt::Debug>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let made = proptest::collection::vec(any_made(), 0..=jobs);
    check(cases, (made, input), |(made, input)| {
        runtime.block_on(async { property(&Stock::of(&made).await, input).await })
    });
}

/// The pages one after the other, in no more calls than there can be pages.
async fn pages(stock: &Stock, filter: &JobFilter, limit: usize) -> Result<Vec<JobSummary>, TestCaseError> {
    let inspect = stock.store.inspect().expect("the memory store can");
    let (mut listed, mut after) = (Vec::new(), None);
    for _ in 0..=stock.ids.len() + 1 {
        let request = ListJobs::new(stock.kit.now(), filter.clone(), after, limit);
        let page = inspect.list(&request).await.expect("answers");
        prop_assert!(page.jobs.len() <= limit.max(1));
        listed.extend(page.jobs);
        after = page.next;
        if after.is_none() {
            return Ok(listed);
        }
    }
    Err(TestCaseError::fail("the pages have no end"))
}

#[test]
fn pages_of_any_size_are_exactly_the_jobs_let_through_newest_first() {
    let input = proptest::collection::vec((any_filter(), any_limit()), 1..6);
    check_on_stock(100, 300, input, async |stock, looks| {
        let records = stock.records().await;
        let admin = stock.jobs.admin().expect("the memory store can");
        for (filter, limit) in looks {
            let expected: Vec<JobSummary> = records
                .iter()
                .filter(|job| lets_through(&filter, job))
                .map(JobSummary::from_record)
                .collect();
            prop_assert_eq!(&pages(stock, &filter, limit).await?, &expected, "{:?} by {}", filter, limit);
            let (mut listed, mut after) = (Vec::new(), None);
            loop {
                let page = admin.list(filter.clone(), after).await.expect("answers");
                prop_assert!(page.jobs.len() <= 100);
                listed.extend(page.jobs);
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            prop_assert_eq!(&listed, &expected);
            let counts = admin.count(filter.clone()).await.expect("answers");
            prop_assert_eq!(counts.total(&JobState::ALL), u64::try_from(expected.len()).expect("few"));
            for job in &records {
                let is_let_through = filter.matches(&job.queue, &job.kind, job.state);
                prop_assert_eq!(is_let_through, lets_through(&filter, job));
            }
        }
        Ok(())
    });
}

/// A cursor may come from outside: an id that was deleted, that never was, or that is that of another job.
#[test]
fn a_page_after_any_id_goes_on_with_the_next_older_one() {
    let cursor = prop_oneof![any::<u128>(), 0..400_u128, Just(u128::MAX), Just(0)];
    let input = (any_filter(), proptest::option::of(cursor), any::<proptest::sample::Index>(), any_limit());
    check_on_stock(300, 60, input, async |stock, (filter, cursor, index, limit)| {
        let records = stock.records().await;
        let of_a_job = records.get(index.index(records.len() + 1)).map(|job| job.id);
        let Some(cursor) = cursor.map(id).or(of_a_job) else { return Ok(()) };
        let older = records.iter().filter(|job| job.id < cursor && lets_through(&filter, job));
        let expected: Vec<JobSummary> = older.map(JobSummary::from_record).collect();
        let request = ListJobs::new(stock.kit.now(), filter.clone(), Some(JobCursor(cursor)), limit);
        let inspect = stock.store.inspect().expect("the memory store can");
        let page = inspect.list(&request).await.expect("answers");
        prop_assert_eq!(&page.jobs[..], &expected[..expected.len().min(limit.max(1))]);
        prop_assert!(page.next.is_some() || page.jobs.len() == expected.len());
        let admin = stock.jobs.admin().expect("the memory store can");
        let page = admin.list(filter, Some(JobCursor(cursor))).await.expect("answers");
        prop_assert_eq!(page.jobs, expected);
        Ok(())
    });
}

#[test]
fn requeueing_touches_the_newest_finished_jobs_let_through_and_no_other() {
    let seen = Seen::default();
    check_on_stock(300, 250, (any_filter(), any_limit()), async |stock, (filter, limit)| {
        let before = stock.records().await;
        let is_meant = |job: &&JobRecord| {
            let by_default = filter.states.is_some() || job.state != JobState::Succeeded;
            lets_through(&filter, job) && job.state.is_final() && by_default
        };
        let meant: Vec<JobId> = before.iter().filter(is_meant).map(|job| job.id).collect();
        let admin = stock.jobs.admin().expect("the memory store can");
        let done = admin.requeue_where(filter.clone(), limit).await.expect("answers");
        prop_assert!(done.requeued.len() <= limit);

        let mut tried: Vec<JobId> = done.requeued.clone();
        tried.extend(done.conflicts.iter().map(|(id, _)| *id));
        tried.sort_by(|a, b| b.cmp(a));
        prop_assert_eq!(&tried[..], &meant[..tried.len()], "the newest ones, each once");
        prop_assert!(done.requeued.len() == limit || tried.len() == meant.len());
        prop_assert!(done.requeued.is_sorted_by(|a, b| a > b));

        let after = stock.records().await;
        prop_assert_eq!(after.len(), before.len());
        for (before, after) in before.iter().zip(&after) {
            if done.requeued.contains(&before.id) {
                let stands = (after.state, after.attempts, after.run_at, after.finished_at);
                prop_assert_eq!(stands, (JobState::Waiting, 0, stock.kit.now(), None));
            } else {
                prop_assert_eq!(before, after);
            }
        }
        if !done.requeued.is_empty() {
            seen.saw("requeued");
        }
        for (id, holder) in done.conflicts {
            seen.saw("conflict");
            let find = |id| after.iter().find(|job| job.id == id).expect("it is there");
            prop_assert_eq!(&find(id).unique, &find(holder).unique);
            prop_assert!(id != holder && !find(holder).state.is_final());
        }
        Ok(())
    });
    seen.expect(30, &["requeued", "conflict"]);
}
