//! What a test may ask of jobs and runs, and what counts.

#[path = "support/program.rs"]
mod program;

use std::sync::Arc;
use std::time::Duration;

use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{InsertJobs, JobStore, Keep, KeyHold, Kind, NewJob, Payload, QueueName, Retention};
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::{Attempt, TestKit};

use self::program::{
    Mail, SECOND, Scene, Watched, Work, mail, panic_of, program, scene, scene_of, scene_with, work,
};

/// One mail that says all there is to say, and one that says nothing.
async fn two_mails() -> (Scene, JobId) {
    let scene = scene_with(|options| options.queue("default", 1).queue("post", 1)).await;
    let options = EnqueueOptions::new()
        .queue("post")
        .priority(Priority::HIGHEST)
        .delay(SECOND * 5)
        .metadata("trace", "17")
        .unique("user-1")
        .max_attempts(3);
    let id = scene.manager.enqueue_with(mail("masa"), options).await.expect("enqueued").id;
    scene.enqueue(mail("taro")).await;
    (scene, id)
}

#[tokio::test]
async fn each_condition_on_a_job_tells_it_from_others() {
    let (scene, id) = two_mails().await;
    let jobs = scene.kit.jobs().await;
    let mails = || jobs.assert_enqueued::<Mail>();
    mails().with(|mail| mail.to == "masa").once();
    mails().id(id).once();
    mails().queue("post").once();
    mails().priority(Priority::HIGHEST).once();
    mails().due_in(SECOND * 5).once();
    mails().due_in(Duration::ZERO).once();
    mails().due_at(scene.kit.now() + SECOND * 5).once();
    mails().metadata("trace", "17").once();
    mails().unique("user-1").once();
    mails().max_attempts(3).once();
    mails().state(JobState::Waiting).times(2);
    // All of them at once are the same one job.
    let found = mails().queue("post").metadata("trace", "17").unique("user-1").id(id).get();
    assert_eq!((found.record.id, found.args), (id, mail("masa")));

    mails().with(|mail| mail.to == "nobody").never();
    mails().id(scene.kit.env().job_id()).never();
    mails().queue("other").never();
    mails().priority(Priority::LOWEST).never();
    mails().due_in(SECOND * 4).never();
    mails().due_at(scene.kit.now() + SECOND).never();
    mails().metadata("trace", "18").never();
    mails().metadata("span", "17").never();
    mails().unique("user-2").never();
    mails().max_attempts(4).never();
    mails().state(JobState::Running).never();
    // Each is met by another job, and both by none.
    mails().queue("post").due_in(Duration::ZERO).never();
    scene.kit.finish().await;
}

#[tokio::test]
async fn each_end_counts_and_fails_where_the_count_is_another() {
    let (scene, _) = two_mails().await;
    let jobs = scene.kit.jobs().await;
    let mails = || jobs.assert_enqueued::<Mail>();
    let both: Vec<String> = mails().all().into_iter().map(|found| found.args.to).collect();
    assert_eq!(both, ["masa", "taro"], "in the order in which they were enqueued");
    mails().times(2);
    mails().at_least(0);
    mails().at_least(2);
    assert_eq!(mails().queue("post").get().args, mail("masa"));
    jobs.assert_enqueued::<Work>().never();
    assert!(jobs.assert_enqueued::<Work>().all().is_empty());
    let mut refused = Vec::new();
    refused.push(panic_of(async { mails().once() }).await);
    refused.push(panic_of(async { mails().times(3) }).await);
    refused.push(panic_of(async { mails().at_least(3) }).await);
    refused.push(panic_of(async { mails().never() }).await);
    refused.push(panic_of(async { mails().get() }).await);
    refused.push(panic_of(async { jobs.assert_enqueued::<Work>().once() }).await);
    refused.push(panic_of(async { jobs.assert_enqueued::<Work>().get() }).await);
    let found: Vec<&str> = refused
        .iter()
        .map(|text| text.lines().next().and_then(|line| line.rsplit_once(' ')).expect("a headline").1)
        .collect();
    assert_eq!(found, ["2", "2", "2", "2", "2", "0", "0"]);
    assert_eq!((jobs.count(), scene.kit.jobs().await.count()), (2, 2), "a look moves nothing");
    scene.kit.finish().await;
}

#[tokio::test]
async fn each_condition_on_a_run_tells_it_from_others() {
    let scene = scene_with(|options| options.queue("default", 1).queue("post", 1)).await;
    let options = EnqueueOptions::new().queue("post").delay(SECOND * 5);
    let start = scene.kit.now();
    let id = scene.manager.enqueue_with(work("fail, ok"), options).await.expect("enqueued").id;
    scene.enqueue(work("sleep 1000")).await;
    assert_eq!(scene.kit.advance(SECOND * 65).await.succeeded, 1);
    let jobs = scene.kit.jobs().await;
    let runs = || jobs.assert_ran::<Work>();
    runs().times(3);
    runs().with(|work| work.does == "fail, ok").times(2);
    runs().id(id).times(2);
    runs().queue("post").times(2);
    runs().attempt(2).once();
    runs().at(start + SECOND * 5).once();
    runs().after(SECOND * 65).once();
    runs().ended(Attempt::Failed).once();
    runs().ended(Attempt::Unfinished).once();
    runs().on("the program").times(3);

    runs().with(|work| work.does == "never").never();
    runs().id(scene.kit.env().job_id()).never();
    runs().queue("other").never();
    runs().attempt(3).never();
    runs().at(start + SECOND).never();
    runs().after(SECOND * 64).never();
    runs().ended(Attempt::Snoozed).never();
    runs().on("worker 1").never();
    jobs.assert_ran::<Mail>().never();

    let first = runs().ended(Attempt::Failed).get();
    assert_eq!((first.id, first.attempt, first.args.does.as_str()), (id, 1, "fail, ok"));
    assert_eq!((first.started, first.ended), (start + SECOND * 5, Some(start + SECOND * 5)));
    assert_eq!((first.error.as_deref(), &*first.node), (Some("it failed"), "the program"));
    let under_way = runs().ended(Attempt::Unfinished).get();
    assert_eq!((under_way.ended, under_way.error), (None, None));
    scene.kit.finish().await;
}

#[tokio::test]
async fn a_run_is_asked_for_by_the_node_that_made_it() {
    let (kit, store) = (TestKit::new(), MemoryStore::new());
    let shared = store.clone();
    let make = move |queue: &'static str| {
        let store = shared.clone();
        move || program(|options| options.use_store(store.clone()).queue(queue, 1))
    };
    let first = kit.node("a").start(make("default")).await;
    let _second = kit.node("b").start(make("post")).await;
    first.manager().enqueue(mail("masa")).await.expect("enqueued");
    assert_eq!(kit.settle().await.succeeded, 1);
    let jobs = kit.jobs().await;
    jobs.assert_ran::<Mail>().on("a").once();
    jobs.assert_ran::<Mail>().on("b").never();
    kit.finish().await;
}

fn row(kit: &TestKit, kind: &str, args: &str) -> NewJob {
    let kind = Kind::new(kind).expect("a name");
    NewJob::new(kit.env().job_id(), kind, QueueName::default_queue(), Payload::from_store(args))
}

async fn insert(scene: &Scene, jobs: Vec<NewJob>) {
    let request = InsertJobs::new(scene.kit.now(), jobs);
    scene.store.insert(&request).await.expect("stored");
}

#[tokio::test]
async fn rows_put_into_the_store_by_hand_and_earlier_names_of_a_kind_count() {
    let scene = scene().await;
    let mut late = row(&scene.kit, "letter", r#"{"to":"taro"}"#);
    late.run_at = backgroundjobs_core::RunAt::In(SECOND * 5);
    insert(&scene, vec![row(&scene.kit, "mail", r#"{"to":"masa"}"#), late]).await;
    let jobs = scene.kit.jobs().await;
    jobs.assert_enqueued::<Mail>().times(2);
    jobs.assert_enqueued::<Mail>().with(|mail| mail.to == "taro").due_in(SECOND * 5).once();
    assert_eq!(scene.kit.advance(SECOND * 5).await.succeeded, 2);
    let jobs = scene.kit.jobs().await;
    jobs.assert_enqueued::<Mail>().state(JobState::Succeeded).times(2);
    jobs.assert_ran::<Mail>().times(2);
    scene.kit.finish().await;
}

/// A row that nobody saw come: its record says only when it is due next.
#[tokio::test]
async fn a_row_put_in_by_hand_stays_due_when_it_was_after_a_retry() {
    let scene = scene().await;
    insert(&scene, vec![row(&scene.kit, "work", r#"{"does":"fail, ok"}"#)]).await;
    assert_eq!(scene.kit.settle().await.retried, 1);
    let jobs = scene.kit.jobs().await;
    jobs.assert_enqueued::<Work>().due_in(Duration::ZERO).once();
    scene.kit.finish().await;
}

#[tokio::test]
async fn args_that_do_not_decode_are_a_difference_and_no_panic() {
    let scene = scene().await;
    insert(&scene, vec![row(&scene.kit, "mail", "17"), row(&scene.kit, "mail", r#"{"to":"masa"}"#)]).await;
    let jobs = scene.kit.jobs().await;
    jobs.assert_enqueued::<Mail>().times(2);
    jobs.assert_enqueued::<Mail>().with(|_| true).once();
    let text = panic_of(async { jobs.assert_enqueued::<Mail>().with(|_| true).times(2) }).await;
    assert!(text.contains("args do not decode (") && text.contains("<< wanted args of this type"), "{text}");
    // Whoever wants the args of all must hear of it.
    let text = panic_of(async { jobs.assert_enqueued::<Mail>().all() }).await;
    assert!(text.contains("the args of mail ") && text.contains(" do not decode: "), "{text}");
    let report = scene.kit.settle().await;
    assert_eq!((report.succeeded, report.retried + report.failed), (1, 1));
    let jobs = scene.kit.jobs().await;
    jobs.assert_ran::<Mail>().times(2);
    jobs.assert_ran::<Mail>().with(|_| true).once();
    scene.kit.finish().await;
}

#[tokio::test]
async fn jobs_that_were_cleared_away_or_deleted_still_count() {
    let keep = |count| Retention {
        succeeded: Keep::latest(count),
        failed: Keep::latest(0),
        cancelled: Keep::FOREVER,
    };
    let scene = scene_with(|options| options.retention(keep(1))).await;
    let options = EnqueueOptions::new().metadata("trace", "17").queue("default").delay(SECOND);
    let first = scene.manager.enqueue_with(mail("first"), options).await.expect("enqueued").id;
    let deleted = scene.manager.enqueue_in(mail("deleted"), SECOND * 500).await.expect("enqueued").id;
    let failed = scene.enqueue(work("permanent")).await;
    // A worker clears away after a thousand ends.
    scene.manager.enqueue_many((0..1_000).map(|_| mail("many"))).await.expect("enqueued");
    let report = scene.kit.advance(SECOND * 10).await;
    scene.manager.enqueue_many((0..1_000).map(|_| mail("more"))).await.expect("enqueued");
    assert_eq!(scene.kit.settle().await.succeeded, 1_000);
    assert_eq!((report.succeeded, report.failed), (1_001, 1));
    scene.jobs.admin().expect("the memory store has it").delete(&[deleted]).await.expect("deleted");
    let left = scene.store.get(&[first, failed, deleted]).await.expect("answers");
    assert_eq!(left, [None, None, None]);
    let jobs = scene.kit.jobs().await;
    assert_eq!(jobs.count(), 2_003);
    let first = jobs.assert_enqueued::<Mail>().with(|mail| mail.to == "first").due_in(SECOND);
    first.metadata("trace", "17").state(JobState::Succeeded).once();
    jobs.assert_enqueued::<Mail>().id(deleted).once();
    jobs.assert_enqueued::<Work>().state(JobState::Failed).once();
    jobs.assert_ran::<Work>().ended(Attempt::Failed).once();
    let gone = panic_of(async { jobs.assert_enqueued::<Work>().never() }).await;
    assert!(gone.contains(", failed, gone from the store;"), "{gone}");
    scene.kit.finish().await;
}

#[tokio::test]
async fn a_job_of_a_store_that_programs_share_counts_once() {
    let scene = scene().await;
    let store = scene.store.clone();
    let other = scene.kit.start(program(|options| options.use_store(store).queue("post", 1))).await;
    other.manager().enqueue_with(mail("masa"), EnqueueOptions::new().queue("post")).await.expect("enqueued");
    scene.enqueue(mail("taro")).await;
    assert_eq!(scene.kit.jobs().await.count(), 2);
    let report = scene.kit.settle().await;
    assert_eq!((report.succeeded, report.claimed), (2, 2), "of both programs");
    let jobs = scene.kit.jobs().await;
    jobs.assert_enqueued::<Mail>().times(2);
    jobs.assert_ran::<Mail>().times(2);
    scene.kit.finish().await;
}

#[tokio::test]
async fn jobs_of_several_stores_and_of_one_that_cannot_list_count() {
    let scene = scene().await;
    let blind: Arc<dyn JobStore> = Arc::new(Watched::blind(Arc::new(MemoryStore::new())));
    let other = scene.kit.start(program(|options| options.use_shared_store(blind))).await;
    other.manager().enqueue(mail("masa")).await.expect("enqueued");
    scene.enqueue(mail("taro")).await;
    assert_eq!(scene.kit.settle().await.succeeded, 2);
    scene.kit.jobs().await.assert_enqueued::<Mail>().state(JobState::Succeeded).times(2);
    scene.kit.finish().await;
}

#[tokio::test]
async fn an_enqueue_that_stored_nothing_does_not_count() {
    let scene = scene().await;
    let unique = || EnqueueOptions::new().unique("user-1").delay(SECOND);
    let first = scene.manager.enqueue_with(mail("masa"), unique()).await.expect("enqueued");
    let second = scene.manager.enqueue_with(mail("taro"), unique()).await.expect("answered");
    let again = scene.manager.enqueue_with(mail("masa"), EnqueueOptions::new().id(first.id)).await;
    assert!(first.is_new && !second.is_new && !again.expect("answered").is_new);
    let jobs = scene.kit.jobs().await;
    jobs.assert_enqueued::<Mail>().once();
    jobs.assert_enqueued::<Mail>().unique("user-1").with(|mail| mail.to == "masa").once();
    let across = EnqueueOptions::new().unique_across_kinds("user-1", KeyHold::UntilFinished);
    scene.manager.enqueue_with(mail("all"), across).await.expect("enqueued");
    scene.kit.jobs().await.assert_enqueued::<Mail>().unique("user-1").times(2);
    scene.kit.finish().await;
}

#[tokio::test]
async fn attempts_are_listed_with_when_they_began_and_how_they_ended() {
    let scene = scene().await;
    let _ = scene.kit.advance(SECOND * 7).await;
    let id = scene.enqueue(work("fail, snooze 5, panic, retry 3, ok")).await;
    assert_eq!(scene.kit.advance(SECOND * 300).await.succeeded, 1);
    let jobs = scene.kit.jobs().await;
    let expected = [
        (Duration::ZERO, Attempt::Failed),
        (SECOND * 60, Attempt::Snoozed),
        (SECOND * 65, Attempt::Failed),
        (SECOND * 185, Attempt::Failed),
        (SECOND * 188, Attempt::Succeeded),
    ];
    jobs.assert_attempts::<Work>(&expected);
    jobs.assert_attempts_of(id, &expected);
    let text = panic_of(async { jobs.assert_attempts::<Work>(&expected[..4]) }).await;
    assert!(text.contains("    5. +188s succeeded << wanted none\n"), "{text}");
    let text = panic_of(async { jobs.assert_attempts_of(scene.kit.env().job_id(), &expected) }).await;
    assert!(text.starts_with("expected the attempts of job ") && text.contains("no such job"), "{text}");
    scene.kit.finish().await;
}

#[tokio::test]
async fn attempts_end_by_a_timeout_a_cancel_and_a_handler_that_gives_up() {
    let scene = scene_with(|options| options.timeout(SECOND * 30)).await;
    let late = scene.enqueue(work("listen, ok")).await;
    let unwanted = scene.enqueue(work("cancel")).await;
    let hopeless = scene.enqueue(work("permanent")).await;
    let called_off = scene.enqueue(work("listen")).await;
    let untouched = scene.manager.enqueue_in(work("ok"), SECOND * 500).await.expect("enqueued").id;
    let _ = scene.kit.advance(SECOND * 10).await;
    scene.manager.cancel(called_off).await.expect("answers");
    scene.manager.cancel(untouched).await.expect("answers");
    let report = scene.kit.advance(SECOND * 190).await;
    assert_eq!((report.succeeded, report.retried, report.cancelled), (1, 1, 1));
    let jobs = scene.kit.jobs().await;
    jobs.assert_attempts_of(late, &[(Duration::ZERO, Attempt::Failed), (SECOND * 90, Attempt::Succeeded)]);
    jobs.assert_attempts_of(unwanted, &[(Duration::ZERO, Attempt::Cancelled)]);
    jobs.assert_attempts_of(hopeless, &[(Duration::ZERO, Attempt::Failed)]);
    jobs.assert_attempts_of(called_off, &[(Duration::ZERO, Attempt::Cancelled)]);
    jobs.assert_attempts_of(untouched, &[]);
    jobs.assert_enqueued::<Work>().state(JobState::Cancelled).times(3);
    scene.kit.finish().await;
}

#[tokio::test]
async fn an_attempt_that_a_stop_hands_back_is_released_and_made_again_by_another_program() {
    let scene = scene_of(TestKit::builder().seed(3).build(), |options| options.queue("default", 1)).await;
    let id = scene.enqueue(work("listen, ok")).await;
    let _ = scene.kit.settle().await;
    scene.kit.jobs().await.assert_attempts_of(id, &[(Duration::ZERO, Attempt::Unfinished)]);
    let report = scene.kit.run(scene.jobs.stop(SECOND * 2)).await.expect("stopped");
    assert_eq!(report.left_waiting, 1);
    let store = scene.store.clone();
    // It counts the runs of its own handlers only, so what comes next is `listen` again.
    let other = scene.kit.start(program(|options| options.use_store(store))).await;
    let _ = scene.kit.advance(SECOND).await;
    other.manager().cancel(id).await.expect("answers");
    assert_eq!(scene.kit.settle().await.cancelled, 1);
    let expected = [(Duration::ZERO, Attempt::Released), (SECOND * 2, Attempt::Cancelled)];
    scene.kit.jobs().await.assert_attempts_of(id, &expected);
    scene.kit.finish().await;
}
