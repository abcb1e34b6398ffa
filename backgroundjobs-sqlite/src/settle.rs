//! Settle: how claims ended.

use std::collections::{BTreeMap, HashSet};

use backgroundjobs_core::{JobId, JobState, LeaseKey, Outcome, SettleJobs, Settled, Settlement, Timestamp};

use crate::db::{Answer, Args, InTransaction};
use crate::engine::Engine;
use crate::error::Failed;
use crate::failures;
use crate::id;
use crate::keys;
use crate::row::{self, Named, Packed};

impl Engine {
    pub(crate) async fn settle(&self, request: &SettleJobs, now: Timestamp) -> Result<Vec<Settled>, Failed> {
        if request.outcomes.is_empty() {
            return Ok(Vec::new());
        }
        let mut ids = HashSet::with_capacity(request.outcomes.len());
        let distinct = request.outcomes.iter().all(|settlement| ids.insert(settlement.lease.id));
        // Of two ends of one job the order counts.
        let (complete, others): (Vec<_>, Vec<_>) =
            request.outcomes.iter().partition(|one| distinct && one.outcome == Outcome::Complete);
        let mut db = self.writer().await?;
        let mut change = db.change().await?;
        let leases = id::leases(complete.iter().map(|one| &one.lease));
        let count = i64::try_from(complete.len()).unwrap_or(i64::MAX);
        let args = Args::new().with(leases).with(now.as_micros()).with(count);
        if others.is_empty() {
            let answers = change.run_last(&self.sql.text(&format!("{} COMMIT", completion())), args).await?;
            return completed(&request.outcomes, &answers);
        }
        let others = others.into_iter().collect::<Vec<_>>();
        let args = args.with(id::array(others.iter().map(|one| one.lease.id)));
        let answers = change.run(&self.sql.text(&format!("{} {LOOK}", completion())), args).await?;
        let completed = completed(complete, &answers)?;
        let mut jobs = Jobs::read(answers[4].text()?.unwrap_or_default())?;
        let settled: Vec<_> = others.iter().map(|one| jobs.settle(one, now)).collect();
        jobs.write(self, change).await?;
        let (mut completed, mut settled) = (completed.into_iter(), settled.into_iter());
        let answer = |one: &Settlement| {
            let is_complete = distinct && one.outcome == Outcome::Complete;
            if is_complete { completed.next() } else { settled.next() }
        };
        Ok(request.outcomes.iter().filter_map(answer).collect())
    }
}

/// The answers of those who completed: applied, unless the file says otherwise of some.
fn completed<'a>(
    outcomes: impl IntoIterator<Item = &'a Settlement>,
    answers: &[Answer],
) -> Result<Vec<Settled>, Failed> {
    let outcomes: Vec<_> = outcomes.into_iter().collect();
    if answers[1].affected == outcomes.len() as u64 {
        return Ok(vec![Settled::Applied { state: JobState::Succeeded }; outcomes.len()]);
    }
    let mut found = BTreeMap::new();
    let mut packed = Packed::new(answers[2].text()?.unwrap_or_default());
    while !packed.is_over() {
        let (settled, state): (u64, i64) = (packed.number()?, packed.number()?);
        found.insert(id::from_hex(packed.text(32)?)?, (settled, row::state(state)?));
    }
    let answer = |one: &Settlement| match found.get(&one.lease.id) {
        Some((settled, state)) if *settled == one.lease.generation && *settled > 0 => {
            Settled::Applied { state: *state }
        }
        _ => Settled::Lost,
    };
    Ok(outcomes.into_iter().map(answer).collect())
}

/// The jobs that a settle is about, as they are and as they will be.
struct Jobs {
    jobs: BTreeMap<JobId, Job>,
    failures: failures::Added,
}

struct Job {
    state: JobState,
    generation: u64,
    settled: u64,
    flagged: bool,
    attempts: u16,
    crashes: u16,
    run_at: Timestamp,
    finished_at: Option<Timestamp>,
    changed: bool,
}

impl Jobs {
    fn read(text: &str) -> Result<Self, Failed> {
        let (mut packed, mut jobs) = (Packed::new(text), BTreeMap::new());
        while !packed.is_over() {
            let job = Job {
                state: row::state(packed.number()?)?,
                generation: packed.number()?,
                settled: packed.number()?,
                flagged: packed.number::<i64>()? != 0,
                attempts: packed.number()?,
                crashes: packed.number()?,
                run_at: row::instant(packed.number()?),
                finished_at: None,
                changed: false,
            };
            jobs.insert(id::from_hex(packed.text(32)?)?, job);
        }
        Ok(Self { jobs, failures: failures::Added::default() })
    }

    fn settle(&mut self, settlement: &Settlement, now: Timestamp) -> Settled {
        let LeaseKey { id, generation } = settlement.lease;
        let Some(job) = self.jobs.get_mut(&id) else { return Settled::Lost };
        if job.state == JobState::Running && job.generation == generation {
            let outcome = &settlement.outcome;
            if let Some(failure) = outcome.failure() {
                self.failures.add(settlement.lease, now, job.attempts.saturating_add(1), failure);
            }
            job.apply(outcome, now);
        } else if job.settled != generation || generation == 0 {
            return Settled::Lost;
        }
        Settled::Applied { state: job.state }
    }

    async fn write(self, engine: &Engine, mut change: crate::db::Change<'_>) -> Result<(), Failed> {
        let changed = || self.jobs.iter().filter(|(_, job)| job.changed);
        let rows: Vec<_> = changed()
            .map(|(id, job)| {
                let finished_at = job.finished_at.map(Timestamp::as_micros);
                let (id, run_at) = (id.as_uuid().simple().to_string(), job.run_at.as_micros());
                (id, row::state_number(job.state), job.attempts, job.crashes, run_at, finished_at)
            })
            .collect();
        if !rows.is_empty() {
            let args =
                Args::new().with(serde_json::to_string(&rows).expect("texts and numbers can be written"));
            change.run(&engine.sql.text(&write()), args).await?;
            let over = changed().filter(|(_, job)| job.state.is_final()).map(|(id, _)| *id);
            change.run(&engine.sql.text(keys::LET_GO_AT_END), Args::new().with(id::array(over))).await?;
        }
        self.failures.write(engine, &mut change).await?;
        change.run_last(&engine.sql.text("COMMIT"), Args::new()).await?;
        Ok(())
    }
}

impl Job {
    fn apply(&mut self, outcome: &Outcome, now: Timestamp) {
        self.state = outcome.settles_to(self.flagged);
        if matches!(outcome, Outcome::Retry { .. } | Outcome::Fail { .. }) {
            self.attempts = self.attempts.saturating_add(1);
        }
        if !matches!(outcome, Outcome::Release) {
            self.crashes = 0;
        }
        if let Outcome::Retry { delay, .. } | Outcome::Snooze { delay } = outcome
            && !self.state.is_final()
        {
            self.run_at = now + *delay;
        }
        self.settled = self.generation;
        self.finished_at = self.state.is_final().then_some(now);
        self.changed = true;
    }
}

/// Completes the leases of `$1` at `$2`; answers what became of them if it was not all `$3`; lets go of their keys.
pub(crate) fn completion() -> String {
    let complete = Named {
        id: "e.key",
        only: "j.generation = e.value AND j.state = 1",
        ..Named::all(
            "state = 2, settled = generation, crashes = 0, lease_until = NULL, worker = NULL, claim = NULL, \
             finished_at = $2",
        )
    };
    let complete = complete.change();
    format!("BEGIN IMMEDIATE; {complete}; {EXCEPTIONS}")
}

const EXCEPTIONS: &str = "\
SELECT group_concat(j.settled || ',' || j.state || ',' || hex(j.id), '')
    FROM (SELECT 1 WHERE changes() <> $3) CROSS JOIN json_each($1) e CROSS JOIN {p}jobs j ON j.id = unhex(e.key);
DELETE FROM {p}keys WHERE hold < 2 AND job IN (
    SELECT j.id FROM (SELECT 1 WHERE EXISTS (SELECT 1 FROM {p}keys)) CROSS JOIN json_each($1) e
        CROSS JOIN {p}jobs j ON j.id = unhex(e.key) WHERE j.state > 1
);";

pub(crate) const LOOK: &str = "\
SELECT group_concat(
        j.state || ',' || j.generation || ',' || j.settled || ',' || j.flagged || ',' || j.attempts || ',' || j.crashes || ','
        || j.run_at || ',' || hex(j.id), '')
    FROM json_each($4) e CROSS JOIN {p}jobs j ON j.id = unhex(e.value)";

/// Writes jobs as they were worked out to be, `$1`.
pub(crate) fn write() -> String {
    let write = Named {
        id: "e.value ->> 0",
        run_at: "e.value ->> 4",
        columns: ", state, attempts, crashes, finished_at",
        values: ", e.value ->> 1, e.value ->> 2, e.value ->> 3, e.value ->> 5",
        ..Named::all(
            "state = excluded.state, settled = generation, attempts = excluded.attempts, crashes = excluded.crashes, \
             run_at = excluded.run_at, finished_at = excluded.finished_at, lease_until = NULL, worker = NULL, \
             claim = NULL",
        )
    };
    write.change()
}
