//! Typed background jobs: work that happens outside the request, now or later, tried again when it fails, on
//! a store of your choice and a clock that tests can move.
//!
//! This crate has what every store and every program shares: the [store contract](JobStore), the
//! [manager](JobManager) to enqueue through, the [jobs](BackgroundJobs) that run, and the
//! [surroundings](Env) they run in. The stores are crates of their own (`backgroundjobs-memory`), and so are
//! the means to test with (`backgroundjobs-testing`).

pub mod hosting;
pub mod limits;
pub mod prelude;

mod admin;
mod args;
mod builder;
mod catch_panic;
mod context;
mod env;
mod events;
mod executor;
mod failure;
mod handler;
mod id;
mod job_error;
mod job_future;
mod jobs;
mod local_worker;
mod manager;
mod name;
mod nearest;
mod options;
mod payload;
#[cfg(test)]
#[path = "../tests/support/properties.rs"]
mod properties;
mod readable;
mod record;
mod registry;
mod retry;
mod state;
mod step_aside;
mod store;
mod store_door;
mod time;
mod worker;

/// For implementing [`JobStore`], [`JobExecutor`] and [`JobManager`], whose methods are async: the macro of the
/// crate of that name.
pub use async_trait::async_trait;

pub use admin::{Admin, AdminError, RequeuedWhere};
pub use args::{JobArgs, JobOptions};
pub use builder::{BuildError, BuildProblem, Builder};
pub use context::JobContext;
pub use env::{
    AbortTask, Checkpoint, Env, EnvBuilder, Hooks, Outside, OutsideGuard, Process, TaskKind, WithGuard,
};
pub use events::{DrainProgress, DrainStep, FinishedRun};
pub use executor::{JobExecutor, JobRun};
pub use failure::{ErrorText, Failure, FailureKind, RecordedFailure};
pub use handler::BackgroundJob;
pub use id::{ClaimId, JobId, ParseJobIdError, WorkerId};
pub use job_error::{JobError, JobResult, Verdict};
pub use job_future::JobFuture;
pub use jobs::{BackgroundJobs, IdleError, StartError, StopError};
pub use manager::{
    BackgroundJobManager, EnqueueError, EnqueueManyError, EnqueueOptions, Enqueued, Explanation,
    InstallError, JobDraft, JobManager, JobManagerExt, NoManagerError, PutOff, Reason, SubmitError,
    WaitError,
};
pub use name::{Kind, MAX_NAME_BYTES, NameError, QueueName};
pub use options::Options;
pub use payload::{Metadata, Payload};
pub use record::{JobRecord, KeyHold, Lease, NewJob, Priority, RunAt, UniqueKey};
pub use retry::RetryPolicy;
pub use state::{JobState, STEPS, Step, recovered_state};
pub use step_aside::step_aside;
pub use store::*;
pub use time::{BoxFuture, Clock, ParseTimestampError, SystemClock, Timestamp};
pub use worker::{JobStats, LeftRunning, StopReport};
