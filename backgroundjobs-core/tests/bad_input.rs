//! Bad input, and the words a user reads: what is refused, and what is taken all the same.

#[allow(dead_code, reason = "this test uses a part of it")]
mod support;
#[path = "support/wrok.rs"]
mod wrok;

use std::sync::Arc;
use std::time::Duration;

use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{JobDraft, JobStore, Payload, StartError, StoreOperation};
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::TestKit;
use serde::{Deserialize, Serialize};

use self::support::{Trouble, TroubledStore};
use self::wrok::{Wrok, builder, handler, work};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn an_unknown_kind_or_queue_is_an_error_that_names_what_is_meant() {
    let kit = TestKit::new();
    let jobs = kit.start(builder()).await;
    let manager = jobs.manager();
    let error = manager.enqueue(Wrok).await.expect_err("nobody runs it").to_string();
    assert_eq!(
        error,
        "nothing here runs jobs of kind \"wrok\" (known: work); did you mean \"work\"?; register a handler \
         for it, or say options.producer_only() where another program runs it"
    );
    let queue = EnqueueOptions::new().queue("mial");
    let error = manager.enqueue_with(work("x"), queue).await.expect_err("nobody serves it").to_string();
    assert_eq!(
        error,
        "nothing here serves the queue \"mial\" for work (served: default, mail); did you mean \"mail\"?; \
         add it with options.queue(\"mial\", slots)"
    );
    let blank = EnqueueOptions::new().queue(" ");
    let error = manager.enqueue_with(work("x"), blank).await.expect_err("no name");
    assert!(matches!(error, EnqueueError::Name { what: "queue", .. }), "{error}");
    kit.finish().await;
}

/// Whoever asks for a job by the name of its kind may be anybody, and the message goes to a log.
#[tokio::test]
async fn a_kind_that_is_too_long_is_not_repeated_in_full() {
    let kit = TestKit::new();
    let jobs = kit.start(builder()).await;
    let args = Payload::from_json("null").expect("JSON");
    let draft = JobDraft::untyped("x".repeat(1_000_000), args, EnqueueOptions::new());
    let error = jobs.manager().submit_one(draft).await.expect_err("no name");
    let start = "x".repeat(32);
    assert_eq!(
        error.to_string(),
        format!(
            "the kind of \"{start}…\" cannot be used: the name \"{start}\"… has 1000000 bytes, 255 are allowed"
        )
    );
    kit.finish().await;
}

#[test]
fn every_mistake_is_reported_at_once_with_the_line_to_write() {
    const LONG: &str = match str::from_utf8(&[b'x'; 256]) {
        Ok(name) => name,
        Err(_) => "",
    };
    #[derive(Serialize, Deserialize)]
    struct Lost;
    impl JobArgs for Lost {
        const KIND: &'static str = "lost";
        const ALIASES: &'static [&'static str] = &["work", "bad\nname", LONG];
        fn options() -> JobOptions {
            JobOptions::new().queue("nowhere").timeout(Duration::ZERO)
        }
    }
    let error = BackgroundJobs::builder(|options| {
        options.queue("a", 0).queue("b", 1).queue("b", 2).queue("", 1).lease(SECOND, SECOND)
    })
    .timeout(SECOND)
    .register_fn(handler)
    .register_fn(async |_: Lost, _| Ok(()))
    .build()
    .expect_err("nearly everything is wrong");
    let text = error.to_string();
    for part in [
        ".timeout(..) stands before the first .register(..)",
        "no store is named: write options.use_in_memory()",
        "the queue \"b\" is named twice",
        "\"\" cannot be the name of a queue: the name is blank",
        "the name \"work\" stands for two handlers, those of the kinds \"work\" and \"lost\"",
        "\"lost\" cannot be the name of a kind: the name \"bad\\nname\" has a control character at byte 3",
        "\"lost\" cannot be the name of a kind: the name \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"… has 256 bytes, 255 are \
         allowed",
        "the timeout of \"lost\" is zero",
        "\"lost\" goes to the queue \"nowhere\", which is not named: add options.queue(\"nowhere\", slots)",
        "a lease of 1s renewed every 1s",
    ] {
        assert!(text.contains(part), "{part:?} is missing in: {text}");
    }
    assert_eq!(error.problems().len(), 10, "{text}");
    let two = BackgroundJobs::builder(|options| options.use_in_memory().use_in_memory().queue("a", 0))
        .register_fn(handler)
        .build()
        .expect_err("two stores, a queue that nobody serves")
        .to_string();
    assert!(two.contains("2 stores are named") && two.contains("\"a\" has 0 slots"), "{two}");
    let none = BackgroundJobs::builder(|options| options.use_in_memory()).build().expect_err("no handler");
    assert!(none.to_string().contains("there is no handler: call .register(..)"), "{none}");
    let both = BackgroundJobs::builder(|options| options.use_in_memory().producer_only())
        .register_fn(handler)
        .build()
        .expect_err("a producer with a handler");
    assert!(both.to_string().contains("options.producer_only() runs nothing"), "{both}");
}

#[test]
fn a_start_without_a_runtime_says_where_to_call_it() {
    let jobs = builder().build().expect("built");
    let mut start = std::pin::pin!(jobs.start());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(Err(error)) = start.as_mut().poll(&mut context) else { panic!("an error") };
    assert_eq!(
        error.to_string(),
        "there is no tokio runtime here: call start() inside #[tokio::main] or Runtime::block_on"
    );
}

#[tokio::test]
async fn a_second_start_and_one_after_a_stop_say_what_to_do() {
    let kit = TestKit::new();
    let jobs = kit.start(builder()).await;
    let twice = jobs.start().await.expect_err("started");
    assert_eq!(twice.to_string(), "these jobs are started already: call start() once");
    kit.run(jobs.stop(SECOND)).await.expect("stopped");
    let late = jobs.start().await.expect_err("stopped");
    assert_eq!(late.to_string(), "these jobs were stopped and cannot be started again: build new ones");
    kit.finish().await;
}

#[tokio::test]
async fn an_enqueue_after_the_stop_or_the_drop_is_refused_where_nobody_could_run_it() {
    let kit = TestKit::new();
    let words = "work was not enqueued: these jobs are stopped, and what is in the memory store can only be run \
                 by this program";
    let stopped = kit.start(builder()).await;
    kit.run(stopped.stop(SECOND)).await.expect("stopped");
    let error = stopped.manager().enqueue(work("late")).await.expect_err("stopped");
    assert_eq!(error.to_string(), words);

    let dropped = kit.start(builder()).await;
    let manager = dropped.manager();
    drop(dropped);
    let error = manager.enqueue(work("late")).await.expect_err("dropped");
    assert_eq!(error.to_string(), words);
    kit.finish().await;
}

/// Two managers on one memory store: what one enqueues after its stop the other runs.
#[tokio::test]
async fn an_enqueue_after_the_stop_is_taken_where_another_worker_runs_it() {
    let (kit, store) = (TestKit::new(), MemoryStore::new());
    let on_store =
        || BackgroundJobs::builder(|options| options.use_store(store.clone())).register_fn(handler);
    let (first, second) = (kit.start(on_store()).await, kit.start(on_store()).await);
    kit.run(first.stop(SECOND)).await.expect("stopped");
    first.manager().enqueue(work("late")).await.expect("the second one runs it");
    assert_eq!(kit.settle().await.succeeded, 1);
    kit.run(second.stop(SECOND)).await.expect("stopped");
    let error = first.manager().enqueue(work("later")).await.expect_err("nobody is left");
    assert!(matches!(error, EnqueueError::Stopped { .. }), "{error}");
    kit.finish().await;
}

#[tokio::test]
async fn args_that_cannot_be_written_are_refused_with_their_kind() {
    use std::collections::BTreeMap;
    /// JSON has no keys like these.
    #[derive(Serialize, Deserialize)]
    struct Odd(BTreeMap<(u8, u8), u8>);
    impl JobArgs for Odd {
        const KIND: &'static str = "odd";
    }
    let kit = TestKit::new();
    let jobs = kit.build(builder().register_fn(async |_: Odd, _| Ok(())));
    let odd = Odd(BTreeMap::from([((1, 2), 3)]));
    let error = jobs.manager().enqueue(odd).await.expect_err("no JSON");
    assert_eq!(error.to_string(), "the args of odd cannot be written as JSON");
    let source = std::error::Error::source(&error).expect("serde says why");
    assert_eq!(source.to_string(), "key must be a string");
    kit.finish().await;
}

/// A newer worker may know them: an ordinary failed attempt, the field named, the bytes kept.
#[tokio::test]
async fn stored_args_that_do_not_fit_are_a_failed_attempt_that_names_the_field() {
    let (kit, store) = (TestKit::new(), MemoryStore::new());
    let on_store = BackgroundJobs::builder(|options| options.use_store(store.clone())).register_fn(handler);
    let jobs = kit.start(on_store).await;
    let old = JobDraft::untyped(
        "work",
        Payload::from_store(r#"{"txt": "of an older version"}"#),
        EnqueueOptions::new(),
    );
    let id = jobs.manager().submit(vec![old]).await.expect("enqueued")[0].id;
    assert_eq!(kit.settle().await.retried, 1);
    let record = store.get(&[id]).await.expect("answers").remove(0).expect("kept");
    assert_eq!((record.state, record.attempts), (JobState::Waiting, 1));
    assert_eq!(
        record.failures[0].failure.text.as_str(),
        "the stored args of work do not fit its type: they were written by another version of it: missing \
         field `text` at line 1 column 30"
    );
    assert_eq!(record.args.as_str(), r#"{"txt": "of an older version"}"#);
    kit.finish().await;
}

#[tokio::test]
async fn a_kind_that_this_worker_does_not_know_is_left_to_others() {
    let (kit, store) = (TestKit::new(), MemoryStore::new());
    let jobs = kit
        .start(BackgroundJobs::builder(|options| options.use_store(store.clone())).register_fn(handler))
        .await;
    let newer =
        kit.build(BackgroundJobs::builder(|options| options.use_store(store.clone()).producer_only()));
    let id = newer.manager().enqueue(Wrok).await.expect("enqueued").id;
    assert_eq!(kit.advance(SECOND * 3_600).await.claimed, 0);
    let record = jobs.manager().get(id).await.expect("answers").expect("kept");
    assert_eq!(
        (record.state, record.attempts, record.crashes, record.generation),
        (JobState::Waiting, 0, 0, 0)
    );
    let knows = BackgroundJobs::builder(|options| options.use_store(store.clone()))
        .register_fn(async |_: Wrok, _| Ok(()));
    let knows = kit.start(knows).await;
    assert_eq!(kit.settle().await.succeeded, 1);
    drop(knows);
    kit.finish().await;
}

#[tokio::test]
async fn a_store_that_is_down_at_the_start_fails_the_start_and_one_that_comes_back_is_used() {
    let kit = TestKit::new();
    let store = TroubledStore::new(MemoryStore::new(), |operation, count, _| {
        let down = operation == StoreOperation::Prepare && count == 1
            || operation == StoreOperation::Claim && (2..5).contains(&count);
        down.then_some(Trouble::Error)
    });
    let jobs: Arc<BackgroundJobs> =
        kit.build(BackgroundJobs::builder(|options| options.use_store(store)).register_fn(handler));
    let error = jobs.start().await.expect_err("down");
    assert!(matches!(error, StartError::Prepare { .. }), "{error:?}");
    assert_eq!(error.to_string(), "the memory store could not be prepared");
    assert_eq!(
        format!("{error:?}"),
        "the memory store could not be prepared: the store failed to prepare: as the test says"
    );
    jobs.start().await.expect("it is up again");
    assert_eq!(kit.settle().await.claimed, 0);
    jobs.manager().enqueue(work("any")).await.expect("enqueued");
    let report = kit.advance(SECOND * 10).await;
    assert_eq!(
        (report.store_errors, report.succeeded),
        (3, 1),
        "the worker backs off and recovers by itself"
    );
    kit.finish().await;
}
