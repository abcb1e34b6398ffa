//! [`Runs`]: every job this worker holds, from the claim until its settle is answered.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::run::Run;
use crate::context::Surroundings;
use crate::limits::{EARLY_CANCELS, SETTLE_BATCH};
use crate::store::{ClaimedJob, LeaseKey};
use crate::{JobId, Payload, Timestamp};

/// Every job this worker holds. Keys are independent of each other; nothing depends on their order.
#[derive(Default)]
pub(super) struct Runs {
    held: DashMap<JobId, Held, BuildHasherDefault<IdHasher>>,
    count: AtomicUsize,
    /// Cancelled while a claim is in flight that may be about to bring them; `None` while none is.
    early_cancels: Mutex<Option<Vec<JobId>>>,
    /// Runs whose memory may be used again. Most runs begin on one thread and are let go on another, and memory
    /// that is freed on another thread is what threads wait for most.
    spare: Mutex<Vec<Arc<Run>>>,
    /// Wakes the lease keeper: the first job has come.
    pub(super) first: Notify,
    /// Wakes the lease keeper: leases are to be renewed at once.
    pub(super) renew: Notify,
    /// Wakes a stop that waits for handlers and slots to end.
    pub(super) ended: Notify,
}

/// Hashes ids. Random bits need no more than to be spread, and ids that somebody chose so that they meet are
/// no danger: a worker holds few jobs at a time.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u128(u128::from(*byte)));
    }

    fn write_u128(&mut self, number: u128) {
        const ODD: u128 = 0x9e37_79b9_7f4a_7c15;
        let folded = (number >> 64) as u64 ^ number as u64 ^ self.0;
        let spread = u128::from(folded) * ODD;
        self.0 = (spread >> 64) as u64 ^ spread as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The claims of one job: the latest, and those it displaced whose handler has not ended. More than one means
/// that a lease was lost without this worker knowing it.
struct Held {
    latest: Claim,
    displaced: Vec<Claim>,
}

struct Claim {
    generation: u64,
    /// The board's index of its queue.
    queue: usize,
    run: Option<Arc<Run>>,
    /// Cancelled before it started.
    cancelled: bool,
}

impl Held {
    fn claim(&mut self, generation: u64) -> Option<&mut Claim> {
        std::iter::once(&mut self.latest)
            .chain(&mut self.displaced)
            .find(|claim| claim.generation == generation)
    }
}

impl Runs {
    /// This worker holds the job from now on. Answers what it had of an older claim of the same job, which has
    /// lost its lease without this worker knowing it.
    pub(super) fn hold(&self, lease: LeaseKey, queue: usize) -> Option<Displaced> {
        let claim = Claim { generation: lease.generation, queue, run: None, cancelled: false };
        if self.count.fetch_add(1, Ordering::AcqRel) == 0 {
            self.first.notify_one();
        }
        match self.held.entry(lease.id) {
            Entry::Vacant(held) => {
                held.insert(Held { latest: claim, displaced: Vec::new() });
                None
            }
            Entry::Occupied(mut held) => {
                let held = held.get_mut();
                let older = std::mem::replace(&mut held.latest, claim);
                let unstarted = Displaced::Unstarted(LeaseKey { generation: older.generation, ..lease });
                let displaced = older.run.clone().map_or(unstarted, Displaced::Run);
                held.displaced.push(older);
                Some(displaced)
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// The job is about to start.
    pub(super) fn start(&self, run: &Arc<Run>) -> Start {
        match self.held.get_mut(&run.lease.id) {
            Some(mut held) if held.latest.generation == run.lease.generation => {
                held.latest.run = Some(run.clone());
                if held.latest.cancelled { Start::Cancelled } else { Start::Run }
            }
            _ => Start::Lost,
        }
    }

    /// This claim is over; a later claim of the same job is not. Answers the job's queue, and its run if it had
    /// one, for [`put_by`](Self::put_by).
    pub(super) fn let_go(&self, lease: LeaseKey) -> Option<(usize, Option<Arc<Run>>)> {
        let Entry::Occupied(mut entry) = self.held.entry(lease.id) else { return None };
        let held = entry.get_mut();
        let claim = if held.latest.generation == lease.generation {
            match held.displaced.pop() {
                Some(older) => std::mem::replace(&mut held.latest, older),
                None => entry.remove().latest,
            }
        } else {
            let at = held.displaced.iter().position(|claim| claim.generation == lease.generation)?;
            held.displaced.swap_remove(at)
        };
        self.count.fetch_sub(1, Ordering::AcqRel);
        Some((claim.queue, claim.run))
    }

    /// These runs are over: their memory may be used again. Whoever has metadata does not keep them for longer.
    pub(super) fn put_by(&self, runs: &mut Vec<Arc<Run>>) {
        runs.retain(|run| run.metadata.is_empty());
        let mut spare = self.spare.lock();
        let room = SETTLE_BATCH.saturating_sub(spare.len()).min(runs.len());
        spare.extend(runs.drain(..room));
    }

    /// The run of a job that was claimed, and the job's args; in memory that is used again where there is some.
    pub(super) fn begin(
        &self,
        job: ClaimedJob,
        started: Timestamp,
        deadline: Option<Timestamp>,
        surroundings: &Arc<Surroundings>,
    ) -> (Arc<Run>, Payload) {
        let spare = self.spare.lock().pop();
        if let Some(mut spare) = spare
            // Not where a handler's context has outlived its run.
            && let Some(place) = Arc::get_mut(&mut spare)
        {
            let args = place.reuse(job, started, deadline);
            return (spare, args);
        }
        let (run, args) = Run::of(job, started, deadline, surroundings);
        (Arc::new(run), args)
    }

    /// Whether this worker holds the claim, and its run if it has started.
    pub(super) fn held(&self, lease: LeaseKey) -> Option<Option<Arc<Run>>> {
        Some(self.held.get_mut(&lease.id)?.claim(lease.generation)?.run.clone())
    }

    /// The run of a claim, while its handler has not ended.
    pub(super) fn running(&self, lease: LeaseKey) -> Option<Arc<Run>> {
        self.held(lease).flatten().filter(|run| !run.has_ended())
    }

    /// Somebody wants the job cancelled: the run to tell. One that has not started will know by itself, and so
    /// will one that a claim in flight may be about to bring.
    pub(super) fn request_cancel(&self, id: JobId) -> Option<Arc<Run>> {
        let mut early = self.early_cancels.lock();
        let Some(mut held) = self.held.get_mut(&id) else {
            if let Some(early) = early.as_mut().filter(|early| early.len() < EARLY_CANCELS) {
                early.push(id);
            }
            return None;
        };
        held.latest.cancelled = true;
        held.latest.run.clone()
    }

    /// The store says that the job of this claim is to be cancelled.
    pub(super) fn heard_of_cancel(&self, lease: LeaseKey) -> Option<Arc<Run>> {
        let mut held = self.held.get_mut(&lease.id)?;
        let claim = held.claim(lease.generation)?;
        claim.cancelled = true;
        claim.run.clone()
    }

    /// From now on a claim may bring jobs that are cancelled before they are held.
    pub(super) fn claim_begins(&self) {
        *self.early_cancels.lock() = Some(Vec::new());
    }

    /// Every job of the claim in flight is held: those that were cancelled meanwhile are told now.
    pub(super) fn claim_is_taken_in(&self) {
        // Held while they are told: who cancels looks for the job under the same lock, and finds it from now on.
        let mut early = self.early_cancels.lock();
        for id in early.take().into_iter().flatten() {
            if let Some(mut held) = self.held.get_mut(&id) {
                held.latest.cancelled = true;
            }
        }
    }

    /// Every claim held, in order of id; not those that were displaced, which are lost.
    pub(super) fn leases(&self) -> Vec<LeaseKey> {
        let mut leases: Vec<LeaseKey> = self
            .held
            .iter()
            .map(|held| LeaseKey { id: *held.key(), generation: held.latest.generation })
            .collect();
        leases.sort_unstable();
        leases
    }

    /// Every run whose handler has not ended, in order of id.
    pub(super) fn all_running(&self) -> Vec<Arc<Run>> {
        let mut runs: Vec<Arc<Run>> = Vec::new();
        for held in &self.held {
            let claims = std::iter::once(&held.latest).chain(&held.displaced);
            runs.extend(claims.filter_map(|claim| claim.run.clone()).filter(|run| !run.has_ended()));
        }
        runs.sort_unstable_by_key(|run| run.lease);
        runs
    }
}

/// What a newer claim of the same job displaced.
pub(super) enum Displaced {
    /// Its handler may still run.
    Run(Arc<Run>),
    /// It was read ahead and has not started.
    Unstarted(LeaseKey),
}

/// What is to become of a job that is about to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    Run,
    /// It was cancelled before.
    Cancelled,
    /// Its lease was lost before: a newer claim has it, or nobody here.
    Lost,
}
