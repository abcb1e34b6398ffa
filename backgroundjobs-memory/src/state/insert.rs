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

/// The jobs of an insert, each in the memory that it will take. Made before the state is locked, because to
/// find memory takes longer than all the rest.
#[expect(clippy::vec_box, reason = "each box goes into the map as it is")]
pub(crate) struct Prepared(Vec<Box<Job>>);

impl Prepared {
    pub(crate) fn of(request: &InsertJobs, now: Timestamp) -> Self {
        Self(request.jobs.iter().map(|job| Box::new(Job::inserted(job, now))).collect())
    }
}

impl State {
    /// Stores every job, or none.
    pub(crate) fn insert(
        &mut self,
        request: &InsertJobs,
        Prepared(prepared): Prepared,
        now: Timestamp,
    ) -> Result<InsertedJobs, StoreError> {
        self.index.keys.forget_expired(now, request.jobs.len().saturating_mul(EXPIRED_KEYS_PER_JOB));
        let mut inserted = Vec::with_capacity(request.jobs.len());
        for (index, (job, prepared)) in request.jobs.iter().zip(prepared).enumerate() {
            match self.insert_one(job, prepared, now) {
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

    fn insert_one(
        &mut self,
        job: &NewJob,
        mut prepared: Box<Job>,
        now: Timestamp,
    ) -> Result<Inserted, OtherContent> {
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
                prepared.group = index.lanes.group_of(&job.queue, &job.kind);
                index.add(job.id, place.insert(prepared));
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

#[cfg(test)]
mod tests {
    use backgroundjobs_core::{CountJobs, JobFilter, KeyHold, Payload, UniqueKey};

    use super::super::fixture::{at, id, job, kind};
    use super::*;

    fn keyed(number: u64, key: &str) -> NewJob {
        let mut job = job(number);
        job.unique = Some(UniqueKey { key: key.into(), hold: KeyHold::UntilFinished });
        job
    }

    #[test]
    fn an_insert_can_be_repeated_whatever_became_of_the_job() {
        let mut state = State::default();
        assert_eq!(state.insert_all(vec![job(1), job(1)], at(0)), [Inserted::New, Inserted::Existing(id(1))]);
        state.cancel(&[id(1)], at(1));
        assert_eq!(state.insert_all(vec![job(1)], at(2)), [Inserted::Existing(id(1))]);
    }

    #[test]
    fn a_conflict_undoes_what_came_before_it_keys_included() {
        let mut state = State::default();
        state.insert_all(vec![job(1)], at(0));
        let mut other_args = job(1);
        other_args.args = Payload::from_store("[]");
        let mut other_kind = job(2);
        other_kind.kind = kind("report");
        for (batch, index) in
            [(vec![keyed(2, "k"), keyed(3, "l"), other_args], 2), (vec![keyed(2, "k"), other_kind], 1)]
        {
            let request = InsertJobs::new(at(1), batch);
            let prepared = Prepared::of(&request, at(1));
            let error = state.insert(&request, prepared, at(1)).expect_err("a conflict");
            assert_eq!(error.kind(), StoreErrorKind::Conflict { index });
            assert_eq!(state.len(), 1);
        }
        let request = CountJobs::new(at(1), JobFilter::all());
        assert_eq!(state.count(&request.filter)[0].count, 1);
        assert_eq!(state.insert_all(vec![keyed(4, "k"), keyed(5, "l")], at(2)), [Inserted::New; 2]);
    }

    #[test]
    fn each_job_of_a_batch_sees_the_keys_of_those_before_it() {
        let mut state = State::default();
        let answers = state.insert_all(vec![keyed(1, "k"), keyed(2, "k"), keyed(3, "l")], at(0));
        assert_eq!(answers, [Inserted::New, Inserted::Existing(id(1)), Inserted::New]);
        // The job 2 was not stored, so its id is free for another content.
        let mut other = job(2);
        other.kind = kind("report");
        assert_eq!(state.insert_all(vec![keyed(2, "k"), other], at(1))[1], Inserted::New);
    }
}
