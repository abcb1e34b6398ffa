//! Requeue, delete, pause, resume: what an operator does.

use std::collections::HashMap;
use std::sync::Arc;

use backgroundjobs_core::{DeleteStatus, JobId, JobState, QueueName, RequeueStatus, Timestamp, UniqueKey};
use sqlx::Row;

use crate::cancel::{STATES, read_states};
use crate::db::{Args, Change, InTransaction};
use crate::engine::Engine;
use crate::error::Failed;
use crate::id;
use crate::keys::{self, Held};
use crate::row::{self, Named};

/// A job as a requeue finds it.
struct Found {
    state: JobState,
    queue: QueueName,
    unique: Option<UniqueKey>,
}

impl Engine {
    pub(crate) async fn requeue(&self, ids: &[JobId], now: Timestamp) -> Result<Vec<RequeueStatus>, Failed> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut db = self.writer().await?;
        let mut change = db.change().await?;
        let (mut found, mut held) = self.look_for_requeue(&mut change, ids).await?;
        let (mut statuses, mut requeued, mut taken) = (Vec::with_capacity(ids.len()), Vec::new(), Vec::new());
        for id in ids {
            let Some(job) = found.get_mut(id) else {
                statuses.push(RequeueStatus::Unknown);
                continue;
            };
            if !job.state.is_final() {
                statuses.push(RequeueStatus::NotFinished(job.state));
                continue;
            }
            if let Some(unique) = &job.unique {
                match held.get(&unique.key) {
                    Some(holder) if holder.is_held(now) && holder.job != *id => {
                        statuses.push(RequeueStatus::Conflict(holder.job));
                        continue;
                    }
                    // It still holds its own, and keeps it as it is.
                    Some(holder) if holder.is_held(now) => {}
                    _ => {
                        held.insert(unique.key.clone(), Held::by(*id, unique, now));
                        taken.push((unique.clone(), *id));
                    }
                }
            }
            job.state = JobState::Waiting;
            requeued.push(*id);
            statuses.push(RequeueStatus::Requeued(job.queue.clone()));
        }
        if !requeued.is_empty() {
            let args = Args::new().with(id::array(requeued)).with(now.as_micros());
            change.run(&self.sql.text(&requeue()), args).await?;
        }
        if !taken.is_empty() {
            let taken: Vec<_> = taken.iter().map(|(unique, job)| (unique, *job, now)).collect();
            change.run(&self.sql.text(keys::TAKE), Args::new().with(keys::taken(&taken))).await?;
        }
        change.run_last(&self.sql.text("COMMIT"), Args::new()).await?;
        Ok(statuses)
    }

    async fn look_for_requeue(
        &self,
        change: &mut Change<'_>,
        ids: &[JobId],
    ) -> Result<(HashMap<JobId, Found>, HashMap<Arc<str>, Held>), Failed> {
        let args = Args::new().with(id::array(ids.iter().copied()));
        let answers = change.run(&self.sql.text(LOOK), args).await?;
        let (mut found, mut held) = (HashMap::new(), HashMap::new());
        for row in &answers[1].rows {
            let id = id::from_bytes(row.try_get(0)?)?;
            let queue = QueueName::new(row.try_get::<&str, _>(2)?)
                .map_err(|_| Failed::corrupt(format!("the queue of job {id} cannot be read")))?;
            let mut job = Found { state: row::state(row.try_get(1)?)?, queue, unique: None };
            if let Some(key) = row.try_get::<Option<&str>, _>(3)? {
                let hold = row::hold(row.try_get::<Option<&str>, _>(4)?.unwrap_or_default())?;
                job.unique = Some(UniqueKey { key: key.into(), hold });
            }
            found.insert(id, job);
        }
        for row in &answers[2].rows {
            let until: Option<i64> = row.try_get(2)?;
            let holder = Held { job: id::from_bytes(row.try_get(1)?)?, until: until.map(row::instant) };
            held.insert(row.try_get::<&str, _>(0)?.into(), holder);
        }
        Ok((found, held))
    }

    pub(crate) async fn delete(&self, ids: &[JobId]) -> Result<Vec<DeleteStatus>, Failed> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut db = self.writer().await?;
        let mut change = db.change().await?;
        let args = Args::new().with(id::array(ids.iter().copied()));
        let answers = change.run(&self.sql.text(STATES), args).await?;
        let mut states = read_states(answers[1].text()?.unwrap_or_default())?;
        let (mut gone, mut waited, mut statuses) = (Vec::new(), Vec::new(), Vec::with_capacity(ids.len()));
        for id in ids {
            statuses.push(match states.get(id).copied() {
                None => DeleteStatus::Unknown,
                Some(JobState::Running) => DeleteStatus::Running,
                Some(state) => {
                    states.remove(id);
                    gone.push(*id);
                    if state == JobState::Waiting {
                        waited.push(*id);
                    }
                    DeleteStatus::Deleted
                }
            });
        }
        if !waited.is_empty() {
            change.run(&self.sql.text(keys::LET_GO_OF_ALL), Args::new().with(id::array(waited))).await?;
        }
        self.erase(&mut change, gone).await?;
        change.run_last(&self.sql.text("COMMIT"), Args::new()).await?;
        Ok(statuses)
    }

    pub(crate) async fn pause(&self, queue: &QueueName, now: Timestamp) -> Result<(), Failed> {
        let args = Args::new().with(queue.as_str()).with(now.as_micros());
        self.writer().await?.change().await?.run_last(&self.sql.text(PAUSE), args).await?;
        Ok(())
    }

    pub(crate) async fn resume(&self, queue: &QueueName) -> Result<(), Failed> {
        let args = Args::new().with(queue.as_str());
        self.writer().await?.change().await?.run_last(&self.sql.text(RESUME), args).await?;
        Ok(())
    }
}

pub(crate) const LOOK: &str = "\
BEGIN IMMEDIATE;
SELECT j.id, j.state, l.queue, j.unique_key, j.hold
    FROM json_each($1) e CROSS JOIN {p}jobs j ON j.id = unhex(e.value)
    CROSS JOIN {p}lanes l ON l.lane = j.lane;
SELECT k.unique_key, k.job, k.until
    FROM json_each($1) e CROSS JOIN {p}jobs j ON j.id = unhex(e.value)
    CROSS JOIN {p}keys k ON k.unique_key = j.unique_key";

pub(crate) fn requeue() -> String {
    let set = "state = 0, run_at = $2, attempts = 0, crashes = 0, flagged = 0, finished_at = NULL";
    Named::all(set).change()
}

const PAUSE: &str = "\
BEGIN IMMEDIATE;
INSERT INTO {p}paused (queue, since) VALUES ($1, $2) ON CONFLICT DO NOTHING;
COMMIT";

const RESUME: &str = "\
BEGIN IMMEDIATE;
DELETE FROM {p}paused WHERE queue = $1;
COMMIT";
