//! What mutants do in several steps, and others can come in between.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use backgroundjobs_core::{
    CancelJobs, CancelStatus, ClaimJobs, DeleteStatus, Failure, InsertJobs, Inserted, JobId, JobRecord,
    JobState, PruneJobs, PrunedJobs, RecoverJobs, RenewLeases, RenewedLeases, SettleJobs, SettledJobs,
    StoreError, StoreErrorKind, StoreOperation,
};

use super::{Mutant, PlantedStore};

impl PlantedStore {
    pub(super) async fn look_then_insert(&self, request: &InsertJobs) -> Result<Vec<Inserted>, StoreError> {
        let mut seen = self.open(StoreOperation::Insert)?.clone();
        self.step_aside().await;
        let mut table = self.open(StoreOperation::Insert)?;
        if self.mutant == Mutant::InsertLooksForIdsOnce {
            seen.keys.clone_from(&table.keys);
        }
        table.insert_as_seen(Some(seen), request)
    }

    pub(super) fn finds_a_lapsed_key(&self, request: &InsertJobs) -> bool {
        let table = self.table.lock();
        let mut keys = request.jobs.iter().filter_map(|job| job.unique.as_ref()).map(|unique| &unique.key);
        keys.any(|key| table.keys.contains_key(key) && table.holder(key, request.now).is_none())
    }

    /// Inserts each job in a step of its own.
    pub(super) async fn insert_one_by_one(&self, request: &InsertJobs) -> Result<Vec<Inserted>, StoreError> {
        let mut answers = Vec::new();
        for job in &request.jobs {
            let alone = InsertJobs::new(request.now, vec![job.clone()]);
            answers.extend(self.open(StoreOperation::Insert)?.insert(&alone)?);
            self.step_aside().await;
        }
        Ok(answers)
    }

    /// Locks key by key, and fails where another insert has locked one.
    pub(super) async fn insert_under_locks(&self, request: &InsertJobs) -> Result<Vec<Inserted>, StoreError> {
        let mut locked: Vec<Arc<str>> = Vec::new();
        let mut result = Ok(());
        for key in request.jobs.iter().filter_map(|job| job.unique.as_ref()).map(|unique| &unique.key) {
            if !self.table.lock().remembered.locked_keys.insert(key.clone()) && !locked.contains(key) {
                let kind = StoreErrorKind::Unavailable;
                result = Err(StoreError::new(StoreOperation::Insert, kind, "deadlock detected"));
                break;
            }
            locked.push(key.clone());
            self.step_aside().await;
        }
        for key in &locked {
            self.table.lock().remembered.locked_keys.remove(key);
        }
        result?;
        self.open(StoreOperation::Insert)?.insert(request)
    }

    pub(super) async fn look_then_settle(&self, request: &SettleJobs) -> Result<SettledJobs, StoreError> {
        let ran: Vec<_> = {
            let table = self.open(StoreOperation::Settle)?;
            request.outcomes.iter().map(|end| table.runs(end.lease, false)).collect()
        };
        self.step_aside().await;
        let mut table = self.open(StoreOperation::Settle)?;
        let settle = |(end, ran)| match ran {
            true => table.apply(request.now, end),
            false => table.settle(request.now, end),
        };
        let jobs = request.outcomes.iter().zip(ran).map(settle).collect();
        Ok(SettledJobs { store_now: request.now, jobs })
    }

    pub(super) async fn look_then_cancel(
        &self,
        request: &CancelJobs,
    ) -> Result<Vec<CancelStatus>, StoreError> {
        let seen: Vec<_> = {
            let table = self.open(StoreOperation::Cancel)?;
            request.ids.iter().map(|id| table.jobs.get(id).map(|job| job.state)).collect()
        };
        self.step_aside().await;
        let mut table = self.open(StoreOperation::Cancel)?;
        let cancel = |(id, state): (&JobId, Option<JobState>)| {
            state.map_or(CancelStatus::Unknown, |state| table.cancel_as_seen(request.now, *id, state))
        };
        Ok(request.ids.iter().zip(seen).map(cancel).collect())
    }

    /// Forgets what it has stored where another insert came in between.
    pub(super) async fn insert_alone(&self, request: &InsertJobs) -> Result<Vec<Inserted>, StoreError> {
        self.step_aside().await;
        let is_alone = self.inserts_in_flight.load(Ordering::SeqCst) == 1;
        let mut table = self.open(StoreOperation::Insert)?;
        let before = table.clone();
        let answers = table.insert(request)?;
        if !is_alone {
            *table = before;
        }
        Ok(answers)
    }

    pub(super) async fn insert_in_its_place(
        &self,
        request: &InsertJobs,
    ) -> Result<Vec<Inserted>, StoreError> {
        if self.places.fetch_add(1, Ordering::SeqCst) > 1_000 {
            let kind = StoreErrorKind::Unavailable;
            return Err(StoreError::new(StoreOperation::Insert, kind, "too many wait already"));
        }
        self.step_aside().await;
        self.places.fetch_sub(1, Ordering::SeqCst);
        self.open(StoreOperation::Insert)?.insert(request)
    }

    pub(super) async fn hand_out_one_by_one(&self, request: &ClaimJobs) -> Result<(), StoreError> {
        let due = self.open_at(StoreOperation::Claim, request.now)?.due(request);
        for (queue, ids) in due.into_iter().enumerate().filter(|_| !request.repeated) {
            for id in ids {
                let mut alone = vec![Vec::new(); request.queues.len()];
                alone[queue].push(id);
                self.open(StoreOperation::Claim)?.hand_out(request, alone);
                self.step_aside().await;
            }
        }
        Ok(())
    }

    pub(super) async fn mark_then_hand_out(&self, request: &ClaimJobs) -> Result<(), StoreError> {
        let due = self.open_at(StoreOperation::Claim, request.now)?.due(request);
        let mark = |state: JobState| -> Result<(), StoreError> {
            let mut table = self.open(StoreOperation::Claim)?;
            for id in due.iter().flatten() {
                table.jobs.get_mut(id).expect("it was due").state = state;
            }
            Ok(())
        };
        mark(JobState::Running)?;
        self.step_aside().await;
        mark(JobState::Waiting)
    }

    pub(super) async fn record_then_settle(&self, request: &SettleJobs) -> Result<(), StoreError> {
        let each = |change: &dyn Fn(&mut JobRecord, Failure)| -> Result<(), StoreError> {
            let mut table = self.open(StoreOperation::Settle)?;
            for end in request.outcomes.iter().filter(|end| end.outcome.failure().is_some()) {
                if table.runs(end.lease, false) {
                    let failure = end.outcome.failure().expect("it has one").clone();
                    change(table.jobs.get_mut(&end.lease.id).expect("it runs"), failure);
                }
            }
            Ok(())
        };
        each(&|job, failure| super::settle::record(self.mutant, job, request.now, failure))?;
        self.step_aside().await;
        each(&|job, _| _ = job.failures.pop())
    }

    pub(super) async fn count_then_recover(&self, request: &RecoverJobs) -> Result<(), StoreError> {
        let lost = self.open_at(StoreOperation::Recover, request.now)?.lost(request);
        let count = |by: i32| -> Result<(), StoreError> {
            let mut table = self.open(StoreOperation::Recover)?;
            for id in &lost {
                let job = table.jobs.get_mut(id).expect("it was lost");
                job.crashes = job.crashes.saturating_add_signed(by as i16);
            }
            Ok(())
        };
        count(1)?;
        self.step_aside().await;
        count(-1)
    }

    pub(super) async fn cancel_then_drop_keys(
        &self,
        request: &CancelJobs,
    ) -> Result<Vec<CancelStatus>, StoreError> {
        let keys = self.open_at(StoreOperation::Cancel, request.now)?.keys.clone();
        let reply = {
            let mut table = self.open(StoreOperation::Cancel)?;
            let reply = request.ids.iter().map(|id| table.cancel(request.now, *id)).collect();
            table.keys.clone_from(&keys);
            reply
        };
        self.step_aside().await;
        let mut table = self.open(StoreOperation::Cancel)?;
        for id in &request.ids {
            if table.jobs.get(id).is_some_and(|job| job.state == JobState::Cancelled) {
                table.drop_key(*id);
            }
        }
        Ok(reply)
    }

    /// The jobs that a prune would delete, and what it would answer.
    fn pruned(&self, request: &PruneJobs) -> Result<(Vec<JobId>, PrunedJobs), StoreError> {
        let mut after = self.open_at(StoreOperation::Prune, request.now)?.clone();
        let before: Vec<_> = after.jobs.keys().copied().collect();
        let reply = after.prune(request);
        Ok((before.into_iter().filter(|id| !after.jobs.contains_key(id)).collect(), reply))
    }

    pub(super) async fn select_then_prune(&self, request: &PruneJobs) -> Result<PrunedJobs, StoreError> {
        let (ids, reply) = self.pruned(request)?;
        self.step_aside().await;
        let mut table = self.open(StoreOperation::Prune)?;
        for id in ids {
            if table.jobs.contains_key(&id) {
                table.remove(id, false);
            }
        }
        Ok(reply)
    }

    pub(super) async fn empty_then_prune(&self, request: &PruneJobs) -> Result<(), StoreError> {
        let (ids, _) = self.pruned(request)?;
        for id in &ids {
            self.open(StoreOperation::Prune)?.jobs.get_mut(id).expect("it is there").failures.clear();
        }
        self.step_aside().await;
        Ok(())
    }

    pub(super) async fn look_then_delete(&self, ids: &[JobId]) -> Result<Vec<DeleteStatus>, StoreError> {
        let seen: Vec<_> = {
            let mut after = self.open(StoreOperation::Delete)?.clone();
            ids.iter().map(|id| after.delete(*id)).collect()
        };
        self.step_aside().await;
        let mut table = self.open(StoreOperation::Delete)?;
        for (id, _) in ids.iter().zip(&seen).filter(|(_, status)| **status == DeleteStatus::Deleted) {
            if let Some(state) = table.jobs.get(id).map(|job| job.state) {
                table.remove(*id, state == JobState::Waiting);
            }
        }
        Ok(seen)
    }

    pub(super) async fn reset_then_requeue(&self, ids: &[JobId]) -> Result<(), StoreError> {
        for id in ids {
            let mut table = self.open(StoreOperation::Requeue)?;
            if let Some(job) = table.jobs.get_mut(id).filter(|job| job.state.is_final()) {
                (job.attempts, job.crashes) = (0, 0);
            }
        }
        self.step_aside().await;
        Ok(())
    }

    /// Sets the mark; whether it was not there.
    pub(super) fn mark(&self) -> bool {
        !self.mark.swap(true, Ordering::SeqCst)
    }

    pub(super) async fn prepare_in_two_steps(&self) -> Result<(), StoreError> {
        if !self.mark() {
            let (operation, kind) = (StoreOperation::Prepare, StoreErrorKind::Corrupt);
            return Err(StoreError::new(operation, kind, "it is half prepared"));
        }
        self.step_aside().await;
        self.mark.store(false, Ordering::SeqCst);
        Ok(())
    }

    pub(super) async fn lock_and_look(&self) -> Result<(), StoreError> {
        if !self.mark() {
            return Err(StoreError::new(StoreOperation::Get, StoreErrorKind::Unavailable, "it is locked"));
        }
        self.step_aside().await;
        self.mark.store(false, Ordering::SeqCst);
        Ok(())
    }

    pub(super) async fn look_then_hold(&self, request: &RenewLeases) -> Result<RenewedLeases, StoreError> {
        let before: Vec<_> = {
            let mut after = self.open_at(StoreOperation::Renew, request.now)?.clone();
            request.leases.iter().map(|lease| after.renew(request, *lease)).collect()
        };
        self.step_aside().await;
        let mut table = self.open(StoreOperation::Renew)?;
        request.leases.iter().for_each(|lease| _ = table.renew(request, *lease));
        Ok(RenewedLeases { store_now: request.now, leases: before })
    }

    pub(super) async fn mark_then_renew(&self, request: &RenewLeases) -> Result<(), StoreError> {
        let mark = |from: bool| -> Result<(), StoreError> {
            let mut table = self.open(StoreOperation::Renew)?;
            for lease in request.leases.iter().filter(|lease| table.runs(**lease, false)).collect::<Vec<_>>()
            {
                let job = table.jobs.get_mut(&lease.id).expect("it runs");
                job.max_crashes = if from { job.max_crashes + 100 } else { job.max_crashes - 100 };
            }
            Ok(())
        };
        mark(true)?;
        self.step_aside().await;
        mark(false)
    }
}
