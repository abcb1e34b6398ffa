//! Everything the store knows, and each call as a function of it and the store's time.
//!
//! No clock is read here and nothing waits. Jobs lie in one map by id; where each of them is found (to be
//! claimed, recovered, pruned, counted) is [`Index`], whose `step` makes every change of state, so that no
//! index can be forgotten. Nothing that has an effect follows the order of a hash map.

mod cancel;
mod claim;
#[cfg(test)]
mod consistency;
mod control;
#[cfg(test)]
mod fixture;
mod index;
mod insert;
mod inspect;
mod job;
mod keys;
mod lanes;
mod moments;
mod prune;
mod recover;
mod settle;

use std::collections::BTreeMap;

use backgroundjobs_core::{JobId, JobRecord};

use index::Index;
pub(crate) use insert::Prepared;
use job::Job;

/// The jobs and where to find them.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Ordered, because a listing goes by id; boxed, because a tree moves its entries and half fills its nodes.
    jobs: BTreeMap<JobId, Box<Job>>,
    index: Index,
}

impl State {
    /// How many jobs there are.
    pub(crate) fn len(&self) -> usize {
        self.jobs.len()
    }

    /// The record of each id, `None` for one that is not there (clause G-1).
    pub(crate) fn records(&self, ids: &[JobId]) -> Vec<Option<JobRecord>> {
        let record = |id| self.jobs.get(&id).map(|job| job.record(id, self.index.lanes.group(job.group)));
        ids.iter().copied().map(record).collect()
    }

    /// Deletes a job that does not run. Its key goes along only while it waits: once it is over, whatever key
    /// it still holds is held for a time, which outlives it (clauses U-4, O-4).
    fn erase(&mut self, id: JobId) {
        if let Some(job) = self.jobs.remove(&id) {
            self.index.remove(id, &job);
        }
    }
}

/// The job that an index names.
fn stored(jobs: &mut BTreeMap<JobId, Box<Job>>, id: JobId) -> &mut Job {
    jobs.get_mut(&id).expect("an index names only jobs that are stored")
}
