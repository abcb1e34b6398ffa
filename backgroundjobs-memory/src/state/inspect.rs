//! Count, list, queues: looking at many jobs.

use std::ops::Bound;

use backgroundjobs_core::{JobCount, JobCursor, JobFilter, JobState, JobSummary, ListJobs, QueueFacts};

use super::State;

/// The most jobs that one page looks at: a filter that lets little through must not hold the lock for long
/// (clause F-5). Such a page is short, and its cursor goes on where it stopped (clause N-5).
const LOOKED_AT_PER_PAGE: usize = 10_000;

impl State {
    /// A row for each queue, kind and state that has jobs; costs what the rows number, not the jobs.
    pub(crate) fn count(&self, filter: &JobFilter) -> Vec<JobCount> {
        let groups = self.index.lanes.queues().flat_map(|(_, queue)| queue.kinds.values());
        let mut rows = Vec::new();
        for group in groups.map(|id| self.index.lanes.group(*id)) {
            for (state, count) in JobState::ALL.into_iter().zip(group.counts) {
                if count == 0 || !filter.matches(&group.queue, &group.kind, state) {
                    continue;
                }
                let next_run_at = if state == JobState::Waiting { group.next_run_at() } else { None };
                let (queue, kind) = (group.queue.clone(), group.kind.clone());
                rows.push(JobCount { queue, kind, state, count, next_run_at });
            }
        }
        rows
    }

    /// One page, newest id first, and where the next one starts.
    pub(crate) fn list(&self, request: &ListJobs) -> (Vec<JobSummary>, Option<JobCursor>) {
        let end = request.after.map_or(Bound::Unbounded, |JobCursor(id)| Bound::Excluded(id));
        let mut jobs = Vec::new();
        let mut last = request.after;
        for (looked_at, (id, job)) in self.jobs.range((Bound::Unbounded, end)).rev().enumerate() {
            if jobs.len() >= request.limit || looked_at >= LOOKED_AT_PER_PAGE {
                return (jobs, last);
            }
            let group = self.index.lanes.group(job.group);
            if request.filter.matches(&group.queue, &group.kind, job.state()) {
                jobs.push(job.summary(*id, group));
            }
            last = Some(JobCursor(*id));
        }
        (jobs, None)
    }

    /// Every queue that has jobs or is paused, by name.
    pub(crate) fn queues(&self) -> Vec<QueueFacts> {
        let facts = self.index.lanes.queues();
        facts
            .map(|(name, queue)| QueueFacts { queue: name.clone(), paused_since: queue.paused_since })
            .collect()
    }
}
