//! What the kit says when a test fails: the texts, whole.

#[path = "support/program.rs"]
mod program;

use std::time::Duration;

use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{InsertJobs, JobStore, Kind, NewJob, Payload, QueueName};
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::{Attempt, Limits, TestKit, VirtualClock};
use serde::{Deserialize, Serialize};

use self::program::{Mail, SECOND, Scene, Work, mail, panic_of, program, scene, scene_of, work};

/// A kind that no program of these tests knows.
#[derive(Serialize, Deserialize)]
struct Unknown;

impl JobArgs for Unknown {
    const KIND: &'static str = "unknown";
}

/// Compares a text line by line, each id in it being `ID`.
#[track_caller]
fn expect(text: &str, lines: &[&str]) {
    let without_ids = |line: &str| {
        let words = line.split(' ').map(|word| {
            let bare = word.trim_end_matches([',', ':']);
            if bare.parse::<JobId>().is_ok() { word.replace(bare, "ID") } else { word.to_owned() }
        });
        words.collect::<Vec<String>>().join(" ")
    };
    let text: Vec<String> = text.lines().map(without_ids).collect();
    assert_eq!(text, lines, "{text:#?}");
}

/// Two mails that wait, a work that is over and one that is to be tried again, one second after the start.
async fn busy_scene() -> Scene {
    let kit = TestKit::builder().seed(7).build();
    let scene = scene_of(kit, |options| options.queue("default", 1).queue("post", 1)).await;
    for (to, queue, seconds) in [("taro", "default", 60), ("masa", "post", 5)] {
        let options = EnqueueOptions::new().queue(queue).delay(SECOND * seconds);
        scene.manager.enqueue_with(mail(to), options).await.expect("enqueued");
    }
    scene.enqueue(work("ok")).await;
    scene.enqueue(work("fail")).await;
    assert_eq!(scene.kit.advance(SECOND).await.claimed, 2);
    scene
}

/// The end of each text in a busy scene.
fn standing(test: &str) -> Vec<String> {
    let replay = format!("  replay: cargo test -p backgroundjobs-testing {test}");
    let lines = [
        "  virtual time 2030-01-01T00:00:01Z (start + 1s), seed 7, store memory",
        "  last events:",
        "    +0.000 s enqueued mail #1, due in 60s",
        "    +0.000 s enqueued mail #2, due in 5s",
        "    +0.000 s enqueued work #3",
        "    +0.000 s enqueued work #4",
        "    +0.000 s the program claimed work #3 (slot default/0)",
        "    +0.000 s work #3 started, attempt 1 (slot default/0)",
        "    +0.000 s the program claimed work #4 (slot default/0)",
        "    +0.000 s work #4 started, attempt 1 (slot default/0)",
        "    +0.000 s #3 succeeded (slot default/0)",
        "    +0.000 s #4 failed: it failed (slot default/0)",
        &replay,
    ];
    lines.map(str::to_owned).to_vec()
}

/// Compares a text of a busy scene.
#[track_caller]
fn expect_of_busy_scene(test: &str, text: &str, lines: &[&str]) {
    let standing = standing(test);
    let lines: Vec<&str> = lines.iter().copied().chain(standing.iter().map(String::as_str)).collect();
    expect(text, &lines);
}

#[tokio::test]
async fn jobs_that_differ_are_shown_the_nearest_first_and_field_by_field() {
    const TEST: &str = "jobs_that_differ_are_shown_the_nearest_first_and_field_by_field";
    let scene = busy_scene().await;
    let (jobs, line) = (scene.kit.jobs().await, line!() + 2);
    let text = panic_of(async {
        let question = jobs.assert_enqueued::<Mail>().with(|mail| mail.to == "masa");
        question.queue("post").due_in(SECOND * 3).once();
    });
    let headline = format!(
        "expected exactly 1 job of kind mail to be enqueued with closure at {}:{line}, queue \"post\", due in 3s: \
         found 0",
        file!()
    );
    let nearest = format!(
        "    #2 ID, waiting; closure of line {line} true ok; queue \"post\" ok; due in 5s << wanted 3s; args \
         {{\"to\":\"masa\"}}"
    );
    let next = format!(
        "    #1 ID, waiting; closure of line {line} false << wanted true; queue \"default\" << wanted \"post\"; due in \
         60s << wanted 3s; args {{\"to\":\"taro\"}}"
    );
    let lines = [&headline, "  nearest of 2 that differ:", &nearest, &next, "  other kinds: work x2"];
    expect_of_busy_scene(TEST, &text.await, &lines);
    scene.kit.finish().await;
}

#[tokio::test]
async fn too_many_jobs_are_shown_and_none_at_all_is_said() {
    const TEST: &str = "too_many_jobs_are_shown_and_none_at_all_is_said";
    let scene = busy_scene().await;
    let jobs = scene.kit.jobs().await;
    let text = panic_of(async { jobs.assert_enqueued::<Work>().max_attempts(11).never() }).await;
    let lines = [
        "expected no job of kind work to be enqueued with max attempts 11: found 2",
        "  found:",
        "    #3 ID, succeeded; args {\"does\":\"ok\"}",
        "    #4 ID, waiting; args {\"does\":\"fail\"}",
        "  other kinds: mail x2",
    ];
    expect_of_busy_scene(TEST, &text, &lines);
    let text = panic_of(async { jobs.assert_enqueued::<Unknown>().at_least(2) }).await;
    let lines = [
        "expected at least 2 jobs of kind unknown to be enqueued: found 0",
        "  no job of kind unknown was enqueued",
        "  other kinds: mail x2, work x2",
    ];
    expect_of_busy_scene(TEST, &text, &lines);
    scene.kit.finish().await;
}

#[tokio::test]
async fn runs_that_differ_are_shown_and_jobs_that_have_not_run() {
    const TEST: &str = "runs_that_differ_are_shown_and_jobs_that_have_not_run";
    let scene = busy_scene().await;
    let jobs = scene.kit.jobs().await;
    let question = jobs.assert_ran::<Work>().ended(Attempt::Failed).attempt(2).on("worker 1").after(SECOND);
    let text = panic_of(async { question.times(2) }).await;
    let lines = [
        "expected exactly 2 runs of kind work with ended Failed, attempt 2, on worker 1, after 1s: found 0",
        "  nearest of 2 that differ:",
        "    #4 ID, attempt 1 at +0.000 s failed, job waiting; ended Failed ok; attempt 1 << wanted 2; on the program \
         << wanted worker 1; after 0ns << wanted 1s; args {\"does\":\"fail\"}",
        "    #3 ID, attempt 1 at +0.000 s succeeded, job succeeded; ended Succeeded << wanted Failed; attempt 1 << \
         wanted 2; on the program << wanted worker 1; after 0ns << wanted 1s; args {\"does\":\"ok\"}",
        "  other kinds: mail x2",
    ];
    expect_of_busy_scene(TEST, &text, &lines);
    let text = panic_of(async { jobs.assert_ran::<Mail>().once() }).await;
    let lines = [
        "expected exactly 1 run of kind mail: found 0",
        "  no job of kind mail has run; enqueued:",
        "    #1 ID, waiting; args {\"to\":\"taro\"}",
        "    #2 ID, waiting; args {\"to\":\"masa\"}",
        "  other kinds: work x2",
    ];
    expect_of_busy_scene(TEST, &text, &lines);
    scene.kit.finish().await;
}

#[tokio::test]
async fn attempts_that_differ_are_shown_as_a_table() {
    const TEST: &str = "attempts_that_differ_are_shown_as_a_table";
    let scene = busy_scene().await;
    let jobs = scene.kit.jobs().await;
    let failing = jobs.assert_enqueued::<Work>().with(|work| work.does == "fail").get().record.id;
    let expected = [
        (Duration::ZERO, Attempt::Failed),
        (SECOND * 60, Attempt::Failed),
        (SECOND * 180, Attempt::Succeeded),
    ];
    let text = panic_of(async { jobs.assert_attempts_of(failing, &expected[1..]) }).await;
    let lines = [
        "the attempts of work #4 ID are not as expected; since its enqueue:",
        "    1. +0ns failed (it failed) << wanted +60s failed",
        "    2. none << wanted +180s succeeded",
    ];
    expect_of_busy_scene(TEST, &text, &lines);
    let text = panic_of(async { jobs.assert_attempts::<Work>(&[]) }).await;
    let headline = "expected the attempts of the one job of kind work, but there are 2 jobs of it: name one by \
                    assert_attempts_of(id, ..)";
    expect_of_busy_scene(TEST, &text, &[headline]);
    let text = panic_of(async { jobs.assert_attempts::<Unknown>(&[]) }).await;
    let headline =
        "expected the attempts of the one job of kind unknown, but there are 0 jobs of it: enqueue one first";
    expect_of_busy_scene(TEST, &text, &[headline]);
    let _ = scene.kit.advance(SECOND * 179).await;
    let jobs = scene.kit.jobs().await;
    let text = panic_of(async { jobs.assert_attempts_of(failing, &expected) }).await;
    let table: Vec<&str> = text.lines().take(4).skip(1).collect();
    let expected = [
        "    1. +0ns failed (it failed) ok",
        "    2. +60s failed (it failed) ok",
        "    3. +180s failed (it failed) << wanted +180s succeeded",
    ];
    assert_eq!(table, expected);
    scene.kit.finish().await;
}

#[tokio::test]
async fn a_drain_that_reaches_a_limit_says_which_and_what_is_left() {
    let scene = scene_of(TestKit::new(), |options| options.queue("default", 1)).await;
    scene.enqueue(work("snooze 10")).await;
    let text = panic_of(scene.kit.drain(Limits::new().runs(2))).await;
    let lines = [
        "the kit is not drained: there were more than 2 runs (Limits::runs); left are",
        "  1 waiting of kind work in queue default, the next due at 2030-01-01T00:00:30Z",
        "  work ID is waiting in queue default: it is due at 2030-01-01T00:00:30Z: its handler asked for later",
        "  virtual time 2030-01-01T00:00:20Z (start + 20s), no seed, store memory",
        "  last events:",
        "    +0.000 s enqueued work ID",
        "    +0.000 s the program claimed work ID (claimer)",
        "    +0.000 s work ID started, attempt 1 (slot default/0)",
        "    +0.000 s ID snoozed (slot default/0)",
        "    +10.000 s the program claimed work ID (claimer)",
        "    +10.000 s work ID started, attempt 1 (slot default/0)",
        "    +10.000 s ID snoozed (slot default/0)",
        "    +20.000 s the program claimed work ID (claimer)",
        "    +20.000 s work ID started, attempt 1 (slot default/0)",
        "    +20.000 s ID snoozed (slot default/0)",
        "  replay: cargo test -p backgroundjobs-testing a_drain_that_reaches_a_limit_says_which_and_what_is_left",
    ];
    expect(&text, &lines);
    let text = panic_of(scene.kit.drain(Limits::new().span(SECOND * 15))).await;
    let headline = "the kit is not drained: it would take longer than 15s (Limits::span); left are";
    assert!(text.starts_with(headline), "{text}");
    assert_eq!(scene.kit.now(), VirtualClock::START + SECOND * 30, "it went as far as it may");
    scene.kit.finish().await;
}

#[tokio::test]
async fn a_drain_that_no_timer_can_end_says_so() {
    let scene = scene_of(TestKit::new(), |options| options.queue("default", 1)).await;
    assert!(scene.kit.settle().await.is_quiet());
    let job = NewJob::new(
        scene.kit.env().job_id(),
        Kind::new("mail").expect("a name"),
        QueueName::default_queue(),
        Payload::from_args(&mail("masa")).expect("written"),
    );
    scene.store.insert(&InsertJobs::new(scene.kit.now(), vec![job])).await.expect("stored");
    let text = panic_of(scene.kit.drain(Limits::new())).await;
    let lines = [
        "the kit is not drained: no timer is left that could bring an end (a row that was put into the store by hand \
         wakes nobody); left are",
        "  1 waiting of kind mail in queue default, the next due at 2030-01-01T00:00:00Z",
        "  mail ID is waiting in queue default: it is due and about to be claimed, in its turn",
        "  virtual time 2030-01-01T00:00:00Z (start + 0ns), no seed, store memory",
        "  last events: none",
        "  replay: cargo test -p backgroundjobs-testing a_drain_that_no_timer_can_end_says_so",
    ];
    expect(&text, &lines);
    scene.kit.finish().await;
}

#[tokio::test]
async fn a_wait_for_what_does_not_come_says_why_it_ended() {
    let scene = scene().await;
    let text = panic_of(scene.kit.run_until(async || false, SECOND * 5)).await;
    let lines = [
        "what run_until waits for has not come, and no timer is left that could bring it",
        "  virtual time 2030-01-01T00:00:00Z (start + 0ns), no seed, store memory",
        "  last events: none",
        "  replay: cargo test -p backgroundjobs-testing a_wait_for_what_does_not_come_says_why_it_ended",
    ];
    expect(&text, &lines);
    scene.manager.enqueue_in(mail("masa"), SECOND * 6).await.expect("enqueued");
    let text = panic_of(scene.kit.run_until(async || false, SECOND * 5)).await;
    let headline = "what run_until waits for has not come, and nothing more happens within 5s\n";
    assert!(text.starts_with(headline), "{text}");
    scene.kit.finish().await;
}

#[tokio::test]
async fn jobs_that_nobody_could_run_are_named_at_the_end_with_what_to_do() {
    let kit = TestKit::new();
    let jobs = kit.build(program(|options| options.use_in_memory()));
    jobs.manager().enqueue(mail("masa")).await.expect("enqueued");
    let lines = [
        "1 job is left that nobody could ever run",
        "  mail ID is waiting in queue default: no worker was started here: call jobs.start().await",
        "  if the test means to leave them, end it with kit.abandon()",
        "  virtual time 2030-01-01T00:00:00Z (start + 0ns), no seed, store memory",
        "  last events:",
        "    +0.000 s enqueued mail ID",
        "  replay: cargo test -p backgroundjobs-testing \
         jobs_that_nobody_could_run_are_named_at_the_end_with_what_to_do",
    ];
    expect(&panic_of(kit.finish()).await, &lines);
    jobs.manager().enqueue_many((0..11).map(|_| mail("all"))).await.expect("enqueued");
    let text = panic_of(kit.finish()).await;
    assert!(text.starts_with("12 jobs are left that nobody could ever run\n"), "{text}");
    assert!(text.contains("\n  and 2 more\n  if the test"), "{text}");
    kit.abandon();
}

#[tokio::test]
async fn a_job_that_no_program_has_a_handler_for_cannot_be_performed() {
    let kit = TestKit::new();
    let text = panic_of(kit.perform(Unknown).into_future()).await;
    assert!(text.contains("(known: none)"), "{text}");
    // These may enqueue it, and run it they cannot.
    let _declares = kit.build(program(|options| options.use_in_memory().produces::<Unknown>()));
    let _produces = kit.build(BackgroundJobs::builder(|options| options.use_in_memory().producer_only()));
    let lines = [
        "unknown cannot be performed: no program of this kit has a handler for it (known: letter, mail, work); register \
         one in what kit.build(..) or kit.start(..) is given",
    ];
    expect(&panic_of(kit.perform(Unknown).into_future()).await, &lines);
    kit.perform(mail("masa")).await.expect_success();
    kit.finish().await;
}

/// The doubt comes of an earlier verb than the last.
#[tokio::test]
async fn a_failure_says_why_it_may_not_be_repeatable() {
    let kit = TestKit::builder().handler_patience(Duration::from_millis(1)).build();
    let scene = scene_of(kit, |options| options.queue("default", 2)).await;
    // While somebody else sleeps on the virtual clock, one that hangs is left behind.
    let env = scene.kit.env();
    let _end = scene.kit.scheduler().spawn("sleeper", async move { env.sleep(SECOND * 3_600).await });
    scene.enqueue(work("hang")).await;
    scene.manager.enqueue_in(mail("masa"), SECOND).await.expect("enqueued");
    let doubtful = scene.kit.advance(SECOND * 2).await;
    let clean = scene.kit.advance(SECOND).await;
    assert_eq!((doubtful.steps.nondeterministic.len(), clean.steps.nondeterministic.len()), (1, 0));
    let jobs = scene.kit.jobs().await;
    let text = panic_of(async { jobs.assert_ran::<Mail>().never() }).await;
    assert!(text.contains("\n  not repeatable: handler of work "), "{text}");
    scene.kit.finish().await;
}

#[tokio::test]
async fn a_long_error_is_cut_in_lists() {
    let kit = TestKit::new();
    let builder = BackgroundJobs::builder(|options| options.use_in_memory())
        .register_fn(async |_: Mail, _: JobContext| Err(format!("first line\n{}", "x".repeat(5_000)).into()));
    let jobs = kit.start(builder).await;
    jobs.manager().enqueue(mail("masa")).await.expect("enqueued");
    assert_eq!(kit.settle().await.retried, 1);
    let jobs = kit.jobs().await;
    let text = panic_of(async { jobs.assert_attempts::<Mail>(&[]) }).await;
    assert!(text.contains("1. +0ns failed (first line …) << wanted none\n"), "{text}");
    assert!(text.contains("failed: first line … (slot default/0)\n"), "{text}");
    kit.finish().await;
}
