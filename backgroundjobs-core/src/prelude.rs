//! What a program that enqueues and runs jobs needs: `use backgroundjobs_core::prelude::*;`

pub use crate::{
    BackgroundJob, BackgroundJobManager, BackgroundJobs, Builder, EnqueueError, EnqueueOptions, JobArgs,
    JobContext, JobError, JobExecutor, JobId, JobManager, JobManagerExt, JobOptions, JobResult, JobRun,
    JobState, Priority, RetryPolicy, Timestamp, async_trait,
};
