//! Renew: holding leases for another time.

use std::collections::HashMap;

use backgroundjobs_core::{LeaseKey, LeaseStatus, RenewLeases, Timestamp};

use crate::db::Args;
use crate::engine::Engine;
use crate::error::Failed;
use crate::id;
use crate::row::{Named, Packed};

impl Engine {
    pub(crate) async fn renew(
        &self,
        request: &RenewLeases,
        now: Timestamp,
    ) -> Result<Vec<LeaseStatus>, Failed> {
        if request.leases.is_empty() {
            return Ok(Vec::new());
        }
        let args = Args::new().with(id::leases(&request.leases)).with((now + request.lease).as_micros());
        let mut db = self.writer().await?;
        let answers = db.change().await?.run_last(&self.sql.text(&renewal()), args).await?;
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

/// Renews the leases of `$1` until `$2`, and answers those that are held.
pub(crate) fn renewal() -> String {
    let renew = Named {
        id: "e.key",
        only: "j.generation = e.value AND j.state = 1",
        ..Named::all("lease_until = $2")
    };
    let renew = renew.change();
    format!("BEGIN IMMEDIATE; {renew}; {HELD}; COMMIT")
}

const HELD: &str = "\
SELECT group_concat(j.generation || ',' || j.flagged || ',' || hex(j.id), '')
    FROM json_each($1) e CROSS JOIN {p}jobs j ON j.id = unhex(e.key) WHERE j.generation = e.value AND j.state = 1";
