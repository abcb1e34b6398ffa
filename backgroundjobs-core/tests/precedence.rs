//! Who decides: the enqueue before the registration before the args type before the program's options.

use std::time::Duration;

use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{Builder, JobRecord};
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::TestKit;
use serde::{Deserialize, Serialize};

const SECOND: Duration = Duration::from_secs(1);

/// Says everything itself.
#[derive(Serialize, Deserialize)]
struct Opinionated;

impl JobArgs for Opinionated {
    const KIND: &'static str = "opinionated";

    fn options() -> JobOptions {
        JobOptions::new().queue("typed").priority(Priority::HIGHEST).max_attempts(3).timeout(SECOND * 30)
    }
}

/// Says nothing.
#[derive(Serialize, Deserialize)]
struct Plain;

impl JobArgs for Plain {
    const KIND: &'static str = "plain";
}

fn builder(retry: Option<RetryPolicy>) -> Builder {
    BackgroundJobs::builder(|options| {
        let options = options.use_in_memory().queue("default", 2).queue("typed", 2).queue("named", 2);
        match retry {
            Some(retry) => options.retry(retry),
            None => options,
        }
    })
}

async fn enqueued<A: JobArgs>(jobs: &BackgroundJobs, args: A, options: EnqueueOptions) -> JobRecord {
    let id = jobs.manager().enqueue_with(args, options).await.expect("enqueued").id;
    jobs.manager().get(id).await.expect("answers").expect("kept")
}

async fn fails<A>(_: A, _: JobContext) -> JobResult {
    Err("no luck".into())
}

#[tokio::test]
async fn queue_and_priority_come_from_the_enqueue_then_the_type_then_the_default() {
    let kit = TestKit::new();
    let jobs = kit.build(builder(None).register_fn(fails::<Opinionated>).register_fn(fails::<Plain>));
    let said = || EnqueueOptions::new().queue("named").priority(Priority::LOWEST);
    let of_enqueue = enqueued(&jobs, Opinionated, said()).await;
    assert_eq!((of_enqueue.queue.as_str(), of_enqueue.priority), ("named", Priority::LOWEST));
    let of_type = enqueued(&jobs, Opinionated, EnqueueOptions::new()).await;
    assert_eq!((of_type.queue.as_str(), of_type.priority), ("typed", Priority::HIGHEST));
    let default = enqueued(&jobs, Plain, EnqueueOptions::new()).await;
    assert_eq!((default.queue.as_str(), default.priority), ("default", Priority::NORMAL));
    // The records are all that is looked at; nobody was started.
    kit.abandon();
}

#[tokio::test]
async fn attempts_come_from_the_enqueue_then_the_registration_then_the_type_then_the_options() {
    let kit = TestKit::new();
    let program = RetryPolicy::new().max_attempts(5);
    let registered = RetryPolicy::new().max_attempts(4);
    let none = EnqueueOptions::new;
    let all = kit.build(builder(Some(program)).register_fn(fails::<Opinionated>).retry(registered));
    assert_eq!(enqueued(&all, Opinionated, none().max_attempts(2)).await.max_attempts, 2);
    assert_eq!(enqueued(&all, Opinionated, none()).await.max_attempts, 4);
    // A registration that says only how long to wait leaves the number to the type.
    let waits = RetryPolicy::new().first(SECOND);
    let typed = kit.build(builder(Some(program)).register_fn(fails::<Opinionated>).retry(waits));
    assert_eq!(enqueued(&typed, Opinionated, none()).await.max_attempts, 3);
    let options = kit.build(builder(Some(program)).register_fn(fails::<Plain>));
    assert_eq!(enqueued(&options, Plain, none()).await.max_attempts, 5);
    let default = kit.build(builder(None).register_fn(fails::<Plain>));
    assert_eq!(enqueued(&default, Plain, none()).await.max_attempts, 11);
    // The records are all that is looked at; nobody was started.
    kit.abandon();
}

/// When the first retry comes shows whose back-off it was.
#[tokio::test]
async fn the_wait_after_a_failure_comes_from_the_registration_then_the_options_then_the_default() {
    let program = RetryPolicy::new().first(SECOND * 7);
    let registered = RetryPolicy::new().first(SECOND * 3);
    for (builder, wait) in [
        (builder(Some(program)).register_fn(fails::<Plain>).retry(registered), 3),
        (builder(Some(program)).register_fn(fails::<Plain>), 7),
        (builder(None).register_fn(fails::<Plain>), 60),
    ] {
        let kit = TestKit::new();
        let jobs = kit.start(builder).await;
        jobs.manager().enqueue(Plain).await.expect("enqueued");
        assert_eq!(kit.settle().await.retried, 1);
        assert_eq!(kit.advance(SECOND * wait - Duration::from_micros(1)).await.retried, 0, "{wait} s");
        assert_eq!(kit.advance(Duration::from_micros(1)).await.retried, 1, "{wait} s");
        kit.finish().await;
    }
}

#[tokio::test]
async fn the_timeout_comes_from_the_registration_then_the_type_then_the_options_and_there_is_none_by_default()
{
    async fn waits<A>(_: A, ctx: JobContext) -> JobResult {
        ctx.cancelled().await;
        Err("told to stop".into())
    }
    let never = Some(RetryPolicy::never());
    let kit = TestKit::new();
    let registered = kit.start(builder(never).register_fn(waits::<Opinionated>).timeout(SECOND * 10)).await;
    let once = || EnqueueOptions::new().max_attempts(1);
    registered.manager().enqueue_with(Opinionated, once()).await.expect("enqueued");
    assert_eq!(kit.advance(SECOND * 10).await.failed, 1);
    let typed = kit.start(builder(never).register_fn(waits::<Opinionated>)).await;
    typed.manager().enqueue_with(Opinionated, once()).await.expect("enqueued");
    assert_eq!(kit.advance(SECOND * 29).await.failed, 0);
    assert_eq!(kit.advance(SECOND).await.failed, 1);
    let program =
        builder(never).configure(|options| options.timeout(SECOND * 20)).register_fn(waits::<Plain>);
    let program = kit.start(program).await;
    program.manager().enqueue(Plain).await.expect("enqueued");
    assert_eq!(kit.advance(SECOND * 19).await.failed, 0);
    assert_eq!(kit.advance(SECOND).await.failed, 1);
    let none = kit.start(builder(never).register_fn(waits::<Plain>)).await;
    none.manager().enqueue(Plain).await.expect("enqueued");
    assert_eq!(kit.advance(SECOND * 36_000).await.failed, 0);
    assert_eq!(none.stats().claimed, 1);
    kit.finish().await;
}
