//! Insert: all or nothing for each request, several requests in one transaction.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::sync::Arc;

use backgroundjobs_core::{Inserted, JobId, NewJob, Payload, StoreErrorKind, Timestamp, UniqueKey};
use sqlx::Row;

use crate::db::{Args, Db, InTransaction};
use crate::engine::Engine;
use crate::error::Failed;
use crate::group::Ticket;
use crate::id;
use crate::keys::{self, Held};
use crate::lanes::Lane;
use crate::row::{self, INLINE_BYTES};
use crate::sizes;

/// What each request is answered.
pub(crate) type Answers = Vec<Result<Vec<Inserted>, Failed>>;

/// A job on its way into a row.
pub(crate) struct Arriving<'a> {
    pub(crate) job: &'a NewJob,
    pub(crate) now: Timestamp,
    pub(crate) lane: i64,
}

impl Arriving<'_> {
    /// Has nothing but args, and those are short: what most jobs are like.
    fn is_plain(&self) -> bool {
        self.job.unique.is_none()
            && self.job.metadata.is_empty()
            && self.job.args.as_str().len() <= INLINE_BYTES
    }
}

impl Engine {
    /// Inserts the jobs of several requests in one transaction.
    pub(crate) async fn insert_together(
        &self,
        db: &mut Db,
        tickets: &[Arc<Ticket>],
    ) -> Result<Answers, Failed> {
        let jobs = || tickets.iter().flat_map(|ticket| &ticket.request.jobs);
        let mut unknown: HashSet<Lane> = HashSet::new();
        unknown.extend(jobs().map(Lane::of).filter(|lane| self.lanes.number(lane).is_none()));
        self.ensure_lanes(db, &Vec::from_iter(unknown)).await?;
        let mut ids = HashSet::new();
        let simple = jobs().all(|job| job.unique.is_none() && ids.insert(job.id))
            && tickets.iter().all(|ticket| ticket.expected().is_none());
        if simple && !ids.is_empty() {
            match self.insert_new(db, tickets).await {
                Err(failed) if failed.is_constraint() => {}
                answered => return answered,
            }
        }
        self.insert_with_care(db, tickets).await
    }

    /// Takes it that no id is there yet; if one is, the transaction fails as a whole.
    async fn insert_new(&self, db: &mut Db, tickets: &[Arc<Ticket>]) -> Result<Answers, Failed> {
        let mut rows = Vec::new();
        for request in tickets.iter().map(|ticket| &ticket.request) {
            for job in &request.jobs {
                rows.push(arriving(job, request.now, |lane| self.lanes.number(lane))?);
            }
        }
        let mut change = db.change().await?;
        let answers: Vec<_> =
            tickets.iter().map(|ticket| vec![Inserted::New; ticket.request.jobs.len()]).collect();
        for (ticket, answer) in tickets.iter().zip(&answers) {
            ticket.expect(answer.clone());
        }
        let ended = self
            .write_rows(&mut change, &rows, &[], Ends { begin: "BEGIN IMMEDIATE; ", end: "COMMIT" })
            .await;
        if ended.is_err() {
            // Nothing was committed, so nothing is expected.
            tickets.iter().for_each(|ticket| ticket.expect_nothing());
        }
        ended?;
        change.committed();
        Ok(answers.into_iter().map(Ok).collect())
    }

    /// Writes rows, and keys with who takes them.
    pub(crate) async fn write_rows(
        &self,
        runs: &mut impl InTransaction,
        rows: &[Arriving<'_>],
        keys: &[Taking<'_>],
        Ends { mut begin, end }: Ends,
    ) -> Result<(), Failed> {
        let shape = if rows.iter().all(Arriving::is_plain) { &PLAIN } else { &FULL };
        let ends_here = keys.is_empty() && !rows.iter().any(|row| is_apart(row.job));
        let mut next = shape.bind_part(rows);
        while let Some(Part { text, args, rest }) = next {
            let is_last = rest.is_empty() && ends_here;
            let end = if is_last { end } else { "" };
            let text = self.sql.text(&format!("{begin}{text}; {end}"));
            // While SQLite is at work on one part, the values of the next are written down for it.
            let (ran, bound) = tokio::join!(biased; runs.run(&text, args), async { shape.bind_part(rest) });
            ran?;
            if is_last {
                return Ok(());
            }
            (begin, next) = ("", bound);
        }
        for row in rows.iter().filter(|row| is_apart(row.job)) {
            let metadata = row::metadata_text(&row.job.metadata);
            let args =
                Args::new().with(&id::bytes(row.job.id)[..]).with(row.job.args.as_str()).with(metadata);
            runs.run(&self.sql.text(PAYLOAD), args).await?;
        }
        if !keys.is_empty() {
            runs.run(&self.sql.text(keys::TAKE), Args::new().with(keys::taken(keys))).await?;
        }
        runs.run(&self.sql.text(&format!("{begin}{end}")), Args::new()).await?;
        Ok(())
    }

    /// Looks what is there first.
    async fn insert_with_care(&self, db: &mut Db, tickets: &[Arc<Ticket>]) -> Result<Answers, Failed> {
        let mut change = db.change().await?;
        change.run(&self.sql.text("BEGIN IMMEDIATE"), Args::new()).await?;
        let jobs = || tickets.iter().flat_map(|ticket| &ticket.request.jobs);
        let mut there = self.look_for(&mut change, jobs).await?;
        let (mut answers, mut rows, mut keys) = (Vec::new(), Vec::new(), Vec::new());
        for ticket in tickets {
            let expected = ticket.expected();
            if let Some(answer) = expected.filter(|answer| there.has_been_made(&ticket.request.jobs, answer))
            {
                answers.push(Ok(answer));
                continue;
            }
            let answer = there.insert(&ticket.request.jobs, ticket.request.now);
            if let Ok(answer) = &answer {
                for job in new_ones(&ticket.request.jobs, answer) {
                    rows.push(arriving(job, ticket.request.now, |lane| self.lanes.number(lane))?);
                    keys.extend(job.unique.as_ref().map(|unique| (unique, job.id, ticket.request.now)));
                }
            }
            answers.push(answer);
        }
        for (ticket, answer) in tickets.iter().zip(&answers) {
            if let Ok(answer) = answer {
                ticket.expect(answer.clone());
            }
        }
        let ended = self.write_rows(&mut change, &rows, &keys, Ends { begin: "", end: "COMMIT" }).await;
        if ended.is_err() {
            tickets.iter().for_each(|ticket| ticket.expect_nothing());
        }
        ended?;
        change.committed();
        Ok(answers)
    }

    /// Reads what is there of the ids and keys of these jobs.
    pub(crate) async fn look_for<'a, I: Iterator<Item = &'a NewJob>>(
        &self,
        runs: &mut impl InTransaction,
        jobs: impl Fn() -> I,
    ) -> Result<There, Failed> {
        let named: Vec<_> = jobs().filter_map(|job| job.unique.as_ref()).map(|unique| &*unique.key).collect();
        let args = Args::new()
            .with(id::array(jobs().map(|job| job.id)))
            .with(serde_json::to_string(&named).expect("texts can be written"));
        let answers = runs.run(&self.sql.text(LOOK), args).await?;
        let mut there = There::default();
        for row in &answers[0].rows {
            let content = Content {
                kind: row.try_get::<&str, _>(1)?.into(),
                args: Payload::from_store(row.try_get::<&str, _>(2)?),
            };
            there.jobs.insert(id::from_bytes(row.try_get(0)?)?, content);
        }
        for row in &answers[1].rows {
            let until: Option<i64> = row.try_get(2)?;
            let held = Held { job: id::from_bytes(row.try_get(1)?)?, until: until.map(row::instant) };
            there.keys.insert(row.try_get::<&str, _>(0)?.into(), held);
        }
        Ok(there)
    }
}

/// What stands in front of the rows and behind them.
pub(crate) struct Ends {
    pub(crate) begin: &'static str,
    pub(crate) end: &'static str,
}

/// A key, and who takes it at what time.
pub(crate) type Taking<'a> = (&'a UniqueKey, JobId, Timestamp);

/// A job with the number of its lane.
pub(crate) fn arriving(
    job: &NewJob,
    now: Timestamp,
    number: impl FnOnce(&Lane) -> Option<i64>,
) -> Result<Arriving<'_>, Failed> {
    let lane = number(&Lane::of(job)).ok_or_else(|| Failed::corrupt("a lane was made and is not there"))?;
    Ok(Arriving { job, now, lane })
}

/// The jobs of a request that are to be stored.
pub(crate) fn new_ones<'a>(jobs: &'a [NewJob], answers: &[Inserted]) -> impl Iterator<Item = &'a NewJob> {
    jobs.iter().zip(answers).filter(|(_, answer)| **answer == Inserted::New).map(|(job, _)| job)
}

/// What is in the file of what a group of requests names, as it will be after those that were looked at.
#[derive(Default)]
pub(crate) struct There {
    jobs: HashMap<JobId, Content>,
    keys: HashMap<Arc<str>, Held>,
}

/// A key that was taken, and who held it before.
type KeyBefore = (Arc<str>, Option<Held>);

#[derive(Clone, PartialEq, Eq)]
struct Content {
    kind: Box<str>,
    args: Payload,
}

impl Content {
    fn of(job: &NewJob) -> Self {
        Self { kind: job.kind.as_str().into(), args: job.args.clone() }
    }
}

impl There {
    /// Whether a commit that nobody saw the end of was made: the jobs that it was to store are there.
    fn has_been_made(&self, jobs: &[NewJob], expected: &[Inserted]) -> bool {
        new_ones(jobs, expected).any(|job| self.jobs.contains_key(&job.id))
    }

    /// Inserts the jobs of a request, or none of them.
    pub(crate) fn insert(&mut self, jobs: &[NewJob], now: Timestamp) -> Result<Vec<Inserted>, Failed> {
        let (mut answers, mut undo) = (Vec::new(), Vec::new());
        for (index, job) in jobs.iter().enumerate() {
            if let Some(there) = self.jobs.get(&job.id) {
                if *there == Content::of(job) {
                    answers.push(Inserted::Existing(job.id));
                    continue;
                }
                self.undo(undo);
                let message = format!("the id {} belongs to a job of another kind or other args", job.id);
                return Err(Failed::Own(StoreErrorKind::Conflict { index }, message));
            }
            let mut key_before = None;
            if let Some(unique) = &job.unique {
                let held = Held::by(job.id, unique, now);
                match self.keys.get(&unique.key) {
                    Some(other) if other.is_held(now) => {
                        answers.push(Inserted::Existing(other.job));
                        continue;
                    }
                    _ => key_before = Some((unique.key.clone(), self.keys.insert(unique.key.clone(), held))),
                }
            }
            self.jobs.insert(job.id, Content::of(job));
            undo.push((job.id, key_before));
            answers.push(Inserted::New);
        }
        Ok(answers)
    }

    fn undo(&mut self, done: Vec<(JobId, Option<KeyBefore>)>) {
        for (job, key_before) in done.into_iter().rev() {
            self.jobs.remove(&job);
            match key_before {
                Some((key, Some(before))) => _ = self.keys.insert(key, before),
                Some((key, None)) => _ = self.keys.remove(&key),
                None => {}
            }
        }
    }
}

/// Whether a job's args and metadata lie in a row apart.
pub(crate) fn is_apart(job: &NewJob) -> bool {
    let metadata = job.metadata.iter().map(|(name, text)| name.len() + text.len());
    job.args.as_str().len() + metadata.sum::<usize>() > INLINE_BYTES
}

/// Which columns are written, and how.
struct Shape {
    columns: &'static str,
    count: usize,
    bind: fn(&Arriving<'_>, &mut Args),
}

const PLAIN: Shape = Shape {
    columns: "id, lane, run_at, created_at, max_attempts, max_crashes, args",
    count: 7,
    bind: bind_plain,
};

const FULL: Shape = Shape {
    columns: "id, lane, run_at, created_at, max_attempts, max_crashes, args, metadata, unique_key, hold",
    count: 10,
    bind: bind_full,
};

/// A statement for the first of some rows, and what it binds.
struct Part<'a, 'j> {
    text: String,
    args: Args,
    rest: &'a [Arriving<'j>],
}

impl Shape {
    /// The next part of these rows; `None` if there are none left.
    fn bind_part<'a, 'j>(&self, rows: &'a [Arriving<'j>]) -> Option<Part<'a, 'j>> {
        if rows.is_empty() {
            return None;
        }
        let (part, rest) = rows.split_at(sizes::first_part(rows.len()));
        let mut args = Args::new();
        part.iter().for_each(|row| (self.bind)(row, &mut args));
        Some(Part { text: self.statement(part.len()), args, rest })
    }

    /// A statement for so many rows.
    fn statement(&self, rows: usize) -> String {
        let size = sizes::with_room_for(rows);
        let row = format!("({})", vec!["?"; self.count].join(", "));
        let rows_of_values = vec![row.as_str(); size].join(", ");
        let mut text = format!("INSERT INTO {{p}}jobs ({}) ", self.columns);
        if size == rows {
            write!(text, "VALUES {rows_of_values}").expect("a text takes all");
        } else {
            write!(text, "SELECT * FROM (VALUES {rows_of_values}) WHERE column1 IS NOT NULL")
                .expect("a text takes all");
        }
        text
    }
}

fn bind_plain(row: &Arriving<'_>, args: &mut Args) {
    let (job, now) = (row.job, row.now);
    args.push(&id::bytes(job.id)[..]);
    args.push(row.lane);
    args.push(job.run_at.instant(now).as_micros());
    args.push(now.as_micros());
    args.push(job.max_attempts);
    args.push(job.max_crashes);
    args.push((!is_apart(job)).then_some(job.args.as_str()));
}

fn bind_full(row: &Arriving<'_>, args: &mut Args) {
    bind_plain(row, args);
    let job = row.job;
    args.push(if is_apart(job) { None } else { row::metadata_text(&job.metadata) });
    args.push(job.unique.as_ref().map(|unique| &*unique.key));
    args.push(job.unique.as_ref().map(|unique| row::hold_text(unique.hold)));
}

pub(crate) const PAYLOAD: &str = "INSERT INTO {p}payloads (job, args, metadata) VALUES ($1, $2, $3)";

pub(crate) const LOOK: &str = "\
SELECT j.id, l.kind, coalesce(j.args, (SELECT p.args FROM {p}payloads p WHERE p.job = j.id))
    FROM json_each($1) e CROSS JOIN {p}jobs j ON j.id = unhex(e.value) CROSS JOIN {p}lanes l ON l.lane = j.lane;
SELECT k.unique_key, k.job, k.until FROM json_each($2) e CROSS JOIN {p}keys k ON k.unique_key = e.value";
