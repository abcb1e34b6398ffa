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

#[cfg(test)]
mod tests {
    use super::super::fixture::{at, id, job, kind, queue};
    use super::*;

    fn page(state: &State, filter: &JobFilter, after: Option<JobCursor>, limit: usize) -> (Vec<u64>, bool) {
        let (jobs, next) = state.list(&ListJobs::new(at(0), filter.clone(), after, limit));
        let number = |job: &JobSummary| (1..=20_000).find(|n| id(*n) == job.id).expect("a number");
        (jobs.iter().map(number).collect(), next.is_some())
    }

    #[test]
    fn pages_follow_each_other_from_the_newest_id_down() {
        let mut state = State::default();
        state.insert_all((1..=5).map(job).collect(), at(0));
        let all = JobFilter::all();
        assert_eq!(page(&state, &all, None, 2), (vec![5, 4], true));
        state.insert_all(vec![job(6)], at(1));
        assert_eq!(page(&state, &all, Some(JobCursor(id(4))), 2), (vec![3, 2], true));
        assert_eq!(page(&state, &all, Some(JobCursor(id(2))), 1), (vec![1], false));
        let none = JobFilter::all().kinds([kind("report")]);
        assert_eq!(page(&state, &none, None, 2), (vec![], false));
    }

    #[test]
    fn a_page_looks_at_a_bounded_number_of_jobs_and_the_next_goes_on() {
        let mut state = State::default();
        let looked_at = LOOKED_AT_PER_PAGE as u64;
        state.insert_all((1..=looked_at + 1).map(job).collect(), at(0));
        state.cancel(&[id(1)], at(0));
        let filter = JobFilter::all().states([JobState::Cancelled]);
        let (jobs, next) = state.list(&ListJobs::new(at(0), filter.clone(), None, 5));
        assert!(jobs.is_empty() && next.is_some());
        let (jobs, next) = state.list(&ListJobs::new(at(0), filter, next, 5));
        assert_eq!((jobs.len(), next), (1, None));
    }

    #[test]
    fn rows_and_queues_come_in_order_of_their_names() {
        let mut state = State::default();
        for (number, (queue_name, kind_name)) in [("b", "x"), ("a", "z"), ("a", "y")].into_iter().enumerate()
        {
            let mut job = job(number as u64 + 1);
            (job.queue, job.kind) = (queue(queue_name), kind(kind_name));
            state.insert_all(vec![job], at(0));
        }
        state.pause(&queue("aa"), at(3));
        let rows = state.count(&JobFilter::all());
        let names: Vec<_> = rows.iter().map(|row| (row.queue.as_str(), row.kind.as_str())).collect();
        assert_eq!(names, [("a", "y"), ("a", "z"), ("b", "x")]);
        let queues = state.queues();
        let names: Vec<_> = queues.iter().map(|facts| (facts.queue.as_str(), facts.paused_since)).collect();
        assert_eq!(names, [("a", None), ("aa", Some(at(3))), ("b", None)]);
    }
}
