//! Prune: deleting what the retention does not keep.

use std::time::Duration;

use backgroundjobs_core::{JobId, JobState, Keep, PruneJobs, PrunedJobs, Timestamp};

use super::State;

impl State {
    /// Deletes at most `limit` finished jobs, and as many keys that nobody holds any more.
    pub(crate) fn prune(&mut self, request: &PruneJobs, now: Timestamp) -> PrunedJobs {
        self.index.keys.forget_expired(now, request.limit as usize);
        let (mut removed, mut next_prune) = (0, None);
        for state in JobState::ALL {
            let Some(keep) = request.retention.of(state) else { continue };
            while let Some((due, id)) = self.next_to_go(state, keep, now) {
                if due > now || removed == request.limit {
                    next_prune = next_prune.map_or(Some(due), |next: Timestamp| Some(next.min(due)));
                    break;
                }
                self.erase(id);
                removed += 1;
            }
        }
        PrunedJobs { store_now: now, removed, next_prune }
    }

    /// The job of `state` that is over the longest, and from when on it is not kept: `now` if it is already.
    /// `None` if time alone never lets it go.
    fn next_to_go(&self, state: JobState, keep: Keep, now: Timestamp) -> Option<(Timestamp, JobId)> {
        let ended = &self.index.ended[state as usize];
        let (finished_at, id) = ended.first()?;
        if keep.max_count.is_some_and(|count| ended.len() as u64 > count) {
            return Some((now, id));
        }
        let too_old_at = too_old_at(finished_at, keep.max_age?)?;
        Some((too_old_at.max(now), id))
    }
}

/// The first instant at which a job has been over for longer than `max_age` (clause P-1); `None` if that lies
/// beyond the end of time.
fn too_old_at(finished_at: Timestamp, max_age: Duration) -> Option<Timestamp> {
    let whole_micros = u64::try_from(max_age.as_micros()).ok()?;
    let instant = finished_at + Duration::from_micros(whole_micros.checked_add(1)?);
    (instant.since(finished_at) > max_age).then_some(instant)
}

#[cfg(test)]
mod tests {
    use backgroundjobs_core::{Failure, FailureKind, Outcome, Retention};

    use super::super::fixture::{at, id, job};
    use super::*;

    const MICRO: Duration = Duration::from_micros(1);

    /// Jobs 1 to `count` that succeeded in the second of their number, and one more that failed in second 0.
    fn with_finished_jobs(count: u64) -> State {
        let mut state = State::default();
        state.insert_all(vec![job(count + 1)], at(0));
        state.run(Outcome::Fail { failure: Failure::new(FailureKind::Error, "no route") }, at(0));
        for number in 1..=count {
            state.insert_all(vec![job(number)], at(number));
            state.run(Outcome::Complete, at(number));
        }
        state
    }

    fn prune(state: &mut State, succeeded: Keep, limit: u32, now: Timestamp) -> (u32, Option<Timestamp>) {
        let retention = Retention { succeeded, ..Retention::FOREVER };
        let reply = state.prune(&PruneJobs::new(now, retention, limit), now);
        (reply.removed, reply.next_prune)
    }

    #[test]
    fn by_count_the_longest_over_go_first_and_each_state_counts_apart() {
        let mut state = with_finished_jobs(5);
        assert_eq!(prune(&mut state, Keep::latest(2), 2, at(9)), (2, Some(at(9))));
        assert_eq!(state.records(&[id(2), id(3)]).iter().flatten().count(), 1);
        assert_eq!(prune(&mut state, Keep::latest(2), 0, at(9)), (0, Some(at(9))));
        assert_eq!(prune(&mut state, Keep::latest(2), 2, at(9)), (1, None));
        assert_eq!(prune(&mut state, Keep::latest(2), 2, at(9)), (0, None));
        assert_eq!(state.len(), 3, "two that succeeded and the one that failed");
    }

    #[test]
    fn by_age_a_job_goes_once_it_is_older_and_the_reply_names_that_microsecond() {
        let mut state = with_finished_jobs(3);
        let keep = Keep::for_age(Duration::from_secs(10));
        assert_eq!(prune(&mut state, keep, 9, at(11)), (0, Some(at(11) + MICRO)));
        assert_eq!(prune(&mut state, keep, 9, at(11) + MICRO), (1, Some(at(12) + MICRO)));
        let both = Keep { max_count: Some(1), ..keep };
        assert_eq!(prune(&mut state, both, 9, at(12)), (1, Some(at(13) + MICRO)));
        assert_eq!(prune(&mut state, Keep::for_age(Duration::MAX), 9, at(99)), (0, None));
    }

    #[test]
    fn an_age_with_nanoseconds_is_compared_as_it_is() {
        let age = Duration::from_nanos(1_500);
        assert_eq!(too_old_at(at(0), age), Some(at(0) + 2 * MICRO));
        assert_eq!(too_old_at(at(0), Duration::ZERO), Some(at(0) + MICRO));
        assert_eq!(too_old_at(Timestamp::MAX, Duration::ZERO), None);
    }

    #[test]
    fn jobs_that_are_not_over_stay() {
        let mut state = State::default();
        state.insert_all(vec![job(1), job(2)], at(0));
        state.claim_some(at(0), 1);
        let nothing = Keep::latest(0);
        let retention = Retention { succeeded: nothing, failed: nothing, cancelled: nothing };
        let reply = state.prune(&PruneJobs::new(at(9), retention, 9), at(9));
        assert_eq!((reply.removed, reply.next_prune, state.len()), (0, None, 2));
    }
}
