//! Finds out why a job is not running: from its record, its queue, and the workers of this process.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::explanation::{Explanation, PutOff, Reason};
use super::store_manager::StoreManager;
use crate::local_worker::{Holding, LocalWorker, WorkerView};
use crate::store::StoreError;
use crate::{FailureKind, JobId, JobRecord, JobState, JobSummary, Lease, Timestamp, WorkerId};

impl StoreManager {
    pub(super) async fn explain_job(&self, id: JobId) -> Result<Explanation, StoreError> {
        let Some(job) = self.door().get(&[id]).await?.pop().flatten() else {
            return Ok(Explanation { id, job: None, reasons: vec![Reason::Unknown] });
        };
        let now = self.door().env().now();
        let views: Vec<WorkerView> = self.local_workers().iter().map(|worker| worker.look(&job)).collect();
        let reasons = match job.state {
            JobState::Running => vec![while_running(&job, views, now)],
            JobState::Waiting => {
                let mut reasons = Vec::from_iter(later(&job, now));
                reasons.extend(self.paused(&job).await?);
                reasons.extend(self.unserved(&job, &views));
                if reasons.is_empty() {
                    reasons.push(Reason::Due);
                }
                reasons
            }
            state => {
                let error = job.failures.last().map(|failed| failed.failure.text.clone());
                let error = error.filter(|_| state != JobState::Succeeded);
                vec![Reason::Finished { state, at: job.finished_at, error }]
            }
        };
        Ok(Explanation { id, job: Some(JobSummary::from_record(&job)), reasons })
    }

    /// The workers of this process on this manager's store.
    pub(super) fn local_workers(&self) -> Vec<Arc<dyn LocalWorker>> {
        match self.door().hub() {
            Some(hub) => hub.workers(),
            None => self.own_worker().into_iter().collect(),
        }
    }

    async fn paused(&self, job: &JobRecord) -> Result<Option<Reason>, StoreError> {
        if self.door().store().inspect().is_none() {
            return Ok(None);
        }
        let queues = self.door().queues().await?;
        let paused = queues.into_iter().find(|facts| facts.queue == job.queue).and_then(|it| it.paused_since);
        Ok(paused.map(|since| Reason::Paused { queue: job.queue.clone(), since }))
    }

    /// Why no worker of this process takes it, if none does.
    fn unserved(&self, job: &JobRecord, views: &[WorkerView]) -> Option<Reason> {
        let elsewhere = self.door().profile().is_shared();
        let serving: Vec<&WorkerView> = views.iter().filter(|view| view.slots.is_some()).collect();
        let able: Vec<&&WorkerView> = serving.iter().filter(|view| view.knows(&job.kind)).collect();
        if able.is_empty() && self.is_stopped() {
            return Some(Reason::Stopped);
        }
        if able.is_empty()
            && self.has_worker_to_start()
            && self.producing().is_run_here(&job.queue, &job.kind)
        {
            return Some(Reason::NotStarted);
        }
        if serving.is_empty() {
            let served = names(views.iter().flat_map(|view| &view.queues));
            return Some(Reason::QueueNotServed { queue: job.queue.clone(), served, elsewhere });
        }
        if able.is_empty() {
            let known = names(serving.iter().flat_map(|view| &view.kinds));
            return Some(Reason::UnknownKind { kind: job.kind.clone(), known, elsewhere });
        }
        if let Some(error) = able.iter().find_map(|view| view.claim_error.clone()) {
            return Some(Reason::StoreFails { error });
        }
        let slots = able.iter().filter_map(|view| view.slots);
        let (total, taken) =
            slots.fold((0, 0), |(total, taken), (slots, busy)| (total + slots, taken + busy));
        (taken >= total).then(|| Reason::NoFreeSlot { queue: job.queue.clone(), slots: total })
    }
}

fn names<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    names.collect::<BTreeSet<&String>>().into_iter().cloned().collect()
}

fn while_running(job: &JobRecord, views: Vec<WorkerView>, now: Timestamp) -> Reason {
    let is_of_this_process = |worker: &WorkerId| views.iter().any(|view| view.worker == *worker);
    let is_here = job.lease.as_ref().is_some_and(|lease| is_of_this_process(&lease.worker));
    match (views.into_iter().find_map(|view| view.holding), &job.lease) {
        (Some(Holding::ReadAhead), _) => Reason::ReadAhead,
        (Some(Holding::Ended), _) => Reason::Settling,
        (Some(Holding::Runs { since, told_to_stop }), _) => Reason::Runs { since, told_to_stop },
        (None, Some(Lease { worker, until, .. })) if *until <= now => {
            Reason::LeaseOver { worker: *worker, since: *until }
        }
        (None, Some(_)) if is_here => Reason::ChangesHands,
        (None, Some(Lease { worker, until, .. })) => {
            Reason::ClaimedElsewhere { worker: *worker, until: *until }
        }
        // A store that keeps no lease of a running job breaks its contract; the job will not be lost by it.
        (None, None) => Reason::Due,
    }
}

/// What puts the job off, from what its record remembers.
fn later(job: &JobRecord, now: Timestamp) -> Option<Reason> {
    if job.run_at <= now {
        return None;
    }
    // Of the latest claim; an older failure says nothing of it.
    let failed = job.failures.last().filter(|failed| job.claimed_at.is_some_and(|at| failed.at >= at));
    let because = match failed.map(|failed| failed.failure.kind) {
        _ if job.claimed_at.is_none() => PutOff::Enqueued,
        Some(FailureKind::Crash) => PutOff::Crashed { crashes: job.crashes },
        Some(_) => PutOff::Failed {
            attempts: job.attempts,
            max_attempts: job.max_attempts,
            error: failed.map(|failed| failed.failure.text.clone()),
        },
        None => PutOff::Snoozed,
    };
    Some(Reason::Later { run_at: job.run_at, because })
}
