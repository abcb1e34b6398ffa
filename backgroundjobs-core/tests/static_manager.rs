//! The static manager. It is one for a whole process, so this file has one test that installs.

use std::sync::Arc;
use std::time::Duration;

use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{EnqueueError, InstallError, NoManagerError, Timestamp};
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::TestKit;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Serialize, Deserialize)]
struct Count {
    down_from: u32,
}

impl JobArgs for Count {
    const KIND: &'static str = "count";
}

/// Enqueues its successor through the static manager.
async fn count(log: Arc<Mutex<Vec<u32>>>, args: Count, _ctx: JobContext) -> JobResult {
    log.lock().push(args.down_from);
    if args.down_from > 0 {
        BackgroundJobManager::enqueue(Count { down_from: args.down_from - 1 }).await?;
    }
    Ok(())
}

async fn counting(kit: &TestKit) -> (Arc<BackgroundJobs>, Arc<Mutex<Vec<u32>>>) {
    let log = Arc::new(Mutex::new(Vec::new()));
    let builder =
        BackgroundJobs::builder(|options| options.use_in_memory()).register_fn_with(log.clone(), count);
    (kit.start(builder).await, log)
}

#[tokio::test]
async fn it_is_installed_once_and_does_not_keep_the_jobs_alive() {
    let kit = TestKit::new();
    let error = BackgroundJobManager::enqueue(Count { down_from: 1 }).await.expect_err("nothing installed");
    let EnqueueError::NoManager { kind, reason } = &error else { panic!("{error:?}") };
    assert_eq!((kind.as_str(), *reason), ("count", NoManagerError::NotInstalled));
    assert_eq!(
        error.to_string(),
        "count was not enqueued: there is no current manager here: call jobs.install() once after build(), or \
         run this inside BackgroundJobManager::scope(manager, ..), which a task spawned by hand needs anew"
    );

    let (jobs, log) = counting(&kit).await;
    jobs.install().expect("the first");
    let (other, _) = counting(&kit).await;
    let twice = other.install().expect_err("the second");
    assert_eq!(twice, InstallError::Twice);
    assert!(twice.to_string().contains("scope(manager, ..)"), "{twice}");
    drop(other);

    BackgroundJobManager::enqueue(Count { down_from: 0 }).await.expect("enqueued");
    BackgroundJobManager::enqueue_in(Count { down_from: 10 }, SECOND * 3).await.expect("enqueued");
    let later: Timestamp = kit.now() + SECOND * 60;
    BackgroundJobManager::enqueue_at(Count { down_from: 0 }, later).await.expect("enqueued");
    let options = EnqueueOptions::new().unique("one");
    assert!(
        BackgroundJobManager::enqueue_with(Count { down_from: 0 }, options.clone())
            .await
            .expect("new")
            .is_new
    );
    assert!(
        !BackgroundJobManager::enqueue_with(Count { down_from: 0 }, options).await.expect("there").is_new
    );
    let many = (0..3).map(|_| Count { down_from: 0 });
    assert_eq!(BackgroundJobManager::enqueue_many(many).await.expect("enqueued").len(), 3);
    assert_eq!(kit.advance(SECOND * 2).await.succeeded, 5);
    assert_eq!(kit.advance(SECOND).await.succeeded, 11, "each job enqueued the next through it");
    assert_eq!(kit.advance(SECOND * 60).await.succeeded, 1);
    assert_eq!(log.lock().len(), 17);

    kit.run(jobs.stop(SECOND)).await.expect("stopped");
    drop(jobs);
    assert_eq!(kit.settle().await.claimed, 0);
    let gone = BackgroundJobManager::current().expect_err("dropped");
    assert_eq!(gone, NoManagerError::Dropped);
    assert!(gone.to_string().starts_with("the jobs that were installed have been dropped"), "{gone}");
    let none = BackgroundJobManager::enqueue_many([Count { down_from: 1 }]).await.expect_err("dropped");
    assert!(none.stored.is_empty() && none.index == 0, "{none:?}");
    kit.finish().await;
}

#[tokio::test]
async fn a_scope_is_for_its_future_and_each_handler_runs_in_its_own_managers() {
    let kit = TestKit::new();
    let ((left, left_log), (right, right_log)) = (counting(&kit).await, counting(&kit).await);
    let enqueue = |down_from| BackgroundJobManager::enqueue(Count { down_from });
    BackgroundJobManager::scope(left.manager(), enqueue(2)).await.expect("enqueued");
    BackgroundJobManager::scope(right.manager(), async {
        enqueue(1).await.expect("enqueued");
        // The inner one holds for the inner future only.
        BackgroundJobManager::scope(left.manager(), enqueue(0)).await.expect("enqueued");
        enqueue(0).await.expect("enqueued");
    })
    .await;
    assert_eq!(kit.settle().await.succeeded, 7);
    let sorted = |log: &Mutex<Vec<u32>>| {
        let mut log = log.lock().clone();
        log.sort_unstable();
        log
    };
    assert_eq!(sorted(&left_log), [0, 0, 1, 2]);
    assert_eq!(sorted(&right_log), [0, 0, 1]);
    kit.finish().await;
}

#[tokio::test]
async fn a_blocking_handler_and_a_scoped_one_have_it_too() {
    let kit = TestKit::new();
    #[derive(Serialize, Deserialize)]
    struct Start;
    impl JobArgs for Start {
        const KIND: &'static str = "start";
    }
    struct Scoped;
    impl BackgroundJob<Count> for Scoped {
        async fn execute(&self, _: Count, _: JobContext) -> JobResult {
            BackgroundJobManager::current()?;
            Ok(())
        }
    }
    let jobs = kit
        .start(
            BackgroundJobs::builder(|options| options.use_in_memory())
                .register_blocking(|_: Start, _| {
                    BackgroundJobManager::current()?;
                    Ok(())
                })
                .register_scoped(|_| async {
                    BackgroundJobManager::current()?;
                    Ok(Scoped)
                }),
        )
        .await;
    jobs.manager().enqueue(Start).await.expect("enqueued");
    jobs.manager().enqueue(Count { down_from: 0 }).await.expect("enqueued");
    let report = kit.run(jobs.wait_until_idle(SECOND)).await;
    report.expect("both ended well");
    assert_eq!(jobs.stats().succeeded, 2);
    kit.finish().await;
}
