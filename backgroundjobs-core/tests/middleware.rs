//! Wrappers around the executor: what they see, what they may do, and what holds for them.

use std::sync::Arc;
use std::time::Duration;

use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{Env, FailureKind};
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::TestKit;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Serialize, Deserialize)]
struct Work {
    seconds: u32,
}

impl JobArgs for Work {
    const KIND: &'static str = "work";
}

#[derive(Serialize, Deserialize)]
struct Forbidden;

impl JobArgs for Forbidden {
    const KIND: &'static str = "forbidden";
}

type Log = Arc<Mutex<Vec<String>>>;

async fn work(log: Log, work: Work, ctx: JobContext) -> JobResult {
    log.lock().push("handler".to_owned());
    ctx.sleep(SECOND * work.seconds).await;
    if work.seconds == 9 && ctx.attempt() == 1 { Err("once".into()) } else { Ok(()) }
}

/// Times runs, on the clock that they run on.
struct Timed {
    inner: Arc<dyn JobExecutor>,
    env: Env,
    log: Log,
}

#[async_trait]
impl JobExecutor for Timed {
    async fn execute(&self, run: JobRun) -> JobResult {
        let (started, context) = (self.env.now(), run.context.clone());
        let result = self.inner.execute(run).await;
        let took = self.env.now().since(started);
        let end = if result.is_ok() { "ok" } else { "failed" };
        self.log.lock().push(format!("{} {} {end} in {took:?}", context.kind(), context.attempt()));
        result
    }
}

/// Refuses a kind, without its handler.
struct Refusing {
    inner: Arc<dyn JobExecutor>,
    kind: &'static str,
}

#[async_trait]
impl JobExecutor for Refusing {
    async fn execute(&self, run: JobRun) -> JobResult {
        if *run.context.kind() == self.kind {
            return Err(JobError::permanent(format!("{} is refused here", self.kind)));
        }
        self.inner.execute(run).await
    }
}

#[tokio::test]
async fn a_wrapper_times_runs_and_another_refuses_a_kind() {
    let (kit, log, ran) = (TestKit::new(), Log::default(), Log::default());
    let (env, lines, forbidden) = (kit.env(), log.clone(), ran.clone());
    let jobs = kit
        .start(
            BackgroundJobs::builder(|options| {
                options
                    .use_in_memory()
                    .queue("default", 1)
                    .wrap_executor(|inner| Refusing { inner, kind: "forbidden" })
                    // The last one is the outermost: it sees what the one before refuses.
                    .wrap_executor(|inner| Timed { inner, env, log: lines })
            })
            .register_fn_with(log.clone(), work)
            .register_fn(move |_: Forbidden, _ctx| {
                let ran = forbidden.clone();
                async move {
                    ran.lock().push("ran".to_owned());
                    Ok(())
                }
            }),
        )
        .await;
    let manager = jobs.manager();
    manager.enqueue(Work { seconds: 9 }).await.expect("enqueued");
    let refused = manager.enqueue(Forbidden).await.expect("enqueued").id;
    let report = kit.advance(SECOND * 120).await;
    assert_eq!((report.succeeded, report.retried, report.failed), (1, 1, 1));
    assert_eq!(
        *log.lock(),
        ["handler", "work 1 failed in 9s", "forbidden 1 failed in 0ns", "handler", "work 2 ok in 9s"]
    );
    assert!(ran.lock().is_empty(), "the handler of the refused kind ran");
    let record = manager.get(refused).await.expect("answers").expect("kept");
    assert_eq!((record.state, record.attempts), (JobState::Failed, 1));
    assert_eq!(record.failures[0].failure.text.as_str(), "forbidden is refused here");
    kit.finish().await;
}

/// Timeout, cancellation and the guard against panics lie outside the wrappers.
#[tokio::test]
async fn what_a_wrapper_does_wrong_is_a_failed_run() {
    struct Wrong(Arc<dyn JobExecutor>);
    #[async_trait]
    impl JobExecutor for Wrong {
        async fn execute(&self, run: JobRun) -> JobResult {
            let hangs = run.context.metadata().contains_key("hangs");
            self.0.execute(run).await?;
            if hangs { std::future::pending().await } else { panic!("a wrapper with a bug") }
        }
    }
    let kit = TestKit::new();
    let builder = BackgroundJobs::builder(|options| {
        options.use_in_memory().wrap_executor(Wrong).retry(RetryPolicy::never())
    });
    let jobs = kit.start(builder.register_fn_with(Log::default(), work).timeout(SECOND * 2)).await;
    let manager = jobs.manager();
    let panics = manager.enqueue(Work { seconds: 0 }).await.expect("enqueued").id;
    let hangs = EnqueueOptions::new().metadata("hangs", "yes");
    let hangs = manager.enqueue_with(Work { seconds: 0 }, hangs).await.expect("enqueued").id;
    assert_eq!(kit.advance(SECOND * 10).await.failed, 2);
    for (id, kind) in [(panics, FailureKind::Panic), (hangs, FailureKind::Timeout)] {
        let record = manager.get(id).await.expect("answers").expect("kept");
        assert_eq!(record.failures[0].failure.kind, kind, "{:?}", record.failures);
    }
    kit.finish().await;
}
