//! Cancel: keeping jobs from running, or from running on.

use std::collections::HashMap;

use backgroundjobs_core::{CancelStatus, JobId, JobState, Timestamp};

use crate::db::{Args, InTransaction};
use crate::engine::Engine;
use crate::error::Failed;
use crate::id;
use crate::keys;
use crate::row::{self, Named, Packed};

impl Engine {
    pub(crate) async fn cancel(&self, ids: &[JobId], now: Timestamp) -> Result<Vec<CancelStatus>, Failed> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut db = self.writer().await?;
        let mut change = db.change().await?;
        let args = Args::new().with(id::array(ids.iter().copied()));
        let answers = change.run(&self.sql.text(STATES), args).await?;
        let mut states = read_states(answers[1].text()?.unwrap_or_default())?;
        let (mut over, mut flagged, mut statuses) = (Vec::new(), Vec::new(), Vec::with_capacity(ids.len()));
        for id in ids {
            statuses.push(match states.get(id).copied() {
                None => CancelStatus::Unknown,
                Some(JobState::Waiting) => {
                    over.push(*id);
                    states.insert(*id, JobState::Cancelled);
                    CancelStatus::Cancelled
                }
                Some(JobState::Running) => {
                    flagged.push(*id);
                    CancelStatus::Requested
                }
                Some(state) => CancelStatus::Finished(state),
            });
        }
        if !flagged.is_empty() {
            change.run(&self.sql.text(&flag()), Args::new().with(id::array(flagged))).await?;
        }
        if !over.is_empty() {
            let args = Args::new().with(id::array(over)).with(now.as_micros());
            change.run(&self.sql.text(&format!("{}; {}", cancel(), keys::LET_GO_AT_END)), args).await?;
        }
        change.run_last(&self.sql.text("COMMIT"), Args::new()).await?;
        Ok(statuses)
    }
}

/// What [`STATES`] answers.
pub(crate) fn read_states(text: &str) -> Result<HashMap<JobId, JobState>, Failed> {
    let (mut packed, mut states) = (Packed::new(text), HashMap::new());
    while !packed.is_over() {
        let state = row::state(packed.number()?)?;
        states.insert(id::from_hex(packed.text(32)?)?, state);
    }
    Ok(states)
}

/// Begins, and answers the states of the jobs of `$1`, an array of ids.
pub(crate) const STATES: &str = "\
BEGIN IMMEDIATE;
SELECT group_concat(j.state || ',' || hex(j.id), '')
    FROM json_each($1) e CROSS JOIN {p}jobs j ON j.id = unhex(e.value)";

pub(crate) fn flag() -> String {
    Named::all("flagged = 1").change()
}

pub(crate) fn cancel() -> String {
    Named::all("state = 4, finished_at = $2").change()
}
