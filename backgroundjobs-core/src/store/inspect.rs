//! [`InspectStore`]: looking at many jobs at once.

use async_trait::async_trait;

use crate::{JobId, JobState, Kind, Priority, QueueName, StoreError, Timestamp};

/// Looking at many jobs at once: counts, lists without payloads, queues. Optional for a store.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot look at many jobs at once: it lacks `impl InspectStore`",
    label = "does not implement `InspectStore`",
    note = "write `#[async_trait::async_trait] impl InspectStore for YourStore`, or answer `None` where a store has none"
)]
#[async_trait]
pub trait InspectStore: Send + Sync {
    /// Counts jobs by queue, kind and state.
    ///
    /// **N-1** Every job that the filter lets through is counted once; a combination without jobs is left
    /// out. **N-2** The rows come ordered by queue, kind, state. **N-3** `next_run_at` is the earliest
    /// `run_at` of the waiting jobs counted in the row, and `None` in rows of other states.
    async fn count(&self, request: &CountJobs) -> Result<JobCounts, StoreError>;

    /// Lists jobs, newest id first, one page at a time.
    ///
    /// **N-4** Following [`JobPage::next`] from the first page visits each job that matched throughout
    /// exactly once, whatever is inserted meanwhile. **N-5** A page has at most `limit` jobs; `next` is
    /// `None` only when no job is left.
    async fn list(&self, request: &ListJobs) -> Result<JobPage, StoreError>;

    /// Names every queue that has jobs or is paused, in order of name.
    ///
    /// **N-6** A paused queue is listed, and marked, even when it has no job.
    async fn queues(&self, now: Timestamp) -> Result<Vec<QueueFacts>, StoreError>;
}

/// Which jobs; an empty field lets everything through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobFilter {
    /// Only of these queues.
    pub queues: Option<Vec<QueueName>>,
    /// Only of these kinds.
    pub kinds: Option<Vec<Kind>>,
    /// Only in these states.
    pub states: Option<Vec<JobState>>,
}

impl JobFilter {
    /// Lets everything through.
    #[must_use]
    pub const fn all() -> Self {
        Self { queues: None, kinds: None, states: None }
    }

    /// Only of these queues.
    #[must_use]
    pub fn queues(mut self, queues: impl IntoIterator<Item = QueueName>) -> Self {
        self.queues = Some(queues.into_iter().collect());
        self
    }

    /// Only of these kinds.
    #[must_use]
    pub fn kinds(mut self, kinds: impl IntoIterator<Item = Kind>) -> Self {
        self.kinds = Some(kinds.into_iter().collect());
        self
    }

    /// Only in these states.
    #[must_use]
    pub fn states(mut self, states: impl IntoIterator<Item = JobState>) -> Self {
        self.states = Some(states.into_iter().collect());
        self
    }

    /// Whether a job of this queue, kind and state is let through.
    #[must_use]
    pub fn matches(&self, queue: &QueueName, kind: &Kind, state: JobState) -> bool {
        self.queues.as_ref().is_none_or(|queues| queues.contains(queue))
            && self.kinds.as_ref().is_none_or(|kinds| kinds.contains(kind))
            && self.states.as_ref().is_none_or(|states| states.contains(&state))
    }
}

/// A request to count.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CountJobs {
    /// The caller's time.
    pub now: Timestamp,
    /// Which jobs.
    pub filter: JobFilter,
}

impl CountJobs {
    /// A request to count the jobs that `filter` lets through.
    #[must_use]
    pub const fn new(now: Timestamp, filter: JobFilter) -> Self {
        Self { now, filter }
    }
}

/// The reply to [`CountJobs`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobCounts {
    /// The store's time.
    pub store_now: Timestamp,
    /// One row for each combination that has jobs.
    pub rows: Vec<JobCount>,
}

impl JobCounts {
    /// How many jobs of these states were counted.
    #[must_use]
    pub fn total(&self, states: &[JobState]) -> u64 {
        self.rows.iter().filter(|row| states.contains(&row.state)).map(|row| row.count).sum()
    }

    /// The earliest `run_at` of all waiting jobs counted.
    #[must_use]
    pub fn next_run_at(&self) -> Option<Timestamp> {
        self.rows.iter().filter_map(|row| row.next_run_at).min()
    }
}

/// How many jobs of one queue and kind are in one state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobCount {
    /// The queue.
    pub queue: QueueName,
    /// The kind.
    pub kind: Kind,
    /// The state.
    pub state: JobState,
    /// How many.
    pub count: u64,
    /// The earliest `run_at`, of waiting jobs.
    pub next_run_at: Option<Timestamp>,
}

/// Where a listing goes on: after the job with this id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobCursor(pub JobId);

/// A request for one page of jobs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ListJobs {
    /// The caller's time.
    pub now: Timestamp,
    /// Which jobs.
    pub filter: JobFilter,
    /// Where to go on; `None` starts with the newest.
    pub after: Option<JobCursor>,
    /// The most jobs of the page; [`new`](Self::new) makes it at least 1.
    pub limit: usize,
}

impl ListJobs {
    /// A request for at most `limit` jobs that `filter` lets through, after `after`. A limit of 0 counts as 1:
    /// a page that may have no job cannot say where the next one starts.
    #[must_use]
    pub const fn new(now: Timestamp, filter: JobFilter, after: Option<JobCursor>, limit: usize) -> Self {
        Self { now, filter, after, limit: if limit == 0 { 1 } else { limit } }
    }
}

/// One page of jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobPage {
    /// The store's time.
    pub store_now: Timestamp,
    /// The jobs, newest id first.
    pub jobs: Vec<JobSummary>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<JobCursor>,
}

/// A job without its payload and its failures.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each is the field of JobRecord of its name")]
pub struct JobSummary {
    pub id: JobId,
    pub kind: Kind,
    pub queue: QueueName,
    pub priority: Priority,
    pub state: JobState,
    pub run_at: Timestamp,
    pub attempts: u16,
    pub crashes: u16,
    pub max_attempts: u16,
    pub cancel_requested: bool,
    pub created_at: Timestamp,
    pub claimed_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
}

impl JobSummary {
    /// What a listing shows of `record`.
    #[must_use]
    pub fn from_record(record: &crate::JobRecord) -> Self {
        Self {
            id: record.id,
            kind: record.kind.clone(),
            queue: record.queue.clone(),
            priority: record.priority,
            state: record.state,
            run_at: record.run_at,
            attempts: record.attempts,
            crashes: record.crashes,
            max_attempts: record.max_attempts,
            cancel_requested: record.cancel_requested,
            created_at: record.created_at,
            claimed_at: record.claimed_at,
            finished_at: record.finished_at,
        }
    }
}

/// What is known of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueFacts {
    /// Its name.
    pub queue: QueueName,
    /// Since when it is paused (store time), if it is.
    pub paused_since: Option<Timestamp>,
}
