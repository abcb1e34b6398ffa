//! The planted store's optional parts.

use async_trait::async_trait;
use backgroundjobs_core::{
    ControlStore, CountJobs, DeleteStatus, InspectStore, JobCount, JobCounts, JobCursor, JobFilter, JobId,
    JobPage, JobRecord, JobState, JobSummary, KeyHold, ListJobs, QueueFacts, QueueName, RequeueStatus,
    RequeuedJobs, StoreError, StoreErrorKind, StoreOperation, Timestamp,
};

use super::table::Table;
use super::{Mutant, Ordering, PlantedStore};

#[async_trait]
impl InspectStore for PlantedStore {
    async fn count(&self, request: &CountJobs) -> Result<JobCounts, StoreError> {
        let table = self.open(StoreOperation::Count)?;
        let mut rows: Vec<JobCount> = Vec::new();
        let skips =
            |job: &JobRecord| self.mutant == Mutant::CountLeavesRunningOut && job.state == JobState::Running;
        for job in table.let_through(&request.filter).filter(|job| !skips(job)) {
            let dates = job.state == JobState::Waiting || self.mutant == Mutant::CountDatesFinished;
            let due = dates.then_some(job.run_at);
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
        if self.mutant != Mutant::CountHasNoOrder {
            rows.sort_by(|a, b| (&a.queue, &a.kind, a.state).cmp(&(&b.queue, &b.kind, b.state)));
        }
        Ok(JobCounts { store_now: request.now, rows })
    }

    async fn list(&self, request: &ListJobs) -> Result<JobPage, StoreError> {
        let mut table = self.open(StoreOperation::List)?;
        let cursor = request.after.map(|cursor| cursor.0);
        let by_offset = self.mutant == Mutant::PagesByOffset;
        let before = cursor.filter(|_| by_offset).map_or(0, |id| table.remembered.pages[&id]);
        let after = |id: JobId| {
            cursor.is_none_or(|cursor| match self.mutant {
                Mutant::PagesOverlap => id <= cursor,
                Mutant::PagesByOffset => true,
                _ => id < cursor,
            })
        };
        let mut filter = request.filter.clone();
        if self.mutant == Mutant::ListIgnoresKinds {
            filter.kinds = None;
        }
        let mut jobs: Vec<_> = table
            .let_through(&filter)
            .rev()
            .filter(|job| after(job.id))
            .skip(before)
            .take(request.limit + 1)
            .map(JobSummary::from_record)
            .collect();
        let more = jobs.len() > request.limit && self.mutant != Mutant::PagesEndEarly;
        jobs.truncate(request.limit);
        let next = jobs.last().filter(|_| more).map(|job| JobCursor(job.id));
        if let Some(JobCursor(id)) = next {
            table.remembered.pages.insert(id, before + jobs.len());
        }
        Ok(JobPage { store_now: request.now, jobs, next })
    }

    async fn queues(&self, _now: Timestamp) -> Result<Vec<QueueFacts>, StoreError> {
        let table = self.open(StoreOperation::Queues)?;
        let counts =
            |job: &&JobRecord| job.state == JobState::Waiting || self.mutant != Mutant::QueuesWaitingOnly;
        let mut names: Vec<_> = table.jobs.values().filter(counts).map(|job| &job.queue).collect();
        if self.mutant != Mutant::QueuesHidePaused {
            names.extend(table.paused.keys());
        }
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
        if self.mutant == Mutant::RequeueResetsFirst {
            self.reset_then_requeue(ids).await?;
        }
        let mut table = self.open(StoreOperation::Requeue)?;
        Ok(RequeuedJobs { store_now: now, jobs: ids.iter().map(|id| table.requeue(now, *id)).collect() })
    }

    async fn delete(&self, _now: Timestamp, ids: &[JobId]) -> Result<Vec<DeleteStatus>, StoreError> {
        if self.mutant == Mutant::ClosedStoreHangs && self.closed.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.mutant == Mutant::DeleteLooksThenDeletes {
            return self.look_then_delete(ids).await;
        }
        let mut table = self.open(StoreOperation::Delete)?;
        Ok(ids.iter().map(|id| table.delete(*id)).collect())
    }

    async fn pause(&self, now: Timestamp, queue: &QueueName) -> Result<(), StoreError> {
        let mut table = self.open(StoreOperation::Pause)?;
        let of_queue = |job: &&mut JobRecord| job.queue == *queue;
        match self.mutant {
            Mutant::PauseMoves => drop(table.paused.remove(queue)),
            Mutant::PauseNeedsJobs if !table.jobs.values_mut().any(|job| of_queue(&job)) => return Ok(()),
            Mutant::PauseStopsRunning => {
                let running = table.jobs.values_mut().filter(of_queue).filter(|job| job.lease.is_some());
                running.for_each(|job| (job.state, job.lease) = (JobState::Waiting, None));
            }
            _ => {}
        }
        table.paused.entry(queue.clone()).or_insert(now);
        Ok(())
    }

    async fn resume(&self, _now: Timestamp, queue: &QueueName) -> Result<(), StoreError> {
        let was_paused = self.open(StoreOperation::Resume)?.paused.remove(queue).is_some();
        if !was_paused && self.mutant == Mutant::ResumeNeedsAPause {
            let kind = StoreErrorKind::Rejected;
            return Err(StoreError::new(StoreOperation::Resume, kind, "it is not paused"));
        }
        Ok(())
    }
}

impl Table {
    fn let_through<'a>(&'a self, filter: &'a JobFilter) -> impl DoubleEndedIterator<Item = &'a JobRecord> {
        self.jobs.values().filter(|job| filter.matches(&job.queue, &job.kind, job.state))
    }

    fn requeue(&mut self, now: Timestamp, id: JobId) -> RequeueStatus {
        let Some(job) = self.jobs.get(&id) else { return RequeueStatus::Unknown };
        let running = job.state == JobState::Running && self.is(Mutant::RequeueTakesRunning);
        if !job.state.is_final() && !running {
            return RequeueStatus::NotFinished(job.state);
        }
        if let Some(unique) = job.unique.clone() {
            let timed = matches!(unique.hold, KeyHold::For(_));
            let holder = match self.mutant {
                Mutant::RequeueStealsLapsedKey if timed => None,
                Mutant::RequeueTrustsLapsedKey => self.keys.get(&unique.key).map(|held| held.by),
                _ => self.holder(&unique.key, now),
            };
            match holder {
                Some(holder) if holder != id => return RequeueStatus::Conflict(holder),
                Some(_) if !self.is(Mutant::RequeueRenewsHeldKey) => {}
                _ if self.is(Mutant::RequeueForgetsKey) => {}
                _ => self.take_key(now, id),
            }
        }
        let mutant = self.mutant;
        let job = self.jobs.get_mut(&id).expect("it was there");
        (job.state, job.run_at, job.finished_at, job.lease) = (JobState::Waiting, now, None, None);
        job.attempts = 0;
        match mutant {
            Mutant::RequeueKeepsCrashes => {}
            _ => job.crashes = 0,
        }
        match mutant {
            Mutant::RequeueResetsGeneration => job.generation = 0,
            Mutant::RequeueKeepsFlag => return RequeueStatus::Requeued(job.queue.clone()),
            _ => {}
        }
        job.cancel_requested = false;
        RequeueStatus::Requeued(job.queue.clone())
    }

    pub(super) fn delete(&mut self, id: JobId) -> DeleteStatus {
        match self.jobs.get(&id).map(|job| job.state) {
            None => DeleteStatus::Unknown,
            Some(JobState::Running) if !self.is(Mutant::DeleteTakesRunning) => DeleteStatus::Running,
            Some(_) if self.is(Mutant::DeleteKeepsKeys) => {
                self.jobs.remove(&id);
                DeleteStatus::Deleted
            }
            Some(state) => {
                self.remove(id, state == JobState::Waiting || self.is(Mutant::DeleteDropsTimedKeys));
                DeleteStatus::Deleted
            }
        }
    }
}
