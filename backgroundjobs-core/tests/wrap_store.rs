//! `options.wrap_store`, and who runs which jobs.

use std::sync::Arc;
use std::time::Duration;

use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{
    BuildProblem, Builder, JobStore, Kind, Options, QueueName, StoreError, StoreOperation, StoreProfile,
    WakeHub,
};
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::{LayeredStore, StoreLayer, TestKit};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Work;

impl JobArgs for Work {
    const KIND: &'static str = "work";
    const ALIASES: &'static [&'static str] = &["labour"];
}

#[derive(Serialize, Deserialize)]
struct Mail;

impl JobArgs for Mail {
    const KIND: &'static str = "mail";
}

fn builder(options: impl FnOnce(Options) -> Options) -> Builder {
    BackgroundJobs::builder(options).register_fn(async |_: Work, _: JobContext| Ok(()))
}

type Log = Arc<Mutex<Vec<String>>>;

/// Notes each insert and claim under its name.
#[derive(Default)]
struct Noting {
    name: &'static str,
    log: Log,
    profile: Option<StoreProfile>,
    /// Says nothing of the hub of the store inside.
    is_deaf: bool,
}

impl Noting {
    fn around(self, inner: Arc<dyn JobStore>) -> Arc<dyn JobStore> {
        Arc::new(LayeredStore::with(inner, self))
    }
}

impl StoreLayer for Noting {
    async fn around<T: Send>(
        &self,
        operation: StoreOperation,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        if matches!(operation, StoreOperation::Insert | StoreOperation::Claim) {
            self.log.lock().push(format!("{} {operation}", self.name));
        }
        call.await
    }

    fn profile(&self, inner: StoreProfile) -> StoreProfile {
        self.profile.unwrap_or(inner)
    }

    fn local_hub<'a>(&'a self, inner: Option<&'a WakeHub>) -> Option<&'a WakeHub> {
        inner.filter(|_| !self.is_deaf)
    }
}

/// Around a store that other processes reach, too: polled, without a hub.
fn shared_as(name: &'static str) -> Noting {
    Noting { profile: Some(StoreProfile::shared(name)), is_deaf: true, ..Noting::default() }
}

#[tokio::test]
async fn every_call_passes_the_last_wrapper_first_and_the_store_in_the_end() {
    let (kit, store, log) = (TestKit::new(), MemoryStore::new(), Log::default());
    let named = store.clone();
    let noting = |name| Noting { name, log: log.clone(), ..Noting::default() };
    let (first, last) = (noting("first"), noting("last"));
    let jobs = kit
        .start(builder(|options| {
            options
                .wrap_store(|inner| first.around(inner))
                // The order among the other options does not matter.
                .use_store(named)
                .wrap_store(|inner| last.around(inner))
        }))
        .await;
    let id = jobs.manager().enqueue(Work).await.expect("enqueued").id;
    assert_eq!(*log.lock(), ["last insert", "first insert"]);
    log.lock().clear();
    assert_eq!(kit.settle().await.succeeded, 1, "it is woken through both");
    assert_eq!(log.lock()[..2], ["last claim", "first claim"]);
    let record = store.get(&[id]).await.expect("answers").remove(0).expect("kept");
    assert_eq!(record.state, JobState::Succeeded);
    assert!(jobs.admin().is_some(), "what the store can do beside, it can do wrapped");
    kit.finish().await;
}

#[test]
fn without_a_store_no_wrapper_is_called() {
    let error = builder(|options| options.wrap_store(|_| panic!("there is nothing to wrap"))).build();
    let error = error.expect_err("no store");
    assert_eq!(error.problems(), [BuildProblem::NoStore]);
}

#[test]
fn a_wrapper_that_loses_the_hub_is_a_mistake_of_the_build() {
    let deaf = Noting { is_deaf: true, ..Noting::default() };
    let deaf = builder(|options| options.use_in_memory().wrap_store(|inner| deaf.around(inner)));
    let error = deaf.build().expect_err("it can wake nobody");
    assert_eq!(error.problems(), [BuildProblem::DeafStore { store: "memory" }]);
    let polled =
        builder(|options| options.use_in_memory().wrap_store(|inner| shared_as("polled").around(inner)));
    polled.build().expect("one that is polled needs no hub");
}

fn names(queue: &str, kind: &str) -> (QueueName, Kind) {
    (QueueName::new(queue).expect("a name"), Kind::new(kind).expect("a name"))
}

#[tokio::test]
async fn jobs_are_served_from_the_start_to_the_stop_and_only_where_there_is_a_handler_and_a_slot() {
    let kit = TestKit::new();
    let store = MemoryStore::new();
    let make = |queue: &str, slots| {
        let shared = store.clone();
        builder(|options| options.use_store(shared).queue(queue, slots))
    };
    let (first, second) = (kit.build(make("default", 1)), kit.build(make("post", 1)));
    let served = |jobs: &BackgroundJobs, queue, kind| {
        let (queue, kind) = names(queue, kind);
        jobs.serves(&queue, &kind)
    };
    assert!(!served(&first, "default", "work"), "it is not started");
    first.start().await.expect("started");
    assert!(served(&first, "default", "work") && served(&first, "default", "labour"));
    assert!(!served(&first, "default", "mail") && !served(&first, "post", "work"));
    assert!(served(&second, "default", "work"), "by the other program on the same store");
    second.start().await.expect("started");
    assert!(served(&first, "post", "work") && served(&second, "post", "work"));
    kit.run(first.stop(Duration::ZERO)).await.expect("stopped");
    assert!(!served(&first, "default", "work") && served(&first, "post", "work"));
    kit.finish().await;
}

#[test]
fn jobs_are_left_to_others_where_the_program_says_so() {
    let left = |jobs: &BackgroundJobs, queue, kind| {
        let (queue, kind) = names(queue, kind);
        jobs.leaves_to_others(&queue, &kind)
    };
    let none = builder(|options| options.use_in_memory()).build().expect("good");
    assert!(!left(&none, "default", "work") && !left(&none, "default", "mail"));
    let kind = builder(|options| options.use_in_memory().produces::<Mail>()).build().expect("good");
    assert!(
        left(&kind, "default", "mail") && left(&kind, "other", "mail") && !left(&kind, "default", "work")
    );
    let queue = builder(|options| {
        let options = options.use_in_memory().wrap_store(|inner| shared_as("shared").around(inner));
        options.queue("default", 1).queue("post", 0)
    });
    let queue = queue.build().expect("good");
    assert!(left(&queue, "post", "work") && left(&queue, "post", "mail") && !left(&queue, "default", "work"));
    let all = BackgroundJobs::builder(|options| options.use_in_memory().producer_only()).build();
    let all = all.expect("good");
    assert!(left(&all, "default", "work") && left(&all, "other", "mail"));
}
