//! What a program that enqueues and runs jobs needs: `use backgroundjobs_core::prelude::*;`

pub use crate::{
    BackgroundJob, BackgroundJobManager, BackgroundJobs, EnqueueOptions, JobArgs, JobContext, JobError,
    JobManager, JobManagerExt, JobOptions, JobResult, RetryPolicy,
};
