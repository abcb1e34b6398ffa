//! What mutants do in several steps, and others can come in between.

use std::sync::Arc;

use backgroundjobs_core::{
    CancelJobs, CancelStatus, InsertJobs, Inserted, JobId, JobState, SettleJobs, SettledJobs, StoreError,
    StoreErrorKind, StoreOperation,
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
}
