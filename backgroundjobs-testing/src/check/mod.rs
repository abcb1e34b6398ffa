//! [`KitJobs`]: what a test asserts about jobs and runs.

mod attempts;
mod enqueued;
mod failure;
mod matcher;
mod ran;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use backgroundjobs_core::{JobArgs, JobFilter, JobId, JobRecord, StoreErrorKind, Timestamp};

pub use self::enqueued::{AssertEnqueued, FoundJob};
pub use self::ran::{AssertRan, FoundRun};
use crate::TestKit;
use crate::history::{SeenInsert, SeenRun};
use crate::scheduler::Inhibitor;

/// The jobs and runs of a kit at one moment: every job in its stores, whoever stored it and whatever became of it
/// (also one that was cleared away or deleted since, if it was stored through the kit), and every run.
///
/// A question ends in [`once`](AssertEnqueued::once), [`times`](AssertEnqueued::times), [`at_least`](AssertEnqueued::at_least),
/// [`never`](AssertEnqueued::never), [`get`](AssertEnqueued::get) or [`all`](AssertEnqueued::all). One that does not asserts nothing,
/// and the compiler says so:
///
/// ```compile_fail
/// # #![deny(unused_must_use)]
/// # use backgroundjobs_core::JobArgs;
/// # async fn test<A: JobArgs>(kit: backgroundjobs_testing::TestKit) {
/// kit.jobs().await.assert_enqueued::<A>().queue("mail");
/// # }
/// ```
///
/// ```
/// # use std::time::Duration;
/// # use backgroundjobs_core::prelude::*;
/// # use backgroundjobs_memory::prelude::*;
/// use backgroundjobs_testing::{Attempt, TestKit};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Serialize, Deserialize)]
/// # struct Mail { to: String }
/// # impl JobArgs for Mail { const KIND: &'static str = "mail"; }
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let kit = TestKit::new();
/// # let builder = BackgroundJobs::builder(|options| options.use_in_memory()).register_fn(
/// #     async |_: Mail, ctx: JobContext| if ctx.attempt() == 1 { Err("full".into()) } else { Ok(()) });
/// # let jobs = kit.start(builder).await;
/// jobs.manager().enqueue_in(Mail { to: "masa".into() }, Duration::from_secs(3)).await?;
/// let in_three = kit.jobs().await;
/// in_three.assert_enqueued::<Mail>().with(|mail| mail.to == "masa").due_in(Duration::from_secs(3)).once();
/// in_three.assert_ran::<Mail>().never();
///
/// let _ = kit.advance(Duration::from_secs(63)).await;
/// let seconds = Duration::from_secs;
/// kit.jobs()
///     .await
///     .assert_attempts::<Mail>(&[(seconds(3), Attempt::Failed), (seconds(63), Attempt::Succeeded)]);
/// kit.finish().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "jobs that nobody looks at assert nothing"]
pub struct KitJobs {
    view: Arc<View>,
}

/// What was there, and what a failure shows beside it.
pub(crate) struct View {
    pub(crate) start: Timestamp,
    /// By id, so in the order in which they were made.
    pub(crate) jobs: Vec<SeenJob>,
    /// In the order of their claims.
    pub(crate) runs: Vec<SeenRun>,
    /// The end of each failure's text.
    pub(crate) standing: String,
}

/// A job as it is, or as it was last seen.
pub(crate) struct SeenJob {
    pub(crate) record: JobRecord,
    /// When it was to run when it was stored.
    pub(crate) due: Timestamp,
    /// The store has no record of it any more.
    pub(crate) is_gone: bool,
    pub(crate) is_acknowledged: bool,
}

impl TestKit {
    /// Looks at every job and run, for assertions. Moves nothing.
    ///
    /// # Panics
    /// When a store cannot be asked.
    pub async fn jobs(&self) -> KitJobs {
        let mut records = Vec::new();
        for program in self.shared().programs() {
            match Inhibitor::over_a_look(self.records(&program, JobFilter::all())).await {
                Ok(found) => records.extend(found),
                Err(error) if error.kind() == StoreErrorKind::Closed => {}
                Err(error) => panic!("the kit cannot read the jobs of the store: {error}"),
            }
        }
        // Several programs may share a store.
        records.sort_by_key(|record: &JobRecord| record.id);
        records.dedup_by_key(|record| record.id);
        let (jobs, runs) = self.shared().history.read(|pages| {
            let gone = pages
                .jobs
                .values()
                .filter(|seen| records.binary_search_by_key(&seen.job.id, |record| record.id).is_err());
            let gone: Vec<SeenJob> = gone.map(SeenJob::gone).collect();
            let mut jobs: Vec<SeenJob> = records
                .into_iter()
                .map(|record| {
                    let first = pages.first_claim(record.id).map(|job| job.run_at);
                    SeenJob::stored(pages.jobs.get(&record.id), first, record)
                })
                .collect();
            jobs.extend(gone);
            jobs.sort_by_key(|job| job.record.id);
            (jobs, pages.runs.clone())
        });
        let name = |id: JobId| match jobs.binary_search_by_key(&id, |job| job.record.id) {
            Ok(index) => format!("#{}", index + 1),
            Err(_) => id.to_string(),
        };
        let standing = self.standing(name);
        KitJobs { view: Arc::new(View { start: self.shared().start, jobs, runs, standing }) }
    }
}

impl SeenJob {
    /// Of a job whose insert was not seen, its first claim knows when it was due first, if there was one.
    fn stored(seen: Option<&SeenInsert>, first_due: Option<Timestamp>, record: JobRecord) -> Self {
        let seen_due = seen.map(|seen| seen.job.run_at.instant(seen.at));
        Self {
            due: seen_due.or(first_due).unwrap_or(record.run_at),
            is_gone: false,
            is_acknowledged: seen.is_some_and(|seen| seen.is_acknowledged),
            record,
        }
    }

    fn gone(seen: &SeenInsert) -> Self {
        let mut record = JobRecord::inserted(seen.job.clone(), seen.at);
        record.state = seen.state;
        Self { is_gone: true, ..Self::stored(Some(seen), None, record) }
    }

    fn is_of<A: JobArgs>(&self) -> bool {
        is_kind_of::<A>(self.record.kind.as_str())
    }
}

/// Whether args of this type are stored under this name.
fn is_kind_of<A: JobArgs>(kind: &str) -> bool {
    kind == A::KIND || A::ALIASES.contains(&kind)
}

impl KitJobs {
    /// Asks about jobs of this type that were stored, whatever became of them.
    pub fn assert_enqueued<A: JobArgs>(&self) -> AssertEnqueued<'_, A> {
        AssertEnqueued::of(&self.view)
    }

    /// Asks about runs of jobs of this type: handlers that began, whether they have ended or not.
    pub fn assert_ran<A: JobArgs>(&self) -> AssertRan<'_, A> {
        AssertRan::of(&self.view)
    }

    /// Expects these attempts of the one job of this type, and no others: when each began, counted from the
    /// enqueue, and how it ended.
    ///
    /// # Panics
    /// When it had others, or there is not exactly one such job.
    #[track_caller]
    pub fn assert_attempts<A: JobArgs>(&self, expected: &[(Duration, crate::Attempt)]) {
        attempts::of_kind::<A>(&self.view, expected);
    }

    /// As [`assert_attempts`](Self::assert_attempts), of this job.
    ///
    /// # Panics
    /// When it had other attempts, or there is no such job.
    #[track_caller]
    pub fn assert_attempts_of(&self, id: JobId, expected: &[(Duration, crate::Attempt)]) {
        attempts::of_job(&self.view, id, expected);
    }

    /// How many jobs there are, of every kind.
    #[must_use]
    pub fn count(&self) -> usize {
        self.view.jobs.len()
    }

    pub(crate) fn view(&self) -> &View {
        &self.view
    }
}

impl fmt::Debug for KitJobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KitJobs")
            .field("jobs", &self.view.jobs.len())
            .field("runs", &self.view.runs.len())
            .finish_non_exhaustive()
    }
}
