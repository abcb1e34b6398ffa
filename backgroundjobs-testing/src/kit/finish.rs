//! The end of a test: nothing may be left that nobody will ever run.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use backgroundjobs_core::{
    JobFilter, JobId, JobRecord, JobStore, ListJobs, StoreError, StoreErrorKind, Timestamp,
};

use super::TestKit;
use super::drain::NAMED;

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
        let mut text = format!("{} jobs are left that nobody could ever run", stranded.len());
        for (_, why) in stranded.iter().take(NAMED) {
            text += &format!("\n  {why}");
        }
        if stranded.len() > NAMED {
            text += &format!("\n  and {} more", stranded.len() - NAMED);
        }
        panic!(
            "{text}\n{}\nif the test means to leave them, end it with kit.abandon()",
            self.last_events(None)
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
                    Some(jobs) => {
                        self.shared.ask(jobs.explain(record.id)).await.ok().map(|why| why.to_string())
                    }
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

    /// What happened last, for the text of a failure.
    pub(crate) fn last_events(&self, name: Option<&dyn Fn(JobId) -> String>) -> String {
        let start = self.shared.start;
        let plain = |id: JobId| id.to_string();
        let name = name.unwrap_or(&plain);
        self.shared.history.read(|pages| {
            let first = pages.events.len().saturating_sub(LAST_EVENTS);
            let lines: Vec<String> = pages.events[first..]
                .iter()
                .map(|event| format!("\n    {}", event.text(start, name)))
                .collect();
            let now = self.now();
            format!(
                "  at virtual {now}; last events:{}",
                if lines.is_empty() { " none".into() } else { lines.concat() }
            )
        })
    }
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
