//! [`Lanes`]: the numbers that stand for a queue, a kind and a priority.
//!
//! A lane is never deleted or changed once it is committed, so what is known of it stays true, whichever process made
//! it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use backgroundjobs_core::{Kind, NewJob, Priority, QueueName};
use parking_lot::RwLock;

/// What a lane's number stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Lane {
    pub(crate) queue: QueueName,
    pub(crate) kind: Kind,
    pub(crate) priority: Priority,
}

impl Lane {
    pub(crate) fn of(job: &NewJob) -> Self {
        Self { queue: job.queue.clone(), kind: job.kind.clone(), priority: job.priority }
    }
}

/// The lanes that this store has seen.
#[derive(Default)]
pub(crate) struct Lanes {
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    numbers: HashMap<Lane, i64>,
    lanes: HashMap<i64, Arc<Lane>>,
    of_queue: HashMap<QueueName, Vec<i64>>,
    latest: i64,
}

impl Lanes {
    pub(crate) fn number(&self, lane: &Lane) -> Option<i64> {
        self.known.read().numbers.get(lane).copied()
    }

    pub(crate) fn lane(&self, number: i64) -> Option<Arc<Lane>> {
        self.known.read().lanes.get(&number).cloned()
    }

    /// The highest number seen: a file that has a higher one has lanes that are not known here.
    pub(crate) fn latest(&self) -> i64 {
        self.known.read().latest
    }

    /// Takes in lanes that are committed.
    pub(crate) fn learn(&self, lanes: impl IntoIterator<Item = (i64, Lane)>) {
        let mut known = self.known.write();
        for (number, lane) in lanes {
            known.latest = known.latest.max(number);
            if known.numbers.insert(lane.clone(), number).is_none() {
                known.of_queue.entry(lane.queue.clone()).or_default().push(number);
                known.lanes.insert(number, Arc::new(lane));
            }
        }
    }

    /// The lanes of a queue and some kinds, by priority, the highest first.
    pub(crate) fn levels(&self, queue: &QueueName, kinds: &HashSet<&Kind>) -> Vec<Vec<i64>> {
        let known = self.known.read();
        let mut levels: BTreeMap<_, Vec<i64>> = BTreeMap::new();
        for number in known.of_queue.get(queue).into_iter().flatten() {
            let lane = &known.lanes[number];
            if kinds.contains(&lane.kind) {
                levels.entry(std::cmp::Reverse(lane.priority)).or_default().push(*number);
            }
        }
        levels.into_values().collect()
    }

    /// The numbers of the lanes that a filter lets through.
    pub(crate) fn matching(&self, matches: impl Fn(&Lane) -> bool) -> Vec<i64> {
        let known = self.known.read();
        let mut numbers: Vec<_> =
            known.lanes.iter().filter(|(_, lane)| matches(lane)).map(|(number, _)| *number).collect();
        numbers.sort_unstable();
        numbers
    }
}
