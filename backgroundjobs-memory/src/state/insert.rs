//! Insert: all or nothing, each job as if alone.

use std::collections::btree_map::Entry;

use backgroundjobs_core::{
    InsertJobs, Inserted, InsertedJobs, NewJob, StoreError, StoreErrorKind, StoreOperation, Timestamp,
};

use super::State;
use super::job::Job;

/// Expired keys forgotten for each job inserted: more than it can add, so that they never pile up.
const EXPIRED_KEYS_PER_JOB: usize = 2;

/// The id belongs to a job of other content.
struct OtherContent;

impl State {
    /// Stores every job, or none.
    pub(crate) fn insert(
        &mut self,
        request: &InsertJobs,
        now: Timestamp,
    ) -> Result<InsertedJobs, StoreError> {
        self.index.keys.forget_expired(now, request.jobs.len().saturating_mul(EXPIRED_KEYS_PER_JOB));
        let mut inserted = Vec::with_capacity(request.jobs.len());
        for (index, job) in request.jobs.iter().enumerate() {
            match self.insert_one(job, now) {
                Ok(answer) => inserted.push(answer),
                Err(OtherContent) => {
                    self.undo(&request.jobs, &inserted);
                    let message = format!("the id {} belongs to a job of another kind or other args", job.id);
                    let kind = StoreErrorKind::Conflict { index };
                    return Err(StoreError::new(StoreOperation::Insert, kind, message));
                }
            }
        }
        Ok(InsertedJobs { store_now: now, jobs: inserted })
    }

    fn insert_one(&mut self, job: &NewJob, now: Timestamp) -> Result<Inserted, OtherContent> {
        let Self { jobs, index } = self;
        match jobs.entry(job.id) {
            Entry::Occupied(there) => {
                let there = there.get();
                let same = index.lanes.group(there.group).kind == job.kind && there.args == job.args;
                if same { Ok(Inserted::Existing(job.id)) } else { Err(OtherContent) }
            }
            Entry::Vacant(place) => {
                if let Some(unique) = &job.unique
                    && let Err(holder) = index.keys.take(unique, job.id, now)
                {
                    return Ok(Inserted::Existing(holder));
                }
                let group = index.lanes.group_of(&job.queue, &job.kind);
                index.add(job.id, place.insert(Box::new(Job::inserted(job, group, now))));
                Ok(Inserted::New)
            }
        }
    }

    /// Takes back what the earlier jobs of a batch did. Whether a job conflicts may depend on the keys that
    /// those before it took, so only doing it tells; the lock keeps what is undone from ever being seen.
    fn undo(&mut self, jobs: &[NewJob], inserted: &[Inserted]) {
        for (job, _) in jobs.iter().zip(inserted).filter(|(_, answer)| **answer == Inserted::New) {
            self.erase(job.id);
        }
    }
}
