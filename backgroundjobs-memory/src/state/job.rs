//! [`Job`]: a job as this store keeps it, a few words small while it waits.

use backgroundjobs_core::{
    ClaimedJob, Failure, JobId, JobRecord, JobState, JobSummary, Lease, Metadata, NewJob, Payload, Priority,
    RecordedFailure, Timestamp, UniqueKey, limits,
};

use super::lanes::{Group, GroupId};

/// A job, less its id (the key it is found by) and its names (its group's).
#[derive(Debug)]
pub(super) struct Job {
    pub(super) args: Payload,
    pub(super) stage: Stage,
    pub(super) run_at: Timestamp,
    pub(super) generation: u64,
    pub(super) settled: u64,
    created_at: Timestamp,
    pub(super) claimed_at: Option<Timestamp>,
    pub(super) group: GroupId,
    pub(super) attempts: u16,
    pub(super) crashes: u16,
    max_attempts: u16,
    pub(super) max_crashes: u16,
    pub(super) priority: Priority,
    pub(super) cancel_requested: bool,
    extras: Option<Box<Extras>>,
}

/// Where a job stands, with what only a job that stands there has.
#[derive(Debug)]
pub(super) enum Stage {
    Waiting,
    Running(Lease),
    /// In a final state, since then.
    Finished(JobState, Timestamp),
}

/// What most jobs do not have.
#[derive(Debug, Default)]
struct Extras {
    unique: Option<UniqueKey>,
    metadata: Metadata,
    failures: Vec<RecordedFailure>,
}

impl Job {
    /// `job` as it is right after its insert (clause I-1), but for its group.
    pub(super) fn inserted(job: &NewJob, now: Timestamp) -> Self {
        let extras = (job.unique.is_some() || !job.metadata.is_empty()).then(|| {
            let (unique, metadata) = (job.unique.clone(), job.metadata.clone());
            Box::new(Extras { unique, metadata, failures: Vec::new() })
        });
        Self {
            args: job.args.clone(),
            stage: Stage::Waiting,
            run_at: job.run_at.instant(now),
            generation: 0,
            settled: 0,
            created_at: now,
            claimed_at: None,
            group: GroupId::UNKNOWN,
            attempts: 0,
            crashes: 0,
            max_attempts: job.max_attempts,
            max_crashes: job.max_crashes,
            priority: job.priority,
            cancel_requested: false,
            extras,
        }
    }

    pub(super) fn state(&self) -> JobState {
        match self.stage {
            Stage::Waiting => JobState::Waiting,
            Stage::Running(_) => JobState::Running,
            Stage::Finished(state, _) => state,
        }
    }

    pub(super) fn lease(&self) -> Option<&Lease> {
        match &self.stage {
            Stage::Running(lease) => Some(lease),
            Stage::Waiting | Stage::Finished(..) => None,
        }
    }

    /// Whether the claim that was given `generation` still holds it.
    pub(super) fn runs_under(&self, generation: u64) -> bool {
        self.lease().is_some() && self.generation == generation
    }

    pub(super) fn unique(&self) -> Option<&UniqueKey> {
        self.extras.as_ref()?.unique.as_ref()
    }

    /// Adds to the failures; the oldest makes room (clause S-5). Call it before the attempt is used up.
    pub(super) fn add_failure(&mut self, now: Timestamp, failure: Failure) {
        let failures = &mut self.extras.get_or_insert_default().failures;
        if failures.len() >= limits::MAX_ERRORS_PER_JOB {
            failures.remove(0);
        }
        failures.push(RecordedFailure::new(now, self.attempts.saturating_add(1), failure));
    }

    /// The whole record.
    pub(super) fn record(&self, id: JobId, group: &Group) -> JobRecord {
        let mut record = self.outline(id, group);
        if let Some(extras) = &self.extras {
            record.unique = extras.unique.clone();
            record.metadata = extras.metadata.clone();
            record.failures = extras.failures.clone();
        }
        record
    }

    /// What a worker is handed.
    pub(super) fn claimed(&self, id: JobId, group: &Group) -> ClaimedJob {
        let (kind, queue) = (group.kind.clone(), group.queue.clone());
        let mut claimed = ClaimedJob::new(id, kind, queue, self.args.clone(), self.generation);
        claimed.priority = self.priority;
        claimed.run_at = self.run_at;
        claimed.attempts = self.attempts;
        claimed.crashes = self.crashes;
        claimed.max_attempts = self.max_attempts;
        claimed.cancel_requested = self.cancel_requested;
        claimed.created_at = self.created_at;
        if let Some(extras) = &self.extras {
            claimed.metadata = extras.metadata.clone();
        }
        claimed
    }

    /// What a listing shows.
    pub(super) fn summary(&self, id: JobId, group: &Group) -> JobSummary {
        JobSummary::from_record(&self.outline(id, group))
    }

    /// The record less its key, metadata and failures, which may be large.
    fn outline(&self, id: JobId, group: &Group) -> JobRecord {
        let job = NewJob::new(id, group.kind.clone(), group.queue.clone(), self.args.clone());
        let mut record = JobRecord::inserted(job, self.created_at);
        record.priority = self.priority;
        record.state = self.state();
        record.run_at = self.run_at;
        record.attempts = self.attempts;
        record.crashes = self.crashes;
        record.max_attempts = self.max_attempts;
        record.max_crashes = self.max_crashes;
        record.generation = self.generation;
        record.settled = self.settled;
        record.lease = self.lease().cloned();
        record.cancel_requested = self.cancel_requested;
        record.claimed_at = self.claimed_at;
        record.finished_at = match self.stage {
            Stage::Finished(_, at) => Some(at),
            Stage::Waiting | Stage::Running(_) => None,
        };
        record
    }
}

impl Stage {
    /// The stage of a job that is not handed out and comes to `state` now.
    pub(super) fn at_rest(state: JobState, now: Timestamp) -> Self {
        if state.is_final() { Self::Finished(state, now) } else { Self::Waiting }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiting_job_and_its_two_index_entries_stay_far_below_400_bytes() {
        // A tree's nodes are filled by half when its keys only grow: that is counted twice here.
        let entries = size_of::<(JobId, Box<Job>)>() + size_of::<(Timestamp, JobId)>();
        assert!(size_of::<Job>() + 2 * entries <= 300, "{} + 2 * {entries}", size_of::<Job>());
    }
}
