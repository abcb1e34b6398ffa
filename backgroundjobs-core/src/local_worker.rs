//! [`LocalWorker`]: what a manager, or another worker, of this process knows of a worker here.

use crate::store::{LeaseKey, Wake};
use crate::{JobRecord, Kind, QueueName, Timestamp, WorkerId};

/// A worker of this process, seen from outside. Every call is quick and does not block.
pub(crate) trait LocalWorker: Send + Sync {
    /// Hears of a change, on the announcing task.
    fn wake(&self, wake: Wake<'_>);

    /// Whether it claims jobs of this kind from this queue.
    fn serves(&self, queue: &QueueName, kind: &Kind) -> bool;

    /// Whether it claims jobs from this queue, of whatever kind.
    fn serves_queue(&self, queue: &QueueName) -> bool;

    /// What it can say of a job.
    fn look(&self, job: &JobRecord) -> WorkerView;
}

/// What one worker can say of one job.
#[derive(Debug)]
pub(crate) struct WorkerView {
    pub(crate) worker: WorkerId,
    /// The slots of the job's queue, if it is served, and how many are taken.
    pub(crate) slots: Option<(usize, usize)>,
    /// The kinds it knows.
    pub(crate) kinds: Vec<String>,
    /// The queues it serves.
    pub(crate) queues: Vec<String>,
    /// What the store answered to the last claim, if that failed.
    pub(crate) claim_error: Option<String>,
    /// What it does with the job, if it holds it.
    pub(crate) holding: Option<Holding>,
}

/// What a worker does with a job that it holds.
#[derive(Debug)]
pub(crate) enum Holding {
    /// It was claimed ahead and waits for a slot.
    ReadAhead,
    /// Its handler runs.
    Runs { since: Timestamp, told_to_stop: Option<&'static str> },
    /// Its handler has ended, and the store has not been told.
    Ended,
}

impl WorkerView {
    pub(crate) fn knows(&self, kind: &Kind) -> bool {
        self.kinds.iter().any(|known| known == kind.as_str())
    }
}

/// The lease of a job that runs.
pub(crate) fn lease_key(job: &JobRecord) -> LeaseKey {
    LeaseKey { id: job.id, generation: job.generation }
}
