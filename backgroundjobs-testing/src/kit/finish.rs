//! The end of a test: nothing may be left that nobody will ever run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use backgroundjobs_core::{
    BackgroundJobs, Explanation, JobFilter, JobId, JobRecord, JobState, JobStore, ListJobs, Reason,
    StoreError, StoreErrorKind, Timestamp,
};

use super::TestKit;
use super::shared::Program;
use crate::explore::replay;
use crate::history::Pages;
use crate::scheduler::Inhibitor;

/// How many jobs are listed, or read, at a time.
const PAGE: usize = 500;

/// How many jobs a failure names.
const NAMED: usize = 10;

/// How many of the last events a failure shows.
const LAST_EVENTS: usize = 10;

/// A job that waits or runs.
pub(super) struct OpenJob {
    pub(super) record: JobRecord,
    served: bool,
    /// The programs whose store has it.
    seen_by: Vec<Arc<BackgroundJobs>>,
}

impl TestKit {
    /// Ends the test: checks that every job that still waits or runs is one that somebody here could run, or that
    /// a program here says others run. A job that waits for its time, for a slot or in a paused queue is fine.
    ///
    /// # Panics
    /// When there are jobs that nobody could ever run, naming them and why: no handler of their kind, a queue
    /// that is not served, a program that was never started, or is stopped or gone. Where a test means to leave
    /// such jobs, let it end with [`abandon`](Self::abandon).
    pub async fn finish(&self) {
        self.abandon();
        let stranded = self.open_jobs(false).await;
        if stranded.is_empty() {
            return;
        }
        let count = match stranded.len() {
            1 => "1 job is".to_owned(),
            count => format!("{count} jobs are"),
        };
        panic!(
            "{count} left that nobody could ever run{}\n  if the test means to leave them, end it with \
             kit.abandon(){}",
            self.explain(&stranded).await,
            self.standing(|id| id.to_string())
        );
    }

    /// As [`finish`](Self::finish), unless the test has ended already.
    pub(crate) async fn finish_unless_done(&self) {
        if !self.is_finished.load(Ordering::SeqCst) {
            self.finish().await;
        }
    }

    /// Ends the test without a look at what is left.
    pub fn abandon(&self) {
        self.is_finished.store(true, Ordering::SeqCst);
    }

    /// The records of a program's store that `filter` lets through; where it lists nothing, all those that were seen.
    ///
    /// # Errors
    /// What the store answers.
    pub(crate) async fn records(
        &self,
        program: &Program,
        filter: JobFilter,
    ) -> Result<Vec<JobRecord>, StoreError> {
        let store = program.store().await?;
        let ids = match list(store, self.now(), filter).await? {
            Some(ids) => ids,
            None => self.shared.history.read(Pages::ids),
        };
        read(store, &ids).await
    }

    /// The jobs that wait or run and are served here, or left to others, or not, as `served` says.
    pub(super) async fn open_jobs(&self, served: bool) -> Vec<OpenJob> {
        let mut open: BTreeMap<JobId, OpenJob> = BTreeMap::new();
        for program in self.shared.programs() {
            let open_states = JobFilter::all().states([JobState::Waiting, JobState::Running]);
            let records = match Inhibitor::over_a_look(self.records(&program, open_states)).await {
                Ok(records) => records.into_iter().filter(|record| !record.state.is_final()),
                // Whoever closed it has no more use for what is in it.
                Err(error) if error.kind() == StoreErrorKind::Closed => continue,
                Err(error) => panic!("the kit cannot ask the store what is left: {error}"),
            };
            let jobs = program.jobs.upgrade();
            for record in records {
                let id = record.id;
                let job =
                    open.entry(id).or_insert_with(|| OpenJob { record, served: false, seen_by: Vec::new() });
                if let Some(jobs) = &jobs {
                    let (queue, kind) = (&job.record.queue, &job.record.kind);
                    job.served |= jobs.serves(queue, kind) || jobs.leaves_to_others(queue, kind);
                    job.seen_by.push(jobs.clone());
                }
            }
        }
        open.into_values().filter(|job| job.served == served).collect()
    }

    /// The first of these jobs in a line each, with where it stands.
    pub(super) async fn explain(&self, open: &[OpenJob]) -> String {
        let mut text = String::new();
        for job in open.iter().take(NAMED) {
            text += &format!("\n  {}", self.explain_one(job).await);
        }
        if open.len() > NAMED {
            text += &format!("\n  and {} more", open.len() - NAMED);
        }
        text
    }

    /// In the words of the program that has the most to say: one that would run it, if it were started or not
    /// stopped.
    async fn explain_one(&self, job: &OpenJob) -> String {
        let mut told: Option<Explanation> = None;
        for jobs in &job.seen_by {
            let Ok(explanation) = jobs.explain(job.record.id).await else { continue };
            let would_run = explanation
                .reasons
                .iter()
                .any(|reason| matches!(reason, Reason::NotStarted | Reason::Stopped));
            if told.is_none() || would_run {
                told = Some(explanation);
            }
            if would_run {
                break;
            }
        }
        let JobRecord { kind, id, state, queue, .. } = &job.record;
        let why = if job.seen_by.is_empty() {
            "the program that stored it is gone"
        } else {
            "no program that has it reaches its store"
        };
        told.map_or_else(
            || format!("{kind} {id} is {state} in queue {queue}: {why}"),
            |told| told.to_string(),
        )
    }

    /// The end of each failure's text: where the kit stands, what happened last, why it may not happen again, and
    /// how to see it again.
    pub(crate) fn standing(&self, name: impl Fn(JobId) -> String) -> String {
        let (shared, now) = (self.shared(), self.now());
        let seed = shared.surroundings.seed.map_or_else(|| "no seed".into(), |seed| format!("seed {seed}"));
        let stores: BTreeSet<&str> = shared.programs().iter().map(Program::store_name).collect();
        let stores = if stores.is_empty() {
            "no store".to_owned()
        } else {
            format!("store {}", Vec::from_iter(stores).join(", "))
        };
        let mut text =
            format!("\n  virtual time {now} (start + {:?}), {seed}, {stores}", now.since(shared.start));
        text += "\n  last events:";
        shared.history.read(|pages| {
            let first = pages.events.len().saturating_sub(LAST_EVENTS);
            for event in &pages.events[first..] {
                text += &format!("\n    {}", event.text(shared.start, &name));
            }
            if pages.events.is_empty() {
                text += " none";
            }
        });
        for doubt in self.scheduler.doubts() {
            text += &format!("\n  not repeatable: {doubt}");
        }
        let seed = shared.surroundings.seed.filter(|_| shared.surroundings.is_explored);
        text + "\n  replay: " + &replay::command(seed)
    }
}

/// The ids of the jobs in a store that `filter` lets through, newest first; none where it cannot list.
async fn list(
    store: &dyn JobStore,
    now: Timestamp,
    filter: JobFilter,
) -> Result<Option<Vec<JobId>>, StoreError> {
    let Some(inspect) = store.inspect() else { return Ok(None) };
    let (mut ids, mut after) = (Vec::new(), None);
    loop {
        let page = inspect.list(&ListJobs::new(now, filter.clone(), after, PAGE)).await?;
        ids.extend(page.jobs.iter().map(|job| job.id));
        after = page.next;
        if after.is_none() {
            return Ok(Some(ids));
        }
    }
}

/// The records of these jobs, those that are there.
async fn read(store: &dyn JobStore, ids: &[JobId]) -> Result<Vec<JobRecord>, StoreError> {
    let mut records = Vec::with_capacity(ids.len());
    for ids in ids.chunks(PAGE) {
        records.extend(store.get(ids).await?.into_iter().flatten());
    }
    Ok(records)
}

impl Drop for TestKit {
    fn drop(&mut self) {
        // Nodes hold their jobs, whose tasks hold the kit.
        let nodes = std::mem::take(&mut *self.shared.nodes.lock());
        drop(nodes);
        if !self.is_finished.load(Ordering::SeqCst) && !std::thread::panicking() {
            panic!(
                "a TestKit was dropped without its end: call kit.finish().await at the end of the test, which checks \
                 that no job is left that nobody could ever run, or kit.abandon() where that is meant (a test that ended \
                 early by `?` hides its error behind this: write .expect(..) to see it)"
            );
        }
    }
}
