//! Get: whole records.

use std::collections::{BTreeSet, HashMap};

use backgroundjobs_core::{
    ClaimId, JobId, JobRecord, JobState, Kind, Lease, NewJob, Payload, Priority, QueueName, Timestamp,
    UniqueKey, WorkerId,
};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::db::Args;
use crate::engine::Engine;
use crate::error::Failed;
use crate::failures;
use crate::id;
use crate::row;

impl Engine {
    pub(crate) async fn get(&self, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>, Failed> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        // An id that was asked for twice must not bring its failures twice.
        let distinct: BTreeSet<JobId> = ids.iter().copied().collect();
        let args = Args::new().with(id::array(distinct));
        let mut db = self.reader().await?;
        // One transaction, so that the failures are those of the record.
        let answers = db.change().await?.run_last(&self.sql.text(GET), args).await?;
        drop(db);
        let mut records = HashMap::new();
        for row in &answers[1].rows {
            let record = record(row)?;
            records.insert(record.id, record);
        }
        for row in &answers[2].rows {
            if let Some(record) = records.get_mut(&id::from_bytes(row.try_get(0)?)?) {
                let (at, attempt) = (row.try_get(1)?, row.try_get(2)?);
                record.failures.push(failures::recorded(at, attempt, row.try_get(3)?, row.try_get(4)?)?);
            }
        }
        Ok(ids.iter().map(|id| records.get(id).cloned()).collect())
    }
}

pub(crate) const GET: &str = "\
BEGIN;
SELECT j.id, l.queue, l.kind, l.priority, j.state, j.run_at, j.generation, j.settled, j.attempts, j.crashes,
        j.max_attempts, j.max_crashes, j.flagged, j.lease_until, j.worker, j.claim, j.created_at, j.claimed_at,
        j.finished_at, j.unique_key, j.hold, coalesce(j.metadata, p.metadata), coalesce(j.args, p.args)
    FROM json_each($1) e CROSS JOIN {p}jobs j ON j.id = unhex(e.value)
    CROSS JOIN {p}lanes l ON l.lane = j.lane LEFT JOIN {p}payloads p ON p.job = j.id;
SELECT f.job, f.at, f.attempt, f.kind, f.text
    FROM json_each($1) e CROSS JOIN {p}failures f ON f.job = unhex(e.value)
    ORDER BY f.job, f.generation;
COMMIT";

fn record(row: &SqliteRow) -> Result<JobRecord, Failed> {
    let id = id::from_bytes(row.try_get(0)?)?;
    let damaged = |what: &str| Failed::corrupt(format!("the {what} of job {id} cannot be read"));
    let queue = QueueName::new(row.try_get::<&str, _>(1)?).map_err(|_| damaged("queue"))?;
    let kind = Kind::new(row.try_get::<&str, _>(2)?).map_err(|_| damaged("kind"))?;
    let number = |column: usize, what: &str| -> Result<u16, Failed> {
        u16::try_from(row.try_get::<i64, _>(column)?).map_err(|_| damaged(what))
    };
    let growing = |column: usize, what: &str| -> Result<u64, Failed> {
        u64::try_from(row.try_get::<i64, _>(column)?).map_err(|_| damaged(what))
    };
    let moment = |column: usize| -> Result<Option<Timestamp>, Failed> {
        Ok(row.try_get::<Option<i64>, _>(column)?.map(row::instant))
    };
    let args = row.try_get::<Option<&str>, _>(22)?.ok_or_else(|| damaged("args"))?;
    let job = NewJob::new(id, kind, queue, Payload::from_store(args));
    let mut record = JobRecord::inserted(job, row::instant(row.try_get(16)?));
    let level = number(3, "priority")?;
    record.priority = u8::try_from(level).ok().and_then(Priority::new).ok_or_else(|| damaged("priority"))?;
    record.state = row::state(row.try_get(4)?)?;
    record.run_at = row::instant(row.try_get(5)?);
    (record.generation, record.settled) = (growing(6, "generation")?, growing(7, "settled generation")?);
    (record.attempts, record.crashes) = (number(8, "attempts")?, number(9, "crashes")?);
    (record.max_attempts, record.max_crashes) =
        (number(10, "limit of attempts")?, number(11, "limit of crashes")?);
    record.cancel_requested = row.try_get(12)?;
    if record.state == JobState::Running {
        let until = moment(13)?.ok_or_else(|| damaged("lease"))?;
        let uuid = |column: usize| -> Result<uuid::Uuid, Failed> {
            uuid::Uuid::from_slice(row.try_get(column)?).map_err(|_| damaged("lease"))
        };
        let (worker, claim) = (WorkerId::from_uuid(uuid(14)?), ClaimId::from_uuid(uuid(15)?));
        record.lease = Some(Lease::new(worker, claim, until));
    }
    (record.claimed_at, record.finished_at) = (moment(17)?, moment(18)?);
    if let Some(key) = row.try_get::<Option<&str>, _>(19)? {
        let hold = row::hold(row.try_get::<Option<&str>, _>(20)?.unwrap_or_default())?;
        record.unique = Some(UniqueKey { key: key.into(), hold });
    }
    record.metadata = row::metadata(row.try_get(21)?)?;
    Ok(record)
}
