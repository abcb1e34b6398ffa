//! Letting time pass until a goal is reached: no job left, or what the test waits for.

use std::collections::BTreeMap;
use std::time::Duration;

use backgroundjobs_core::{
    CountJobs, JobCount, JobFilter, JobRecord, JobState, Kind, QueueName, StoreError, StoreErrorKind,
    Timestamp,
};

use super::shared::Program;
use super::{KitReport, TestKit};
use crate::scheduler::{Inhibitor, Report};

/// How far [`TestKit::drain`] goes before it gives up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    runs: u64,
    span: Duration,
}

impl Limits {
    /// 10,000 runs, and 30 days of virtual time: all attempts of a job with the default policy take 17 hours.
    #[must_use]
    pub const fn new() -> Self {
        Self { runs: 10_000, span: Duration::from_secs(30 * 24 * 3_600) }
    }

    /// The most runs.
    #[must_use]
    pub const fn runs(mut self, runs: u64) -> Self {
        self.runs = runs;
        self
    }

    /// The most virtual time.
    #[must_use]
    pub const fn span(mut self, span: Duration) -> Self {
        self.span = span;
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

impl TestKit {
    /// Lets time pass, from timer to timer, until no job waits or runs; delayed and retrying jobs count as
    /// waiting. Renewals, recovery, pruning and other timers that bring no job forward do not keep it going, nor
    /// do jobs in paused queues and jobs that nobody here serves.
    ///
    /// # Panics
    /// When the limits are reached before, or no timer is left that could bring an end, with the jobs that are
    /// left; when a store cannot be asked; and as [`settle`](Self::settle) does.
    pub async fn drain(&self, limits: Limits) -> KitReport {
        let before = self.before();
        let deadline = self.now() + limits.span;
        let mut steps = self.scheduler.settle().await;
        loop {
            super::expect_no_panic(&steps);
            let is_done = !self.is_anything_left().await;
            // With store delays a store knows that all is over before its workers do, who count it.
            if is_done && !self.shared.is_settling() {
                return self.report_since(before, steps);
            }
            let runs = self.shared.stats().since(before.jobs).claimed;
            let why = match self.clock().next_timer() {
                None => Some(
                    "no timer is left that could bring an end (a row that was put into the store by hand wakes \
                     nobody)"
                        .to_owned(),
                ),
                Some(next) if next > deadline => {
                    Some(format!("it would take longer than {:?} (Limits::span)", limits.span))
                }
                Some(_) if runs > limits.runs => {
                    Some(format!("there were more than {} runs (Limits::runs)", limits.runs))
                }
                Some(_) => None,
            };
            if let Some(why) = why {
                panic!("{}", self.not_drained(&why).await);
            }
            steps = steps.followed_by(self.scheduler.advance_to_next().await);
        }
    }

    /// Lets time pass, from timer to timer, until `goal` is met. It is asked at the start and after each timer,
    /// when everything has settled; it may ask a store.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use backgroundjobs_testing::TestKit;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # let kit = TestKit::new();
    /// # let env = kit.env();
    /// # kit.scheduler().spawn("timer", async move { env.sleep(Duration::from_secs(5)).await });
    /// # let start = kit.now();
    /// let at_five = start + Duration::from_secs(5);
    /// let report = kit.run_until(async || kit.now() == at_five, Duration::from_secs(60)).await;
    /// assert_eq!(report.timers_fired(), 1);
    /// # kit.finish().await;
    /// # }
    /// ```
    ///
    /// # Panics
    /// When it is not met within `limit` of virtual time, or no timer is left; and as [`settle`](Self::settle)
    /// does.
    pub async fn run_until(&self, mut goal: impl AsyncFnMut() -> bool, limit: Duration) -> KitReport {
        let before = self.before();
        let deadline = self.now() + limit;
        let mut steps = self.scheduler.settle().await;
        loop {
            super::expect_no_panic(&steps);
            if goal().await {
                return self.report_since(before, steps);
            }
            let why = match self.clock().next_timer() {
                None => "no timer is left that could bring it".to_owned(),
                Some(next) if next > deadline => format!("nothing more happens within {limit:?}"),
                Some(_) => {
                    steps = steps.followed_by(self.scheduler.advance_to_next().await);
                    continue;
                }
            };
            panic!("what run_until waits for has not come, and {why}{}", self.standing(|id| id.to_string()));
        }
    }

    /// Whether a job waits or runs that somebody here might bring to an end.
    async fn is_anything_left(&self) -> bool {
        for program in self.shared.programs() {
            let left = match Inhibitor::over_a_look(unfinished_of(&program, self.now())).await {
                Ok(Some(rows)) => rows.into_iter().map(|row| (row.state, row.queue, row.kind)).collect(),
                Ok(None) => self.noted_as_unfinished(),
                // Whoever closed it has no more use for what is in it.
                Err(error) if error.kind() == StoreErrorKind::Closed => continue,
                Err(error) => panic!("the kit cannot ask the store what is left: {error}"),
            };
            // Programs on one store see the same jobs; those on another do not run them.
            let jobs = program.jobs.upgrade();
            let is_served = |queue, kind| jobs.as_ref().is_some_and(|jobs| jobs.serves(queue, kind));
            if left.iter().any(|(state, queue, kind)| *state == JobState::Running || is_served(queue, kind)) {
                return true;
            }
        }
        false
    }

    /// What a store that cannot count must have, from what was seen.
    fn noted_as_unfinished(&self) -> Vec<(JobState, QueueName, Kind)> {
        self.shared.history.read(|pages| {
            let open = pages.jobs.values().filter(|seen| !seen.state.is_final() && !seen.is_deleted);
            open.map(|seen| (seen.state, seen.job.queue.clone(), seen.job.kind.clone())).collect()
        })
    }

    async fn not_drained(&self, why: &str) -> String {
        let open = self.open_jobs(true).await;
        let mut rows: BTreeMap<_, (u64, Timestamp)> = BTreeMap::new();
        for job in &open {
            let JobRecord { state, kind, queue, run_at, .. } = &job.record;
            let row = rows.entry((kind, queue, state.as_str())).or_insert((0, *run_at));
            *row = (row.0 + 1, row.1.min(*run_at));
        }
        let mut text = format!("the kit is not drained: {why}; left are");
        for ((kind, queue, state), (count, due)) in rows {
            text += &format!("\n  {count} {state} of kind {kind} in queue {queue}");
            if state == JobState::Waiting.as_str() {
                text += &format!(", the next due at {due}");
            }
        }
        text += &self.explain(&open).await;
        text + &self.standing(|id| id.to_string())
    }
}

/// What waits in queues that are not paused, and what runs; none where the store cannot count.
async fn unfinished_of(program: &Program, now: Timestamp) -> Result<Option<Vec<JobCount>>, StoreError> {
    let Some(inspect) = program.store().await?.inspect() else { return Ok(None) };
    let filter = JobFilter::all().states([JobState::Waiting, JobState::Running]);
    let mut rows = inspect.count(&CountJobs::new(now, filter)).await?.rows;
    if !rows.is_empty() {
        let paused: Vec<QueueName> = inspect
            .queues(now)
            .await?
            .into_iter()
            .filter_map(|facts| facts.paused_since.map(|_| facts.queue))
            .collect();
        rows.retain(|row| row.state == JobState::Running || !paused.contains(&row.queue));
    }
    Ok(Some(rows))
}

impl Report {
    /// Both together: this one, then the other.
    pub(crate) fn followed_by(mut self, next: Self) -> Self {
        self.to = next.to;
        self.next_timer = next.next_timer;
        self.timers_fired += next.timers_fired;
        self.grants += next.grants;
        self.panicked.extend(next.panicked);
        for reason in next.nondeterministic {
            if !self.nondeterministic.contains(&reason) {
                self.nondeterministic.push(reason);
            }
        }
        self
    }
}
