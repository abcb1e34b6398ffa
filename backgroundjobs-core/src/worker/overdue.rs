//! Looks for jobs that nobody claims: rows of a kind or a queue that no worker here knows.

use std::collections::BTreeSet;

use super::Shared;
use crate::limits::{OVERDUE_WARNING, WATCHED_PAIRS};
use crate::local_worker::LocalWorker;
use crate::store::{CountJobs, JobFilter, StoreError};
use crate::{JobState, Kind, QueueName};

/// Looks once a minute until the worker closes. For stores that other processes write to; where all jobs come
/// through this process, its managers watch over what they enqueue.
pub(super) async fn keep(shared: &Shared) {
    let env = shared.door.env();
    let mut warned = BTreeSet::new();
    loop {
        tokio::select! {
            biased;
            () = shared.closing.cancelled() => return,
            () = env.sleep(OVERDUE_WARNING) => {}
        }
        if let Err(error) = look(shared, &mut warned).await {
            shared.stats.store_errors.add(1);
            tracing::debug!(error = &error as &dyn std::error::Error, "could not look for overdue jobs");
        }
    }
}

async fn look(shared: &Shared, warned: &mut BTreeSet<(QueueName, Kind)>) -> Result<(), StoreError> {
    let unfinished = JobFilter::all().states([JobState::Waiting, JobState::Running]);
    let counts = shared.door.count(&CountJobs::new(shared.door.env().now(), unfinished)).await?;
    let paused = shared.door.queues().await?;
    let is_paused =
        |queue: &QueueName| paused.iter().any(|facts| facts.queue == *queue && facts.paused_since.is_some());
    // Somebody has claimed some of them, and is merely behind.
    let running = counts.rows.iter().filter(|row| row.state == JobState::Running);
    let claimed: BTreeSet<_> = running.map(|row| (&row.queue, &row.kind)).collect();
    for row in &counts.rows {
        let overdue =
            row.next_run_at.map(|due| counts.store_now.since(due)).filter(|it| *it >= OVERDUE_WARNING);
        let Some(overdue) = overdue else { continue };
        if row.state != JobState::Waiting
            || claimed.contains(&(&row.queue, &row.kind))
            || shared.is_served_here(&row.queue, &row.kind)
            || is_paused(&row.queue)
            || warned.len() >= WATCHED_PAIRS
        {
            continue;
        }
        let (kind, queue) = (&row.kind, &row.queue);
        if warned.insert((queue.clone(), kind.clone())) {
            tracing::warn!(
                %kind, %queue,
                jobs = row.count,
                ?overdue,
                "jobs are overdue, and no worker of this process claims them: see that some process has a \
                 handler for {kind} and serves the queue {queue}"
            );
        }
    }
    Ok(())
}

impl Shared {
    /// Whether a worker of this process claims such jobs, this one or another.
    fn is_served_here(&self, queue: &QueueName, kind: &Kind) -> bool {
        self.serves(queue, kind) || self.door.hub().is_some_and(|hub| hub.is_served(queue, kind))
    }
}
