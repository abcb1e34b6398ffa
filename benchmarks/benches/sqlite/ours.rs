//! The store under the jobs themselves: from the enqueue to the settled end, and single enqueues.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{CountJobs, JobFilter, JobManager, JobState, JobStore, Retention, Timestamp};
use backgroundjobs_sqlite::SqliteStore;
use benchmarks::{Marks, Notice, shares};
use tokio::sync::Notify;

use crate::file::File;

const SLOTS: usize = 1_000;
const SENDERS: usize = 32;
const LIMIT: Duration = Duration::from_secs(600);

/// Enqueues from two tasks to a worker of a thousand slots that runs, until every job is settled.
pub(crate) async fn end_to_end(jobs: usize) -> Result<Duration, String> {
    let file = File::new();
    let store = SqliteStore::new(file.path());
    let marks = Arc::new(Marks::new(jobs));
    let (ended, all) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let (handler_marks, shared, told) = (marks.clone(), store.clone(), all.clone());
    let running = BackgroundJobs::builder(|options| {
        let options = options.use_store(shared).queue("default", SLOTS).retention(Retention::FOREVER);
        options.on_finished(move |_| {
            if ended.fetch_add(1, Ordering::AcqRel) + 1 == jobs {
                told.notify_one();
            }
        })
    })
    .register_fn(move |notice: Notice, _: JobContext| {
        handler_marks.mark(&notice);
        std::future::ready(Ok(()))
    })
    .build()
    .map_err(text)?;
    running.start().await.map_err(text)?;
    let begun = Instant::now();
    enqueue(&running.manager(), jobs).await?;
    all.notified().await;
    let took = begun.elapsed();
    running.stop(LIMIT).await.map_err(text)?;
    marks.each_once()?;
    are_all(&store, jobs, JobState::Succeeded).await?;
    store.close().await.map_err(text)?;
    Ok(took)
}

async fn enqueue(manager: &Arc<dyn JobManager>, jobs: usize) -> Result<(), String> {
    let send = |numbers: Range<usize>| {
        let manager = manager.clone();
        tokio::spawn(
            async move { manager.enqueue_many(numbers.map(Notice::new)).await.map(drop).map_err(text) },
        )
    };
    let tasks: Vec<_> = shares(jobs, 2).into_iter().map(send).collect();
    for task in tasks {
        task.await.map_err(text)??;
    }
    Ok(())
}

/// Enqueues one by one from 32 tasks; nothing runs.
pub(crate) async fn single(jobs: usize) -> Result<Duration, String> {
    let file = File::new();
    let store = SqliteStore::new(file.path());
    let shared = store.clone();
    let running = BackgroundJobs::builder(|options| options.use_store(shared).producer_only());
    let running = running.build().map_err(text)?;
    store.prepare().await.map_err(text)?;
    let begun = Instant::now();
    let send = |numbers: Range<usize>| {
        let manager = running.manager();
        tokio::spawn(async move {
            for notice in numbers.map(Notice::new) {
                manager.enqueue(notice).await.map_err(text)?;
            }
            Ok::<(), String>(())
        })
    };
    let tasks: Vec<_> = shares(jobs, SENDERS).into_iter().map(send).collect();
    for task in tasks {
        task.await.map_err(text)??;
    }
    let took = begun.elapsed();
    are_all(&store, jobs, JobState::Waiting).await?;
    store.close().await.map_err(text)?;
    Ok(took)
}

async fn are_all(store: &SqliteStore, jobs: usize, state: JobState) -> Result<(), String> {
    let inspect = store.inspect().ok_or("the store cannot count")?;
    let request = CountJobs::new(Timestamp::UNIX_EPOCH, JobFilter::all());
    let counts = inspect.count(&request).await.map_err(text)?;
    let found = (counts.total(&[state]), counts.total(&JobState::ALL));
    if found == (jobs as u64, jobs as u64) {
        Ok(())
    } else {
        Err(format!("{} of {} jobs are {state}, of {jobs} wanted", found.0, found.1))
    }
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
