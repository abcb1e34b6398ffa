//! Failures of earlier attempts, in rows apart from their job.

use backgroundjobs_core::limits::MAX_ERRORS_PER_JOB;
use backgroundjobs_core::{Failure, FailureKind, LeaseKey, RecordedFailure, Timestamp};

use crate::db::{Args, Change, InTransaction};
use crate::engine::Engine;
use crate::error::Failed;

/// Failures that a change adds. A claim ends once, so its generation tells the failures of a job apart, and in order.
#[derive(Default)]
pub(crate) struct Added {
    rows: Vec<(String, u64, i64, u16, &'static str, String)>,
}

impl Added {
    pub(crate) fn add(&mut self, lease: LeaseKey, now: Timestamp, attempt: u16, failure: &Failure) {
        let id = lease.id.as_uuid().simple().to_string();
        let text = failure.text.as_str().to_owned();
        self.rows.push((id, lease.generation, now.as_micros(), attempt, failure.kind.as_str(), text));
    }

    /// Adds them; the oldest make room.
    pub(crate) async fn write(&self, engine: &Engine, change: &mut Change<'_>) -> Result<(), Failed> {
        if !self.rows.is_empty() {
            let rows = serde_json::to_string(&self.rows).expect("texts and numbers can be written");
            let oldest_kept = i64::try_from(MAX_ERRORS_PER_JOB - 1).unwrap_or(i64::MAX);
            change.run(&engine.sql.text(ADD), Args::new().with(rows).with(oldest_kept)).await?;
        }
        Ok(())
    }
}

pub(crate) const ADD: &str = "\
INSERT INTO {p}failures (job, generation, at, attempt, kind, text)
    SELECT unhex(value ->> 0), value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5 FROM json_each($1);
DELETE FROM {p}failures WHERE (job, generation) IN (
    SELECT f.job, f.generation FROM json_each($1) e
    CROSS JOIN {p}failures f ON f.job = unhex(e.value ->> 0) AND f.generation < (
        SELECT o.generation FROM {p}failures o WHERE o.job = unhex(e.value ->> 0)
        ORDER BY o.generation DESC LIMIT 1 OFFSET $2
    )
)";

/// A failure as it was kept.
pub(crate) fn recorded(at: i64, attempt: i64, kind: &str, text: &str) -> Result<RecordedFailure, Failed> {
    const KINDS: [FailureKind; 5] = [
        FailureKind::Error,
        FailureKind::Panic,
        FailureKind::Timeout,
        FailureKind::Crash,
        FailureKind::Cancel,
    ];
    let known = KINDS.into_iter().find(|known| known.as_str() == kind);
    let known = known
        .ok_or_else(|| Failed::corrupt(format!("a failure is of the kind {kind:?}, which there is not")))?;
    let attempt =
        u16::try_from(attempt).map_err(|_| Failed::corrupt("a failure's attempt is no number of one"))?;
    Ok(RecordedFailure::new(Timestamp::from_micros(at), attempt, Failure::new(known, text)))
}
