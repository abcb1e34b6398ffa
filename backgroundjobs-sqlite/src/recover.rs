//! Recover: taking back jobs whose lease has ended.

use std::sync::Arc;

use backgroundjobs_core::{
    Failure, FailureKind, JobId, JobState, LeaseKey, RecoverJobs, RecoveredJob, RecoveredJobs, Timestamp,
    recovered_state,
};

use crate::db::{Args, Change, InTransaction};
use crate::engine::{Engine, NEW_LANES};
use crate::error::Failed;
use crate::failures;
use crate::id;
use crate::keys;
use crate::lanes::Lane;
use crate::row::{self, Named, Packed};

impl Engine {
    pub(crate) async fn recover(
        &self,
        request: &RecoverJobs,
        now: Timestamp,
    ) -> Result<RecoveredJobs, Failed> {
        let mut db = self.writer().await?;
        let mut change = db.change().await?;
        let args = Args::new().with(now.as_micros()).with(request.limit);
        let answers = change.run(&self.sql.text(LOOK), args).await?;
        let text = answers[1].text()?.unwrap_or_default();
        if text.is_empty() {
            let next_expiry = answers[2].optional_number()?.map(row::instant);
            change.take_back().await?;
            return Ok(RecoveredJobs { store_now: now, jobs: Vec::new(), next_expiry });
        }
        let mut taken = self.take_back(&mut change, text, request, now).await?;
        taken.sort_by_key(|taken| (taken.until, taken.job.id));
        let next_expiry = self.write_recovered(change, &taken, now).await?;
        let jobs = taken.into_iter().map(|taken| taken.job).collect();
        Ok(RecoveredJobs { store_now: now, jobs, next_expiry })
    }

    async fn take_back(
        &self,
        change: &mut Change<'_>,
        text: &str,
        request: &RecoverJobs,
        now: Timestamp,
    ) -> Result<Vec<Taken>, Failed> {
        let (mut packed, mut taken) = (Packed::new(text), Vec::new());
        while !packed.is_over() {
            let lane = self.lane(change, packed.number()?).await?;
            let until = row::instant(packed.number()?);
            let (generation, attempts): (u64, u16) = (packed.number()?, packed.number()?);
            let (crashes, max_crashes): (u16, u16) = (packed.number()?, packed.number()?);
            let flagged = packed.number::<i64>()? != 0;
            let mut run_at = row::instant(packed.number()?);
            let id = id::from_hex(packed.text(32)?)?;
            let crashes = crashes.saturating_add(1);
            let state = recovered_state(crashes, max_crashes, flagged);
            if state == JobState::Waiting {
                run_at = now + request.crash_backoff.saturating_mul(crashes.into());
            }
            let job = RecoveredJob {
                id,
                kind: lane.kind.clone(),
                queue: lane.queue.clone(),
                crashes,
                state,
                run_at,
            };
            taken.push(Taken { job, until, generation, attempt: attempts.saturating_add(1) });
        }
        Ok(taken)
    }

    /// Writes and commits; answers the earliest end of a lease that is left.
    async fn write_recovered(
        &self,
        mut change: Change<'_>,
        taken: &[Taken],
        now: Timestamp,
    ) -> Result<Option<Timestamp>, Failed> {
        let row = |taken: &Taken| {
            let RecoveredJob { id, crashes, state, run_at, .. } = taken.job;
            let finished_at = state.is_final().then_some(now.as_micros());
            (
                id.as_uuid().simple().to_string(),
                row::state_number(state),
                crashes,
                run_at.as_micros(),
                finished_at,
            )
        };
        let rows: Vec<_> = taken.iter().map(row).collect();
        let rows = serde_json::to_string(&rows).expect("texts and numbers can be written");
        let answers = change.run(&self.sql.text(&write()), Args::new().with(rows)).await?;
        let next_expiry = answers[1].optional_number()?.map(row::instant);
        let mut failures = failures::Added::default();
        let failure = Failure::new(FailureKind::Crash, "the lease ran out before the run was settled");
        for Taken { job, generation, attempt, .. } in taken {
            failures.add(LeaseKey { id: job.id, generation: *generation }, now, *attempt, &failure);
        }
        failures.write(self, &mut change).await?;
        let over: Vec<JobId> =
            taken.iter().filter(|taken| taken.job.state.is_final()).map(|taken| taken.job.id).collect();
        if !over.is_empty() {
            change.run(&self.sql.text(keys::LET_GO_AT_END), Args::new().with(id::array(over))).await?;
        }
        change.run_last(&self.sql.text("COMMIT"), Args::new()).await?;
        Ok(next_expiry)
    }

    /// What a lane's number stands for, as far as it is committed.
    pub(crate) async fn lane(&self, change: &mut Change<'_>, number: i64) -> Result<Arc<Lane>, Failed> {
        if let Some(lane) = self.lanes.lane(number) {
            return Ok(lane);
        }
        let args = Args::new().with(self.lanes.latest());
        let answers = change.run(&self.sql.text(NEW_LANES), args).await?;
        self.learn(&answers[0].rows)?;
        self.lanes
            .lane(number)
            .ok_or_else(|| Failed::corrupt(format!("a job is of lane {number}, which there is not")))
    }
}

struct Taken {
    job: RecoveredJob,
    until: Timestamp,
    generation: u64,
    attempt: u16,
}

pub(crate) const LOOK: &str = "\
BEGIN IMMEDIATE;
SELECT group_concat(
        j.lane || ',' || j.lease_until || ',' || j.generation || ',' || j.attempts || ',' || j.crashes || ','
        || j.max_crashes || ',' || j.flagged || ',' || j.run_at || ',' || hex(j.id), '')
    FROM (SELECT id FROM {p}jobs WHERE state = 1 AND lease_until <= $1 ORDER BY lease_until, id LIMIT $2) k
    CROSS JOIN {p}jobs j ON j.id = k.id;
SELECT min(lease_until) FROM {p}jobs WHERE state = 1";

/// Writes jobs that were taken back, `$1`, and answers the earliest end of a lease that is left.
pub(crate) fn write() -> String {
    let write = Named {
        id: "e.value ->> 0",
        run_at: "e.value ->> 3",
        columns: ", state, crashes, finished_at",
        values: ", e.value ->> 1, e.value ->> 2, e.value ->> 4",
        ..Named::all(
            "state = excluded.state, crashes = excluded.crashes, run_at = excluded.run_at, \
             finished_at = excluded.finished_at, lease_until = NULL, worker = NULL, claim = NULL",
        )
    };
    let write = write.change();
    format!("{write}; SELECT min(lease_until) FROM {{p}}jobs WHERE state = 1")
}
