//! The end of a kit: what may be left, what is named, and what a forgotten end says.

mod support;

use std::sync::Arc;
use std::time::Duration;

use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{Builder, InsertJobs, JobStore, Kind, NewJob, Options, Payload, QueueName};
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::TestKit;
use serde::{Deserialize, Serialize};
use support::{one_thread, panic_text};

const HOUR: Duration = Duration::from_secs(3_600);

#[derive(Serialize, Deserialize)]
struct Mail;

impl JobArgs for Mail {
    const KIND: &'static str = "mail";
}

#[derive(Serialize, Deserialize)]
struct Report;

impl JobArgs for Report {
    const KIND: &'static str = "report";
}

/// A program that sends mail, and knows nothing else.
fn mailer(options: impl FnOnce(Options) -> Options) -> Builder {
    BackgroundJobs::builder(options).register_fn(async |_: Mail, _: JobContext| Ok(()))
}

/// What `finish` says at the end of this test, which answers the programs that are still there then.
fn complaint(test: impl AsyncFnOnce(&TestKit) -> Vec<Arc<BackgroundJobs>>) -> String {
    panic_text(|| {
        one_thread().block_on(async {
            let kit = TestKit::new();
            let _programs = test(&kit).await;
            kit.finish().await;
        });
    })
}

fn expect_parts(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

/// Stores a job behind everybody's back.
async fn insert(kit: &TestKit, store: &MemoryStore, kind: &str, queue: &str) -> JobId {
    let id = kit.env().job_id();
    let kind = Kind::new(kind).expect("a kind");
    let queue = QueueName::new(queue).expect("a name");
    let job = NewJob::new(id, kind, queue, Payload::from_args(&Mail).expect("JSON"));
    store.insert(&InsertJobs::new(kit.now(), vec![job])).await.expect("stored");
    id
}

#[tokio::test]
async fn a_kit_without_a_program_ends_well() {
    TestKit::new().finish().await;
}

#[tokio::test]
async fn jobs_that_are_over_are_not_left() {
    let kit = TestKit::new();
    let builder = mailer(|options| options.use_in_memory().retry(RetryPolicy::never()))
        .register_fn(async |_: Report, _: JobContext| Err("no luck".into()));
    let jobs = kit.start(builder).await;
    let manager = jobs.manager();
    manager.enqueue(Mail).await.expect("enqueued");
    manager.enqueue(Report).await.expect("enqueued");
    let id = manager.enqueue_in(Mail, HOUR).await.expect("enqueued").id;
    manager.cancel(id).await.expect("answers");
    let report = kit.settle().await;
    assert_eq!((report.succeeded, report.failed), (1, 1));
    drop(jobs);
    kit.finish().await;
}

#[tokio::test]
async fn a_job_that_is_served_may_wait_for_its_time_or_a_slot_or_run() {
    let kit = TestKit::new();
    let builder = BackgroundJobs::builder(|options| options.use_in_memory().queue("default", 1));
    let jobs = kit
        .start(builder.register_fn(async |_: Mail, ctx: JobContext| {
            ctx.sleep(HOUR).await;
            Ok(())
        }))
        .await;
    let manager = jobs.manager();
    manager.enqueue_in(Mail, HOUR * 24).await.expect("enqueued");
    manager.enqueue_many([Mail, Mail]).await.expect("enqueued");
    assert_eq!(kit.settle().await.running.len(), 1);
    kit.finish().await;
}

#[tokio::test]
async fn a_job_in_a_paused_queue_may_be_left() {
    let kit = TestKit::new();
    let jobs = kit.start(mailer(|options| options.use_in_memory())).await;
    jobs.admin().expect("there").pause("default").await.expect("paused");
    jobs.manager().enqueue(Mail).await.expect("enqueued");
    assert_eq!(kit.advance(HOUR).await.claimed, 0);
    kit.finish().await;
}

#[tokio::test]
async fn jobs_that_are_left_to_others_may_be_left() {
    let kit = TestKit::new();
    let jobs = kit.start(mailer(|options| options.use_in_memory().produces::<Report>())).await;
    jobs.manager().enqueue(Report).await.expect("enqueued");
    let producer = kit.build(BackgroundJobs::builder(|options| options.use_in_memory().producer_only()));
    producer.manager().enqueue(Report).await.expect("enqueued");
    assert_eq!(kit.advance(HOUR).await.claimed, 0);
    kit.finish().await;
}

#[tokio::test]
async fn a_job_of_a_program_that_is_gone_may_be_left_where_another_serves_it() {
    let (kit, store) = (TestKit::new(), MemoryStore::new());
    let first = kit.start(mailer(|options| options.use_store(store.clone()))).await;
    first.manager().enqueue_in(Mail, HOUR).await.expect("enqueued");
    kit.run(first.stop(HOUR)).await.expect("stopped");
    let _second = kit.start(mailer(|options| options.use_store(store.clone()))).await;
    drop(first);
    kit.finish().await;
}

#[tokio::test]
async fn a_job_of_a_process_that_was_started_again_may_be_left() {
    let (kit, store) = (TestKit::new(), MemoryStore::new());
    let node = kit.node("one").start(move || mailer(|options| options.use_store(store.clone()))).await;
    node.manager().enqueue_in(Mail, HOUR).await.expect("enqueued");
    node.crash();
    node.restart().await;
    kit.finish().await;
}

#[test]
fn a_job_before_a_start_that_never_comes_is_named_with_its_reason() {
    let mut id = None;
    let text = complaint(async |kit| {
        let jobs = kit.build(mailer(|options| options.use_in_memory()));
        id = Some(jobs.manager().enqueue(Mail).await.expect("enqueued").id);
        assert_eq!(kit.advance(HOUR).await.claimed, 0);
        vec![jobs]
    });
    let job = format!("mail {} is waiting in queue default: ", id.expect("enqueued"));
    expect_parts(&text, &["1 job is left that nobody could ever run", &job, "call jobs.start().await"]);
    expect_parts(&text, &["virtual time 2030-01-01T01:00:00Z (start + 3600s)", "end it with kit.abandon()"]);
}

#[test]
fn jobs_left_by_a_stopped_program_are_named_with_their_reason() {
    let mut ids = Vec::new();
    let text = complaint(async |kit| {
        let jobs = kit.start(mailer(|options| options.use_in_memory())).await;
        for _ in 0..2 {
            ids.push(jobs.manager().enqueue_in(Mail, HOUR).await.expect("enqueued").id);
        }
        kit.run(jobs.stop(HOUR)).await.expect("stopped");
        vec![jobs]
    });
    expect_parts(&text, &["2 jobs are left that nobody could ever run"]);
    for id in ids {
        let line = format!(
            "mail {id} is waiting in queue default: it is due at 2030-01-01T01:00:00Z: it was enqueued for then; \
             the jobs of this program were stopped\n"
        );
        expect_parts(&text, &[&line]);
    }
}

#[test]
fn a_job_whose_program_was_dropped_is_named_with_its_reason() {
    let mut id = None;
    let text = complaint(async |kit| {
        let jobs = kit.start(mailer(|options| options.use_in_memory())).await;
        id = Some(jobs.manager().enqueue_in(Mail, HOUR).await.expect("enqueued").id);
        drop(jobs);
        vec![]
    });
    let id = id.expect("enqueued");
    let line = format!("mail {id} is waiting in queue default: the program that stored it is gone\n");
    expect_parts(&text, &["1 job is left that nobody could ever run", &line]);
}

#[test]
fn a_job_whose_process_crashed_for_good_is_named_with_its_reason() {
    let mut id = None;
    let text = complaint(async |kit| {
        let node = kit.node("one").start(|| mailer(|options| options.use_in_memory())).await;
        id = Some(node.manager().enqueue_in(Mail, HOUR).await.expect("enqueued").id);
        node.crash();
        vec![]
    });
    let id = id.expect("enqueued");
    let line = format!("mail {id} is waiting in queue default: the program that stored it is gone\n");
    expect_parts(&text, &["1 job is left that nobody could ever run", &line]);
}

#[test]
fn a_job_that_nobody_serves_is_named_with_its_reason() {
    let mut ids = None;
    let text = complaint(async |kit| {
        let store = MemoryStore::new();
        let jobs = kit.start(mailer(|options| options.use_store(store.clone()))).await;
        let kind = insert(kit, &store, "maill", "default").await;
        let queue = insert(kit, &store, "mail", "defualt").await;
        let served = insert(kit, &store, "mail", "default").await;
        ids = Some((kind, queue, served));
        vec![jobs]
    });
    let (kind, queue, served) = ids.expect("stored");
    let kind = format!(
        "maill {kind} is waiting in queue default: no worker of its queue here has a handler for maill (known: mail)"
    );
    let queue = format!(
        "mail {queue} is waiting in queue defualt: no worker here serves the queue defualt (served: default)"
    );
    expect_parts(&text, &["2 jobs are left that nobody could ever run", &kind, &queue]);
    assert!(!text.contains(&served.to_string()), "{text}");
}

/// A program of another store does not help.
#[test]
fn a_job_is_not_served_by_a_program_of_another_store() {
    let text = complaint(async |kit| {
        let idle = kit.build(mailer(|options| options.use_in_memory()));
        idle.manager().enqueue(Mail).await.expect("enqueued");
        vec![idle, kit.start(mailer(|options| options.use_in_memory())).await]
    });
    expect_parts(&text, &["1 job is left that nobody could ever run"]);
}

#[test]
fn of_many_jobs_ten_are_named_and_the_others_counted() {
    for (count, more) in [(10, None), (13, Some("\n  and 3 more\n"))] {
        let text = complaint(async |kit| {
            let jobs = kit.build(mailer(|options| options.use_in_memory()));
            jobs.manager().enqueue_many((0..count).map(|_| Mail)).await.expect("enqueued");
            vec![jobs]
        });
        expect_parts(&text, &[&format!("{count} jobs are left that nobody could ever run\n")]);
        assert_eq!(text.matches(" is waiting in queue default: ").count(), 10, "{text}");
        match more {
            Some(more) => expect_parts(&text, &[more]),
            None => assert!(!text.contains(" more\n"), "{text}"),
        }
    }
}

#[test]
fn a_kit_that_is_dropped_without_its_end_says_what_to_call() {
    let text = panic_text(|| drop(TestKit::new()));
    expect_parts(&text, &["a TestKit was dropped without its end", "kit.finish().await", "kit.abandon()"]);
}

/// The test's own failure is what shall be read, and a second panic would abort the process.
#[test]
fn a_kit_that_is_dropped_by_a_failing_test_is_quiet() {
    let text = panic_text(|| {
        let _kit = TestKit::new();
        panic!("the test's own failure");
    });
    assert_eq!(text, "the test's own failure");
}

#[tokio::test]
async fn an_abandoned_kit_is_quiet_whatever_is_left() {
    let kit = TestKit::new();
    let jobs = kit.build(mailer(|options| options.use_in_memory()));
    jobs.manager().enqueue(Mail).await.expect("enqueued");
    kit.abandon();
}
