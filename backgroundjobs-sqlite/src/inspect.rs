//! Count, list, queues: looking at many jobs.

use std::collections::{BTreeMap, BTreeSet};

use backgroundjobs_core::{
    JobCount, JobCursor, JobFilter, JobId, JobState, JobSummary, Kind, ListJobs, NewJob, Payload, QueueFacts,
    QueueName, Timestamp,
};
use sqlx::Row;

use crate::db::Args;
use crate::engine::{Engine, Held, NEW_LANES};
use crate::error::Failed;
use crate::id;
use crate::row;

/// The most jobs that one page looks at. Such a page is short, and its cursor goes on where it stopped (clause N-5).
const LOOKED_AT_PER_PAGE: usize = 10_000;

impl Engine {
    /// A reader, and every lane that is committed known.
    async fn reader_with_lanes(&self) -> Result<Held<'_>, Failed> {
        let mut db = self.reader().await?;
        let args = Args::new().with(self.lanes.latest());
        let answers = db.run(&self.sql.text(NEW_LANES), args).await?;
        self.learn(&answers[0].rows)?;
        Ok(db)
    }

    pub(crate) async fn count(&self, filter: &JobFilter) -> Result<Vec<JobCount>, Failed> {
        let mut db = self.reader_with_lanes().await?;
        let mut rows: BTreeMap<(QueueName, Kind, JobState), (u64, Option<Timestamp>)> = BTreeMap::new();
        let asked = |state: &JobState| filter.states.as_ref().is_none_or(|states| states.contains(state));
        let states: Vec<_> = JobState::ALL.into_iter().filter(asked).collect();
        let text = states.iter().map(|state| count_of(*state)).collect::<Vec<_>>().join(";");
        let answers =
            db.change().await?.run_last(&self.sql.text(&format!("BEGIN;{text};COMMIT")), Args::new()).await?;
        for (state, answer) in states.iter().zip(&answers[1..]) {
            for row in &answer.rows {
                let (number, count, next_run_at): (i64, i64, Option<i64>) =
                    (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
                // A lane that was made since has jobs that were, too.
                let Some(lane) = self.lanes.lane(number) else { continue };
                if !filter.matches(&lane.queue, &lane.kind, *state) {
                    continue;
                }
                let entry = rows.entry((lane.queue.clone(), lane.kind.clone(), *state)).or_default();
                entry.0 += u64::try_from(count).unwrap_or_default();
                entry.1 = entry.1.into_iter().chain(next_run_at.map(row::instant)).min();
            }
        }
        let count = |((queue, kind, state), (count, next_run_at))| JobCount {
            queue,
            kind,
            state,
            count,
            next_run_at,
        };
        Ok(rows.into_iter().map(count).collect())
    }

    pub(crate) async fn list(
        &self,
        request: &ListJobs,
    ) -> Result<(Vec<JobSummary>, Option<JobCursor>), Failed> {
        let mut db = self.reader_with_lanes().await?;
        let filter = &request.filter;
        let lanes = (filter.queues.is_some() || filter.kinds.is_some()).then(|| {
            let lets_through = |lane: &crate::lanes::Lane| {
                filter.queues.as_ref().is_none_or(|queues| queues.contains(&lane.queue))
                    && filter.kinds.as_ref().is_none_or(|kinds| kinds.contains(&lane.kind))
            };
            serde_json::to_string(&self.lanes.matching(lets_through)).expect("numbers can be written")
        });
        let states = filter.states.as_ref().map(|states| {
            let states: Vec<_> = states.iter().map(|state| row::state_number(*state)).collect();
            serde_json::to_string(&states).expect("numbers can be written")
        });
        let after = request.after.map(|JobCursor(id)| id::bytes(id).to_vec());
        let limit = request.limit.min(LOOKED_AT_PER_PAGE);
        let looked_at = i64::try_from(LOOKED_AT_PER_PAGE).unwrap_or(i64::MAX);
        // One more than asked for tells whether there is one more.
        let rows = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
        let args = Args::new().with(after).with(lanes).with(states).with(rows).with(looked_at);
        let text = if request.after.is_some() {
            PAGE.replace("{after}", "WHERE id < $1")
        } else {
            PAGE.replace("{after}", "")
        };
        let answers = db.run(&self.sql.text(&text), args).await?;
        let mut jobs = answers[0].rows.iter().map(|row| self.summary(row)).collect::<Result<Vec<_>, _>>()?;
        let last_looked_at: Option<Vec<u8>> =
            answers[1].rows.first().map(|row| row.try_get(0)).transpose()?;
        let next = if jobs.len() > limit {
            jobs.truncate(limit);
            jobs.last().map(|job| JobCursor(job.id))
        } else {
            last_looked_at.map(|id| id::from_bytes(&id).map(JobCursor)).transpose()?
        };
        Ok((jobs, next))
    }

    fn summary(&self, row: &sqlx::sqlite::SqliteRow) -> Result<JobSummary, Failed> {
        let id: JobId = id::from_bytes(row.try_get(0)?)?;
        let damaged = || Failed::corrupt(format!("job {id} cannot be read"));
        let lane = self.lanes.lane(row.try_get(1)?).ok_or_else(damaged)?;
        let number = |column: usize| -> Result<u16, Failed> {
            u16::try_from(row.try_get::<i64, _>(column)?).map_err(|_| damaged())
        };
        let moment = |column: usize| -> Result<Option<Timestamp>, Failed> {
            Ok(row.try_get::<Option<i64>, _>(column)?.map(row::instant))
        };
        let job = NewJob::new(id, lane.kind.clone(), lane.queue.clone(), Payload::from_store(""));
        let record = backgroundjobs_core::JobRecord::inserted(job, row::instant(row.try_get(8)?));
        let mut summary = JobSummary::from_record(&record);
        summary.priority = lane.priority;
        summary.state = row::state(row.try_get(2)?)?;
        summary.run_at = row::instant(row.try_get(3)?);
        (summary.attempts, summary.crashes, summary.max_attempts) = (number(4)?, number(5)?, number(6)?);
        summary.cancel_requested = row.try_get(7)?;
        (summary.claimed_at, summary.finished_at) = (moment(9)?, moment(10)?);
        Ok(summary)
    }

    pub(crate) async fn queues(&self) -> Result<Vec<QueueFacts>, Failed> {
        let mut db = self.reader_with_lanes().await?;
        let answers = db.run(&self.sql.text(QUEUES), Args::new()).await?;
        let mut paused = BTreeMap::new();
        for row in &answers[0].rows {
            let name = row.try_get::<&str, _>(0)?;
            let queue =
                QueueName::new(name).map_err(|_| Failed::corrupt(format!("{name:?} cannot be a queue")))?;
            paused.insert(queue, row::instant(row.try_get(1)?));
        }
        let mut names: BTreeSet<QueueName> = paused.keys().cloned().collect();
        for row in &answers[1].rows {
            names.extend(self.lanes.lane(row.try_get(0)?).map(|lane| lane.queue.clone()));
        }
        let facts = |queue: QueueName| QueueFacts { paused_since: paused.get(&queue).copied(), queue };
        Ok(names.into_iter().map(facts).collect())
    }
}

/// Counts the jobs of a state by lane.
pub(crate) fn count_of(state: JobState) -> String {
    let number = row::state_number(state);
    match state {
        JobState::Waiting => {
            "SELECT lane, count(*), min(run_at) FROM {p}jobs WHERE state = 0 GROUP BY lane".to_owned()
        }
        JobState::Running => {
            "SELECT lane, count(*), NULL FROM {p}jobs WHERE state = 1 GROUP BY lane".to_owned()
        }
        _ => format!(
            "SELECT lane, count(*), NULL FROM {{p}}jobs WHERE state = {number} AND state > 1 GROUP BY lane"
        ),
    }
}

/// Of at most `$5` jobs the first `$4` that are let through, the newest first; and the last that was looked at, if there
/// may be more behind it.
const PAGE: &str = "\
SELECT id, lane, state, run_at, attempts, crashes, max_attempts, flagged, created_at, claimed_at, finished_at
    FROM (SELECT * FROM {p}jobs {after} ORDER BY id DESC LIMIT $5)
    WHERE ($2 IS NULL OR lane IN (SELECT value FROM json_each($2)))
        AND ($3 IS NULL OR state IN (SELECT value FROM json_each($3)))
    ORDER BY id DESC LIMIT $4;
SELECT id FROM {p}jobs {after} ORDER BY id DESC LIMIT 1 OFFSET $5 - 1";

pub(crate) const QUEUES: &str = "\
SELECT queue, since FROM {p}paused;
SELECT l.lane FROM {p}lanes l WHERE EXISTS (SELECT 1 FROM {p}jobs j WHERE j.state = 0 AND j.lane = l.lane)
UNION SELECT lane FROM {p}jobs WHERE state = 1
UNION SELECT lane FROM {p}jobs WHERE state > 1";
