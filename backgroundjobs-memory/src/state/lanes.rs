//! [`Lanes`]: waiting jobs in the order in which they are claimed.
//!
//! A lane is what is waiting of one queue, kind and priority, ordered by `run_at` and then id. A claim looks at
//! the first entries of the lanes it asks for and merges them, so that it costs what those lanes number plus
//! what it hands out, however much lies behind or beside them (clause C-8).

use std::cmp::Reverse;
use std::collections::binary_heap::PeekMut;
use std::collections::{BTreeMap, BinaryHeap};
use std::iter;

use backgroundjobs_core::{JobId, JobState, Kind, Priority, QueueName, Timestamp};

use super::moments::{self, Moment, Moments};

const LEVELS: usize = Priority::HIGHEST.level() as usize + 1;

/// The lanes and counts of every queue and kind that has jobs, and the queues that are paused.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    queues: BTreeMap<QueueName, Queue>,
    groups: Vec<Group>,
    /// Groups without jobs, to be used for others: queues may be named without end.
    free: Vec<GroupId>,
}

/// One queue.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) paused_since: Option<Timestamp>,
    pub(super) kinds: BTreeMap<Kind, GroupId>,
}

/// The jobs of one queue and kind. Their names are kept here, once.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) queue: QueueName,
    pub(super) kind: Kind,
    /// How many there are in each state.
    pub(super) counts: [u64; JobState::ALL.len()],
    /// What is waiting, by priority.
    lanes: [Moments; LEVELS],
}

/// Which group; good for as long as it has jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GroupId(u32);

impl GroupId {
    /// Of a job that is not stored yet.
    pub(super) const UNKNOWN: Self = Self(u32::MAX);
}

impl Lanes {
    /// Every queue that has jobs or is paused, by name.
    pub(super) fn queues(&self) -> impl Iterator<Item = (&QueueName, &Queue)> {
        self.queues.iter()
    }

    pub(super) fn queue(&self, name: &QueueName) -> Option<&Queue> {
        self.queues.get(name)
    }

    pub(super) fn group(&self, id: GroupId) -> &Group {
        &self.groups[id.0 as usize]
    }

    pub(super) fn group_mut(&mut self, id: GroupId) -> &mut Group {
        &mut self.groups[id.0 as usize]
    }

    /// The group of a job about to be stored.
    pub(super) fn group_of(&mut self, queue: &QueueName, kind: &Kind) -> GroupId {
        let known = self.queues.get(queue).and_then(|queue| queue.kinds.get(kind));
        known.copied().unwrap_or_else(|| self.new_group(queue.clone(), kind.clone()))
    }

    /// Gives a group up once it has no jobs.
    pub(super) fn vacate(&mut self, id: GroupId) {
        let group = &self.groups[id.0 as usize];
        if group.counts.iter().any(|count| *count > 0) {
            return;
        }
        if let Some(queue) = self.queues.get_mut(&group.queue) {
            queue.kinds.remove(&group.kind);
            if queue.is_void() {
                self.queues.remove(&group.queue);
            }
        }
        self.free.push(id);
    }

    /// Pauses a queue; the first instant stays (clause O-5).
    pub(super) fn pause(&mut self, name: &QueueName, now: Timestamp) {
        let queue = self.queues.entry(name.clone()).or_default();
        queue.paused_since.get_or_insert(now);
    }

    pub(super) fn resume(&mut self, name: &QueueName) {
        if let Some(queue) = self.queues.get_mut(name) {
            queue.paused_since = None;
            if queue.is_void() {
                self.queues.remove(name);
            }
        }
    }

    /// The first `limit` jobs of these groups that are due, in the order of clause C-4.
    pub(super) fn due(&self, groups: &[GroupId], now: Timestamp, limit: usize) -> Vec<JobId> {
        let mut due = Vec::new();
        for level in (0..LEVELS).rev() {
            merge_due(groups.iter().map(|id| &self.group(*id).lanes[level]), now, limit, &mut due);
        }
        due
    }

    /// When the first job of these groups is due.
    pub(super) fn next_due(&self, groups: &[GroupId]) -> Option<Timestamp> {
        groups.iter().filter_map(|id| self.group(*id).next_run_at()).min()
    }

    /// The groups that have jobs.
    #[cfg(test)]
    pub(super) fn groups(&self) -> impl Iterator<Item = &Group> {
        self.queues.values().flat_map(|queue| queue.kinds.values()).map(|id| self.group(*id))
    }

    fn new_group(&mut self, queue: QueueName, kind: Kind) -> GroupId {
        let group = Group::new(queue.clone(), kind.clone());
        let id = match self.free.pop() {
            Some(id) => {
                *self.group_mut(id) = group;
                id
            }
            None => {
                let id = GroupId(u32::try_from(self.groups.len()).expect("fewer groups than 32 bits count"));
                self.groups.push(group);
                id
            }
        };
        self.queues.entry(queue).or_default().kinds.insert(kind, id);
        id
    }
}

impl Queue {
    /// The groups of those kinds that have jobs here, each once.
    pub(super) fn groups(&self, kinds: &[Kind]) -> Vec<GroupId> {
        let mut groups: Vec<_> = kinds.iter().filter_map(|kind| self.kinds.get(kind)).copied().collect();
        groups.sort_unstable();
        groups.dedup();
        groups
    }

    /// Whether nothing is left to remember of it.
    fn is_void(&self) -> bool {
        self.kinds.is_empty() && self.paused_since.is_none()
    }
}

impl Group {
    fn new(queue: QueueName, kind: Kind) -> Self {
        Self { queue, kind, counts: Default::default(), lanes: Default::default() }
    }

    pub(super) fn lane_mut(&mut self, priority: Priority) -> &mut Moments {
        &mut self.lanes[usize::from(priority.level())]
    }

    #[cfg(test)]
    pub(super) fn lane(&self, priority: Priority) -> &Moments {
        &self.lanes[usize::from(priority.level())]
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.lanes.iter().map(Moments::len).sum()
    }

    /// When the first waiting job is due, of any priority.
    pub(super) fn next_run_at(&self) -> Option<Timestamp> {
        self.lanes.iter().filter_map(Moments::first).map(|(run_at, _)| run_at).min()
    }
}

/// Adds the due jobs of lanes of one priority to `due`, by `run_at` and id, until it has `limit` of them.
fn merge_due<'a>(
    lanes: impl Iterator<Item = &'a Moments>,
    now: Timestamp,
    limit: usize,
    due: &mut Vec<JobId>,
) {
    let is_due = |(run_at, _): &Moment| *run_at <= now;
    let mut lanes = lanes.filter(|lane| lane.first().as_ref().is_some_and(is_due)).peekable();
    let Some(first) = lanes.next() else { return };
    if lanes.peek().is_none() {
        // Most claims find one kind due, which needs no merging.
        let left = limit.saturating_sub(due.len());
        due.extend(first.iter().take_while(is_due).take(left).map(|(_, id)| id));
        return;
    }
    let mut rests: Vec<_> = iter::once(first).chain(lanes).map(Moments::iter).collect();
    let head = |(from, rest): (usize, &mut moments::Iter<'a>)| Some(Reverse((rest.next()?, from)));
    let mut heads: BinaryHeap<_> = rests.iter_mut().enumerate().filter_map(head).collect();
    while due.len() < limit {
        let Some(mut head) = heads.peek_mut() else { return };
        let Reverse(((_, id), from)) = *head;
        due.push(id);
        match rests[from].next().filter(is_due) {
            Some(next) => *head = Reverse((next, from)),
            None => drop(PeekMut::pop(head)),
        }
    }
}

#[cfg(test)]
mod tests {
    use backgroundjobs_core::{JobFilter, Keep, Outcome, PruneJobs, Retention, RunAt};

    use super::super::State;
    use super::super::fixture::{at, claim_of, id, job, kind, queue};
    use super::*;

    /// `(number, kind, priority, second)` of each job.
    fn state_of(jobs: &[(u64, &str, u8, u64)]) -> State {
        let mut state = State::default();
        let jobs = jobs.iter().map(|(number, name, level, second)| {
            let mut job = job(*number);
            job.kind = kind(name);
            job.priority = Priority::new(*level).expect("0 to 9");
            job.run_at = RunAt::At(at(*second));
            job
        });
        state.insert_all(jobs.collect(), at(0));
        state
    }

    fn claimed(state: &mut State, second: u64, limit: usize) -> Vec<JobId> {
        state.claim_some(at(second), limit).jobs.into_iter().map(|job| job.id).collect()
    }

    #[test]
    fn lanes_merge_by_priority_then_run_at_then_id() {
        let mut state = state_of(&[
            (1, "report", 5, 2),
            (2, "mail", 5, 2),
            (3, "mail", 5, 1),
            (4, "report", 9, 3),
            (5, "mail", 0, 0),
            (6, "mail", 9, 8),
            (7, "unknown", 9, 0),
            (8, "report", 5, 1),
        ]);
        assert_eq!(claimed(&mut state, 4, 3), [4, 3, 8].map(id));
        assert_eq!(claimed(&mut state, 4, 10), [1, 2, 5].map(id));
        assert_eq!(claimed(&mut state, 8, 10), [id(6)]);
    }

    #[test]
    fn a_kind_named_twice_hands_nothing_out_twice() {
        let mut state = state_of(&[(1, "mail", 5, 0), (2, "mail", 5, 0)]);
        let mut request = claim_of(1, at(0), 10);
        request.kinds = [kind("mail"), kind("mail")].into();
        assert_eq!(state.claim(&request, at(0)).queues[0].jobs.len(), 2);
    }

    #[test]
    fn next_due_is_later_than_now_unless_there_is_more() {
        let mut state =
            state_of(&[(1, "mail", 5, 0), (2, "report", 9, 9), (3, "mail", 5, 7), (4, "unknown", 5, 1)]);
        let part = state.claim_some(at(5), 0);
        assert_eq!((part.jobs.len(), part.more, part.next_due), (0, true, None));
        let part = state.claim_some(at(5), 1);
        assert_eq!((part.jobs.len(), part.more, part.next_due), (1, false, Some(at(7))));
        assert_eq!(state.claim_some(at(9), 5).next_due, None);
    }

    #[test]
    fn a_paused_queue_hands_out_nothing_and_names_no_instant() {
        let mut state = state_of(&[(1, "mail", 5, 0), (2, "mail", 5, 9)]);
        state.pause(&queue("q"), at(1));
        state.pause(&queue("q"), at(2));
        let part = state.claim_some(at(5), 5);
        assert!(part.paused && part.jobs.is_empty() && part.next_due.is_none());
        assert_eq!(state.queues()[0].paused_since, Some(at(1)));
        state.resume(&queue("q"));
        assert_eq!(claimed(&mut state, 5, 5), [id(1)]);
    }

    #[test]
    fn names_without_jobs_are_forgotten_and_their_places_used_again() {
        let mut state = State::default();
        for number in 1..=100 {
            let mut job = job(number);
            job.queue = queue(&format!("tenant-{number}"));
            state.insert_all(vec![job], at(0));
            assert_eq!(state.queues().len(), 1);
            state.delete(&[id(number)]);
        }
        assert!(state.queues().is_empty());
        assert_eq!((state.index.lanes.groups.len(), state.index.lanes.free.len()), (1, 1));
        state.pause(&queue("empty"), at(0));
        assert_eq!(state.queues().len(), 1);
        state.resume(&queue("empty"));
        assert!(state.queues().is_empty());
    }

    #[test]
    fn counts_follow_every_job_to_its_end_and_beyond() {
        let mut state = state_of(&[(1, "mail", 5, 0), (2, "mail", 5, 3), (3, "mail", 9, 4)]);
        state.run(Outcome::Complete, at(0));
        let rows = state.count(&JobFilter::all());
        let seen: Vec<_> = rows.iter().map(|row| (row.state, row.count, row.next_run_at)).collect();
        assert_eq!(seen, [(JobState::Waiting, 2, Some(at(3))), (JobState::Succeeded, 1, None)]);
        let retention = Retention { succeeded: Keep::latest(0), ..Retention::FOREVER };
        assert_eq!(state.prune(&PruneJobs::new(at(0), retention, 10), at(0)).removed, 1);
        state.cancel(&[id(2), id(3)], at(1));
        let rows = state.count(&JobFilter::all());
        assert_eq!((rows.len(), rows[0].state, rows[0].count), (1, JobState::Cancelled, 2));
    }
}
