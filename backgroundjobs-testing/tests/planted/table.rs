//! The planted store's one table, its keys, and what an insert does to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use backgroundjobs_core::{
    InsertJobs, Inserted, JobId, JobRecord, KeyHold, Lease, NewJob, Payload, QueueName, RunAt, StoreError,
    StoreErrorKind, StoreOperation, Timestamp,
};

use super::Mutant;

pub(super) const MICRO: Duration = Duration::from_micros(1);

#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) mutant: Mutant,
    pub(super) jobs: BTreeMap<JobId, JobRecord>,
    pub(super) keys: BTreeMap<Arc<str>, Held>,
    pub(super) paused: BTreeMap<QueueName, Timestamp>,
    pub(super) remembered: Remembered,
}

/// Who holds a key, and until when, if for a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) by: JobId,
    pub(super) until: Option<Timestamp>,
}

/// What only mutants know: a sound store needs none of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Remembered {
    /// The lease that each job was last handed out with.
    pub(super) leases: BTreeMap<JobId, Lease>,
    pub(super) pruned: BTreeSet<JobId>,
    /// The latest time that was given.
    pub(super) latest: Option<Timestamp>,
    /// How many jobs lie before each cursor.
    pub(super) pages: BTreeMap<JobId, usize>,
    pub(super) locked_keys: BTreeSet<Arc<str>>,
}

impl Table {
    pub(super) fn new(mutant: Mutant) -> Self {
        Self {
            mutant,
            jobs: BTreeMap::new(),
            keys: BTreeMap::new(),
            paused: BTreeMap::new(),
            remembered: Remembered::default(),
        }
    }

    pub(super) fn is(&self, mutant: Mutant) -> bool {
        self.mutant == mutant
    }

    /// Hears of the time of a request, as every call does first.
    pub(super) fn hear(&mut self, operation: StoreOperation, now: Timestamp) -> Result<(), StoreError> {
        let latest = self.remembered.latest.map_or(now, |latest| latest.max(now));
        self.remembered.latest = Some(latest);
        if self.is(Mutant::TimeOnlyGrows) && now < latest {
            return Err(StoreError::new(operation, StoreErrorKind::Rejected, "time went back"));
        }
        Ok(())
    }

    /// `now` and `delay` later.
    pub(super) fn later(&self, now: Timestamp, delay: Duration) -> Timestamp {
        let sum = now + delay;
        if self.is(Mutant::SumsWrap) && sum == Timestamp::MAX && delay > Duration::ZERO {
            return Timestamp::UNIX_EPOCH;
        }
        self.kept(sum)
    }

    /// An instant as it lies in the table.
    pub(super) fn kept(&self, instant: Timestamp) -> Timestamp {
        let micros = instant.as_micros();
        match self.mutant {
            Mutant::InstantsInSeconds => Timestamp::from_micros(micros - micros.rem_euclid(1_000_000)),
            Mutant::InstantsSinceTheEpoch => instant.max(Timestamp::UNIX_EPOCH),
            _ => instant,
        }
    }

    fn key(&self, key: &Arc<str>) -> Arc<str> {
        match self.mutant {
            Mutant::KeysAreTrimmed => key.trim().into(),
            Mutant::KeysFoldCase => key.to_lowercase().into(),
            _ => key.clone(),
        }
    }

    pub(super) fn holder(&self, key: &Arc<str>, now: Timestamp) -> Option<JobId> {
        let late = if self.is(Mutant::KeyEndsLate) { MICRO } else { Duration::ZERO };
        let held = self.keys.get(&self.key(key))?;
        held.until.is_none_or(|until| now < until + late).then_some(held.by)
    }

    pub(super) fn take_key(&mut self, now: Timestamp, id: JobId) {
        let Some(unique) = &self.jobs[&id].unique else { return };
        let until = if let KeyHold::For(time) = unique.hold { Some(self.later(now, time)) } else { None };
        self.keys.insert(self.key(&unique.key), Held { by: id, until });
    }

    /// Lets go of the job's key, if it holds it and not for a time.
    pub(super) fn drop_key(&mut self, id: JobId) {
        let Some(unique) = self.jobs[&id].unique.clone() else { return };
        let key = self.key(&unique.key);
        let (anyones, timed) = (self.is(Mutant::EndDropsAnyonesKey), self.is(Mutant::TimedKeyEndsWithJob));
        let drops = |held: &Held| (anyones || held.by == id) && (timed || held.until.is_none());
        if !self.is(Mutant::KeyIsForEver) && self.keys.get(&key).is_some_and(drops) {
            self.keys.remove(&key);
        }
        if self.is(Mutant::RecordLosesKey) {
            self.jobs.get_mut(&id).expect("it was there").unique = None;
        }
    }

    pub(super) fn insert(&mut self, request: &InsertJobs) -> Result<Vec<Inserted>, StoreError> {
        let blind = self.is(Mutant::BatchIsBlind);
        self.insert_as_seen(blind.then(|| self.clone()), request)
    }

    /// Inserts what the table has no objection to; the table as it was `seen` before, if it is given.
    pub(super) fn insert_as_seen(
        &mut self,
        mut seen: Option<Self>,
        request: &InsertJobs,
    ) -> Result<Vec<Inserted>, StoreError> {
        if self.is(Mutant::EmptyInsertFails) && request.jobs.is_empty() {
            let kind = StoreErrorKind::Rejected;
            return Err(StoreError::new(StoreOperation::Insert, kind, "there is nothing to insert"));
        }
        let (mut answers, mut added) = (Vec::new(), Vec::new());
        for (index, job) in request.jobs.iter().enumerate() {
            let answer = match seen.as_ref().unwrap_or(self).judge(request.now, index, job) {
                Ok(answer) => answer,
                Err(error) => {
                    added.retain(|_| !self.is(Mutant::InsertKeepsHalfABatch));
                    added.into_iter().for_each(|id| self.remove(id, true));
                    return Err(error);
                }
            };
            if answer == Inserted::New && !(self.is(Mutant::BatchEndsAt500) && index >= 500) {
                self.store(request.now, job);
                added.push(job.id);
                if let Some(seen) = seen.as_mut().filter(|_| self.mutant != Mutant::BatchIsBlind) {
                    seen.store(request.now, job);
                }
            }
            if self.is(Mutant::InsertUpdatesKnown) && answer == Inserted::Existing(job.id) {
                let known = self.jobs.get_mut(&job.id).expect("it is known");
                (known.queue, known.priority) = (job.queue.clone(), job.priority);
            }
            let swallowed = self.is(Mutant::HeldKeyIsSwallowed) && answer != Inserted::Existing(job.id);
            answers.push(if swallowed { Inserted::New } else { answer });
        }
        Ok(answers)
    }

    /// What becomes of a job that is inserted now.
    fn judge(&self, now: Timestamp, index: usize, job: &NewJob) -> Result<Inserted, StoreError> {
        let failed = |message: &str| {
            Err(StoreError::new(StoreOperation::Insert, StoreErrorKind::Conflict { index }, message))
        };
        let holder = job.unique.as_ref().and_then(|unique| self.holder(&unique.key, now));
        if let Some(holder) = holder.filter(|_| self.is(Mutant::KeyBeforeId)) {
            return Ok(Inserted::Existing(holder));
        }
        if self.remembered.pruned.contains(&job.id) {
            return Ok(Inserted::Existing(job.id));
        }
        let revived = |known: &&JobRecord| self.is(Mutant::InsertRevivesFinished) && known.state.is_final();
        if let Some(known) = self.jobs.get(&job.id).filter(|known| !revived(known)) {
            let same = match self.mutant {
                Mutant::InsertIgnoresContent => true,
                Mutant::InsertComparesTooMuch => (&known.queue, known.priority) == (&job.queue, job.priority),
                _ => (&known.kind, &known.args) == (&job.kind, &self.args(job)),
            };
            return if same { Ok(Inserted::Existing(job.id)) } else { failed("another job has this id") };
        }
        match holder {
            Some(_) if self.is(Mutant::HeldKeyFailsBatch) => failed("a job has this key"),
            Some(holder) => Ok(Inserted::Existing(holder)),
            None => Ok(Inserted::New),
        }
    }

    fn args(&self, job: &NewJob) -> Payload {
        if self.is(Mutant::InsertTrimsArgs) {
            return Payload::from_store(job.args.as_str().trim());
        }
        job.args.clone()
    }

    fn store(&mut self, now: Timestamp, job: &NewJob) {
        let mut record = JobRecord::inserted(job.clone(), now);
        record.args = self.args(job);
        if let RunAt::In(delay) = job.run_at {
            record.run_at = self.later(now, delay);
        }
        match self.mutant {
            Mutant::InsertIgnoresLimits => record.max_attempts = 25,
            Mutant::InsertIgnoresDelay => record.run_at = now,
            Mutant::InsertClampsRunAt => record.run_at = record.run_at.max(now),
            Mutant::MetadataDropsEmpty => record.metadata.retain(|_, value| !value.is_empty()),
            _ => {}
        }
        (record.run_at, record.created_at) = (self.kept(record.run_at), self.kept(now));
        self.jobs.insert(job.id, record);
        self.take_key(now, job.id);
    }

    /// Deletes a job, and its key: in any case, or unless it is held for a time.
    pub(super) fn remove(&mut self, id: JobId, any_key: bool) {
        self.drop_key(id);
        self.jobs.remove(&id);
        if any_key {
            self.keys.retain(|_, held| held.by != id);
        }
    }
}
