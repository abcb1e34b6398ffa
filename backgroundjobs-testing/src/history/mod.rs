//! [`History`]: what happened to jobs under a kit, as their stores and handlers saw it.

mod event;
mod note;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use backgroundjobs_core::{ClaimedJob, Clock, JobId, JobState, NewJob, Timestamp};
use parking_lot::Mutex;

pub use event::Attempt;
pub(crate) use event::{Event, What, brief, since};

use crate::VirtualClock;

/// What happened, in order, and what became of each job and run. Clones write into the same.
#[derive(Clone)]
pub(crate) struct History {
    clock: VirtualClock,
    pages: Arc<Mutex<Pages>>,
}

#[derive(Default)]
pub(crate) struct Pages {
    pub(crate) events: Vec<Event>,
    /// How many jobs were stored.
    enqueued: u64,
    pub(crate) jobs: BTreeMap<JobId, SeenInsert>,
    pub(crate) runs: Vec<SeenRun>,
    run_of: BTreeMap<(JobId, u64), usize>,
    /// Those whose handler is at work.
    running: BTreeSet<usize>,
}

/// A job that was stored through a kit's program.
#[derive(Clone)]
pub(crate) struct SeenInsert {
    pub(crate) job: NewJob,
    /// Store time of the insert.
    pub(crate) at: Timestamp,
    /// Whether whoever enqueued it was told so.
    pub(crate) is_acknowledged: bool,
    pub(crate) state: JobState,
    /// An operator has deleted it.
    pub(crate) is_deleted: bool,
}

/// One claim of a job, and the run that came of it.
#[derive(Clone)]
pub(crate) struct SeenRun {
    pub(crate) job: ClaimedJob,
    pub(crate) node: Arc<str>,
    pub(crate) started: Option<Timestamp>,
    pub(crate) ended: Option<Timestamp>,
    /// How it ended in the store.
    pub(crate) attempt: Attempt,
    pub(crate) error: Option<String>,
    /// Its process crashed before it ended.
    pub(crate) has_crashed: bool,
    /// Its place among everything that happened: when it began and when it ended.
    pub(crate) place: (usize, usize),
}

impl SeenRun {
    /// Whether it came to its end, and the store was not told of another one than success.
    pub(crate) const fn may_have_succeeded(&self) -> bool {
        self.ended.is_some()
            && matches!(self.attempt, Attempt::Succeeded | Attempt::Unfinished | Attempt::Lost)
    }
}

impl Pages {
    /// The job as its first claim handed it out.
    pub(crate) fn first_claim(&self, id: JobId) -> Option<&ClaimedJob> {
        self.run_of.get(&(id, 1)).map(|index| &self.runs[*index].job)
    }

    /// The jobs that were stored through a kit's program, or handed to one, by id.
    pub(crate) fn ids(&self) -> Vec<JobId> {
        let ids = self.jobs.keys().copied().chain(self.run_of.keys().map(|(id, _)| *id));
        ids.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The runs whose handler is at work, the first claimed first.
    pub(crate) fn running(&self) -> impl Iterator<Item = &SeenRun> {
        self.running.iter().map(|index| &self.runs[*index])
    }
}

impl History {
    pub(crate) fn new(clock: VirtualClock) -> Self {
        Self { clock, pages: Arc::default() }
    }

    /// Looks at everything so far.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&Pages) -> T) -> T {
        look(&self.pages.lock())
    }

    /// How many jobs were stored so far.
    pub(crate) fn count_enqueued(&self) -> u64 {
        self.pages.lock().enqueued
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
