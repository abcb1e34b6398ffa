//! Enqueueing: what it answers, and the words of its errors.

#[path = "support/wrok.rs"]
mod wrok;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{
    CancelStatus, Enqueued, Explanation, JobDraft, JobRecord, KeyHold, RequeueStatus, StoreError,
    SubmitError, WaitError, step_aside,
};
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::TestKit;
use parking_lot::Mutex;

use self::wrok::{Work, Wrok, builder, work};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_program_that_only_enqueues_may_enqueue_anything() {
    let kit = TestKit::new();
    let jobs = kit.build(BackgroundJobs::builder(|options| options.use_in_memory().producer_only()));
    let queue = EnqueueOptions::new().queue("anywhere");
    assert!(jobs.manager().enqueue_with(Wrok, queue).await.expect("enqueued").is_new);
    let declared = BackgroundJobs::builder(|options| options.use_in_memory().produces::<Wrok>());
    let jobs = kit.build(declared);
    assert!(jobs.manager().enqueue(Wrok).await.expect("enqueued").is_new);
    let error = jobs.manager().enqueue(work("x")).await.expect_err("not declared");
    assert!(matches!(error, EnqueueError::UnknownKind { .. }), "{error}");
    kit.finish().await;
}

#[tokio::test]
async fn what_is_too_large_is_refused_with_its_size() {
    let kit = TestKit::new();
    let jobs = kit.start(builder()).await;
    let manager = jobs.manager();
    let error = manager.enqueue(work(&"x".repeat(1 << 20))).await.expect_err("too large").to_string();
    assert!(error.contains("the args of work have 1048587 bytes of JSON, 1048576 are allowed"), "{error}");
    let note = EnqueueOptions::new().metadata("trace", "x".repeat(20_000));
    let error = manager.enqueue_with(work("x"), note).await.expect_err("too large").to_string();
    assert!(error.contains("metadata of work has 20005 bytes"), "{error}");
    for key in ["", "a\nb", &"k".repeat(2_000)] {
        let error = manager.enqueue_with(work("x"), EnqueueOptions::new().unique(key)).await;
        assert!(matches!(error, Err(EnqueueError::UniqueKey { .. })), "{key:?}: {error:?}");
    }
    kit.finish().await;
}

#[tokio::test]
async fn a_unique_job_is_stored_once_while_its_key_is_held() {
    let kit = TestKit::new();
    let jobs = kit.start(builder()).await;
    let manager = jobs.manager();
    let unique = || EnqueueOptions::new().unique("user-1").delay(SECOND);
    let first = manager.enqueue_with(work("a"), unique()).await.expect("enqueued");
    let second = manager.enqueue_with(work("b"), unique()).await.expect("answered");
    assert!(first.is_new && !second.is_new && first.id == second.id);
    assert_eq!(kit.advance(SECOND).await.succeeded, 1);
    assert!(manager.enqueue_with(work("c"), unique()).await.expect("enqueued").is_new, "it was let go");
    let hour = || EnqueueOptions::new().unique_for("report", KeyHold::For(SECOND * 3_600));
    assert!(manager.enqueue_with(work("d"), hour()).await.expect("enqueued").is_new);
    let _ = kit.advance(SECOND * 3_599).await;
    assert!(!manager.enqueue_with(work("e"), hour()).await.expect("answered").is_new);
    let _ = kit.advance(SECOND).await;
    assert!(manager.enqueue_with(work("f"), hour()).await.expect("enqueued").is_new);
    kit.finish().await;
}

#[tokio::test]
async fn an_enqueue_with_an_id_can_be_repeated_and_not_misused() {
    let kit = TestKit::new();
    let jobs = kit.start(builder()).await;
    let manager = jobs.manager();
    let id = kit.env().job_id();
    let options = || EnqueueOptions::new().id(id);
    assert!(manager.enqueue_with(work("a"), options()).await.expect("enqueued").is_new);
    let again = manager.enqueue_with(work("a"), options()).await.expect("answered");
    assert_eq!((again.id, again.is_new), (id, false));
    let error = manager.enqueue_with(work("b"), options()).await.expect_err("other args");
    assert!(matches!(error, EnqueueError::IdTaken { id: taken, .. } if taken == id), "{error}");
    assert_eq!(kit.settle().await.succeeded, 1);
    kit.finish().await;
}

#[tokio::test]
async fn many_jobs_go_in_chunks_and_a_failure_says_what_was_stored() {
    let kit = TestKit::new();
    let jobs = kit.start(builder()).await;
    let manager = jobs.manager();
    let mut seen = Vec::new();
    let args = (0..2_500).map(|number| work(&number.to_string()));
    let stored =
        manager.enqueue_many_with(args, |done, total| seen.push((done, total))).await.expect("enqueued");
    assert_eq!(seen, [(1_000, Some(2_500)), (2_000, Some(2_500)), (2_500, Some(2_500))]);
    assert!(stored.is_sorted_by_key(|enqueued| enqueued.id), "ids grow with the batch");
    let large = "x".repeat(1 << 20);
    let args = (0..2_500).map(|number| work(if number == 1_234 { &large } else { "x" }));
    let error = manager.enqueue_many(args).await.expect_err("one is too large");
    assert_eq!((error.stored.len(), error.index), (1_000, 1_234));
    assert!(matches!(error.source, EnqueueError::ArgsTooLarge { .. }));
    assert_eq!(kit.settle().await.succeeded, 3_500);
    assert!(manager.enqueue_many(Vec::<Work>::new()).await.expect("nothing to do").is_empty());
    // An iterator that promises more than there is memory for.
    let endless = std::iter::repeat_with(|| work(&large));
    assert_eq!(manager.enqueue_many(endless).await.expect_err("the first fails").index, 0);
    kit.finish().await;
}

/// Long work shows itself: a program can draw how far a million jobs have come.
#[tokio::test]
async fn a_million_jobs_report_their_progress() {
    const MILLION: usize = 1_000_000;
    let kit = TestKit::new();
    let jobs = kit.build(builder());
    let (mut steps, mut last) = (0, 0);
    let args = std::iter::repeat_with(|| work("x")).take(MILLION);
    let draw = |done: usize, total: Option<usize>| {
        assert!(done > last && total == Some(MILLION), "{done} of {total:?} after {last}");
        (steps, last) = (steps + 1, done);
    };
    let stored = jobs.manager().enqueue_many_with(args, draw).await.expect("enqueued");
    assert_eq!((stored.len(), steps, last), (MILLION, 1_000, MILLION));
    // Only the enqueue is looked at; nobody was started.
    kit.abandon();
}

#[tokio::test]
async fn an_instant_may_be_past_and_a_delay_may_be_for_ever() {
    let kit = TestKit::new();
    let jobs = kit.start(builder()).await;
    let manager = jobs.manager();
    let past = manager.enqueue_at(work("past"), Timestamp::UNIX_EPOCH).await.expect("enqueued").id;
    let never = manager.enqueue_in(work("never"), Duration::MAX).await.expect("enqueued").id;
    assert_eq!(kit.advance(SECOND * 1_000_000).await.succeeded, 1);
    let state = async |id| manager.get(id).await.expect("answers").expect("kept");
    assert_eq!(state(past).await.state, JobState::Succeeded);
    assert_eq!(state(never).await.run_at, Timestamp::MAX);
    let error = kit.run(jobs.wait_until_idle(SECOND)).await.expect_err("one waits").to_string();
    assert_eq!(
        error,
        "not idle within 1s: 1 jobs wait and 0 run; the next one is due at 9999-12-31T23:59:59.999999Z"
    );
    kit.finish().await;
}

#[tokio::test]
async fn a_failed_job_can_be_put_back() {
    let kit = TestKit::new();
    let jobs = kit.start(builder()).await;
    let manager = jobs.manager();
    let options = EnqueueOptions::new().priority(Priority::HIGHEST).queue("mail").max_attempts(1);
    let id = manager.enqueue_with(work("fail"), options).await.expect("enqueued").id;
    assert_eq!(kit.settle().await.failed, 1);
    let status = manager.requeue(id).await.expect("answers");
    assert!(matches!(status, RequeueStatus::Requeued(queue) if queue == "mail"));
    assert_eq!(kit.settle().await.failed, 1, "it is woken and runs again");
    let record = manager.get(id).await.expect("answers").expect("kept");
    assert_eq!((record.attempts, record.generation, record.failures.len()), (1, 2, 2));
    assert_eq!(manager.requeue(kit.env().job_id()).await.expect("answers"), RequeueStatus::Unknown);
    kit.finish().await;
}

/// A program hands code its own manager, here one that notes what passes: every verb goes through `submit`.
#[derive(Debug)]
struct Noting {
    inner: Arc<dyn JobManager>,
    kinds: Mutex<Vec<String>>,
    /// Jobs that an iterator gave, and how many it had given at each of the first four turns of each call.
    drawn: AtomicUsize,
    drawn_by: Mutex<Vec<usize>>,
}

impl Noting {
    fn of(inner: Arc<dyn JobManager>) -> Arc<Self> {
        let (kinds, drawn, drawn_by) = Default::default();
        Arc::new(Self { inner, kinds, drawn, drawn_by })
    }
}

#[async_trait]
impl JobManager for Noting {
    async fn submit(&self, jobs: Vec<JobDraft>) -> Result<Vec<Enqueued>, SubmitError> {
        self.kinds.lock().extend(jobs.iter().map(|job| job.kind.to_string()));
        for _ in 0..4 {
            self.drawn_by.lock().push(self.drawn.load(Ordering::Relaxed));
            step_aside().await;
        }
        self.inner.submit(jobs).await
    }

    async fn cancel(&self, id: JobId) -> Result<CancelStatus, StoreError> {
        self.inner.cancel(id).await
    }

    async fn get(&self, id: JobId) -> Result<Option<JobRecord>, StoreError> {
        self.inner.get(id).await
    }

    async fn requeue(&self, id: JobId) -> Result<RequeueStatus, StoreError> {
        self.inner.requeue(id).await
    }

    async fn explain(&self, id: JobId) -> Result<Explanation, StoreError> {
        self.inner.explain(id).await
    }

    async fn wait(&self, id: JobId, limit: Duration) -> Result<JobState, WaitError> {
        self.inner.wait(id, limit).await
    }
}

#[tokio::test]
async fn a_manager_of_ones_own_sees_every_enqueue() {
    let kit = TestKit::new();
    let jobs = kit.start(builder()).await;
    let noting = Noting::of(jobs.manager());
    let manager: Arc<dyn JobManager> = noting.clone();
    let one = manager.enqueue(work("one")).await.expect("enqueued");
    assert!(one.is_new && manager.get(one.id).await.expect("answers").is_some());
    manager.enqueue_many([work("two"), work("three")]).await.expect("enqueued");
    let error = manager.enqueue(Wrok).await.expect_err("nobody runs it");
    assert!(matches!(error, EnqueueError::UnknownKind { .. }), "{error}");
    assert_eq!(*noting.kinds.lock(), ["work", "work", "work", "wrok"]);
    assert_eq!(kit.settle().await.succeeded, 3);
    kit.finish().await;
}

/// A call was begun and left alone until the iterator had given a thousand jobs: meanwhile it may hold a lock of the store.
#[tokio::test]
async fn a_chunk_goes_on_being_stored_while_jobs_of_the_next_are_drawn() {
    let kit = TestKit::new();
    let jobs = kit.start(builder()).await;
    let noting = Noting::of(jobs.manager());
    let args = (0..1_500).map(|number| {
        noting.drawn.fetch_add(1, Ordering::Relaxed);
        work(&number.to_string())
    });
    let mut drawn = Vec::new();
    let progress = |done, _| drawn.push((done, noting.drawn.load(Ordering::Relaxed)));
    let stored = noting.enqueue_many_with(args, progress).await.expect("enqueued");
    assert_eq!(stored.len(), 1_500);
    assert_eq!(*noting.drawn_by.lock(), [1_000, 1_001, 1_002, 1_003, 1_500, 1_500, 1_500, 1_500]);
    let [(1_000, by_the_first), (1_500, 1_500)] = drawn[..] else { panic!("{drawn:?}") };
    assert!((1_003..1_100).contains(&by_the_first), "as soon as it is stored: {by_the_first}");
    assert_eq!(kit.settle().await.succeeded, 1_500);
    kit.finish().await;
}

/// After its end an iterator may do what it likes.
#[tokio::test]
async fn an_iterator_that_is_over_is_asked_no_more() {
    let kit = TestKit::new();
    let jobs = kit.start(builder()).await;
    let mut left = Some(3_u32);
    let args = std::iter::from_fn(|| {
        let number = left.expect("it was told of the end");
        left = number.checked_sub(1);
        left.map(|left| work(&left.to_string()))
    });
    assert_eq!(jobs.manager().enqueue_many(args).await.expect("enqueued").len(), 3);
    assert_eq!(kit.settle().await.succeeded, 3);
    kit.finish().await;
}

/// On a store that never waits it kept its thread to the end, so that no timeout could end it.
#[tokio::test]
async fn others_have_their_turn_after_each_chunk() {
    let kit = TestKit::new();
    let jobs = kit.build(builder());
    let manager = jobs.manager();
    let mut call = pin!(manager.enqueue_many((0..5_000).map(|number| work(&number.to_string()))));
    let mut turns = 0;
    let stored = poll_fn(|cx| {
        turns += 1;
        call.as_mut().poll(cx)
    });
    assert_eq!(stored.await.expect("enqueued").len(), 5_000);
    assert_eq!(turns, 6);
    kit.abandon();
}
