//! All jobs, keys and pauses in memory, with one index for everything that is asked in an order.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use backgroundjobs_core::*;
use uuid::Uuid;

use super::change::{Change, Held, Queue, Row};

/// What the log says, all in all. Only [`apply`](Self::apply) changes it, in a call as well as when it is read back.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct State {
    jobs: BTreeMap<JobId, JobRecord>,
    places: BTreeSet<Place>,
    /// How many jobs there are of each queue, kind and state.
    counts: BTreeMap<(QueueName, Kind, JobState), u64>,
    keys: BTreeMap<String, Held>,
    /// Keys that are held for a time, by its end.
    key_ends: BTreeSet<(Timestamp, String)>,
    paused: BTreeMap<QueueName, Timestamp>,
}

/// Where a job stands in the one index. What is asked for is always a run of neighbours.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// In a lane: the claim's order within one queue, kind and priority.
    Waits(QueueName, Kind, Reverse<Priority>, Timestamp, JobId),
    /// By the end of its lease.
    Runs(Timestamp, JobId),
    /// By the claim that handed it out, in the claim's order.
    Claimed(ClaimId, Reverse<Priority>, Timestamp, JobId),
    /// By its end, for each final state.
    Over(JobState, Timestamp, JobId),
}

const FIRST: JobId = JobId::from_uuid(Uuid::nil());

impl State {
    /// Does it, and answers what undoes it; `None` when it does not fit what is there.
    pub(super) fn apply(&mut self, change: Change) -> Option<Change> {
        let row = |job| Change::Job(Box::new(Row(job)));
        match change {
            Change::Job(job) => {
                let (id, old) = (job.0.id, self.take(job.0.id));
                self.put(job.0);
                Some(old.map_or(Change::Gone(id), row))
            }
            Change::Step(standing) => {
                let old = self.take(standing.id)?;
                let mut job = old.clone();
                standing.write_to(&mut job);
                self.put(job);
                Some(row(old))
            }
            Change::Gone(id) => self.take(id).map(row),
            Change::Key(key, held) => {
                let old = self.keys.remove(&key);
                if let Some(until) = old.and_then(|old| old.until) {
                    self.key_ends.remove(&(until, key.clone()));
                }
                self.key_ends.extend(held.and_then(|held| held.until).map(|until| (until, key.clone())));
                self.keys.extend(held.map(|held| (key.clone(), held)));
                Some(Change::Key(key, old))
            }
            Change::Paused(Queue(queue), since) => {
                let old = self.paused.remove(&queue);
                self.paused.extend(since.map(|since| (queue.clone(), since)));
                Some(Change::Paused(Queue(queue), old))
            }
        }
    }

    /// Everything, as changes of an empty state.
    pub(super) fn changes(&self) -> impl Iterator<Item = Change> {
        let jobs = self.jobs.values().map(|job| Change::Job(Box::new(Row(job.clone()))));
        let keys = self.keys.iter().map(|(key, held)| Change::Key(key.clone(), Some(*held)));
        let paused =
            |(queue, since): (&QueueName, &Timestamp)| Change::Paused(Queue(queue.clone()), Some(*since));
        jobs.chain(keys).chain(self.paused.iter().map(paused))
    }

    fn put(&mut self, job: JobRecord) {
        self.places.extend(places(&job));
        *self.counts.entry((job.queue.clone(), job.kind.clone(), job.state)).or_default() += 1;
        self.jobs.insert(job.id, job);
    }

    fn take(&mut self, id: JobId) -> Option<JobRecord> {
        let job = self.jobs.remove(&id)?;
        for place in places(&job) {
            self.places.remove(&place);
        }
        let group = (job.queue.clone(), job.kind.clone(), job.state);
        if let Some(count) = self.counts.get_mut(&group) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&group);
            }
        }
        Some(job)
    }

    pub(super) fn job(&self, id: JobId) -> Option<&JobRecord> {
        self.jobs.get(&id)
    }

    /// Jobs below this id, the newest first.
    pub(super) fn newest_below(&self, id: Option<JobId>) -> impl Iterator<Item = &JobRecord> {
        let end = id.map_or(Bound::Unbounded, Bound::Excluded);
        self.jobs.range((Bound::Unbounded, end)).rev().map(|(_, job)| job)
    }

    pub(super) fn counts(&self) -> &BTreeMap<(QueueName, Kind, JobState), u64> {
        &self.counts
    }

    pub(super) fn paused(&self) -> &BTreeMap<QueueName, Timestamp> {
        &self.paused
    }

    /// Due jobs in the order in which they should start, at most so many.
    pub(super) fn due(&self, queue: &QueueName, kinds: &[Kind], now: Timestamp, most: usize) -> Vec<JobId> {
        let mut due = Vec::new();
        for priority in (0..=9).rev().filter_map(Priority::new) {
            // A set: a kind may be named twice.
            let mut found = BTreeSet::new();
            for kind in kinds {
                let lane = self.lane(queue, kind, priority).take_while(|(run_at, _)| *run_at <= now);
                found.extend(lane.take(most - due.len()));
            }
            due.extend(found.into_iter().map(|(_, id)| id).take(most - due.len()));
            if due.len() == most {
                break;
            }
        }
        due
    }

    /// The earliest `run_at` of what waits there.
    pub(super) fn next_due(&self, queue: &QueueName, kinds: &[Kind]) -> Option<Timestamp> {
        let lanes =
            kinds.iter().flat_map(|kind| (0..=9).filter_map(Priority::new).map(move |level| (kind, level)));
        lanes
            .filter_map(|(kind, priority)| self.lane(queue, kind, priority).next())
            .map(|(run_at, _)| run_at)
            .min()
    }

    fn lane(&self, queue: &QueueName, kind: &Kind, of: Priority) -> impl Iterator<Item = (Timestamp, JobId)> {
        let first = Place::Waits(queue.clone(), kind.clone(), Reverse(of), Timestamp::MIN, FIRST);
        self.places.range(first..).map_while(move |place| match place {
            Place::Waits(at_queue, of_kind, Reverse(priority), run_at, id)
                if at_queue == queue && of_kind == kind && *priority == of =>
            {
                Some((*run_at, *id))
            }
            _ => None,
        })
    }

    /// What runs, by the end of its lease.
    pub(super) fn leases(&self) -> impl Iterator<Item = (Timestamp, JobId)> {
        self.places.range(Place::Runs(Timestamp::MIN, FIRST)..).map_while(|place| match place {
            Place::Runs(until, id) => Some((*until, *id)),
            _ => None,
        })
    }

    /// What still runs under a claim, in the claim's order.
    pub(super) fn claimed(&self, claim: ClaimId) -> impl Iterator<Item = &JobRecord> {
        let first = Place::Claimed(claim, Reverse(Priority::HIGHEST), Timestamp::MIN, FIRST);
        self.places.range(first..).map_while(move |place| match place {
            Place::Claimed(by, _, _, id) if *by == claim => self.jobs.get(id),
            _ => None,
        })
    }

    /// What is over in this state, the longest over first.
    pub(super) fn over(&self, state: JobState) -> impl Iterator<Item = (Timestamp, JobId)> {
        self.places.range(Place::Over(state, Timestamp::MIN, FIRST)..).map_while(move |place| match place {
            Place::Over(ended_in, at, id) if *ended_in == state => Some((*at, *id)),
            _ => None,
        })
    }

    /// Who holds this key now.
    pub(super) fn holder(&self, key: &UniqueKey, now: Timestamp) -> Option<JobId> {
        let held = self.keys.get(key.key.as_ref())?;
        held.until.is_none_or(|until| until > now).then_some(held.job)
    }

    /// The job that the key is written down for, be its time over or not.
    pub(super) fn last_holder(&self, key: &UniqueKey) -> Option<JobId> {
        self.keys.get(key.key.as_ref()).map(|held| held.job)
    }

    /// The earliest end of a key that is held for a time.
    pub(super) fn next_key_end(&self) -> Option<&(Timestamp, String)> {
        self.key_ends.first()
    }
}

fn places(job: &JobRecord) -> impl Iterator<Item = Place> + use<> {
    let (urgency, run_at, id) = (Reverse(job.priority), job.run_at, job.id);
    let (first, second) = match (job.state, &job.lease) {
        (JobState::Waiting, _) => {
            (Place::Waits(job.queue.clone(), job.kind.clone(), urgency, run_at, id), None)
        }
        (JobState::Running, Some(lease)) => {
            (Place::Runs(lease.until, id), Some(Place::Claimed(lease.claim_id, urgency, run_at, id)))
        }
        (over, _) => (Place::Over(over, job.finished_at.unwrap_or(job.created_at), id), None),
    };
    [Some(first), second].into_iter().flatten()
}
