//! What recover and prune do to the table.

use std::cmp::Reverse;
use std::time::Duration;

use backgroundjobs_core::{
    Failure, FailureKind, JobId, JobRecord, JobState, Lease, PruneJobs, PrunedJobs, RecoverJobs,
    RecoveredJob, RecoveredJobs, Timestamp, recovered_state,
};

use super::Mutant;
use super::settle::record;
use super::table::{MICRO, Table};

impl Table {
    /// The lease that a recover goes by.
    fn lease_of<'a>(&'a self, job: &'a JobRecord) -> Option<&'a Lease> {
        match self.mutant {
            Mutant::RecoverDoesNothing => None,
            Mutant::RecoverIgnoresState => self.remembered.leases.get(&job.id),
            Mutant::RecoverGoesByTheClaim if job.lease.is_some() => self.remembered.leases.get(&job.id),
            _ => job.lease.as_ref(),
        }
    }

    /// The jobs that a recover is to take back.
    pub(super) fn lost(&self, request: &RecoverJobs) -> Vec<JobId> {
        let over = |lease: &&Lease| match self.mutant {
            Mutant::RecoverIsLate => lease.until < request.now,
            _ => lease.until <= request.now,
        };
        let skips =
            |job: &&JobRecord| self.is(Mutant::RecoverSkipsPaused) && self.paused.contains_key(&job.queue);
        let jobs = self.jobs.values().filter(|job| !skips(job));
        let mut lost: Vec<_> = jobs
            .filter_map(|job| {
                self.lease_of(job).filter(over).map(|lease| (lease.until, job.id, lease.worker))
            })
            .collect();
        lost.sort_unstable_by_key(|(until, id, _)| (*until, *id));
        let first = lost.first().copied();
        match (self.mutant, first) {
            (Mutant::RecoverTakesTheLatest, _) => lost.reverse(),
            (Mutant::RecoverIsOneWorkers, Some((_, _, worker))) => lost.retain(|lost| lost.2 == worker),
            _ => {}
        }
        let limit = if self.is(Mutant::RecoverHasNoLimit) { usize::MAX } else { request.limit as usize };
        lost.into_iter().take(limit).map(|(_, id, _)| id).collect()
    }

    pub(super) fn take_back(&mut self, request: &RecoverJobs, ids: &[JobId]) -> RecoveredJobs {
        let jobs = ids.iter().map(|id| self.take_back_one(request, *id)).collect();
        RecoveredJobs { store_now: request.now, jobs, next_expiry: self.next_expiry(|_| true) }
    }

    fn take_back_one(&mut self, request: &RecoverJobs, id: JobId) -> RecoveredJob {
        let mutant = self.mutant;
        if mutant == Mutant::RecoverIgnoresState {
            self.remembered.leases.remove(&id);
        }
        let crashes = self.jobs[&id].crashes + u16::from(mutant != Mutant::RecoverForgetsCrashes);
        let backoff = match mutant {
            Mutant::RecoverHasNoBackoff => Duration::ZERO,
            Mutant::RecoverHasFlatBackoff => request.crash_backoff,
            Mutant::RecoverWaitsASecond => {
                request.crash_backoff.saturating_mul(crashes.into()).max(Duration::from_secs(1))
            }
            _ => request.crash_backoff.saturating_mul(crashes.into()),
        };
        let (dated, delayed) = (self.kept(request.now), self.later(request.now, backoff));
        let job = self.jobs.get_mut(&id).expect("a job that was seen");
        if mutant != Mutant::CrashIsNotKept {
            record(mutant, job, dated, Failure::new(FailureKind::Crash, "the lease ran out"));
        }
        match mutant {
            Mutant::RecoverUsesAttempt => job.attempts += 1,
            Mutant::RecoverReturnsAttempt => job.attempts = job.attempts.saturating_sub(1),
            _ => {}
        }
        let flagged = job.cancel_requested && mutant != Mutant::RecoverForgetsCancel;
        (job.crashes, job.lease) = (crashes, None);
        job.state = recovered_state(crashes, job.max_crashes, flagged);
        if job.state == JobState::Waiting || mutant == Mutant::RecoverMovesRunAt {
            job.run_at = delayed;
        }
        let (kind, queue) = (job.kind.clone(), job.queue.clone());
        let (state, run_at) = (job.state, job.run_at);
        self.arrive(request.now, id, mutant == Mutant::CrashKeepsKey);
        RecoveredJob { id, kind, queue, crashes, state, run_at }
    }

    pub(super) fn prune(&mut self, request: &PruneJobs) -> PrunedJobs {
        let (mut gone, ages_at) = self.too_many_or_too_old(request);
        match self.mutant {
            Mutant::PruneTakesTheLatest => gone.sort_unstable_by_key(|job| Reverse(*job)),
            Mutant::PruneRemovesNothing => gone.clear(),
            Mutant::PruneTakesRetries => {
                let waiting = self.jobs.values().filter(|job| job.state == JobState::Waiting);
                gone.extend(waiting.filter(|job| !job.failures.is_empty()).map(|job| (job.run_at, job.id)));
            }
            _ => gone.sort_unstable(),
        }
        let limit = if self.is(Mutant::PruneHasNoLimit) { usize::MAX } else { request.limit as usize };
        let full = gone.len() > limit;
        gone.truncate(limit);
        for (_, id) in &gone {
            self.remove(*id, self.is(Mutant::PruneDropsKeys));
            if self.is(Mutant::PruneFreezesKeys) {
                self.keys.values_mut().filter(|held| held.by == *id).for_each(|held| held.until = None);
            }
            if self.is(Mutant::PruneRemembersIds) {
                self.remembered.pruned.insert(*id);
            }
        }
        let removed = u32::try_from(gone.len()).expect("no check has so many");
        let next_prune = if full { Some(request.now) } else { ages_at };
        let next_prune = next_prune.filter(|_| !self.is(Mutant::PruneHasNoNext));
        PrunedJobs { store_now: request.now, removed, next_prune }
    }

    /// The jobs that are not to be kept, with their ends, and when the next one will be too old.
    fn too_many_or_too_old(&self, request: &PruneJobs) -> (Vec<(Timestamp, JobId)>, Option<Timestamp>) {
        let (mut gone, mut ages_at) = (Vec::new(), None::<Timestamp>);
        let together = self.is(Mutant::PruneCountsTogether);
        for state in JobState::ALL {
            let Some(keep) = request.retention.of(state) else { continue };
            let counted = |job: &&JobRecord| job.state == state || together && job.state.is_final();
            let mut over: Vec<_> = self.jobs.values().filter(counted).collect();
            over.sort_by_key(|job| (Reverse(job.finished_at), Reverse(job.id)));
            for (index, job) in (0_u64..).zip(over).filter(|(_, job)| job.state == state) {
                let end = job.finished_at.expect("it is over");
                let old = keep.max_age.is_some_and(|most| self.is_older(request.now.since(end), most));
                let surplus = keep.max_count.is_some_and(|most| index >= most);
                let both = self.is(Mutant::PruneNeedsBothLimits)
                    && keep.max_age.is_some()
                    && keep.max_count.is_some();
                if if both { old && surplus } else { old || surplus } {
                    gone.push((end, job.id));
                } else if let Some(most) = keep.max_age {
                    let goes = end + most + MICRO;
                    // Else the sum was cut at the end of time: it never goes.
                    if goes.since(end) > most || self.is(Mutant::PruneAtTheEndOfTime) {
                        ages_at = Some(ages_at.map_or(goes, |at| at.min(goes)));
                    }
                }
            }
        }
        (gone, ages_at)
    }

    fn is_older(&self, age: Duration, most: Duration) -> bool {
        match self.mutant {
            Mutant::PruneIsInclusive => age >= most,
            Mutant::AgesOverflow if i64::try_from(most.as_micros()).is_err() => true,
            _ => age > most,
        }
    }
}
