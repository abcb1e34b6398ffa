//! How SQLite goes about the statements, and that what a claim costs does not depend on what it is not about.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use backgroundjobs_core::{
    InsertJobs, JobState, LeaseKey, NewJob, Outcome, Payload, Priority, QueueName, RunAt, SettleJobs,
    Settlement,
};
use sqlx::{AssertSqlSafe, Executor, Row};

use crate::db::Db;
use crate::test_file::{TestFile, at, claim, job, kind};
use crate::{
    cancel, claim as claiming, control, engine, failures, insert, inspect, keys, prune, recover, renew,
    settle,
};

/// Everything that is run for each batch of jobs, and what upkeep and operators run. Not here: the rows of an insert, for
/// which there is one way; a repeated claim, which looks at all that runs; and what only answers questions.
fn statements() -> Vec<(&'static str, String)> {
    let one_lane = claiming::take(&vec![vec![1]]);
    let many_lanes = claiming::take(&vec![vec![1, 2, 3], vec![4], vec![5, 6]]);
    vec![
        ("lanes, new ones", engine::NEW_LANES.into()),
        ("lanes, made", engine::ENSURE_LANES.into()),
        ("claim, look", claiming::LOOK.into()),
        ("claim, one lane", one_lane),
        ("claim, many lanes", many_lanes),
        ("claim, payloads", claiming::PAYLOADS.into()),
        ("claim, keys", claiming::LET_GO_AT_START.into()),
        ("insert, look", insert::LOOK.into()),
        ("insert, keys", keys::TAKE.into()),
        ("settle, complete", settle::completion(64)),
        ("settle, complete, keys", settle::LET_GO_IF_OVER.into()),
        ("settle, look", settle::LOOK.into()),
        ("settle, write", settle::write()),
        ("settle, keys", keys::LET_GO_AT_END.into()),
        ("settle, failures", failures::ADD.into()),
        ("renew", renew::renewal()),
        ("recover, look", recover::LOOK.into()),
        ("recover, write", recover::write()),
        ("cancel, look", cancel::STATES.into()),
        ("cancel, flag", cancel::flag()),
        ("cancel", cancel::cancel()),
        ("prune, any keys", prune::ANY_EXPIRED_KEYS.into()),
        ("prune, keys", prune::FORGET_EXPIRED_KEYS.into()),
        ("prune, first", prune::ended(JobState::Succeeded, "ASC")),
        ("prune, last", prune::ended(JobState::Failed, "DESC")),
        ("prune, pick", prune::pick(JobState::Cancelled)),
        ("prune, erase", prune::ERASE.into()),
        ("requeue, look", control::LOOK.into()),
        ("requeue", control::requeue()),
        ("delete, keys", keys::LET_GO_OF_ALL.into()),
    ]
}

/// Whether a step goes through nothing whole but what it may: what was handed in, what was picked before, the paused
/// queues, and a table of which the first row tells that there is any.
fn is_bounded(step: &str, statement: &str) -> bool {
    if step.contains("TEMP B-TREE") {
        return false;
    }
    let Some(of) = step.strip_prefix("SCAN ") else { return true };
    let name = of.split(' ').next().unwrap_or_default();
    let is_of_the_call =
        of.contains("VIRTUAL TABLE") || ["e", "k", "CONSTANT"].contains(&name) || name.starts_with('(');
    let table = name.strip_prefix("backgroundjobs_").unwrap_or_default();
    is_of_the_call || table == "paused" || statement.contains(&format!("EXISTS (SELECT 1 FROM {{p}}{table})"))
}

async fn plan(db: &mut Db, statement: &str) -> Vec<String> {
    let text = format!("EXPLAIN QUERY PLAN {}", statement.replace("{p}", "backgroundjobs_"));
    let rows = db.connection().fetch_all(sqlx::raw_sql(AssertSqlSafe(text))).await;
    rows.unwrap_or_else(|error| panic!("{statement}: {error}")).iter().map(|row| row.get(3)).collect()
}

async fn expect_bounded_plans(file: &TestFile) {
    let mut db = file.engine.writer().await.expect("a connection");
    let mut looked_at = 0;
    for (name, text) in statements() {
        looked_at += expect_bounded(&mut db, name, &text).await;
    }
    assert!(looked_at >= 38, "{looked_at} statements");
}

/// Answers how many statements it looked at.
async fn expect_bounded(db: &mut Db, name: &str, text: &str) -> usize {
    let verbs = ["SELECT", "UPDATE", "DELETE", "INSERT"];
    let statements = text.split(';').map(str::trim);
    let mut looked_at = 0;
    for statement in statements.filter(|statement| verbs.iter().any(|verb| statement.starts_with(verb))) {
        let plan = plan(db, statement).await;
        for step in &plan {
            assert!(is_bounded(step, statement), "{name}: {statement}\n{plan:#?}");
        }
        assert!(!plan.is_empty() || statement.contains("VALUES"), "{name}: {statement} has no plan");
        looked_at += 1;
    }
    looked_at
}

#[tokio::test]
async fn no_statement_goes_through_a_table_or_sorts_one() {
    let file = TestFile::new();
    expect_bounded_plans(&file).await;
}

/// Counts go through what they count, but in an index that has all they need.
#[tokio::test]
async fn counts_and_queues_read_no_job() {
    let file = TestFile::new();
    let mut db = file.engine.writer().await.expect("a connection");
    let counts = JobState::ALL.into_iter().map(inspect::count_of);
    for text in counts.chain(inspect::QUEUES.split(';').map(str::to_owned)) {
        let plan = plan(&mut db, text.trim()).await;
        let reads_jobs = |step: &&String| {
            let of_jobs = step.contains("backgroundjobs_jobs") || step.contains(" j ");
            of_jobs && !step.contains("USING COVERING INDEX")
        };
        assert_eq!(plan.iter().find(reads_jobs), None, "{text}\n{plan:#?}");
    }
}

/// Most jobs are over, one waits and one runs, or there is next to nothing: what tempts a planner most.
#[tokio::test]
async fn nor_after_the_user_has_had_the_tables_analyzed() {
    for count in [0, 1, 1_000] {
        let file = TestFile::new();
        fill(&file, 0, count).await;
        let mut db = file.engine.writer().await.expect("a connection");
        sqlx::raw_sql("ANALYZE").execute(db.connection()).await.expect("analyzed");
        // Those that run all the time do not depend on it at all.
        for (name, text) in statements()
            .iter()
            .filter(|(name, _)| name.starts_with("claim, ") || ["renew", "settle, complete"].contains(name))
        {
            expect_bounded(&mut db, name, text).await;
        }
        drop(db);
        file.engine.close().await.expect("closed");
        expect_bounded_plans(&file).await;
    }
}

/// Stores so many jobs of each sort that a claim of kind `task` in queue `default` is not about, and one that it is.
async fn fill(file: &TestFile, first: u64, count: u64) {
    let mut jobs: Vec<NewJob> = Vec::new();
    let mut next = first;
    let mut add = |change: &dyn Fn(&mut NewJob)| {
        let mut job = job(next);
        next += 1;
        change(&mut job);
        jobs.push(job);
    };
    for _ in 0..count {
        add(&|job| job.run_at = RunAt::At(at(1_000_000)));
        add(&|job| {
            job.run_at = RunAt::At(at(1_000_000));
            job.priority = Priority::HIGHEST;
        });
        add(&|job| job.kind = kind("foreign"));
        add(&|job| job.queue = QueueName::new("other").expect("a name"));
        add(&|job| job.queue = QueueName::new("finished").expect("a name"));
    }
    add(&|_| {});
    for jobs in jobs.chunks(1_000) {
        file.engine.insert(&InsertJobs::new(at(0), jobs.to_vec())).await.expect("stored");
    }
    finish(file, count).await;
}

async fn finish(file: &TestFile, count: u64) {
    let mut left = count;
    while left > 0 {
        let mut request = claim(u128::from(left), at(1), 500);
        request.queues[0].queue = QueueName::new("finished").expect("a name");
        let reply = file.engine.claim(&request, at(1)).await.expect("claimed");
        let leases =
            reply.queues[0].jobs.iter().map(|job| LeaseKey { id: job.id, generation: job.generation });
        let outcomes: Vec<_> = leases.map(|lease| Settlement { lease, outcome: Outcome::Complete }).collect();
        assert!(!outcomes.is_empty());
        left -= outcomes.len() as u64;
        file.engine.settle(&SettleJobs::new(at(2), outcomes), at(2)).await.expect("settled");
    }
}

/// How many steps of SQLite's machine a call takes on the connection that writes.
async fn steps<T>(file: &TestFile, call: impl Future<Output = T>) -> (u64, T) {
    let count = Arc::new(AtomicU64::new(0));
    let counted = count.clone();
    {
        let mut db = file.engine.writer().await.expect("a connection");
        let mut handle = db.connection().lock_handle().await.expect("a handle");
        handle.set_progress_handler(1, move || {
            counted.fetch_add(1, Ordering::Relaxed);
            true
        });
    }
    let answer = call.await;
    (count.load(Ordering::Relaxed), answer)
}

#[tokio::test]
async fn a_claim_takes_as_many_steps_beside_fifty_jobs_as_beside_fifty_thousand() {
    let mut seen = Vec::new();
    for count in [10, 10_000] {
        let file = TestFile::new();
        fill(&file, 0, count).await;
        // Prepares the statements.
        let warm = file.engine.claim(&claim(7, at(3), 1), at(3)).await.expect("claimed");
        assert_eq!(warm.queues[0].jobs.len(), 1);
        let mut late = job(1_000_000);
        late.args = Payload::from_store("[]");
        file.engine.insert(&InsertJobs::new(at(4), vec![late])).await.expect("stored");
        let (hit, reply) = steps(&file, file.engine.claim(&claim(8, at(5), 10), at(5))).await;
        assert_eq!(reply.expect("claimed").queues[0].jobs.len(), 1);
        let (miss, reply) = steps(&file, file.engine.claim(&claim(9, at(6), 10), at(6))).await;
        assert!(reply.expect("claimed").queues[0].jobs.is_empty());
        seen.push((hit, miss));
    }
    assert_eq!(seen[0], seen[1], "steps of a claim that gets a job, and of one that gets none");
    assert!(seen[0].0 > seen[0].1 && seen[0].1 > 10, "{seen:?}");
}
