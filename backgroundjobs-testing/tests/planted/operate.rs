//! The planted store's optional parts.

use async_trait::async_trait;
use backgroundjobs_core::{
    ControlStore, CountJobs, DeleteStatus, InspectStore, JobCount, JobCounts, JobCursor, JobId, JobPage,
    JobState, JobSummary, ListJobs, QueueFacts, QueueName, RequeueStatus, RequeuedJobs, StoreError,
    StoreOperation, Timestamp,
};

use super::table::Table;
use super::{Fault, PlantedStore};

#[async_trait]
impl InspectStore for PlantedStore {
    async fn count(&self, request: &CountJobs) -> Result<JobCounts, StoreError> {
        let table = self.open(StoreOperation::Count)?;
        let mut rows: Vec<JobCount> = Vec::new();
        for job in table.jobs.values().filter(|job| request.filter.matches(&job.queue, &job.kind, job.state))
        {
            let due = (job.state == JobState::Waiting).then_some(job.run_at);
            let lane = (&job.queue, &job.kind, job.state);
            match rows.iter_mut().find(|row| (&row.queue, &row.kind, row.state) == lane) {
                Some(row) => {
                    row.count += 1;
                    row.next_run_at = row.next_run_at.min(due);
                }
                None => rows.push(JobCount {
                    queue: job.queue.clone(),
                    kind: job.kind.clone(),
                    state: job.state,
                    count: 1,
                    next_run_at: due,
                }),
            }
        }
        rows.sort_by(|a, b| (&a.queue, &a.kind, a.state).cmp(&(&b.queue, &b.kind, b.state)));
        Ok(JobCounts { store_now: request.now, rows })
    }

    async fn list(&self, request: &ListJobs) -> Result<JobPage, StoreError> {
        let table = self.open(StoreOperation::List)?;
        let overlap = self.fault == Fault::PagesOverlap;
        let after = |id: JobId| {
            request.after.is_none_or(|cursor| if overlap { id <= cursor.0 } else { id < cursor.0 })
        };
        let mut jobs: Vec<_> = table
            .jobs
            .values()
            .rev()
            .filter(|job| after(job.id) && request.filter.matches(&job.queue, &job.kind, job.state))
            .take(request.limit + 1)
            .map(JobSummary::from_record)
            .collect();
        let more = jobs.len() > request.limit;
        jobs.truncate(request.limit);
        let next = jobs.last().filter(|_| more).map(|job| JobCursor(job.id));
        Ok(JobPage { store_now: request.now, jobs, next })
    }

    async fn queues(&self, _now: Timestamp) -> Result<Vec<QueueFacts>, StoreError> {
        let table = self.open(StoreOperation::Queues)?;
        let mut names: Vec<_> =
            table.jobs.values().map(|job| &job.queue).chain(table.paused.keys()).collect();
        names.sort_unstable();
        names.dedup();
        let facts = |queue: &QueueName| QueueFacts {
            queue: queue.clone(),
            paused_since: table.paused.get(queue).copied(),
        };
        Ok(names.into_iter().map(facts).collect())
    }
}

#[async_trait]
impl ControlStore for PlantedStore {
    async fn requeue(&self, now: Timestamp, ids: &[JobId]) -> Result<RequeuedJobs, StoreError> {
        let mut table = self.open(StoreOperation::Requeue)?;
        Ok(RequeuedJobs { store_now: now, jobs: ids.iter().map(|id| table.requeue(now, *id)).collect() })
    }

    async fn delete(&self, _now: Timestamp, ids: &[JobId]) -> Result<Vec<DeleteStatus>, StoreError> {
        let mut table = self.open(StoreOperation::Delete)?;
        Ok(ids.iter().map(|id| table.delete(*id)).collect())
    }

    async fn pause(&self, now: Timestamp, queue: &QueueName) -> Result<(), StoreError> {
        let mut table = self.open(StoreOperation::Pause)?;
        if self.fault == Fault::PauseMoves {
            table.paused.remove(queue);
        }
        table.paused.entry(queue.clone()).or_insert(now);
        Ok(())
    }

    async fn resume(&self, _now: Timestamp, queue: &QueueName) -> Result<(), StoreError> {
        self.open(StoreOperation::Resume)?.paused.remove(queue);
        Ok(())
    }
}

impl Table {
    fn requeue(&mut self, now: Timestamp, id: JobId) -> RequeueStatus {
        let Some(job) = self.jobs.get(&id) else { return RequeueStatus::Unknown };
        if !job.state.is_final() {
            return RequeueStatus::NotFinished(job.state);
        }
        match job.unique.as_ref().map(|unique| self.holder(&unique.key, now)) {
            Some(Some(holder)) if holder != id => return RequeueStatus::Conflict(holder),
            Some(None) => self.take_key(now, id),
            _ => {}
        }
        let keeps_flag = self.fault == Fault::RequeueKeepsFlag;
        let job = self.jobs.get_mut(&id).expect("it was there");
        (job.state, job.run_at, job.finished_at) = (JobState::Waiting, now, None);
        (job.attempts, job.crashes) = (0, 0);
        job.cancel_requested &= keeps_flag;
        RequeueStatus::Requeued(job.queue.clone())
    }

    fn delete(&mut self, id: JobId) -> DeleteStatus {
        match self.jobs.get(&id).map(|job| job.state) {
            None => DeleteStatus::Unknown,
            Some(JobState::Running) => DeleteStatus::Running,
            Some(state) => {
                self.remove(id, state == JobState::Waiting);
                DeleteStatus::Deleted
            }
        }
    }
}
