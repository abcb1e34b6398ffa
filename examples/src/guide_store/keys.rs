use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use backgroundjobs_core::*;

/// The unique keys that are held, apart from the jobs.
#[derive(Debug, Default)]
pub struct Keys {
    /// Who holds each key; and, of one held for a time, up to when.
    held: BTreeMap<Arc<str>, (JobId, Option<Timestamp>)>,
    /// Those held for a time, by its end.
    ends: BTreeSet<(Timestamp, Arc<str>)>,
}

impl Keys {
    /// Who keeps others out, if there is a key and somebody holds it: U-2.
    pub fn holder(&self, unique: Option<&UniqueKey>, now: Timestamp) -> Option<JobId> {
        let (job, until) = self.held.get(&unique?.key)?;
        until.is_none_or(|until| until > now).then_some(*job)
    }

    /// The job takes its key. Only insert and requeue call this, after they saw that it is free: U-3.
    pub fn take(&mut self, job: &JobRecord, now: Timestamp) {
        let Some(UniqueKey { key, hold }) = &job.unique else { return };
        self.remove(key);
        let until = if let KeyHold::For(time) = hold { Some(now + *time) } else { None };
        self.ends.extend(until.map(|until| (until, key.clone())));
        self.held.insert(key.clone(), (job.id, until));
    }

    /// To be called after every step of a job: it lets go of the key that it may no longer hold. U-1.
    pub fn after_step(&mut self, job: &JobRecord) {
        let lets_go = job.unique.as_ref().is_some_and(|unique| match unique.hold {
            KeyHold::UntilFinished => job.state.is_final(),
            KeyHold::UntilStarted => job.state != JobState::Waiting,
            KeyHold::For(_) => false,
        });
        if lets_go {
            self.let_go(job);
        }
    }

    /// Frees the job's key if it is still this job's, not its successor's.
    pub fn let_go(&mut self, job: &JobRecord) {
        if let Some(unique) = &job.unique
            && self.held.get(&unique.key).is_some_and(|(holder, _)| *holder == job.id)
        {
            self.remove(&unique.key);
        }
    }

    /// Forgets keys whose time is over, at most so many.
    pub fn clear(&mut self, now: Timestamp, most: u32) {
        for _ in 0..most {
            let Some((until, key)) = self.ends.first().cloned() else { return };
            if until > now {
                return;
            }
            self.remove(&key);
        }
    }

    fn remove(&mut self, key: &Arc<str>) {
        if let Some((_, Some(until))) = self.held.remove(key) {
            self.ends.remove(&(until, key.clone()));
        }
    }
}
