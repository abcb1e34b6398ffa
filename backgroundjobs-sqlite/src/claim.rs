//! Claim: handing out what is due.
//!
//! In one transaction: first a look at the head of each lane that is asked for, which costs one probe of an index each;
//! then, for each queue that has something due, the first jobs of those lanes in order. What is scheduled for later, over,
//! paused or of other kinds is never gone through.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write;

use backgroundjobs_core::{
    ClaimJobs, ClaimedJob, ClaimedJobs, ClaimedQueue, JobId, Kind, Payload, QueueDemand, Timestamp,
};
use sqlx::Row;

use crate::db::{Answer, Args, Change, InTransaction};
use crate::engine::{Engine, NEW_LANES};
use crate::error::Failed;
use crate::id;
use crate::row::{self, Packed};

/// What the first look found.
struct Look {
    next_expiry: Option<Timestamp>,
    /// There are keys that are let go at the first claim.
    keys_until_start: bool,
    /// There are payloads in rows apart.
    payloads_apart: bool,
    paused: HashSet<String>,
    /// When the first job of each lane is due.
    heads: HashMap<i64, Timestamp>,
}

/// The lanes of one queue that are asked for, by priority, the highest first.
pub(crate) type Levels = Vec<Vec<i64>>;

impl Engine {
    pub(crate) async fn claim(&self, request: &ClaimJobs, now: Timestamp) -> Result<ClaimedJobs, Failed> {
        let mut db = self.writer().await?;
        let mut change = db.change().await?;
        let (levels, look) = self.look(&mut change, request).await?;
        if request.repeated {
            let earlier = self.earlier(&mut change, request).await?;
            if !earlier.is_empty() {
                change.take_back().await?;
                return Ok(repeated(request, now, &look, earlier));
            }
        }
        let mut queues = Vec::with_capacity(request.queues.len());
        let mut heads = look.heads.clone();
        let mut claimed = Vec::new();
        for (demand, levels) in request.queues.iter().zip(&levels) {
            let due = due_levels(levels, &look.heads, now);
            if look.paused.contains(demand.queue.as_str()) {
                queues.push(ClaimedQueue { paused: true, ..ClaimedQueue::default() });
                continue;
            }
            let mut queue = ClaimedQueue::default();
            if demand.limit > 0 && !due.is_empty() {
                let lanes: Vec<_> = due.concat();
                lanes.iter().for_each(|lane| _ = heads.remove(lane));
                let jobs = self.take(&mut change, request, demand, &due, now, &mut heads).await?;
                claimed.extend(jobs.iter().map(|job| job.id));
                queue.jobs = jobs;
            }
            let next_due = levels.iter().flatten().filter_map(|lane| heads.get(lane)).min().copied();
            queue.more = next_due.is_some_and(|due| due <= now);
            queue.next_due = next_due.filter(|_| !queue.more);
            queues.push(queue);
        }
        let mut next_expiry = look.next_expiry;
        if claimed.is_empty() {
            change.take_back().await?;
        } else {
            let until = now + request.lease;
            next_expiry = Some(next_expiry.map_or(until, |expiry| expiry.min(until)));
            self.finish_claim(change, &look, &claimed, &mut queues).await?;
        }
        Ok(ClaimedJobs { store_now: now, queues, next_expiry })
    }

    /// Begins, and looks; again, if there are lanes that were not known here.
    async fn look(
        &self,
        change: &mut Change<'_>,
        request: &ClaimJobs,
    ) -> Result<(Vec<Levels>, Look), Failed> {
        let kinds: HashSet<&Kind> = request.kinds.iter().collect();
        let mut begin = "BEGIN IMMEDIATE; ";
        loop {
            let levels = |demand: &QueueDemand| self.lanes.levels(&demand.queue, &kinds);
            let levels: Vec<Levels> = request.queues.iter().map(levels).collect();
            let lanes: Vec<i64> = levels.iter().flatten().flatten().copied().collect();
            let args = Args::new().with(json(&lanes));
            let answers = change.run(&self.sql.text(&format!("{begin}{LOOK}")), args).await?;
            let [facts, paused, heads] = &answers[answers.len() - 3..] else {
                return Err(Failed::corrupt("a claim was answered in parts"));
            };
            let facts = facts.rows.first().ok_or_else(|| Failed::corrupt("a claim was not answered"))?;
            let latest: i64 = facts.try_get(0)?;
            if latest > self.lanes.latest() {
                let args = Args::new().with(self.lanes.latest());
                let answers = change.run(&self.sql.text(NEW_LANES), args).await?;
                self.learn(&answers[0].rows)?;
                begin = "";
                continue;
            }
            let look = Look {
                next_expiry: facts.try_get::<Option<i64>, _>(1)?.map(row::instant),
                keys_until_start: facts.try_get(2)?,
                payloads_apart: facts.try_get(3)?,
                paused: paused.rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?,
                heads: read_heads(heads)?,
            };
            return Ok((levels, look));
        }
    }

    /// Takes the first due jobs of these lanes.
    async fn take(
        &self,
        change: &mut Change<'_>,
        request: &ClaimJobs,
        demand: &QueueDemand,
        levels: &Levels,
        now: Timestamp,
        heads: &mut HashMap<i64, Timestamp>,
    ) -> Result<Vec<ClaimedJob>, Failed> {
        let lanes = levels.concat();
        let mut args = Args::new()
            .with(now.as_micros())
            .with(i64::try_from(demand.limit).unwrap_or(i64::MAX))
            .with(&request.worker.as_uuid().into_bytes()[..])
            .with(&request.claim_id.as_uuid().into_bytes()[..])
            .with((now + request.lease).as_micros())
            .with(json(&lanes));
        lanes.iter().for_each(|lane| args.push(*lane));
        let answers = change.run(&self.sql.text(&take(levels)), args).await?;
        heads.extend(read_heads(&answers[2])?);
        let mut jobs = self.unpack(answers[0].text()?.unwrap_or_default(), 1)?;
        jobs.sort_unstable_by_key(order);
        Ok(jobs)
    }

    /// Lets go of keys, fetches payloads that lie apart, and commits.
    async fn finish_claim(
        &self,
        change: Change<'_>,
        look: &Look,
        claimed: &[JobId],
        queues: &mut [ClaimedQueue],
    ) -> Result<(), Failed> {
        let mut text = String::new();
        if look.payloads_apart {
            text.push_str(PAYLOADS);
        }
        if look.keys_until_start {
            text.push_str(LET_GO_AT_START);
        }
        text.push_str("COMMIT");
        let args =
            if text == "COMMIT" { Args::new() } else { Args::new().with(id::array(claimed.iter().copied())) };
        let answers = change.run_last(&self.sql.text(&text), args).await?;
        if look.payloads_apart {
            let jobs = queues.iter_mut().flat_map(|queue| &mut queue.jobs);
            add_payloads(jobs, &answers[0])?;
        }
        Ok(())
    }

    /// The jobs that still run under the claim. Looks at every running job, which a claim that is not repeated never pays
    /// for.
    async fn earlier(&self, change: &mut Change<'_>, request: &ClaimJobs) -> Result<Vec<ClaimedJob>, Failed> {
        let text = format!(
            "SELECT group_concat({PACKED}, '') FROM {{p}}jobs j WHERE j.state = 1 AND j.claim = $1; \
             SELECT p.job, p.args, p.metadata FROM {{p}}jobs j CROSS JOIN {{p}}payloads p ON p.job = j.id \
             WHERE j.state = 1 AND j.claim = $1"
        );
        let args = Args::new().with(&request.claim_id.as_uuid().into_bytes()[..]);
        let answers = change.run(&self.sql.text(&text), args).await?;
        let mut jobs = self.unpack(answers[0].text()?.unwrap_or_default(), 0)?;
        add_payloads(jobs.iter_mut(), &answers[1])?;
        jobs.sort_unstable_by_key(order);
        Ok(jobs)
    }

    /// Reads packed jobs whose generation has grown by `grown` since they were packed.
    fn unpack(&self, text: &str, grown: u64) -> Result<Vec<ClaimedJob>, Failed> {
        let (mut packed, mut jobs) = (Packed::new(text), Vec::new());
        while !packed.is_over() {
            let number: i64 = packed.number()?;
            let lane = self.lanes.lane(number);
            let lane = lane
                .ok_or_else(|| Failed::corrupt(format!("a job is of lane {number}, which there is not")))?;
            let (run_at, created_at) = (row::instant(packed.number()?), row::instant(packed.number()?));
            let generation = packed.number::<u64>()? + grown;
            let (attempts, crashes, max_attempts) = (packed.number()?, packed.number()?, packed.number()?);
            let flagged = packed.number::<i64>()? != 0;
            let (args, metadata): (usize, usize) = (packed.number()?, packed.number()?);
            let id = id::from_hex(packed.text(32)?)?;
            let args = Payload::from_store(packed.text(args)?);
            let mut job = ClaimedJob::new(id, lane.kind.clone(), lane.queue.clone(), args, generation);
            job.priority = lane.priority;
            (job.run_at, job.created_at) = (run_at, created_at);
            (job.attempts, job.crashes, job.max_attempts) = (attempts, crashes, max_attempts);
            job.cancel_requested = flagged;
            job.metadata = row::metadata(Some(packed.text(metadata)?).filter(|text| !text.is_empty()))?;
            jobs.push(job);
        }
        Ok(jobs)
    }
}

fn order(job: &ClaimedJob) -> (Reverse<backgroundjobs_core::Priority>, Timestamp, JobId) {
    (Reverse(job.priority), job.run_at, job.id)
}

fn json(lanes: &[i64]) -> String {
    serde_json::to_string(lanes).expect("numbers can be written")
}

/// The lanes whose first job is due.
fn due_levels(levels: &Levels, heads: &HashMap<i64, Timestamp>, now: Timestamp) -> Levels {
    let is_due = |lane: &i64| heads.get(lane).is_some_and(|head| *head <= now);
    let due = levels.iter().map(|level| level.iter().copied().filter(is_due).collect::<Vec<_>>());
    due.filter(|level| !level.is_empty()).collect()
}

fn read_heads(answer: &Answer) -> Result<HashMap<i64, Timestamp>, Failed> {
    let mut heads = HashMap::new();
    for row in &answer.rows {
        if let Some(head) = row.try_get::<Option<i64>, _>(1)? {
            heads.insert(row.try_get(0)?, row::instant(head));
        }
    }
    Ok(heads)
}

fn add_payloads<'a>(jobs: impl Iterator<Item = &'a mut ClaimedJob>, answer: &Answer) -> Result<(), Failed> {
    let mut apart = BTreeMap::new();
    for row in &answer.rows {
        apart.insert(id::from_bytes(row.try_get(0)?)?, row);
    }
    for job in jobs {
        if let Some(row) = apart.get(&job.id) {
            job.args = Payload::from_store(row.try_get::<&str, _>(1)?);
            job.metadata = row::metadata(row.try_get(2)?)?;
        }
    }
    Ok(())
}

/// The answer to a repeated claim of which some jobs run. A pause since then does not keep them back.
fn repeated(request: &ClaimJobs, now: Timestamp, look: &Look, earlier: Vec<ClaimedJob>) -> ClaimedJobs {
    let queue = |demand: &QueueDemand| {
        let jobs = earlier.iter().filter(|job| job.queue == demand.queue).cloned().collect();
        let paused = look.paused.contains(demand.queue.as_str());
        ClaimedQueue { jobs, more: !paused, next_due: None, paused }
    };
    let queues = request.queues.iter().map(queue).collect();
    ClaimedJobs { store_now: now, queues, next_expiry: look.next_expiry }
}

/// Reads the first due jobs of these lanes, takes them, and looks at the heads of the lanes again.
pub(crate) fn take(levels: &Levels) -> String {
    let pick = pick(levels);
    format!(
        "SELECT group_concat({PACKED}, '') FROM ({pick}) k CROSS JOIN {{p}}jobs j ON j.id = k.id; \
         {}; {HEADS_AFTER}",
        row::change(
            "",
            &format!("SELECT id, 0, 0, 0, 0, 0 FROM ({pick}) WHERE true"),
            "state = 1, generation = generation + 1, worker = $3, claim = $4, lease_until = $5, claimed_at = $1"
        )
    )
}

/// The first `$2` ids of these lanes that are due, in order. Within a level the lanes are merged as they are read, and no
/// more is read of any than is needed; the levels follow each other.
fn pick(levels: &Levels) -> String {
    let mut parameter = 7;
    let mut level_texts = Vec::with_capacity(levels.len());
    for level in levels {
        let mut text = String::new();
        for arm in 0..level.len() {
            let union = if arm > 0 { " UNION ALL " } else { "" };
            write!(
                text,
                "{union}SELECT run_at, id FROM {{p}}jobs WHERE state = 0 AND lane = ${parameter} AND run_at <= $1"
            )
            .expect("a text takes all");
            parameter += 1;
        }
        level_texts.push(format!("SELECT id FROM ({text} ORDER BY 1, 2 LIMIT $2)"));
    }
    format!("{} LIMIT $2", level_texts.join(" UNION ALL "))
}

pub(crate) const LOOK: &str = "\
SELECT
    (SELECT coalesce(max(lane), 0) FROM {p}lanes),
    (SELECT min(lease_until) FROM {p}jobs WHERE state = 1),
    EXISTS (SELECT 1 FROM {p}keys WHERE hold = 1),
    EXISTS (SELECT 1 FROM {p}payloads);
SELECT queue FROM {p}paused;
SELECT l.value, (SELECT j.run_at FROM {p}jobs j WHERE j.state = 0 AND j.lane = l.value ORDER BY j.run_at LIMIT 1)
    FROM json_each($1) l";

const HEADS_AFTER: &str = "\
SELECT l.value, (SELECT j.run_at FROM {p}jobs j WHERE j.state = 0 AND j.lane = l.value ORDER BY j.run_at LIMIT 1)
    FROM json_each($6) l";

/// Joined by two functions and not by many `||`, each of which would copy what came before it.
const PACKED: &str = "\
concat(concat_ws(',', j.lane, j.run_at, j.created_at, j.generation, j.attempts, j.crashes, j.max_attempts, j.flagged, \
coalesce(octet_length(j.args), 0), coalesce(octet_length(j.metadata), 0)), ',', hex(j.id), j.args, j.metadata)";

pub(crate) const PAYLOADS: &str = "\
SELECT p.job, p.args, p.metadata FROM json_each($1) e CROSS JOIN {p}payloads p ON p.job = unhex(e.value);
";

pub(crate) const LET_GO_AT_START: &str = "\
DELETE FROM {p}keys WHERE hold = 1 AND job IN (SELECT unhex(value) FROM json_each($1));
";
