//! [`Moments`]: jobs by an instant, and at one instant by their ids.

use std::collections::{BTreeMap, BTreeSet, VecDeque, btree_map, btree_set, vec_deque};

use backgroundjobs_core::{JobId, Timestamp};

/// An instant, and at it a job: no two jobs share an entry.
pub(super) type Moment = (Timestamp, JobId);

/// So many jobs of one instant lie in a list. More are a tree, so that taking one out of their middle never
/// moves more than this.
const LIST_LEN: usize = 1_024;

/// A set of moments in order.
///
/// Jobs of one insert are due at one instant, leases of one claim end at one, and jobs of one settle have ended
/// at one. So an instant is found once in a tree of few instants, and the jobs at it are a list to whose end one
/// is added and from whose front one is taken out, mostly.
#[derive(Debug, Default)]
pub(super) struct Moments {
    at: BTreeMap<Timestamp, Ids>,
    len: usize,
}

/// The jobs of one instant, in order; never none. The instant with one job, as all of a slow day are, is small.
#[expect(clippy::box_collection, reason = "an entry of the tree is a third smaller")]
#[derive(Debug)]
enum Ids {
    One(JobId),
    List(Box<VecDeque<JobId>>),
    Tree(Box<BTreeSet<JobId>>),
}

impl Moments {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds a job at an instant. Says whether it was not there.
    pub(super) fn insert(&mut self, (at, id): Moment) -> bool {
        let added = match self.at.entry(at) {
            btree_map::Entry::Vacant(place) => {
                place.insert(Ids::One(id));
                true
            }
            btree_map::Entry::Occupied(place) => place.into_mut().insert(id),
        };
        self.len += usize::from(added);
        added
    }

    /// Takes a job out. Says whether it was there.
    pub(super) fn remove(&mut self, &(at, id): &Moment) -> bool {
        let btree_map::Entry::Occupied(mut place) = self.at.entry(at) else { return false };
        let removed = place.get_mut().remove(id);
        if place.get().is_empty() {
            place.remove();
        }
        self.len -= usize::from(removed);
        removed
    }

    pub(super) fn first(&self) -> Option<Moment> {
        let (at, ids) = self.at.first_key_value()?;
        Some((*at, ids.first()?))
    }

    #[cfg(test)]
    pub(super) fn contains(&self, (at, id): &Moment) -> bool {
        self.at.get(at).is_some_and(|ids| ids.iter().any(|there| there == *id))
    }

    pub(super) fn iter(&self) -> Iter<'_> {
        Iter { rest: self.at.iter(), now: None }
    }
}

impl Ids {
    fn insert(&mut self, id: JobId) -> bool {
        match self {
            Self::One(there) if *there == id => false,
            Self::One(there) => {
                let both = [id.min(*there), id.max(*there)];
                *self = Self::List(Box::new(both.into()));
                true
            }
            Self::List(list) if list.len() < LIST_LEN => insert_sorted(list, id),
            Self::List(list) => {
                let mut tree: BTreeSet<JobId> = list.drain(..).collect();
                let added = tree.insert(id);
                *self = Self::Tree(Box::new(tree));
                added
            }
            Self::Tree(tree) => tree.insert(id),
        }
    }

    fn remove(&mut self, id: JobId) -> bool {
        match self {
            Self::One(there) if *there == id => {
                *self = Self::List(Box::default());
                true
            }
            Self::One(_) => false,
            Self::List(list) if list.front() == Some(&id) => list.pop_front().is_some(),
            Self::List(list) => list.binary_search(&id).is_ok_and(|index| list.remove(index).is_some()),
            Self::Tree(tree) => tree.remove(&id),
        }
    }

    fn first(&self) -> Option<JobId> {
        match self {
            Self::One(id) => Some(*id),
            Self::List(list) => list.front().copied(),
            Self::Tree(tree) => tree.first().copied(),
        }
    }

    fn iter(&self) -> IdsIter<'_> {
        match self {
            Self::One(id) => IdsIter::One(Some(*id)),
            Self::List(list) => IdsIter::List(list.iter()),
            Self::Tree(tree) => IdsIter::Tree(tree.iter()),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::One(_) => false,
            Self::List(list) => list.is_empty(),
            Self::Tree(tree) => tree.is_empty(),
        }
    }
}

fn insert_sorted(list: &mut VecDeque<JobId>, id: JobId) -> bool {
    if list.back().is_none_or(|last| *last < id) {
        list.push_back(id);
        return true;
    }
    let Err(index) = list.binary_search(&id) else { return false };
    list.insert(index, id);
    true
}

/// All moments, in order.
#[derive(Clone, Debug)]
pub(super) struct Iter<'a> {
    rest: btree_map::Iter<'a, Timestamp, Ids>,
    now: Option<(Timestamp, IdsIter<'a>)>,
}

#[derive(Clone, Debug)]
enum IdsIter<'a> {
    One(Option<JobId>),
    List(vec_deque::Iter<'a, JobId>),
    Tree(btree_set::Iter<'a, JobId>),
}

impl Iterator for Iter<'_> {
    type Item = Moment;

    fn next(&mut self) -> Option<Moment> {
        loop {
            if let Some((at, ids)) = &mut self.now
                && let Some(id) = ids.next()
            {
                return Some((*at, id));
            }
            let (at, ids) = self.rest.next()?;
            self.now = Some((*at, ids.iter()));
        }
    }
}

impl Iterator for IdsIter<'_> {
    type Item = JobId;

    fn next(&mut self) -> Option<JobId> {
        match self {
            Self::One(id) => id.take(),
            Self::List(ids) => ids.next().copied(),
            Self::Tree(ids) => ids.next().copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{at, id};
    use super::*;

    /// Compares with a plain set, at instants with few jobs, many, and more than a list holds.
    #[test]
    fn it_is_the_set_of_what_was_put_in_and_not_taken_out() {
        let mut random = random_numbers(7);
        for (instants, ids, rounds) in [(50, 20, 4_000), (2, 500, 4_000), (1, 3 * LIST_LEN as u64, 12_000)] {
            let (mut moments, mut model) = (Moments::default(), BTreeSet::new());
            for round in 0..rounds {
                let one = (at(random() % instants), id(random() % ids));
                if random() % 5 < 3 {
                    assert_eq!(moments.insert(one), model.insert(one));
                } else {
                    let one = if random().is_multiple_of(2) { one } else { moments.first().unwrap_or(one) };
                    assert_eq!(moments.remove(&one), model.remove(&one));
                }
                assert_eq!((moments.first(), moments.len()), (model.first().copied(), model.len()));
                if round % 100 == 0 {
                    assert!(moments.iter().eq(model.iter().copied()));
                }
            }
            model.iter().for_each(|one| assert!(moments.remove(one)));
            assert_eq!((moments.first(), moments.len()), (None, 0));
        }
    }

    #[test]
    fn jobs_of_one_instant_added_in_order_come_out_in_order() {
        let mut moments = Moments::default();
        let all: Vec<Moment> = (0..4 * LIST_LEN as u64).map(|number| (at(1), id(number))).collect();
        assert!(all.iter().all(|one| moments.insert(*one)));
        assert!(!moments.insert(all[0]) && moments.iter().eq(all.iter().copied()));
        for one in &all {
            assert_eq!(moments.first(), Some(*one));
            assert!(moments.remove(one) && !moments.remove(one));
        }
    }

    /// Random numbers (splitmix64).
    fn random_numbers(seed: u64) -> impl FnMut() -> u64 {
        let mut state = seed;
        move || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        }
    }
}
