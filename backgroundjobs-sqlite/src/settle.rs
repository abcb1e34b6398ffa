//! Settle: how claims ended.

use std::collections::{BTreeMap, HashSet};

use backgroundjobs_core::{JobId, JobState, LeaseKey, Outcome, SettleJobs, Settled, Settlement, Timestamp};

use crate::db::{Args, Change, InTransaction};
use crate::engine::Engine;
use crate::error::Failed;
use crate::failures;
use crate::id;
use crate::keys;
use crate::row::{self, Named, Packed};
use crate::sizes;

/// Completed claims of one generation, as most ends are: they are written without a look at the jobs.
struct Completions<'a> {
    of: Vec<&'a Settlement>,
    generation: u64,
}

impl Engine {
    pub(crate) async fn settle(&self, request: &SettleJobs, now: Timestamp) -> Result<Vec<Settled>, Failed> {
        if request.outcomes.is_empty() {
            return Ok(Vec::new());
        }
        let (completions, others) = Completions::among(&request.outcomes);
        // Before the connection is waited for: what SQLite has to wait for, nobody else gets done.
        let args = completions.args(now);
        let text = self.sql.text(&completion(completions.of.len()));
        let mut db = self.writer().await?;
        let mut change = db.change().await?;
        let answers = change.run(&text, args).await?;
        let all_were_held = answers[1].affected == completions.of.len() as u64;
        if answers[2].number()? != 0 {
            let ids = id::array(completions.of.iter().map(|one| one.lease.id));
            change.run(&self.sql.text(LET_GO_IF_OVER), Args::new().with(ids)).await?;
        }
        // Where some were not held, a look tells of each what became of it.
        let others = if all_were_held { others } else { request.outcomes.iter().collect() };
        let mut settled = Vec::new();
        if !others.is_empty() {
            let args = Args::new().with(id::array(others.iter().map(|one| one.lease.id)));
            let answers = change.run(&self.sql.text(LOOK), args).await?;
            let mut jobs = Jobs::read(answers[0].text()?.unwrap_or_default())?;
            settled.extend(others.iter().map(|one| jobs.settle(one, now)));
            jobs.write(self, &mut change).await?;
        }
        change.run_last(&self.sql.text("COMMIT"), Args::new()).await?;
        Ok(in_order(&request.outcomes, &others, settled))
    }
}

impl<'a> Completions<'a> {
    /// The completed claims of the generation that most of them have, and all other ends.
    fn among(outcomes: &'a [Settlement]) -> (Self, Vec<&'a Settlement>) {
        let mut ids = HashSet::with_capacity(outcomes.len());
        // Of two ends of one job the order counts.
        let distinct = outcomes.iter().all(|settlement| ids.insert(settlement.lease.id));
        let is_complete = |one: &&Settlement| distinct && one.outcome == Outcome::Complete;
        let mut generations: BTreeMap<u64, usize> = BTreeMap::new();
        outcomes
            .iter()
            .filter(is_complete)
            .for_each(|one| *generations.entry(one.lease.generation).or_default() += 1);
        let generation =
            generations.into_iter().max_by_key(|(_, count)| *count).map_or(0, |(generation, _)| generation);
        let mut room = sizes::LARGEST;
        let is_one = |one: &&Settlement| {
            let is_one = room > 0 && is_complete(one) && one.lease.generation == generation;
            room -= usize::from(is_one);
            is_one
        };
        let (of, others) = outcomes.iter().partition(is_one);
        (Self { of, generation }, others)
    }

    fn args(&self, now: Timestamp) -> Args {
        let generation = i64::try_from(self.generation).unwrap_or(i64::MAX);
        let mut args = Args::new().with(now.as_micros()).with(generation);
        self.of.iter().for_each(|one| args.push(&id::bytes(one.lease.id)[..]));
        args
    }
}

/// The answers in the order of the ends: of those that were looked at, and of the others, who were all held.
fn in_order(outcomes: &[Settlement], looked_at: &[&Settlement], settled: Vec<Settled>) -> Vec<Settled> {
    let mut looked_at = looked_at.iter().zip(settled).peekable();
    let answer = |one: &Settlement| {
        let looked_at = looked_at.next_if(|(looked_at, _)| std::ptr::eq(**looked_at, one));
        looked_at.map_or(Settled::Applied { state: JobState::Succeeded }, |(_, settled)| settled)
    };
    outcomes.iter().map(answer).collect()
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

    async fn write(self, engine: &Engine, change: &mut Change<'_>) -> Result<(), Failed> {
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
        self.failures.write(engine, change).await
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

/// Begins, and completes claims of one generation at an instant, both bound before their ids; tells whether there are
/// keys. The index is named because the planner, once it has counted few jobs, would rather look at all of them.
pub(crate) fn completion(claims: usize) -> String {
    let ids = vec!["?"; sizes::with_room_for(claims)].join(", ");
    format!(
        "BEGIN IMMEDIATE; \
         UPDATE {{p}}jobs INDEXED BY sqlite_autoindex_{{p}}jobs_1 \
         SET state = 2, settled = generation, crashes = 0, lease_until = NULL, worker = NULL, claim = NULL, finished_at = ? \
         WHERE generation = ? AND +state = 1 AND id IN ({ids}); \
         SELECT EXISTS (SELECT 1 FROM {{p}}keys)"
    )
}

/// Lets go of the keys that jobs of `$1` (an array of ids) held until they were over, of those that are.
pub(crate) const LET_GO_IF_OVER: &str = "\
DELETE FROM {p}keys WHERE hold < 2 AND job IN (
    SELECT j.id FROM json_each($1) e CROSS JOIN {p}jobs j ON j.id = unhex(e.value) WHERE j.state > 1
)";

pub(crate) const LOOK: &str = "\
SELECT group_concat(
        j.state || ',' || j.generation || ',' || j.settled || ',' || j.flagged || ',' || j.attempts || ',' || j.crashes || ','
        || j.run_at || ',' || hex(j.id), '')
    FROM json_each($1) e CROSS JOIN {p}jobs j ON j.id = unhex(e.value)";

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
