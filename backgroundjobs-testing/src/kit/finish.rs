//! The end of a test: nothing may be left that nobody will ever run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use backgroundjobs_core::{
    JobFilter, JobId, JobRecord, JobStore, ListJobs, StoreError, StoreErrorKind, Timestamp,
};

use super::TestKit;
use crate::explore::replay;

/// How many jobs a failure names.
const NAMED: usize = 10;

/// How many jobs are listed, or read, at a time.
const PAGE: usize = 500;

/// How many of the last events a failure shows.
const LAST_EVENTS: usize = 10;

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
        let stranded = self.explain_open(|served| !served).await;
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
            named(&stranded),
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

    /// The jobs that wait or run, of those that are served or not as `which` says, each with where it stands.
    pub(super) async fn explain_open(&self, which: impl Fn(bool) -> bool) -> Vec<(JobId, String)> {
        let mut open: BTreeMap<JobId, (bool, Option<String>)> = BTreeMap::new();
        for program in self.shared.programs() {
            let ids = match program.open_jobs(self.now()).await {
                Ok(ids) => ids,
                // Whoever closed it has no more use for what is in it.
                Err(error) if error.kind() == StoreErrorKind::Closed => continue,
                Err(error) => panic!("the kit cannot ask the store what is left: {error}"),
            };
            let records = match read(&*program.store, &ids).await {
                Ok(records) => records,
                Err(error) => panic!("the kit cannot read the jobs that are left: {error}"),
            };
            let jobs = program.jobs.upgrade();
            for record in records {
                let served = jobs.as_ref().is_some_and(|jobs| {
                    jobs.serves(&record.queue, &record.kind)
                        || jobs.leaves_to_others(&record.queue, &record.kind)
                });
                let why = match &jobs {
                    Some(jobs) => jobs.explain(record.id).await.ok().map(|why| why.to_string()),
                    None => None,
                };
                let known = open.entry(record.id).or_default();
                known.0 |= served;
                let gone = || {
                    format!(
                        "{} {} is {} in queue {}: the program that stored it is gone",
                        record.kind, record.id, record.state, record.queue
                    )
                };
                if why.is_some() || known.1.is_none() {
                    known.1 = Some(why.unwrap_or_else(gone));
                }
            }
        }
        let open = open.into_iter().filter(|(_, (served, _))| which(*served));
        open.map(|(id, (_, why))| (id, why.unwrap_or_default())).collect()
    }

    /// The end of each failure's text: where the kit stands, what happened last, why it may not happen again, and
    /// how to see it again.
    pub(crate) fn standing(&self, name: impl Fn(JobId) -> String) -> String {
        let (shared, now) = (self.shared(), self.now());
        let seed = shared.surroundings.seed.map_or_else(|| "no seed".into(), |seed| format!("seed {seed}"));
        let stores: BTreeSet<&str> =
            shared.programs().iter().map(|program| program.store.profile().name).collect();
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

/// The first of these jobs, each on a line of its own.
pub(super) fn named(jobs: &[(JobId, String)]) -> String {
    let mut text: String = jobs.iter().take(NAMED).map(|(_, why)| format!("\n  {why}")).collect();
    if jobs.len() > NAMED {
        text += &format!("\n  and {} more", jobs.len() - NAMED);
    }
    text
}

/// The ids of the jobs in a store that `filter` lets through, newest first; none where it cannot list.
pub(crate) async fn list(
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
pub(crate) async fn read(store: &dyn JobStore, ids: &[JobId]) -> Result<Vec<JobRecord>, StoreError> {
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
                 that no job is left that nobody could ever run, or kit.abandon() where that is meant"
            );
        }
    }
}
