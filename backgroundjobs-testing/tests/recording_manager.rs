//! [`RecordingManager`]: for code that only enqueues.

#[path = "support/program.rs"]
mod program;

use std::sync::Arc;
use std::time::Duration;

use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{
    CancelStatus, EnqueueManyError, JobDraft, KeyHold, RequeueStatus, StoreErrorKind, WaitError,
};
use backgroundjobs_testing::RecordingManager;

use self::program::{Mail, SECOND, Work, mail, panic_of, scene, work};

#[tokio::test]
async fn every_kind_and_queue_is_taken_stored_and_not_run() {
    let manager = RecordingManager::new();
    let first = manager.enqueue(mail("masa")).await.expect("enqueued");
    let options = EnqueueOptions::new().queue("anywhere").delay(SECOND * 3);
    let second = manager.enqueue_with(work("ok"), options).await.expect("enqueued");
    assert!(first.is_new && second.is_new && first.id < second.id, "ids grow");
    manager.advance(SECOND * 100);
    let jobs = manager.jobs().await;
    jobs.assert_enqueued::<Mail>().id(first.id).state(JobState::Waiting).once();
    jobs.assert_enqueued::<Work>().queue("anywhere").due_in(SECOND * 3).state(JobState::Waiting).once();
    jobs.assert_ran::<Mail>().never();
    assert_eq!(
        manager.get(first.id).await.expect("answers").expect("kept").args.as_str(),
        r#"{"to":"masa"}"#
    );
    assert_eq!(
        RecordingManager::new().enqueue(mail("masa")).await.expect("enqueued").id,
        first.id,
        "the same again"
    );
}

#[tokio::test]
async fn unique_keys_and_ids_keep_others_out_as_they_do_in_a_program() {
    let manager = RecordingManager::new();
    let unique = || EnqueueOptions::new().unique("user-1");
    let first = manager.enqueue_with(mail("masa"), unique()).await.expect("enqueued");
    let second = manager.enqueue_with(mail("taro"), unique()).await.expect("answered");
    assert_eq!((first.is_new, second.is_new, second.id), (true, false, first.id));
    let hour = || EnqueueOptions::new().unique_for("report", KeyHold::For(SECOND * 3_600));
    assert!(manager.enqueue_with(work("ok"), hour()).await.expect("enqueued").is_new);
    manager.advance(SECOND * 3_599);
    assert!(!manager.enqueue_with(work("ok"), hour()).await.expect("answered").is_new);
    manager.advance(SECOND);
    assert!(manager.enqueue_with(work("ok"), hour()).await.expect("enqueued").is_new);
    let again = manager.enqueue_with(mail("masa"), unique().id(first.id)).await.expect("answered");
    assert_eq!((again.id, again.is_new), (first.id, false));
    let error = manager.enqueue_with(mail("other"), EnqueueOptions::new().id(first.id)).await;
    assert!(matches!(error, Err(EnqueueError::IdTaken { .. })), "{error:?}");
    manager.jobs().await.assert_enqueued::<Mail>().once();
    manager.jobs().await.assert_enqueued::<Work>().times(2);
}

#[tokio::test]
async fn a_job_can_be_cancelled_read_and_put_back() {
    let manager = RecordingManager::new();
    let id = manager.enqueue(mail("masa")).await.expect("enqueued").id;
    assert_eq!(manager.requeue(id).await.expect("answers"), RequeueStatus::NotFinished(JobState::Waiting));
    assert_eq!(manager.cancel(id).await.expect("answers"), CancelStatus::Cancelled);
    assert_eq!(manager.wait(id, SECOND).await.expect("over"), JobState::Cancelled);
    manager.jobs().await.assert_enqueued::<Mail>().state(JobState::Cancelled).once();
    assert_eq!(manager.cancel(id).await.expect("answers"), CancelStatus::Finished(JobState::Cancelled));
    assert!(matches!(manager.requeue(id).await.expect("answers"), RequeueStatus::Requeued(_)));
    let record = manager.get(id).await.expect("answers").expect("kept");
    assert_eq!(record.state, JobState::Waiting);
    let unknown = "01900000-0000-7000-8000-000000000001".parse().expect("an id");
    assert_eq!(manager.cancel(unknown).await.expect("answers"), CancelStatus::Unknown);
    assert_eq!(manager.get(unknown).await.expect("answers"), None);
}

#[tokio::test]
async fn a_wait_answers_at_once_and_names_the_limit_it_was_given() {
    let manager = RecordingManager::new();
    let (id, before) = (manager.enqueue(mail("masa")).await.expect("enqueued").id, manager.now());
    let error = manager.wait(id, SECOND * 30).await.expect_err("it waits");
    assert!(matches!(&error, WaitError::TimedOut { limit, .. } if *limit == SECOND * 30), "{error}");
    assert!(error.to_string().starts_with("not over within 30s: mail "), "{error}");
    assert_eq!(manager.now(), before);
}

#[tokio::test]
async fn many_jobs_of_several_kinds_are_stored_or_refused_as_in_a_program() {
    let manager = RecordingManager::new();
    let drafts = || {
        let mail = JobDraft::of(&mail("masa"), EnqueueOptions::new()).expect("written");
        vec![mail, JobDraft::of(&work("ok"), EnqueueOptions::new()).expect("written")]
    };
    assert_eq!(manager.submit(drafts()).await.expect("stored").len(), 2);
    let stored = manager.enqueue_many((0..1_500).map(|to| mail(&to.to_string()))).await.expect("stored");
    assert_eq!(stored.len(), 1_500);
    let jobs = manager.jobs().await;
    jobs.assert_enqueued::<Mail>().times(1_501);
    jobs.assert_enqueued::<Work>().once();

    let large = mail(&"x".repeat(1024 * 1024));
    let error = manager.enqueue(large.clone()).await.expect_err("too large");
    assert!(matches!(error, EnqueueError::ArgsTooLarge { .. }), "{error}");
    let EnqueueManyError { stored, index, .. } =
        manager.enqueue_many([mail("masa"), large]).await.expect_err("one is too large");
    assert_eq!((stored.len(), index), (0, 1), "a chunk is stored whole or not at all");
    assert_eq!(manager.jobs().await.count(), 1_502);
}

#[tokio::test]
async fn a_store_out_of_reach_fails_every_call_until_it_is_back() {
    let manager = RecordingManager::new();
    let id = manager.enqueue(mail("masa")).await.expect("enqueued").id;
    manager.set_unavailable(true);
    let error = manager.enqueue(mail("taro")).await.expect_err("out of reach");
    let EnqueueError::Store { source, .. } = &error else { panic!("{error}") };
    assert_eq!(source.kind(), StoreErrorKind::Unavailable);
    assert!(manager.get(id).await.is_err() && manager.cancel(id).await.is_err());
    assert!(manager.requeue(id).await.is_err() && manager.explain(id).await.is_err());
    assert!(matches!(manager.wait(id, SECOND).await, Err(WaitError::Store { .. })));
    manager.enqueue_many([mail("a"), mail("b")]).await.expect_err("out of reach");
    // The test can look all the same.
    manager.jobs().await.assert_enqueued::<Mail>().once();
    manager.set_unavailable(false);
    assert!(manager.enqueue(mail("taro")).await.expect("back").is_new);
    manager.jobs().await.assert_enqueued::<Mail>().times(2);
}

#[tokio::test]
async fn a_manager_that_was_never_in_reach_comes_into_reach() {
    let manager = RecordingManager::new();
    manager.set_unavailable(true);
    manager.enqueue(mail("masa")).await.expect_err("out of reach");
    manager.set_unavailable(false);
    manager.enqueue(mail("masa")).await.expect("back");
    manager.jobs().await.assert_enqueued::<Mail>().once();
}

#[tokio::test]
async fn it_stands_for_any_manager_and_for_the_static_one() {
    async fn sign_up(manager: Arc<dyn JobManager>) -> Result<(), EnqueueError> {
        manager.enqueue(mail("handed over")).await.map(drop)
    }
    let manager = RecordingManager::new();
    sign_up(Arc::new(manager.clone())).await.expect("enqueued");
    let scoped = BackgroundJobManager::scope(Arc::new(manager.clone()), async {
        BackgroundJobManager::enqueue_in(mail("static"), SECOND * 3).await
    });
    scoped.await.expect("enqueued");
    let jobs = manager.jobs().await;
    jobs.assert_enqueued::<Mail>().with(|mail| mail.to == "handed over").due_in(Duration::ZERO).once();
    jobs.assert_enqueued::<Mail>().with(|mail| mail.to == "static").due_in(SECOND * 3).once();
    let text = panic_of(async { jobs.assert_enqueued::<Work>().once() }).await;
    assert!(text.contains("\n  other kinds: mail x2\n") && text.contains("no seed, store memory"), "{text}");
}

/// Code inside a task that another kit drives.
#[tokio::test]
async fn it_works_inside_a_kit_beside_it() {
    let (scene, manager) = (scene().await, RecordingManager::new());
    let id = scene.kit.run(manager.enqueue(mail("masa"))).await.expect("enqueued").id;
    scene.kit.run(manager.wait(id, SECOND)).await.expect_err("nothing runs it");
    manager.jobs().await.assert_enqueued::<Mail>().once();
    assert_eq!(scene.kit.jobs().await.count(), 0);
    scene.kit.finish().await;
}

#[test]
fn it_works_from_several_threads() {
    let manager = RecordingManager::new();
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
                runtime.block_on(manager.enqueue(mail("masa"))).expect("enqueued");
            });
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async { manager.jobs().await.assert_enqueued::<Mail>().times(4) });
}
