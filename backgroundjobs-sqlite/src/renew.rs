//! Renew: holding leases for another time.

use std::collections::HashMap;

use backgroundjobs_core::{LeaseKey, LeaseStatus, RenewLeases, Timestamp};

use crate::db::Args;
use crate::engine::Engine;
use crate::error::Failed;
use crate::id;
use crate::row::Packed;

impl Engine {
    pub(crate) async fn renew(&self, request: &RenewLeases, now: Timestamp) -> Result<Vec<LeaseStatus>, Failed> {
        if request.leases.is_empty() {
            return Ok(Vec::new());
        }
        let args = Args::new().with(id::leases(&request.leases)).with((now + request.lease).as_micros());
        let mut db = self.writer().await?;
        let answers = db.change().await?.run_last(&self.sql.text(RENEW), args).await?;
        let mut held = HashMap::new();
        let mut packed = Packed::new(answers[2].text()?.unwrap_or_default());
        while !packed.is_over() {
            let (generation, flagged): (u64, i64) = (packed.number()?, packed.number()?);
            let status = if flagged == 0 { LeaseStatus::Held } else { LeaseStatus::CancelRequested };
            held.insert(LeaseKey { id: id::from_hex(packed.text(32)?)?, generation }, status);
        }
        let status = |lease| held.get(lease).copied().unwrap_or(LeaseStatus::Lost);
        Ok(request.leases.iter().map(status).collect())
    }
}

const RENEW: &str = "\
BEGIN IMMEDIATE;
UPDATE {p}jobs SET lease_until = $2
    FROM json_each($1) e WHERE {p}jobs.id = unhex(e.key) AND {p}jobs.generation = e.value AND {p}jobs.state = 1;
SELECT group_concat(j.generation || ',' || j.flagged || ',' || hex(j.id), '')
    FROM json_each($1) e CROSS JOIN {p}jobs j ON j.id = unhex(e.key) WHERE j.generation = e.value AND j.state = 1;
COMMIT";
