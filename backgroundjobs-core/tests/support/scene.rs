//! One worker with one slot, on a store with trouble, whose handler does as its job's name says.

#![allow(dead_code, reason = "each test that includes this module uses a part of it")]

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{Env, JobId, JobRecord, JobStore, Options, StoreOperation};
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::TestKit;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::{Trouble, TroubledStore};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
/// Longer than any test looks. Of the kit's own clock: for what lies outside of it the kit would wait.
const FOR_EVER: Duration = Duration::from_secs(1_000_000_000);

#[derive(Serialize, Deserialize)]
pub(crate) struct Work {
    pub(crate) name: String,
    pub(crate) seconds: u32,
}

impl JobArgs for Work {
    const KIND: &'static str = "work";
}

pub(crate) fn work(name: &str, seconds: u32) -> Work {
    Work { name: name.to_owned(), seconds }
}

/// What became of handlers: `start NAME`, and `end NAME` when it returned or was dropped.
pub(crate) type Log = Arc<Mutex<Vec<String>>>;

struct LogEnd(Log, String);

impl Drop for LogEnd {
    fn drop(&mut self) {
        self.0.lock().push(format!("end {}", self.1));
    }
}

/// An error that cannot be written.
#[derive(Debug)]
struct Unspeakable;

impl fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("no words")
    }
}

impl std::error::Error for Unspeakable {}

pub(crate) fn log_of_starts(log: &Log, name: &str) -> usize {
    log.lock().iter().filter(|line| **line == format!("start {name}")).count()
}

pub(crate) async fn handler(log: Log, work: Work, ctx: JobContext) -> JobResult {
    log.lock().push(format!("start {}", work.name));
    let end = LogEnd(log, work.name.clone());
    match work.name.as_str() {
        "unspeakable" => Err(Unspeakable.into()),
        "snooze" if ctx.now().as_micros() % 100_000_000 < 5_000_000 => Err(JobError::snooze(SECOND * 10)),
        "late" => {
            ctx.cancelled().await;
            Err(JobError::snooze(SECOND))
        }
        "deaf" => {
            ctx.sleep(FOR_EVER).await;
            Ok(())
        }
        "again" if log_of_starts(&end.0, "again") == 1 => {
            ctx.sleep(SECOND * work.seconds).await;
            Err(JobError::snooze(Duration::ZERO))
        }
        _ => {
            ctx.sleep(SECOND * work.seconds).await;
            Ok(())
        }
    }
}

pub(crate) struct Scene {
    pub(crate) kit: TestKit,
    pub(crate) store: MemoryStore,
    pub(crate) jobs: Arc<BackgroundJobs>,
    pub(crate) log: Log,
}

pub(crate) type Script = Box<dyn FnMut(StoreOperation, u32, &str) -> Option<Trouble> + Send>;

/// One worker with one slot, on a store with this trouble.
pub(crate) async fn scene(
    trouble: impl FnOnce(Env) -> Script,
    options: impl FnOnce(Options) -> Options,
) -> Scene {
    let (kit, store, log) = (TestKit::new(), MemoryStore::new(), Log::default());
    let troubled = TroubledStore::new(store.clone(), trouble(kit.env()));
    let builder = BackgroundJobs::builder(|start| options(start.use_store(troubled).queue("default", 1)))
        .register_fn_with(log.clone(), handler);
    Scene { jobs: kit.start(builder).await, kit, store, log }
}

pub(crate) fn no_trouble(_: Env) -> Script {
    Box::new(|_, _, _| None)
}

impl Scene {
    pub(crate) async fn enqueue(&self, work: Work) -> JobId {
        self.jobs.manager().enqueue(work).await.expect("enqueued").id
    }

    pub(crate) async fn record(&self, id: JobId) -> JobRecord {
        self.store.get(&[id]).await.expect("answers").remove(0).expect("kept")
    }

    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().clone()
    }
}
