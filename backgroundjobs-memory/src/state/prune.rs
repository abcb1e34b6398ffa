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
        let (finished_at, id) = *ended.first()?;
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
