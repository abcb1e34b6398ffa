//! Prune: deleting what the retention does not keep, a bounded part at a time.
//!
//! Of each final state the jobs that go are those up to a bound, in the order in which they ended. One call deletes some
//! of them in one short transaction, and says whether there are more. Workers call often, and most often there is nothing
//! to delete: that is found out without the connection that writes.

use std::time::Duration;

use backgroundjobs_core::{JobId, JobState, Keep, PruneJobs, PrunedJobs, Timestamp};
use sqlx::Row;

use crate::db::{Args, Change, InTransaction};
use crate::engine::Engine;
use crate::error::Failed;
use crate::id;
use crate::row;

/// The most jobs (and apart from them, keys whose time is over), and about the most bytes of payloads and error texts, that
/// go in one call, whatever its limit: meanwhile nobody else writes.
const MOST_JOBS: u32 = 1_000;
const MOST_BYTES: i64 = 4 * 1024 * 1024;
/// What a failure counts beside its text: each is a row to delete, and so about 8,000 go in one call.
const BYTES_OF_FAILURE: i64 = 500;
const FINAL: [JobState; 3] = [JobState::Succeeded, JobState::Failed, JobState::Cancelled];
/// Comes after every id.
const AFTER_ALL_IDS: [u8; 17] = [0xff; 17];

/// When a job ended, and its id, or what comes after all.
type Ended = (Timestamp, Vec<u8>);

/// What one call may still delete.
struct Budget {
    jobs: u32,
    bytes: i64,
}

impl Engine {
    pub(crate) async fn prune(&self, request: &PruneJobs, now: Timestamp) -> Result<PrunedJobs, Failed> {
        if let Some(nothing) = self.nothing_to_prune(request, now).await? {
            return Ok(nothing);
        }
        let mut db = self.writer().await?;
        let mut change = db.change().await?;
        let most_jobs = request.limit.min(MOST_JOBS);
        let args = Args::new().with(now.as_micros()).with(most_jobs);
        change.run(&self.sql.text(FORGET_EXPIRED_KEYS), args).await?;
        let mut budget = Budget { jobs: most_jobs, bytes: MOST_BYTES };
        let mut next_prune = None;
        for (state, keep) in kept(request) {
            let next = self.prune_state(&mut change, state, keep, now, &mut budget).await?;
            next_prune = next_prune.into_iter().chain(next).min();
        }
        change.run_last(&self.sql.text("COMMIT"), Args::new()).await?;
        Ok(PrunedJobs { store_now: now, removed: most_jobs - budget.jobs, next_prune })
    }

    /// The answer, if there is nothing to delete yet.
    async fn nothing_to_prune(
        &self,
        request: &PruneJobs,
        now: Timestamp,
    ) -> Result<Option<PrunedJobs>, Failed> {
        let mut db = self.reader().await?;
        let mut look = db.change().await?;
        let answers = look.run(&self.sql.text(ANY_EXPIRED_KEYS), Args::new().with(now.as_micros())).await?;
        let mut next_prune = (answers[1].number()? != 0).then_some(now);
        for (state, keep) in kept(request) {
            let bound = self.bound(&mut look, state, keep, now).await?;
            let next = self.next_of(&mut look, state, keep, bound.as_ref(), now).await?;
            next_prune = next_prune.into_iter().chain(next).min();
        }
        look.take_back().await?;
        let is_due = next_prune.is_some_and(|next| next <= now);
        Ok((!is_due).then_some(PrunedJobs { store_now: now, removed: 0, next_prune }))
    }

    /// Deletes jobs of one state, and says when there is more to delete.
    async fn prune_state(
        &self,
        change: &mut Change<'_>,
        state: JobState,
        keep: Keep,
        now: Timestamp,
        budget: &mut Budget,
    ) -> Result<Option<Timestamp>, Failed> {
        let bound = self.bound(change, state, keep, now).await?;
        if let Some(bound) = &bound
            && budget.jobs > 0
            && budget.bytes > 0
        {
            let ids = self.pick(change, state, bound, budget).await?;
            self.erase(change, ids).await?;
        }
        self.next_of(change, state, keep, bound.as_ref(), now).await
    }

    /// When the first job of this state goes, by what is there; `now` if it does already.
    async fn next_of(
        &self,
        change: &mut Change<'_>,
        state: JobState,
        keep: Keep,
        bound: Option<&Ended>,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, Failed> {
        let Some(first) = self.ended(change, state, "ASC", 0).await? else { return Ok(None) };
        if bound.is_some_and(|bound| first <= *bound) {
            return Ok(Some(now));
        }
        Ok(keep.max_age.and_then(|age| too_old_at(first.0, age)))
    }

    /// The last of those that go; `None` if none does.
    async fn bound(
        &self,
        change: &mut Change<'_>,
        state: JobState,
        keep: Keep,
        now: Timestamp,
    ) -> Result<Option<Ended>, Failed> {
        let by_age =
            keep.max_age.and_then(|age| last_too_old(now, age)).map(|at| (at, AFTER_ALL_IDS.to_vec()));
        let by_count = match keep.max_count {
            Some(count) => self.ended(change, state, "DESC", count).await?,
            None => None,
        };
        Ok(by_age.into_iter().chain(by_count).max())
    }

    /// The job of this state that ended first (`ASC`) or last (`DESC`), after leaving out so many.
    async fn ended(
        &self,
        change: &mut Change<'_>,
        state: JobState,
        order: &str,
        leave_out: u64,
    ) -> Result<Option<Ended>, Failed> {
        let text = ended(state, order);
        let args = Args::new().with(i64::try_from(leave_out).unwrap_or(i64::MAX));
        let answers = change.run(&self.sql.text(&text), args).await?;
        let row = answers[0].rows.first();
        row.map(|row| Ok((row::instant(row.try_get(0)?), row.try_get(1)?))).transpose()
    }

    /// The first jobs up to the bound, as many as the budget has, which is charged for them.
    async fn pick(
        &self,
        change: &mut Change<'_>,
        state: JobState,
        (at, last): &Ended,
        budget: &mut Budget,
    ) -> Result<Vec<JobId>, Failed> {
        let args = Args::new().with(at.as_micros()).with(&last[..]).with(budget.jobs);
        let answers = change.run(&self.sql.text(&pick(state)), args).await?;
        let mut ids = Vec::new();
        for row in &answers[0].rows {
            if budget.bytes <= 0 {
                break;
            }
            ids.push(id::from_bytes(row.try_get(0)?)?);
            budget.jobs -= 1;
            budget.bytes -= row.try_get::<i64, _>(1)?;
        }
        Ok(ids)
    }

    /// Deletes jobs with all that is theirs but their keys.
    pub(crate) async fn erase(&self, change: &mut Change<'_>, ids: Vec<JobId>) -> Result<(), Failed> {
        if !ids.is_empty() {
            change.run(&self.sql.text(ERASE), Args::new().with(id::array(ids))).await?;
        }
        Ok(())
    }
}

/// The final states of which not all jobs are kept.
fn kept(request: &PruneJobs) -> impl Iterator<Item = (JobState, Keep)> {
    let kept = FINAL.into_iter().filter_map(|state| Some((state, request.retention.of(state)?)));
    kept.filter(|(_, keep)| *keep != Keep::FOREVER)
}

/// The latest end that is too long ago at `now` (clause P-1); `None` if none can be.
fn last_too_old(now: Timestamp, max_age: Duration) -> Option<Timestamp> {
    let instant = now.as_micros().checked_sub(longer_than(max_age)?)?;
    (instant >= Timestamp::MIN.as_micros()).then(|| row::instant(instant))
}

/// The first instant at which a job has been over for longer than `max_age`; `None` if that lies beyond the end of time.
fn too_old_at(finished_at: Timestamp, max_age: Duration) -> Option<Timestamp> {
    let instant = finished_at.as_micros().checked_add(longer_than(max_age)?)?;
    (instant <= Timestamp::MAX.as_micros()).then(|| row::instant(instant))
}

/// The shortest time in whole microseconds that is longer.
fn longer_than(age: Duration) -> Option<i64> {
    i64::try_from(age.as_micros()).ok()?.checked_add(1)
}

/// The job of this state that ended first (`ASC`) or last (`DESC`), after leaving out `$1`. The state stands twice,
/// because only what is said of it word for word lets SQLite use the index of jobs that are over.
pub(crate) fn ended(state: JobState, order: &str) -> String {
    let state = row::state_number(state);
    format!(
        "SELECT finished_at, id FROM {{p}}jobs WHERE state = {state} AND state > 1 \
         ORDER BY finished_at {order}, id {order} LIMIT 1 OFFSET $1"
    )
}

/// The first `$3` jobs of this state that ended up to (`$1`, `$2`), with what they take from the budget's bytes.
pub(crate) fn pick(state: JobState) -> String {
    let state = row::state_number(state);
    format!(
        "SELECT j.id, coalesce((SELECT octet_length(p.args) FROM {{p}}payloads p WHERE p.job = j.id), 0) \
         + coalesce((SELECT sum(octet_length(f.text) + {BYTES_OF_FAILURE}) FROM {{p}}failures f WHERE f.job = j.id), 0) \
         FROM {{p}}jobs j WHERE j.state = {state} AND j.state > 1 AND (j.finished_at, j.id) <= ($1, $2) \
         ORDER BY j.finished_at, j.id LIMIT $3"
    )
}

/// Begins, and tells whether a key's time is over.
pub(crate) const ANY_EXPIRED_KEYS: &str = "\
BEGIN;
SELECT EXISTS (SELECT 1 FROM {p}keys WHERE until IS NOT NULL AND until <= $1)";

pub(crate) const FORGET_EXPIRED_KEYS: &str = "\
BEGIN IMMEDIATE;
DELETE FROM {p}keys WHERE unique_key IN (
    SELECT unique_key FROM {p}keys WHERE until IS NOT NULL AND until <= $1 ORDER BY until LIMIT $2
)";

pub(crate) const ERASE: &str = "\
DELETE FROM {p}failures WHERE job IN (SELECT unhex(value) FROM json_each($1));
DELETE FROM {p}payloads WHERE job IN (
    SELECT unhex(value) FROM json_each($1) WHERE EXISTS (SELECT 1 FROM {p}payloads)
);
DELETE FROM {p}jobs WHERE id IN (SELECT unhex(value) FROM json_each($1))";
