//! [`Lanes`]: waiting jobs in the order in which they are claimed.
//!
//! A lane is what is waiting of one queue, kind and priority, ordered by `run_at` and then id. A claim looks at
//! the first entries of the lanes it asks for and merges them, so that it costs what those lanes number plus
//! what it hands out, however much lies behind or beside them (clause C-8).

use std::cmp::Reverse;
use std::collections::binary_heap::PeekMut;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use backgroundjobs_core::{JobId, JobState, Kind, Priority, QueueName, Timestamp};

use super::index::Moment;

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
    lanes: [BTreeSet<Moment>; LEVELS],
}

/// Which group; good for as long as it has jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GroupId(u32);

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

    pub(super) fn lane_mut(&mut self, priority: Priority) -> &mut BTreeSet<Moment> {
        &mut self.lanes[usize::from(priority.level())]
    }

    /// When the first waiting job is due, of any priority.
    pub(super) fn next_run_at(&self) -> Option<Timestamp> {
        self.lanes.iter().filter_map(BTreeSet::first).map(|(run_at, _)| *run_at).min()
    }
}

/// Adds the due jobs of lanes of one priority to `due`, by `run_at` and id, until it has `limit` of them.
fn merge_due<'a>(
    lanes: impl Iterator<Item = &'a BTreeSet<Moment>>,
    now: Timestamp,
    limit: usize,
    due: &mut Vec<JobId>,
) {
    let mut heads = BinaryHeap::new();
    let mut rests = Vec::new();
    for lane in lanes {
        let mut rest = lane.iter();
        if let Some(head) = rest.next().filter(|(run_at, _)| *run_at <= now) {
            heads.push(Reverse((*head, rests.len())));
            rests.push(rest);
        }
    }
    while due.len() < limit {
        let Some(mut head) = heads.peek_mut() else { return };
        let Reverse(((_, id), from)) = *head;
        due.push(id);
        match rests[from].next().filter(|(run_at, _)| *run_at <= now) {
            Some(next) => *head = Reverse((*next, from)),
            None => drop(PeekMut::pop(head)),
        }
    }
}
