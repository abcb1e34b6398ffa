//! [`Ledger`]: judges what a scenario has done to jobs, crashes included.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use backgroundjobs_core::{JobId, JobState};

use crate::check::{KitJobs, SeenJob};
use crate::history::{SeenRun, What};
use crate::{Attempt, TestKit};

/// The account of a scenario: what was enqueued, what ran, what came of it. Made by [`TestKit::ledger`].
///
/// The rules are those of a queue whose jobs run at least once: a job whose enqueue was answered is *lost* when it
/// has no end, or counts as succeeded without a run that came to its end; a run is *unexpected* when nobody
/// enqueued its job; a run is made *twice for nothing* when an earlier one of the same job had succeeded and the
/// store knew. A run that is made again because the store was not told of the first is a *rerun*, and is allowed.
pub struct Ledger {
    jobs: KitJobs,
    recoveries: u64,
    /// Put back by an operator, or enqueued anew under their id, so they may run again whatever they were.
    requeued: BTreeSet<JobId>,
    /// Deleted by an operator, so the store need not have them.
    deleted: BTreeSet<JobId>,
}

impl TestKit {
    /// The account so far, over all programs of the kit.
    ///
    /// # Panics
    /// When a store cannot be asked.
    pub async fn ledger(&self) -> Ledger {
        let (mut recoveries, mut requeued, mut deleted) = (0, BTreeSet::new(), BTreeSet::new());
        let mut enqueued = BTreeSet::new();
        self.shared().history.read(|pages| {
            for event in &pages.events {
                match event.what {
                    What::Recovered { .. } => recoveries += 1,
                    What::Enqueued { id, .. } if !enqueued.insert(id) => {
                        requeued.insert(id);
                        deleted.remove(&id);
                    }
                    What::Requeued { id } => _ = requeued.insert(id),
                    What::Deleted { id } => _ = deleted.insert(id),
                    _ => {}
                }
            }
        });
        Ledger { jobs: self.jobs().await, recoveries, requeued, deleted }
    }
}

impl Ledger {
    /// Expects that nothing was lost, nothing unexpected ran, and nothing ran again after it had succeeded.
    ///
    /// # Panics
    /// When it was, did, or has.
    #[track_caller]
    pub fn assert_at_least_once(&self) {
        let faults: Vec<String> =
            [self.lost(), self.unexpected(), self.repeated()].into_iter().flatten().collect();
        assert!(faults.is_empty(), "{}{}", faults.join("\n  "), self.ending());
    }

    /// Expects that no job was run by two handlers at one time. Where leases may run out under a handler that
    /// still runs (a partition, say), that is allowed, and not to be asserted.
    ///
    /// # Panics
    /// When one was.
    #[track_caller]
    pub fn assert_no_overlap(&self) {
        let overlaps = self.overlaps();
        assert!(overlaps.is_empty(), "{}{}", overlaps.join("\n  "), self.ending());
    }

    /// The jobs and runs that it is about, for other assertions.
    pub const fn jobs(&self) -> &KitJobs {
        &self.jobs
    }

    /// Runs that were made again, because an earlier run had come to its end and the store was not told.
    #[must_use]
    pub fn reruns(&self) -> u64 {
        let runs = self.by_job();
        let reruns = runs.values().flat_map(|runs| {
            runs.iter().enumerate().filter(|(index, _)| {
                runs[..*index].iter().any(|earlier| {
                    earlier.ended.is_some() && matches!(earlier.attempt, Attempt::Unfinished | Attempt::Lost)
                })
            })
        });
        reruns.count() as u64
    }

    /// Jobs that were taken back because a lease ran out.
    #[must_use]
    pub const fn recoveries(&self) -> u64 {
        self.recoveries
    }

    fn lost(&self) -> Vec<String> {
        let runs = self.by_job();
        let acknowledged = self.jobs.view().jobs.iter().filter(|job| {
            // Whoever deletes a job wants no end of it.
            job.is_acknowledged && !(job.is_gone && self.deleted.contains(&job.record.id))
        });
        let lost = acknowledged.filter_map(|job| {
            let came_to_an_end =
                runs.get(&job.record.id).is_some_and(|runs| runs.iter().any(|run| run.may_have_succeeded()));
            match job.record.state {
                JobState::Succeeded if !came_to_an_end => {
                    Some(self.fault(job, "is lost: it counts as succeeded, and no run of it came to its end"))
                }
                state if !state.is_final() && job.is_gone => {
                    Some(self.fault(job, "is lost: the store has it no more, and it had no end"))
                }
                state if !state.is_final() => Some(self.fault(job, "is lost: it has no end")),
                _ => None,
            }
        });
        lost.collect()
    }

    fn unexpected(&self) -> Vec<String> {
        let view = self.jobs.view();
        let runs = view
            .runs
            .iter()
            .filter(|run| view.job(run.job.id).is_none() && !self.deleted.contains(&run.job.id));
        runs.map(|run| format!("{} {} ran, and nobody enqueued it", run.job.kind, run.job.id)).collect()
    }

    fn repeated(&self) -> Vec<String> {
        let mut repeated = Vec::new();
        for (_, runs) in self.by_job().into_iter().filter(|(id, _)| !self.requeued.contains(id)) {
            let succeeded = runs.iter().position(|run| run.attempt == Attempt::Succeeded);
            let Some(again) = succeeded.and_then(|index| runs.get(index + 1)) else { continue };
            repeated.push(format!(
                "{} {} {} ran again on {} after it had succeeded",
                again.job.kind,
                self.jobs.view().name(again.job.id),
                again.job.id,
                again.node
            ));
        }
        repeated
    }

    fn overlaps(&self) -> Vec<String> {
        let mut overlaps = Vec::new();
        for runs in self.by_job().values() {
            for (index, first) in runs.iter().enumerate() {
                for second in &runs[index + 1..] {
                    if second.place.0 < first.place.1 && first.place.0 < second.place.1 {
                        overlaps.push(format!(
                            "{} {} {} ran on {} while it still ran on {}",
                            first.job.kind,
                            self.jobs.view().name(first.job.id),
                            first.job.id,
                            second.node,
                            first.node
                        ));
                    }
                }
            }
        }
        overlaps
    }

    /// The runs of each job that began, in order.
    fn by_job(&self) -> BTreeMap<JobId, Vec<&SeenRun>> {
        let mut runs: BTreeMap<JobId, Vec<&SeenRun>> = BTreeMap::new();
        for run in self.jobs.view().runs.iter().filter(|run| run.started.is_some()) {
            runs.entry(run.job.id).or_default().push(run);
        }
        runs
    }

    fn fault(&self, job: &SeenJob, what: &str) -> String {
        let record = &job.record;
        let name = self.jobs.view().name(record.id);
        format!("{} {name} {}, {}, {what}", record.kind, record.id, record.state)
    }

    fn ending(&self) -> String {
        self.jobs.view().ending()
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger")
            .field("jobs", &self.jobs)
            .field("reruns", &self.reruns())
            .field("recoveries", &self.recoveries)
            .finish()
    }
}
