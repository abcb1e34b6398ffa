//! The store contract: [`JobStore`] and what it is asked and answers.

mod claim;
mod control;
mod error;
mod insert;
mod inspect;
mod lease;
mod pointer;
mod prune;
mod settle;
mod wake;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

pub use claim::{ClaimJobs, ClaimedJob, ClaimedJobs, ClaimedQueue, QueueDemand};
pub use control::{ControlStore, DeleteStatus, RequeueStatus, RequeuedJobs};
pub use error::{StoreError, StoreErrorKind, StoreOperation};
pub use insert::{CancelJobs, CancelStatus, InsertJobs, Inserted, InsertedJobs};
pub use inspect::{
    CountJobs, InspectStore, JobCount, JobCounts, JobCursor, JobFilter, JobPage, JobSummary, ListJobs,
    QueueFacts,
};
pub use lease::{
    LeaseKey, LeaseStatus, RecoverJobs, RecoveredJob, RecoveredJobs, RenewLeases, RenewedLeases,
};
pub use prune::{Keep, PruneJobs, PrunedJobs, Retention};
pub use settle::{Outcome, SettleJobs, Settled, SettledJobs, Settlement};
pub use wake::WakeHub;
pub(crate) use wake::{EndOf, Wake};

use crate::{JobId, JobRecord};

/// Where jobs live: the contract between the runtime and a store.
///
/// Programs do not call a store; they enqueue through a [`JobManager`](crate::JobManager). This page is for
/// who writes one. The runtime decides, the store records: no method here holds a policy (how often to
/// retry, how long to wait); each is one guarded change of state, for a batch.
///
/// Every clause below has a number, and a check of that number among the conformance checks of
/// `backgroundjobs-testing`: a store that passes them all works.
///
/// # For every method
///
/// Whoever calls a method polls its future until it is answered, or drops it: where calls take turns, one that is begun
/// and left alone keeps the others waiting.
///
/// - **F-1 Atomic.** A call happens wholly or not at all, also when its future is dropped halfway. Where a
///   method answers item by item (renew, settle, cancel), each item is one such step.
/// - **F-2 Empty.** A request without items is answered without items, not with an error.
/// - **F-3 Unknown ids** are an answer, never an error.
/// - **F-4 Bytes.** Args, names, keys, metadata and error texts come back byte for byte, instants to the
///   microsecond (SQL `text`, never `jsonb`).
/// - **F-5 Bounded.** No call does unbounded work: what is not named item by item carries a limit.
/// - **F-6 Several handles** on the same data see each other's changes at once.
/// - **F-7 Closed.** After [`close`](Self::close) calls answer an error of kind
///   [`Closed`](StoreErrorKind::Closed) and never hang.
/// - **F-8 Order of locks.** Concurrent calls on overlapping jobs or keys must not fail by deadlock: a store
///   takes its locks in one order, or repeats the call itself.
/// - **F-9 Declared.** The profile, and whether there are a hub, wakes of other processes, inspect and control, are
///   the same for the life of a store, closed or not, and for every handle on the same data.
///
/// # Time
///
/// - **T-1 Store time alone decides** what is due, leased, expired, held by a key, or old. With
///   [`TimeSource::Given`] it is the `now` of the request; with [`TimeSource::Own`] the store's own clock,
///   and the request's `now` is ignored.
/// - **T-2 Durations.** A request names every later moment as a duration from store time; only
///   [`RunAt::At`](crate::RunAt::At) is an instant.
/// - **T-3 No going back.** A store whose time steps back neither fails nor loses jobs.
/// - **T-4 Far future.** Sums saturate at [`Timestamp::MAX`](crate::Timestamp::MAX).
///
/// # The states
///
/// [`STEPS`](crate::STEPS) lists every change of state; nothing else happens. A job is *flagged* once it was
/// asked to be cancelled while it ran.
///
/// - **X-1** A flagged job never returns to Waiting: Retry, Snooze, Release and recover end it in Cancelled.
/// - **X-2** Complete still makes it Succeeded, and Fail still makes it Failed.
///
/// # Unique keys
///
/// A key lives apart from its job, as (key, job, held until).
///
/// - **U-1** A key is held [until the job is over](crate::KeyHold::UntilFinished),
///   [until it is first claimed](crate::KeyHold::UntilStarted), or
///   [for a time from its insert](crate::KeyHold::For), which ends at its exact microsecond. A job that
///   ends unclaimed lets go of a key held until its claim, too.
/// - **U-2** While a key is held, insert answers [`Inserted::Existing`] with its holder.
/// - **U-3** A key once let go is taken again only by insert or
///   [requeue](ControlStore::requeue): never by settle or recover.
/// - **U-4** A key held for a time outlives its job, its record too: `Existing` may name a job that
///   [`get`](Self::get) no longer finds.
/// - **U-5** Of concurrent inserts with one key, one wins.
///
/// # What is there to build on
///
/// [`JobRecord::inserted`] is the record of a new job, [`ClaimedJob::from_record`] and
/// [`JobSummary::from_record`] what is handed out of one, [`Outcome::settles_to`] and
/// [`recovered_state`](crate::recovered_state) the state that follows,
/// [`MAX_ERRORS_PER_JOB`](crate::limits::MAX_ERRORS_PER_JOB) how many failures are kept. The methods are async
/// through the [`async_trait`](crate::async_trait) macro. `docs/writing-a-store.md` writes a store step by step;
/// the example `custom_store` is a whole one in one file.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a store of jobs: it lacks `impl JobStore`",
    label = "does not implement `JobStore`",
    note = "for jobs in memory write `options.use_in_memory()`, of the crate `backgroundjobs-memory`",
    note = "for a store of your own write `#[async_trait::async_trait] impl JobStore for YourStore`; its docs are the contract"
)]
#[async_trait]
pub trait JobStore: fmt::Debug + Send + Sync + 'static {
    /// What the runtime must know of this store before it calls it. Constant for the life of the store.
    fn profile(&self) -> StoreProfile;

    /// Connects, and creates, migrates or checks the schema. Called by each start and before the first
    /// enqueue of a program that only enqueues.
    ///
    /// - **L-1** Calling it again, from several processes at once, is harmless.
    ///
    /// # Errors
    /// What keeps the store from working; nothing is half migrated.
    async fn prepare(&self) -> Result<(), StoreError>;

    /// Lets go of connections. What was stored stays (of a store that lasts).
    ///
    /// - **L-2** Calling it again is harmless.
    /// - **L-3** Opened again, a store that [lasts](StoreProfile::lasts) has everything as it was: jobs, leases, keys,
    ///   pauses, and what it answers to a claim that is repeated.
    ///
    /// # Errors
    /// What went wrong on the way; the store is closed all the same.
    async fn close(&self) -> Result<(), StoreError>;

    /// Stores jobs: all or nothing, in order, as if one by one.
    ///
    /// - **I-1** A job is stored in Waiting with every field as given, `run_at` resolved against store time,
    ///   and zero counters.
    /// - **I-2** An id that is there with the same kind and args is `Existing` of itself, whatever became of
    ///   that job: an insert can be repeated.
    /// - **I-3** An id that is there with another kind or other args fails the call with
    ///   [`Conflict`](StoreErrorKind::Conflict) and its index; nothing of the batch is stored.
    /// - **I-4** A unique key that is held makes that job `Existing` of the holder; the others are stored.
    ///   The id is looked at before the key.
    /// - **I-5** Within one batch each job sees those before it.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was stored, or (kind `Unavailable`) it is not known, and repeating is safe.
    async fn insert(&self, request: &InsertJobs) -> Result<InsertedJobs, StoreError>;

    /// Hands out due jobs.
    ///
    /// - **C-1** A job handed out is Running with a lease of `worker` that ends `lease` after store time, and
    ///   a generation larger than it ever had, 1 at its first claim. No other claim is handed it until it
    ///   waits again.
    /// - **C-2** Handed out are Waiting jobs with `run_at` at or before store time, of the asked queues and
    ///   kinds, not paused.
    /// - **C-3** Never more than each queue's limit; and all there are, up to it, or `more` is true.
    /// - **C-4** Per queue in order of priority (high first), then `run_at`, then id. Exact without
    ///   contention; concurrent claims may skip what another is taking, and say so by `more`.
    /// - **C-5** A repeated claim (`repeated`, the same `claim_id`) is answered with the jobs that still run
    ///   under that claim, with their generations, and hands out nothing more, with
    ///   `more` true; if none does, it is a new claim. A repeat may come while the call that it repeats is
    ///   still at work, and overtake it: not both may hand out jobs while those of one run.
    /// - **C-6** `more` is true when the limit was reached and a job that is due is left, and may be true
    ///   wherever the store cannot tell; never after a reply short of its limit that met no other claim. When
    ///   it is false, `next_due` is the earliest `run_at` of the queue's waiting jobs of the asked kinds, and
    ///   later than `store_now`. A paused queue has neither.
    /// - **C-7** `next_expiry` is the earliest end of any lease in the store, those of this reply included.
    /// - **C-8** Flat cost: what this worker serves plus the jobs returned, however many jobs are scheduled
    ///   for later, finished, paused, or of other kinds.
    /// - **C-9** Claiming lets go of a key held [until the start](crate::KeyHold::UntilStarted).
    ///
    /// # Errors
    /// [`StoreError`]; after one that leaves it open whether jobs were handed out the runtime repeats the
    /// claim with the same id.
    async fn claim(&self, request: &ClaimJobs) -> Result<ClaimedJobs, StoreError>;

    /// Holds leases for another time.
    ///
    /// - **R-1** A lease whose job is Running under that generation ends `lease` after store time: `Held`, or
    ///   `CancelRequested` for a flagged job. Even when it had run out, if nobody recovered the job.
    /// - **R-2** Any other is `Lost`, and nothing changes.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn renew(&self, request: &RenewLeases) -> Result<RenewedLeases, StoreError>;

    /// Records how claims ended.
    ///
    /// - **S-1 Fenced.** Running under that generation: the outcome is applied, `settled` becomes the
    ///   generation, the lease is gone. Else, if `settled` equals the generation: `Applied`, nothing changes.
    ///   Else `Lost`, nothing changes. Generation 0, which no claim has, is always `Lost`.
    /// - **S-2** A settle counts even after the lease ran out, while nobody has recovered the job.
    /// - **S-3** Retry and Fail use up one attempt; Retry and Snooze wait until store time plus their delay
    ///   (a flagged job, which does not wait again, keeps its `run_at`); Release keeps `run_at`. Snooze,
    ///   Release, Complete and Cancel use up none.
    /// - **S-4** Every applied settle but Release sets the crashes back to 0.
    /// - **S-5** A failure is added to the job's failures with the store's time and the number of the attempt
    ///   (attempts used up before, plus one); the newest 25 are kept.
    /// - **S-6** An outcome that ends the job lets go of a key held until then.
    ///
    /// # Errors
    /// [`StoreError`]; repeating is safe.
    async fn settle(&self, request: &SettleJobs) -> Result<SettledJobs, StoreError>;

    /// Takes back jobs whose lease has ended (its end is at or before store time), the earliest first.
    ///
    /// - **V-1** In one step each: crashes count one more, then Cancelled if flagged, Failed at the job's crash
    ///   limit, else Waiting until store time plus `crash_backoff` times its crashes. The generation stays,
    ///   so the old claim's settle is `Lost`.
    /// - **V-2** Ignores kinds, queues and pause; a job is taken back by one caller only.
    /// - **V-3** Adds a failure of kind [`Crash`](crate::FailureKind::Crash), numbered as in S-5, and uses up
    ///   no attempt.
    /// - **V-4** At most `limit`; `next_expiry` is the earliest end of a lease that is left.
    /// - **V-5** A job that ends here lets go of a key held until then.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn recover(&self, request: &RecoverJobs) -> Result<RecoveredJobs, StoreError>;

    /// Cancels jobs.
    ///
    /// - **X-3** A waiting job is Cancelled at once and lets go of a key held until its end or its claim; a
    ///   running one is flagged, and its next renew says so; a finished one is unchanged.
    ///
    /// # Errors
    /// [`StoreError`]; repeating is safe.
    async fn cancel(&self, request: &CancelJobs) -> Result<Vec<CancelStatus>, StoreError>;

    /// Reads whole records, in the order of `ids`, `None` for one that is not there.
    ///
    /// - **G-1** Every field is as it was last written, failures included.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn get(&self, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>, StoreError>;

    /// Deletes finished jobs that the retention does not keep.
    ///
    /// - **P-1** A job goes once it has been over for *longer* than its state's `max_age`, or when at least
    ///   `max_count` jobs of its state ended after it (of those that ended at one instant, the larger id
    ///   counts as later). Jobs that are not over never go.
    /// - **P-2** At most `limit`, the longest over first within a state; which state goes first is open. A store may delete
    ///   fewer, so that other calls do not wait for it long.
    /// - **P-3** `next_prune` says when there is more to delete; see [`PrunedJobs`].
    /// - **P-4** A unique key still held for a time stays.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn prune(&self, request: &PruneJobs) -> Result<PrunedJobs, StoreError>;

    /// What joins the managers and workers of this process that share this store; `None` when each handle is
    /// on its own, and then the profile must name a poll interval.
    ///
    /// - **W-1** Every handle on the same data in one process answers the same hub. Where data can be opened twice (a file,
    ///   an address), that takes a table of hubs for the whole process, by what the data is.
    fn local_hub(&self) -> Option<&WakeHub>;

    /// Hears of other processes' changes; `None` when there are none, or when only polling finds them.
    fn remote_wakes(&self) -> Option<&dyn RemoteWakes>;

    /// Looking at many jobs at once; `None` when this store cannot. Without it
    /// [`wait_until_idle`](crate::BackgroundJobs::wait_until_idle) and [`admin`](crate::BackgroundJobs::admin) do
    /// not work.
    fn inspect(&self) -> Option<&dyn InspectStore>;

    /// What an operator does; `None` when this store cannot.
    fn control(&self) -> Option<&dyn ControlStore>;
}

/// Hears of changes that other processes make.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot hear of other processes' changes: it lacks `impl RemoteWakes`",
    label = "does not implement `RemoteWakes`",
    note = "write `#[async_trait::async_trait] impl RemoteWakes for YourStore`, or answer `None` where polling is enough"
)]
#[async_trait]
pub trait RemoteWakes: Send + Sync {
    /// Ends when another process may have made work for one of this process's workers.
    ///
    /// - **W-2** A hint: it may be spurious, and may be missed; polling still finds every job.
    /// - **W-3** Nothing is spawned: it works only while it is polled, and may be dropped at any time.
    ///
    /// # Errors
    /// [`StoreError`]; the worker goes on polling, waits a little and calls again.
    async fn next_wake(&self) -> Result<(), StoreError>;
}

/// What the runtime must know of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreProfile {
    /// What the store is called in messages: `memory`, `sqlite`.
    pub name: &'static str,
    /// Whose clock is the store's time.
    pub time: TimeSource,
    /// How often to ask for work when nothing wakes the worker. `None` promises that every change comes
    /// through this process, and so through [`JobStore::local_hub`].
    pub poll_interval: Option<Duration>,
    /// Whether what is stored outlives the process. Where it does not, a stop warns of jobs that are left.
    pub lasts: bool,
    /// What is kept of finished jobs unless the program says otherwise.
    pub retention: Retention,
}

impl StoreProfile {
    /// A store whose every change comes through this process, on the caller's time, that keeps everything while the
    /// process lives. One that keeps it in a file [lasts](Self::lasting), too.
    #[must_use]
    pub const fn in_process(name: &'static str) -> Self {
        let (time, retention) = (TimeSource::Given, Retention::FOREVER);
        Self { name, time, poll_interval: None, lasts: false, retention }
    }

    /// A store that other processes write to, on the caller's time, that lasts, and keeps everything.
    #[must_use]
    pub const fn shared(name: &'static str) -> Self {
        Self {
            name,
            time: TimeSource::Given,
            poll_interval: Some(crate::limits::POLL_INTERVAL),
            lasts: true,
            retention: Retention::FOREVER,
        }
    }

    /// With this clock as the store's time.
    #[must_use]
    pub const fn time(mut self, time: TimeSource) -> Self {
        self.time = time;
        self
    }

    /// With this retention unless the program says otherwise.
    #[must_use]
    pub const fn retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// What is stored outlives the process.
    #[must_use]
    pub const fn lasting(mut self) -> Self {
        self.lasts = true;
        self
    }

    /// Asked this often when nothing wakes the worker.
    #[must_use]
    pub const fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = Some(interval);
        self
    }

    /// Whether other processes reach what is in the store, so that they may run it.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        self.poll_interval.is_some()
    }
}

/// Whose clock is the store's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeSource {
    /// The caller's: the `now` of each request.
    Given,
    /// The store's own.
    Own,
}
