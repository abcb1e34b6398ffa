//! [`Index`]: where each job is found, and the one function that moves a job from one state to another.

use backgroundjobs_core::{JobId, JobState, KeyHold, Step, Timestamp};

use super::job::{Job, Stage};
use super::keys::Keys;
use super::lanes::Lanes;
use super::moments::Moments;

/// Every way to a job but its id. What lies where follows from the jobs alone.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Waiting jobs by when they are due, and how many jobs there are of each sort.
    pub(super) lanes: Lanes,
    /// Running jobs by the end of their lease.
    pub(super) leases: Moments,
    /// Finished jobs by when they ended, one set for each state; those of the other states stay empty.
    pub(super) ended: [Moments; JobState::ALL.len()],
    pub(super) keys: Keys,
}

impl Index {
    /// Makes every change of state there is: `step` takes `job` to where `change` puts it.
    ///
    /// A key that the job need not hold any more is let go; none is ever taken here (clause U-3).
    pub(super) fn step(&mut self, id: JobId, job: &mut Job, step: Step, change: impl FnOnce(&mut Job)) {
        let from = job.state();
        self.take_out(id, job);
        change(job);
        self.put_in(id, job);
        let to = job.state();
        debug_assert!(from.allows(step, to), "{id}: {step:?} does not lead from {from} to {to}");
        if let Some(unique) = job.unique()
            && lets_go(unique.hold, to)
        {
            self.keys.let_go(&unique.key, id);
        }
    }

    /// Finds a job that was inserted.
    pub(super) fn add(&mut self, id: JobId, job: &Job) {
        debug_assert!(matches!(job.stage, Stage::Waiting), "{id} is inserted as {}", job.state());
        self.put_in(id, job);
    }

    /// Forgets a job that was deleted, its key too if it waited.
    pub(super) fn remove(&mut self, id: JobId, job: &Job) {
        debug_assert!(job.lease().is_none(), "{id} is deleted while it runs");
        self.take_out(id, job);
        self.lanes.vacate(job.group);
        if let Some(unique) = job.unique()
            && matches!(job.stage, Stage::Waiting)
        {
            self.keys.let_go(&unique.key, id);
        }
    }

    /// Moves the end of a running job's lease, which is no change of state.
    pub(super) fn extend(&mut self, id: JobId, job: &mut Job, until: Timestamp) {
        if let Stage::Running(lease) = &mut job.stage {
            self.leases.remove(&(lease.until, id));
            lease.until = until;
            self.leases.insert((until, id));
        }
    }

    /// The earliest end of a lease.
    pub(super) fn next_expiry(&self) -> Option<Timestamp> {
        self.leases.first().map(|(until, _)| until)
    }

    fn take_out(&mut self, id: JobId, job: &Job) {
        let group = self.lanes.group_mut(job.group);
        group.counts[job.state() as usize] -= 1;
        let found = match &job.stage {
            Stage::Waiting => group.lane_mut(job.priority).remove(&(job.run_at, id)),
            Stage::Running(lease) => self.leases.remove(&(lease.until, id)),
            Stage::Finished(state, at) => self.ended[*state as usize].remove(&(*at, id)),
        };
        debug_assert!(found, "{id} was not where a {} job is", job.state());
    }

    fn put_in(&mut self, id: JobId, job: &Job) {
        let group = self.lanes.group_mut(job.group);
        group.counts[job.state() as usize] += 1;
        let added = match &job.stage {
            Stage::Waiting => group.lane_mut(job.priority).insert((job.run_at, id)),
            Stage::Running(lease) => self.leases.insert((lease.until, id)),
            Stage::Finished(state, at) => self.ended[*state as usize].insert((*at, id)),
        };
        debug_assert!(added, "{id} was there already as a {} job", job.state());
    }
}

/// Whether a job that came to `state` holds its key no longer. One that ends before it ever started would hold
/// a key until the start for good, so the end counts as well.
fn lets_go(hold: KeyHold, state: JobState) -> bool {
    match hold {
        KeyHold::UntilFinished => state.is_final(),
        KeyHold::UntilStarted => state != JobState::Waiting,
        KeyHold::For(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_states_are_numbered_as_they_are_listed() {
        for (number, state) in JobState::ALL.into_iter().enumerate() {
            assert_eq!(state as usize, number);
        }
    }
}
