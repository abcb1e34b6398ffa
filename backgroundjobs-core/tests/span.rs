//! The span of a job, on every thread that runs a part of it. It listens for the whole process, so this is a file
//! of its own.

use std::sync::Arc;

use backgroundjobs_core::prelude::*;
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::TestKit;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Work(String);

impl JobArgs for Work {
    const KIND: &'static str = "work";
}

fn work(name: &str) -> Work {
    Work(name.to_owned())
}

fn builder() -> Builder {
    BackgroundJobs::builder(|options| options.use_in_memory().queue("default", 1))
}

/// What a blocking handler logs stands in the span of its job, as for every other handler.
#[tokio::test]
async fn a_blocking_handler_runs_in_the_span_of_its_job() {
    let subscriber = tracing_subscriber::fmt().with_writer(std::io::sink).finish();
    // For all threads, also those of the blocking pool.
    tracing::subscriber::set_global_default(subscriber).expect("set once in this file");
    let kit = TestKit::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (from_async, from_thread) = (seen.clone(), seen.clone());
    #[derive(Serialize, Deserialize)]
    struct Blocking;
    impl JobArgs for Blocking {
        const KIND: &'static str = "blocking";
    }
    let name = || tracing::Span::current().metadata().map(|it| it.name());
    let jobs = kit
        .start(
            builder()
                .register_fn(move |_: Work, _| {
                    from_async.lock().push(name());
                    async { Ok(()) }
                })
                .register_blocking(move |_: Blocking, _| {
                    from_thread.lock().push(name());
                    Ok(())
                }),
        )
        .await;
    jobs.manager().enqueue(work("async")).await.expect("enqueued");
    _ = kit.settle().await;
    jobs.manager().enqueue(Blocking).await.expect("enqueued");
    _ = kit.settle().await;
    assert_eq!(*seen.lock(), [Some("job"), Some("job")]);
    kit.finish().await;
}
