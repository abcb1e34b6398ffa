use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use backgroundjobs_core::*;

/// Jobs by an instant of theirs; at one instant, by id.
pub type ByTime = BTreeSet<(Timestamp, JobId)>;

/// One row a job, each in exactly one index.
#[derive(Debug, Default)]
pub struct Rows {
    jobs: BTreeMap<JobId, JobRecord>,
    /// Waiting jobs by `run_at`: a set for each priority of each queue and kind. That is a lane.
    lanes: BTreeMap<(QueueName, Kind), [ByTime; 10]>,
    /// Running jobs, by the end of their lease.
    leases: ByTime,
    /// Jobs that are over, by their end: a set for each final state.
    ended: BTreeMap<JobState, ByTime>,
}

impl Rows {
    /// The row of this id.
    pub fn get(&self, id: JobId) -> Option<&JobRecord> {
        self.jobs.get(&id)
    }

    /// Adds a row, or writes it again that was taken out.
    pub fn put(&mut self, job: JobRecord) {
        let (index, at) = self.place(&job);
        index.insert((at, job.id));
        self.jobs.insert(job.id, job);
    }

    /// Takes a row out.
    pub fn take(&mut self, id: JobId) -> Option<JobRecord> {
        let job = self.jobs.remove(&id)?;
        let (index, at) = self.place(&job);
        index.remove(&(at, id));
        Some(job)
    }

    /// The index that the job is in, and by which instant. The one place that knows.
    fn place(&mut self, job: &JobRecord) -> (&mut ByTime, Timestamp) {
        match (job.state, &job.lease) {
            (JobState::Waiting, _) => {
                let lanes = self.lanes.entry((job.queue.clone(), job.kind.clone())).or_default();
                (&mut lanes[usize::from(job.priority.level())], job.run_at)
            }
            (JobState::Running, Some(lease)) => (&mut self.leases, lease.until),
            (state, _) => (self.ended.entry(state).or_default(), job.finished_at.unwrap_or(job.created_at)),
        }
    }

    /// The lanes of a queue that a worker may claim from, each with its priority.
    fn lanes(&self, queue: &QueueName, kinds: &[Kind]) -> impl Iterator<Item = (usize, &ByTime)> {
        let of_kind = |kind: &Kind| self.lanes.get(&(queue.clone(), kind.clone()));
        kinds.iter().filter_map(of_kind).flat_map(|lanes| lanes.iter().enumerate())
    }

    /// Jobs that are due, in the order in which they should start, at most so many. One look into each lane.
    pub fn due(&self, queue: &QueueName, kinds: &[Kind], now: Timestamp, most: usize) -> Vec<JobId> {
        let mut found = BTreeSet::new();
        for (priority, lane) in self.lanes(queue, kinds) {
            let due = lane.iter().take_while(|(run_at, _)| *run_at <= now).take(most);
            found.extend(due.map(|(run_at, id)| (Reverse(priority), *run_at, *id)));
        }
        found.into_iter().take(most).map(|(_, _, id)| id).collect()
    }

    /// The earliest `run_at` of the jobs that wait there.
    pub fn next_due(&self, queue: &QueueName, kinds: &[Kind]) -> Option<Timestamp> {
        self.lanes(queue, kinds).filter_map(|(_, lane)| lane.first()).map(|(run_at, _)| *run_at).min()
    }

    /// Running jobs, by the end of their lease.
    pub fn leases(&self) -> &ByTime {
        &self.leases
    }

    /// The job of a final state that has been over for longest, and how many there are.
    pub fn first_ended(&self, state: JobState) -> Option<((Timestamp, JobId), u64)> {
        let ended = self.ended.get(&state)?;
        Some((*ended.first()?, ended.len() as u64))
    }
}
