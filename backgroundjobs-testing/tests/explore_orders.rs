//! An exploration comes to every order of jobs that run at one time, also where their handlers never wait.

use std::collections::BTreeSet;
use std::sync::Arc;

use backgroundjobs_core::prelude::*;
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::{Limits, explore};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Numbered(u32);
impl JobArgs for Numbered {
    const KIND: &'static str = "numbered";
}

/// One slot ran everything that it had claimed in a single poll, so later jobs never came first.
#[tokio::test]
async fn of_two_jobs_that_are_due_together_either_may_run_first() {
    let first = Mutex::new(BTreeSet::new());
    let seen = explore(0..50, async |kit| {
        let ran = Arc::new(Mutex::new(Vec::new()));
        let log = ran.clone();
        let program = BackgroundJobs::builder(|options| options.use_in_memory().queue("default", 2));
        let program = program.register_fn(move |Numbered(number), _: JobContext| {
            log.lock().push(number);
            async { Ok(()) }
        });
        let jobs = kit.start(program).await;
        jobs.manager().enqueue_many([Numbered(1), Numbered(2)]).await.expect("stored");
        assert_eq!(kit.drain(Limits::new()).await.succeeded, 2);
        first.lock().insert(ran.lock()[0]);
    })
    .await;
    assert!(seen.traces > 1, "{seen}");
    assert_eq!(*first.lock(), BTreeSet::from([1, 2]));
}
