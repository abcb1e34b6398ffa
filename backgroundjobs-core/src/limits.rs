//! Every limit of the runtime, by name. Those that a program may want to move are options.

use std::time::Duration;

/// Slots per available core, for a queue whose number of slots was not given.
pub const SLOTS_PER_CORE: usize = 4;
/// Runs a job may use up by failing, the first included.
pub const DEFAULT_MAX_ATTEMPTS: u16 = 11;
/// Lost leases in a row after which a job is failed: it is likely what kills the process.
pub const DEFAULT_MAX_CRASHES: u16 = 3;
/// How long a recovered job waits, times the crashes in a row.
pub const CRASH_BACKOFF: Duration = Duration::from_secs(30);
/// How long a claim holds a job unless it is renewed.
pub const LEASE: Duration = Duration::from_secs(30);
/// How often held leases are renewed.
pub const RENEW_EVERY: Duration = Duration::from_secs(10);
/// How often a store that other processes write to is asked when nothing wakes the worker.
pub const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// Part of the poll interval that is added or taken away at random.
pub const POLL_JITTER: f64 = 0.1;
/// How far ahead a worker claims: jobs expected to start within this time.
pub const READ_AHEAD: Duration = Duration::from_millis(100);
/// The most jobs a worker holds beyond its slots, per queue.
pub const READ_AHEAD_JOBS: usize = 1_000;
/// A job read ahead that has not started within this time goes back.
pub const READ_AHEAD_AGE: Duration = Duration::from_secs(1);
/// The most jobs one claim asks for, per queue.
pub const CLAIM_BATCH: usize = 1_000;
/// The wait after a claim that got nothing because other claims held what it saw.
pub const CONTENDED_WAIT: Duration = Duration::from_millis(20);
/// The most outcomes one settle call carries.
pub const SETTLE_BATCH: usize = 1_000;
/// Outcomes that wait for a settle call before slots are made to wait too, beyond one for each slot.
pub const SETTLE_BACKLOG: usize = SETTLE_BATCH;
/// The first wait after a store error; it doubles up to [`STORE_RETRY_CAP`].
pub const STORE_RETRY_BASE: Duration = Duration::from_millis(100);
/// The longest wait after a store error.
pub const STORE_RETRY_CAP: Duration = Duration::from_secs(10);
/// Part of a wait after a store error that is added or taken away at random.
pub const STORE_RETRY_JITTER: f64 = 0.5;
/// The largest args, in bytes of JSON.
pub const MAX_ARGS_BYTES: usize = 1024 * 1024;
/// The largest metadata of one job, keys and values together, in bytes.
pub const MAX_METADATA_BYTES: usize = 16 * 1024;
/// The longest unique key, in bytes, the kind in front of it included.
pub const MAX_UNIQUE_KEY_BYTES: usize = 1024;
/// Error text kept per failed attempt, in bytes.
pub const MAX_ERROR_BYTES: usize = 8 * 1024;
/// Errors kept per job, the newest.
pub const MAX_ERRORS_PER_JOB: usize = 25;
/// Jobs of one insert call of `enqueue_many`.
pub const INSERT_CHUNK: usize = 1_000;
/// Args of one insert call of `enqueue_many`, in bytes, after which the chunk ends.
pub const INSERT_CHUNK_BYTES: usize = 16 * 1024 * 1024;
/// Who waits until nothing is left counts for one part in so many of that time, at most.
pub const IDLE_COUNT_SHARE: u32 = 10;
/// Jobs of one page of a listing.
pub const LIST_PAGE: usize = 100;
/// Cancels of unknown jobs that are remembered while a claim may be about to bring them.
pub const EARLY_CANCELS: usize = 1_000;
/// Times an outcome is offered to a store that refuses it, before it is left to its lease.
pub const REFUSED_TRIES: u8 = 5;
/// The most slots of one queue.
pub const MAX_SLOTS: usize = 100_000;
/// What a stop gives store calls that are still in flight after its deadline.
pub const LAST_CALLS: Duration = Duration::from_secs(1);
/// Time between cancelling a run's token and dropping the run.
pub const CANCEL_GRACE: Duration = Duration::from_secs(5);
/// Rows one recover or prune call may touch.
pub const UPKEEP_BATCH: u32 = 1_000;
/// Settled jobs after which old finished jobs are pruned.
pub const PRUNE_EVERY_SETTLES: u64 = 1_000;
/// A run without a timeout that lasts this long is warned about, and again after each further such span.
pub const LONG_RUN_WARNING: Duration = Duration::from_secs(3600);
/// How long jobs wait in a queue that no worker here serves before that is warned of.
pub const UNSERVED_WARNING: Duration = Duration::from_secs(5);
/// How long jobs that nobody here claims are overdue before that is warned of, and how often it is looked for.
pub const OVERDUE_WARNING: Duration = Duration::from_secs(60);
/// Pairs of kind and queue that are watched over at a time because nobody here serves them.
pub const WATCHED_PAIRS: usize = 1_000;
/// Finished jobs that age out are cleared away together, at most this often.
pub const PRUNE_AT_MOST_EVERY: Duration = Duration::from_secs(60);
/// What the stop of a host may take, all its services together: less than the 30 s that containers get.
pub const HOST_STOP_TIMEOUT: Duration = Duration::from_secs(25);
/// The last part of it, in which services that are left are told together; a tenth, of a time below 10 s.
pub const HOST_LAST_MOMENT: Duration = Duration::from_secs(1);
/// The wait before a hosted service that failed is started again; it doubles up to [`RESTART_CAP`].
pub const RESTART_FIRST: Duration = Duration::from_secs(1);
/// The longest wait before a hosted service is started again.
pub const RESTART_CAP: Duration = Duration::from_secs(60);
/// Restarts of a hosted service in a row after which its next failure stops the host.
pub const RESTART_LIMIT: u16 = 10;
/// A hosted service that has run for so long begins to count its restarts anew.
pub const RESTART_STEADY: Duration = Duration::from_secs(300);
/// Ticks of a timed service that are made up for, when it is to make up for those it missed.
pub const MAX_CATCH_UP: u64 = 1_000;
/// The part of its lifetime after which a refreshing value is refreshed.
pub const REFRESH_AT: f64 = 0.9;
/// The wait after a failed refresh; it doubles up to [`REFRESH_RETRY_CAP`].
pub const REFRESH_RETRY_FIRST: Duration = Duration::from_secs(1);
/// The longest wait after a failed refresh.
pub const REFRESH_RETRY_CAP: Duration = Duration::from_secs(60);
/// What one refresh may take before it is dropped.
pub const REFRESH_TIMEOUT: Duration = Duration::from_secs(30);
/// Finished jobs of each final state that the memory store keeps.
pub const MEMORY_KEEP: u64 = 10_000;
