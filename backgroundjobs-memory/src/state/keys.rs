//! [`Keys`]: who holds which unique key, and until when.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use backgroundjobs_core::{JobId, KeyHold, Timestamp, UniqueKey};

/// The unique keys that are held. A key held for a time lives on without its job (clause U-4).
#[derive(Debug, Default)]
pub(super) struct Keys {
    held: HashMap<Arc<str>, Holder>,
    /// The keys held for a time by when they end, so that those nobody asks for again are forgotten too.
    expiring: BTreeSet<(Timestamp, Arc<str>)>,
}

#[derive(Debug)]
struct Holder {
    job: JobId,
    /// When it ends by itself; `None` until the job lets go.
    until: Option<Timestamp>,
}

impl Keys {
    /// Who holds `key` now.
    pub(super) fn holder(&self, key: &str, now: Timestamp) -> Option<JobId> {
        let holder = self.held.get(key)?;
        holder.until.is_none_or(|until| until > now).then_some(holder.job)
    }

    /// Takes a key for `job`, unless somebody holds it: then that job is the answer (clause U-2).
    pub(super) fn take(&mut self, unique: &UniqueKey, job: JobId, now: Timestamp) -> Result<(), JobId> {
        if let Some(holder) = self.holder(&unique.key, now) {
            return Err(holder);
        }
        self.forget(&unique.key);
        let until = match unique.hold {
            KeyHold::For(time) => Some(now + time),
            KeyHold::UntilFinished | KeyHold::UntilStarted => None,
        };
        if let Some(until) = until {
            self.expiring.insert((until, unique.key.clone()));
        }
        self.held.insert(unique.key.clone(), Holder { job, until });
        Ok(())
    }

    /// Frees `key` if `job` holds it; another holder keeps it.
    pub(super) fn let_go(&mut self, key: &Arc<str>, job: JobId) {
        if self.held.get(key).is_some_and(|holder| holder.job == job) {
            self.forget(key);
        }
    }

    /// Forgets at most `limit` keys whose time has ended.
    pub(super) fn forget_expired(&mut self, now: Timestamp, limit: usize) {
        for _ in 0..limit {
            match self.expiring.first() {
                Some((until, _)) if *until <= now => {}
                _ => return,
            }
            if let Some((_, key)) = self.expiring.pop_first() {
                self.held.remove(&key);
            }
        }
    }

    /// Checks that every end is noted once, and that no job keeps a key it should have let go.
    #[cfg(test)]
    pub(super) fn check(&self, state_of: impl Fn(JobId) -> Option<backgroundjobs_core::JobState>) {
        let timed = self.held.values().filter(|holder| holder.until.is_some()).count();
        assert_eq!(timed, self.expiring.len());
        for (key, holder) in &self.held {
            match holder.until {
                Some(until) => assert!(self.expiring.contains(&(until, key.clone())), "{key}"),
                None => {
                    let state = state_of(holder.job);
                    assert!(state.is_some_and(|state| !state.is_final()), "{key}: {state:?}");
                }
            }
        }
    }

    fn forget(&mut self, key: &Arc<str>) {
        if let Some(until) = self.held.remove(key).and_then(|holder| holder.until) {
            self.expiring.remove(&(until, key.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::fixture::{at, id};
    use super::*;

    fn unique(key: &str, hold: KeyHold) -> UniqueKey {
        UniqueKey { key: key.into(), hold }
    }

    #[test]
    fn a_time_ends_at_its_exact_microsecond() {
        let mut keys = Keys::default();
        let key = unique("k", KeyHold::For(Duration::from_secs(10)));
        assert_eq!(keys.take(&key, id(1), at(0)), Ok(()));
        let last = at(10) - Duration::from_micros(1);
        assert_eq!(keys.take(&key, id(2), last), Err(id(1)));
        assert_eq!(keys.take(&key, id(2), at(10)), Ok(()));
        assert_eq!(keys.holder("k", at(19)), Some(id(2)));
    }

    #[test]
    fn only_the_holder_lets_go() {
        let mut keys = Keys::default();
        let key = unique("k", KeyHold::UntilFinished);
        assert_eq!(keys.take(&key, id(1), at(0)), Ok(()));
        keys.let_go(&key.key, id(2));
        assert_eq!(keys.holder("k", at(0)), Some(id(1)));
        keys.let_go(&key.key, id(1));
        assert_eq!(keys.holder("k", at(0)), None);
    }

    #[test]
    fn what_expired_is_forgotten_in_bounded_steps_and_nothing_else() {
        let mut keys = Keys::default();
        for n in 0..10 {
            let hold = KeyHold::For(Duration::from_secs(n));
            assert_eq!(keys.take(&unique(&n.to_string(), hold), id(n), at(0)), Ok(()));
        }
        assert_eq!(keys.take(&unique("kept", KeyHold::UntilStarted), id(99), at(0)), Ok(()));
        keys.forget_expired(at(7), 3);
        assert_eq!((keys.held.len(), keys.expiring.len()), (8, 7));
        keys.forget_expired(at(7), 100);
        assert_eq!((keys.held.len(), keys.expiring.len()), (3, 2));
        assert_eq!(keys.holder("8", at(7)), Some(id(8)));
    }

    #[test]
    fn a_key_taken_anew_leaves_no_earlier_end_behind() {
        let mut keys = Keys::default();
        assert_eq!(keys.take(&unique("k", KeyHold::For(Duration::ZERO)), id(1), at(0)), Ok(()));
        assert_eq!(keys.take(&unique("k", KeyHold::UntilFinished), id(2), at(0)), Ok(()));
        keys.forget_expired(at(100), 100);
        assert_eq!(keys.holder("k", at(100)), Some(id(2)));
    }
}
