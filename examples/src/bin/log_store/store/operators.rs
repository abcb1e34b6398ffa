//! Looking at many jobs, and what an operator does to them.

use backgroundjobs_core::*;

use super::LogStore;

/// The most rows that a page looks at. Where few match, it has fewer jobs than asked for, and a next page.
const LOOKED_AT: usize = 10_000;

#[async_trait]
impl InspectStore for LogStore {
    async fn count(&self, request: &CountJobs) -> Result<JobCounts, StoreError> {
        let rows = self.call(StoreOperation::Count, |draft| {
            let counts = draft.state.counts().iter();
            let matching =
                counts.filter(|((queue, kind, state), _)| request.filter.matches(queue, kind, *state));
            let row = |((queue, kind, state), count): (&(QueueName, Kind, JobState), &u64)| JobCount {
                next_run_at: draft
                    .state
                    .next_due(queue, std::slice::from_ref(kind))
                    .filter(|_| *state == JobState::Waiting),
                queue: queue.clone(),
                kind: kind.clone(),
                state: *state,
                count: *count,
            };
            Ok(matching.map(row).collect())
        });
        Ok(JobCounts { store_now: request.now, rows: rows.await? })
    }

    async fn list(&self, request: &ListJobs) -> Result<JobPage, StoreError> {
        let page = self.call(StoreOperation::List, |draft| {
            let (mut jobs, mut looked_at, mut last) = (Vec::new(), 0, None);
            for job in draft.state.newest_below(request.after.map(|JobCursor(id)| id)) {
                let matches = request.filter.matches(&job.queue, &job.kind, job.state);
                if looked_at == LOOKED_AT || (matches && jobs.len() == request.limit) {
                    return Ok((jobs, last));
                }
                if matches {
                    jobs.push(JobSummary::from_record(job));
                }
                (looked_at, last) = (looked_at + 1, Some(JobCursor(job.id)));
            }
            Ok((jobs, None))
        });
        let (jobs, next) = page.await?;
        Ok(JobPage { store_now: request.now, jobs, next })
    }

    async fn queues(&self, _now: Timestamp) -> Result<Vec<QueueFacts>, StoreError> {
        let queues = self.call(StoreOperation::Queues, |draft| {
            let paused = draft.state.paused();
            let with_jobs = draft.state.counts().keys().map(|(queue, _, _)| queue);
            let names: std::collections::BTreeSet<_> = with_jobs.chain(paused.keys()).collect();
            let facts = |queue: &QueueName| QueueFacts {
                queue: queue.clone(),
                paused_since: paused.get(queue).copied(),
            };
            Ok(names.into_iter().map(facts).collect())
        });
        queues.await
    }
}

#[async_trait]
impl ControlStore for LogStore {
    async fn requeue(&self, now: Timestamp, ids: &[JobId]) -> Result<RequeuedJobs, StoreError> {
        self.call(StoreOperation::Requeue, |draft| Ok(draft.requeue(ids, now))).await
    }

    async fn delete(&self, _now: Timestamp, ids: &[JobId]) -> Result<Vec<DeleteStatus>, StoreError> {
        self.call(StoreOperation::Delete, |draft| Ok(draft.delete(ids))).await
    }

    async fn pause(&self, now: Timestamp, queue: &QueueName) -> Result<(), StoreError> {
        self.call(StoreOperation::Pause, |draft| draft.pause(queue, now)).await
    }

    async fn resume(&self, _now: Timestamp, queue: &QueueName) -> Result<(), StoreError> {
        self.call(StoreOperation::Resume, |draft| draft.resume(queue)).await
    }
}
