//! One run of one job that no store knows of.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;

use super::execute::execute;
use super::run::{CancelCause, Run};
use super::verdict::{Circumstances, Ended, outcome};
use crate::catch_panic::catch_panic;
use crate::context::Surroundings;
use crate::options::Times;
use crate::registry::Registration;
use crate::store::{ClaimedJob, Outcome};
use crate::{Env, JobExecutor, RetryPolicy};

/// What one run needs of a program.
pub(crate) struct Performance<'a> {
    pub(crate) executor: &'a dyn JobExecutor,
    pub(crate) surroundings: &'a Arc<Surroundings>,
    pub(crate) registration: &'a Registration,
    pub(crate) retry: RetryPolicy,
    pub(crate) times: Times,
}

impl Performance<'_> {
    /// Runs the job, and answers what a worker would tell the store.
    pub(crate) async fn of(self, job: ClaimedJob) -> Outcome {
        let env = &self.surroundings.env;
        let started = env.now();
        let timeout = self.registration.timeout;
        let deadline = timeout.map(|timeout| started + timeout);
        let (run, args) = Run::of(job, started, deadline, self.surroundings);
        let run = Arc::new(run);
        let ended = tokio::select! {
            biased;
            ended = execute(self.executor, env, &run, args) => ended,
            never = time_out(&run, env, &self.times) => match never {},
        };
        run.end();
        let circumstances = Circumstances {
            run: &run,
            cause: run.cause(),
            is_stopping: false,
            policy: self.registration.retry.unwrap_or(self.retry),
            timeout,
            env,
        };
        catch_panic(|| outcome(ended, &circumstances))
            .unwrap_or_else(|panic| outcome(Ended::Panicked(panic), &circumstances))
    }
}

/// Tells the run to stop when its time is over, and has it dropped after the grace.
async fn time_out(run: &Run, env: &Env, times: &Times) -> Infallible {
    if let Some(deadline) = run.deadline {
        env.sleep_until(deadline).await;
        run.cancel(CancelCause::Timeout);
        env.sleep(times.cancel_grace).await;
        run.drop_handler();
    }
    pending().await
}
