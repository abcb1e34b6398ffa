//! The jobs themselves: from the enqueue to the settled end, and the enqueue alone.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{
    CountJobs, JobFilter, JobId, JobManager, JobState, JobStore, Retention, Timestamp,
};
use backgroundjobs_memory::MemoryStore;
use benchmarks::{Marks, Notice, shares};

const LIMIT: Duration = Duration::from_secs(600);
/// One job of so many is read back.
const READ_BACK: usize = 1_009;

/// One row.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) slots: usize,
    pub(crate) how: How,
    /// Whether every record is kept, or only as many as the store keeps by default.
    pub(crate) keeps_all: bool,
}

#[derive(Clone, Copy)]
pub(crate) enum How {
    OneByOne,
    Many,
}

/// Enqueues to a worker that runs, until every job is settled.
pub(crate) async fn end_to_end(jobs: usize, shape: Shape) -> Result<Duration, String> {
    let scene = Scene::new(jobs, shape)?;
    scene.running.start().await.map_err(text)?;
    let begun = Instant::now();
    let ids = enqueue(&scene.running.manager(), jobs, shape.how).await?;
    scene.running.wait_until_idle(LIMIT).await.map_err(text)?;
    let took = begun.elapsed();
    scene.running.stop(LIMIT).await.map_err(text)?;
    scene.marks.each_once()?;
    let stats = scene.running.stats();
    if (stats.claimed, stats.succeeded) != (jobs as u64, jobs as u64) {
        return Err(format!("of {jobs} jobs not all succeeded: {stats:?}"));
    }
    if shape.keeps_all {
        scene.are_all(JobState::Succeeded, &ids).await?;
    }
    Ok(took)
}

/// Enqueues, and nothing runs.
pub(crate) async fn enqueue_alone(jobs: usize, how: How) -> Result<Duration, String> {
    let scene = Scene::new(jobs, Shape { slots: 8, how, keeps_all: true })?;
    let begun = Instant::now();
    let ids = enqueue(&scene.running.manager(), jobs, how).await?;
    let took = begun.elapsed();
    scene.are_all(JobState::Waiting, &ids).await?;
    Ok(took)
}

struct Scene {
    jobs: usize,
    marks: Arc<Marks>,
    store: Arc<MemoryStore>,
    running: BackgroundJobs,
}

impl Scene {
    fn new(jobs: usize, shape: Shape) -> Result<Self, String> {
        let marks = Arc::new(Marks::new(jobs));
        let store = Arc::new(MemoryStore::new());
        let (handler_marks, shared_store) = (marks.clone(), store.clone());
        let running = BackgroundJobs::builder(|options| {
            let options = options.use_shared_store(shared_store).queue("default", shape.slots);
            if shape.keeps_all { options.retention(Retention::FOREVER) } else { options }
        })
        .register_fn(move |notice: Notice, _: JobContext| {
            handler_marks.mark(&notice);
            std::future::ready(Ok(()))
        })
        .build()
        .map_err(text)?;
        Ok(Self { jobs, marks, store, running })
    }

    /// Checks that the store has all the jobs in `state`, and some of them one by one.
    async fn are_all(&self, state: JobState, ids: &[JobId]) -> Result<(), String> {
        let inspect = self.store.inspect().ok_or("the store cannot count")?;
        let counts =
            inspect.count(&CountJobs::new(Timestamp::UNIX_EPOCH, JobFilter::all())).await.map_err(text)?;
        let found = (counts.total(&[state]), counts.total(&JobState::ALL));
        if found != (self.jobs as u64, self.jobs as u64) {
            return Err(format!("{} of {} jobs are {state}, of {} wanted", found.0, found.1, self.jobs));
        }
        for id in ids {
            let record = self.running.manager().get(*id).await.map_err(text)?;
            if record.as_ref().map(|record| record.state) != Some(state) {
                return Err(format!("job {id} should be {state} and is {record:?}"));
            }
        }
        Ok(())
    }
}

/// Enqueues from two tasks. Answers some of the ids.
async fn enqueue(manager: &Arc<dyn JobManager>, jobs: usize, how: How) -> Result<Vec<JobId>, String> {
    let send = |numbers: Range<usize>| {
        let manager = manager.clone();
        tokio::spawn(async move {
            let notices = numbers.map(Notice::new);
            match how {
                How::OneByOne => {
                    let mut some = Vec::new();
                    for (index, notice) in notices.enumerate() {
                        let enqueued = manager.enqueue(notice).await.map_err(text)?;
                        if index.is_multiple_of(READ_BACK) {
                            some.push(enqueued.id);
                        }
                    }
                    Ok::<Vec<JobId>, String>(some)
                }
                How::Many => {
                    let enqueued = manager.enqueue_many(notices).await.map_err(text)?;
                    Ok(enqueued.into_iter().step_by(READ_BACK).map(|enqueued| enqueued.id).collect())
                }
            }
        })
    };
    let tasks: Vec<_> = shares(jobs, 2).into_iter().map(send).collect();
    let mut ids = Vec::new();
    for task in tasks {
        ids.extend(task.await.map_err(text)??);
    }
    Ok(ids)
}

fn text(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
