//! [`Runs`]: every job this worker holds, from the claim until its settle is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use dashmap::DashMap;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::store::LeaseKey;
use crate::{JobId, Kind, QueueName, Timestamp};

/// Every job this worker holds. Keys are independent of each other; nothing depends on their order.
#[derive(Default)]
pub(super) struct Runs {
    held: DashMap<JobId, Held>,
    count: AtomicUsize,
    /// Wakes the lease keeper when the first job comes.
    pub(super) first: Notify,
}

struct Held {
    generation: u64,
    queue: QueueName,
    run: Option<Arc<Run>>,
    /// Cancelled before it started.
    cancelled: bool,
}

impl Runs {
    /// This worker holds the job from now on. Answers the run of an older claim of the same job, which has
    /// lost its lease without this worker knowing it.
    pub(super) fn hold(&self, lease: LeaseKey, queue: QueueName) -> Option<Arc<Run>> {
        let held = Held { generation: lease.generation, queue, run: None, cancelled: false };
        let before = self.held.insert(lease.id, held);
        if before.is_none() && self.count.fetch_add(1, Ordering::AcqRel) == 0 {
            self.first.notify_one();
        }
        before.and_then(|held| held.run)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// The job is about to start. Says whether it was cancelled before.
    pub(super) fn start(&self, run: &Arc<Run>) -> bool {
        match self.held.get_mut(&run.lease.id) {
            Some(mut held) if held.generation == run.lease.generation => {
                held.run = Some(run.clone());
                held.cancelled
            }
            _ => false,
        }
    }

    /// This claim is over; a later claim of the same job is not. Answers the job's queue.
    pub(super) fn let_go(&self, lease: LeaseKey) -> Option<QueueName> {
        let (_, held) = self.held.remove_if(&lease.id, |_, held| held.generation == lease.generation)?;
        self.count.fetch_sub(1, Ordering::AcqRel);
        Some(held.queue)
    }

    /// The run of a job, if it has started and not been let go.
    pub(super) fn run(&self, id: JobId) -> Option<Arc<Run>> {
        self.held.get(&id)?.run.clone()
    }

    /// Somebody wants the job cancelled: the run to tell. One that has not started will know by itself.
    pub(super) fn request_cancel(&self, id: JobId) -> Option<Arc<Run>> {
        let mut held = self.held.get_mut(&id)?;
        held.cancelled = true;
        held.run.clone()
    }

    /// Every claim held, in order of id.
    pub(super) fn leases(&self) -> Vec<LeaseKey> {
        let mut leases: Vec<LeaseKey> =
            self.held.iter().map(|held| LeaseKey { id: *held.key(), generation: held.generation }).collect();
        leases.sort_unstable();
        leases
    }

    /// Every run, in order of id.
    pub(super) fn all(&self) -> Vec<Arc<Run>> {
        let mut runs: Vec<Arc<Run>> = self.held.iter().filter_map(|held| held.run.clone()).collect();
        runs.sort_unstable_by_key(|run| run.lease);
        runs
    }
}

/// Why a run was told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum CancelCause {
    /// Somebody cancelled the job.
    User = 1,
    /// It ran out of time.
    Timeout,
    /// The program stops.
    Stop,
    /// The lease is lost: another worker may run the job.
    Lost,
}

/// One run of one job: how to tell it to stop.
pub(super) struct Run {
    pub(super) lease: LeaseKey,
    pub(super) kind: Kind,
    pub(super) started: Timestamp,
    pub(super) has_timeout: bool,
    pub(super) token: CancellationToken,
    cause: AtomicU8,
    drop_now: Notify,
}

impl Run {
    pub(super) fn new(lease: LeaseKey, kind: Kind, started: Timestamp, has_timeout: bool) -> Self {
        Self {
            lease,
            kind,
            started,
            has_timeout,
            token: CancellationToken::new(),
            cause: AtomicU8::new(0),
            drop_now: Notify::new(),
        }
    }

    /// Tells the handler to stop, for the first cause that comes. Says whether this was it.
    pub(super) fn cancel(&self, cause: CancelCause) -> bool {
        let first = self.cause.compare_exchange(0, cause as u8, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if first {
            self.token.cancel();
        }
        first
    }

    /// Why it was told to stop, if it was.
    pub(super) fn cause(&self) -> Option<CancelCause> {
        match self.cause.load(Ordering::Acquire) {
            1 => Some(CancelCause::User),
            2 => Some(CancelCause::Timeout),
            3 => Some(CancelCause::Stop),
            4 => Some(CancelCause::Lost),
            _ => None,
        }
    }

    /// The handler had its time to stop: its slot drops it where it waits.
    pub(super) fn drop_handler(&self) {
        self.drop_now.notify_one();
    }

    /// Waits until the handler is to be dropped. Cancel safe.
    pub(super) async fn to_be_dropped(&self) {
        self.drop_now.notified().await;
    }
}
