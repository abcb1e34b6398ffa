//! The jobs themselves, on any store: from the enqueue to the settled end, and the enqueue alone.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{
    CountJobs, JobFilter, JobId, JobManager, JobState, JobStore, Retention, Timestamp,
};

use crate::{Marks, Notice, shares, text};

const LIMIT: Duration = Duration::from_secs(600);
/// One job of so many is read back.
const READ_BACK: usize = 1_009;

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Slots of the worker.
    pub slots: usize,
    /// How jobs are enqueued.
    pub how: How,
    /// Tasks that enqueue.
    pub tasks: usize,
    /// Whether every record is kept, or only as many as the store keeps by default.
    pub keeps_all: bool,
    /// Whether the end is seen by the worker's own counts, looked at every millisecond. Else the store is asked after
    /// each change whether anything is left, which is work for a file, too.
    pub by_stats: bool,
}

/// How jobs are enqueued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Each is awaited before the next.
    OneByOne,
    /// All that a task has, in one call.
    Many,
}

/// Enqueues to a worker that runs, until every job is settled. Answers how long that took.
///
/// # Errors
/// The first call that failed, or what is wrong with what became of the jobs.
pub async fn end_to_end<S: JobStore + 'static>(
    store: S,
    jobs: usize,
    shape: Shape,
) -> Result<Duration, String> {
    let scene = Scene::new(store, jobs, shape)?;
    scene.running.start().await.map_err(text)?;
    let begun = Instant::now();
    let ids = scene.enqueue().await?;
    scene.finish(begun, &ids).await
}

/// Enqueues everything, and then starts the worker. Answers how long the two took together, until every job is settled.
///
/// # Errors
/// The first call that failed, or what is wrong with what became of the jobs.
pub async fn one_after_the_other<S: JobStore + 'static>(
    store: S,
    jobs: usize,
    shape: Shape,
) -> Result<Duration, String> {
    let scene = Scene::new(store, jobs, shape)?;
    scene.store.prepare().await.map_err(text)?;
    let begun = Instant::now();
    let ids = scene.enqueue().await?;
    scene.running.start().await.map_err(text)?;
    scene.finish(begun, &ids).await
}

/// Enqueues, and nothing runs. Answers how long that took.
///
/// # Errors
/// The first call that failed, or what is wrong with what became of the jobs.
pub async fn enqueue_alone<S: JobStore + 'static>(
    store: S,
    jobs: usize,
    shape: Shape,
) -> Result<Duration, String> {
    let scene = Scene::new(store, jobs, shape)?;
    scene.store.prepare().await.map_err(text)?;
    let begun = Instant::now();
    let ids = scene.enqueue().await?;
    let took = begun.elapsed();
    scene.are_all(JobState::Waiting, &ids).await?;
    scene.store.close().await.map_err(text)?;
    Ok(took)
}

struct Scene<S> {
    jobs: usize,
    shape: Shape,
    marks: Arc<Marks>,
    store: Arc<S>,
    running: BackgroundJobs,
}

impl<S: JobStore + 'static> Scene<S> {
    fn new(store: S, jobs: usize, shape: Shape) -> Result<Self, String> {
        let marks = Arc::new(Marks::new(jobs));
        let store = Arc::new(store);
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
        Ok(Self { jobs, shape, marks, store, running })
    }

    /// Enqueues from the shape's tasks. Answers some of the ids.
    async fn enqueue(&self) -> Result<Vec<JobId>, String> {
        let (manager, how) = (self.running.manager(), self.shape.how);
        let send = |numbers| tokio::spawn(send(manager.clone(), numbers, how));
        let tasks: Vec<_> = shares(self.jobs, self.shape.tasks).into_iter().map(send).collect();
        let mut ids = Vec::new();
        for task in tasks {
            ids.extend(task.await.map_err(text)??);
        }
        Ok(ids)
    }

    /// Waits for the last end, answers how long it all took, and only then looks whether it is right.
    async fn finish(&self, begun: Instant, ids: &[JobId]) -> Result<Duration, String> {
        self.all_settled().await?;
        let took = begun.elapsed();
        self.end(ids).await?;
        Ok(took)
    }

    /// Waits until the store has answered the end of each job.
    async fn all_settled(&self) -> Result<(), String> {
        if !self.shape.by_stats {
            return self.running.wait_until_idle(LIMIT).await.map_err(text);
        }
        let begun = Instant::now();
        while self.running.stats().succeeded < self.jobs as u64 {
            if begun.elapsed() > LIMIT {
                return Err(format!("not all jobs succeeded within {LIMIT:?}: {:?}", self.running.stats()));
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// Checks that each job ran once and that the store has it so; and, once the worker has stopped, its counts, which
    /// may be behind the store while it runs.
    async fn end(&self, ids: &[JobId]) -> Result<(), String> {
        self.marks.each_once()?;
        if self.shape.keeps_all {
            self.are_all(JobState::Succeeded, ids).await?;
        }
        self.running.stop(LIMIT).await.map_err(text)?;
        let (stats, jobs) = (self.running.stats(), self.jobs as u64);
        if (stats.claimed, stats.succeeded) != (jobs, jobs) {
            return Err(format!("of {jobs} jobs not all succeeded: {stats:?}"));
        }
        Ok(())
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

/// Enqueues the notices of these numbers. Answers some of the ids.
async fn send(manager: Arc<dyn JobManager>, numbers: Range<usize>, how: How) -> Result<Vec<JobId>, String> {
    let notices = numbers.map(Notice::new);
    if how == How::Many {
        let enqueued = manager.enqueue_many(notices).await.map_err(text)?;
        return Ok(enqueued.into_iter().step_by(READ_BACK).map(|enqueued| enqueued.id).collect());
    }
    let mut some = Vec::new();
    for (index, notice) in notices.enumerate() {
        let enqueued = manager.enqueue(notice).await.map_err(text)?;
        if index.is_multiple_of(READ_BACK) {
            some.push(enqueued.id);
        }
    }
    Ok(some)
}
