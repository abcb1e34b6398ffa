//! Requests and replies in a line each.

use std::time::Duration;

use backgroundjobs_core::{
    ClaimJobs, ClaimedJobs, CountJobs, InsertJobs, Inserted, InsertedJobs, JobCounts, JobFilter, JobId,
    JobPage, JobRecord, Keep, KeyHold, LeaseKey, ListJobs, NewJob, Outcome, PruneJobs, PrunedJobs,
    QueueFacts, RecoverJobs, RecoveredJobs, RenewLeases, RunAt, SettleJobs, Settled, SettledJobs, Timestamp,
    UniqueKey,
};
use uuid::Uuid;

use crate::conformance::context;

/// How many items of a batch are shown.
const ITEMS: usize = 8;

/// How much of a text is shown, in bytes.
const TEXT: usize = 60;

/// An instant, since the check began; a calendar time where that is far off.
pub(in crate::conformance) fn at(instant: Timestamp) -> String {
    const YEAR: i64 = 31_536_000_000_000;
    let micros = i128::from(instant.as_micros()) - i128::from(context::at(0).as_micros());
    if micros.unsigned_abs() > YEAR.unsigned_abs().into() {
        return instant.to_string();
    }
    let (sign, span) =
        (if micros < 0 { '-' } else { '+' }, Duration::from_micros(micros.unsigned_abs() as u64));
    format!("{sign}{span:?}")
}

fn when(instant: Option<Timestamp>) -> String {
    instant.map_or_else(|| "none".to_owned(), at)
}

/// An id: its number where the check made it up.
pub(in crate::conformance) fn id(id: JobId) -> String {
    short(id.as_uuid())
}

/// A text with each id and instant in it written as [`id`] and [`at`] do.
pub(in crate::conformance) fn reworded(text: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | ':' | '.');
    let word = |word: &str| match (word.parse(), word.parse()) {
        (Ok(uuid), _) => short(uuid),
        (_, Ok(instant)) => at(instant),
        _ => word.to_owned(),
    };
    let mut reworded = String::with_capacity(text.len());
    for piece in text.split_inclusive(|c| !is_part(c)) {
        let end = piece.trim_end_matches(|c| !is_part(c)).len();
        reworded += &word(&piece[..end]);
        reworded += &piece[end..];
    }
    reworded
}

fn short(uuid: Uuid) -> String {
    context::number_of(uuid).map_or_else(|| uuid.to_string(), |number| format!("#{number}"))
}

pub(super) fn ids(ids: &[JobId]) -> String {
    list(ids, |it| id(*it))
}

/// The items, the first few of them.
pub(super) fn list<T>(items: &[T], word: impl Fn(&T) -> String) -> String {
    let mut shown: Vec<_> = items.iter().take(ITEMS).map(word).collect();
    if items.len() > ITEMS {
        shown.push(format!("and {} more", items.len() - ITEMS));
    }
    format!("[{}]", shown.join(", "))
}

fn text(text: &str) -> String {
    let end = text.floor_char_boundary(TEXT);
    if end < text.len() {
        format!("{:?} and {} bytes more", &text[..end], text.len() - end)
    } else {
        format!("{text:?}")
    }
}

fn lease(lease: LeaseKey) -> String {
    format!("{} generation {}", id(lease.id), lease.generation)
}

pub(super) fn of_ids(what: &str, now: Timestamp, of: &[JobId]) -> String {
    format!("{what} {} at {}", ids(of), at(now))
}

pub(super) fn insert(request: &InsertJobs) -> String {
    format!("insert {} at {}", list(&request.jobs, job), at(request.now))
}

fn job(job: &NewJob) -> String {
    let mut text = format!("{} {}/{}", id(job.id), job.queue, job.kind);
    match job.run_at {
        RunAt::Now => {}
        RunAt::In(delay) => text += &format!(" in {delay:?}"),
        RunAt::At(instant) => text += &format!(" due {}", at(instant)),
    }
    if job.priority != backgroundjobs_core::Priority::NORMAL {
        text += &format!(" priority {}", job.priority.level());
    }
    if let Some(unique) = &job.unique {
        text += &format!(" {}", key(unique));
    }
    text
}

fn key(unique: &UniqueKey) -> String {
    let held = match unique.hold {
        KeyHold::UntilFinished => "until finished".to_owned(),
        KeyHold::UntilStarted => "until started".to_owned(),
        KeyHold::For(time) => format!("for {time:?}"),
    };
    format!("key {} held {held}", text(&unique.key))
}

pub(super) fn inserted(reply: &InsertedJobs) -> String {
    list(&reply.jobs, |job| match job {
        Inserted::New => "new".to_owned(),
        Inserted::Existing(of) => format!("existing {}", id(*of)),
    })
}

pub(super) fn claim(request: &ClaimJobs) -> String {
    let again = if request.repeated { "repeat claim" } else { "claim" };
    let queues = list(&request.queues, |of| format!("{} of {}", of.limit, of.queue));
    let kinds = list(&request.kinds, ToString::to_string);
    let (name, now) = (short(request.claim_id.as_uuid()), at(request.now));
    format!("{again} {name} {queues} of kinds {kinds} for {:?} at {now}", request.lease)
}

pub(super) fn claimed(reply: &ClaimedJobs) -> String {
    let queues = list(&reply.queues, |queue| {
        let jobs = list(&queue.jobs, |job| {
            let flag = if job.cancel_requested { " to be cancelled" } else { "" };
            format!("{} generation {}{flag}", id(job.id), job.generation)
        });
        let more = if queue.more { ", more" } else { "" };
        let paused = if queue.paused { ", paused" } else { "" };
        format!("{jobs}{more}{paused}, next due {}", when(queue.next_due))
    });
    format!("{queues}, next expiry {}", when(reply.next_expiry))
}

pub(super) fn renew(request: &RenewLeases) -> String {
    format!("renew {} for {:?} at {}", list(&request.leases, |it| lease(*it)), request.lease, at(request.now))
}

pub(super) fn settle(request: &SettleJobs) -> String {
    let ends = list(&request.outcomes, |end| format!("{} {}", lease(end.lease), outcome(&end.outcome)));
    format!("settle {ends} at {}", at(request.now))
}

fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Complete => "complete".to_owned(),
        Outcome::Retry { delay, .. } => format!("retry in {delay:?}"),
        Outcome::Snooze { delay } => format!("snooze for {delay:?}"),
        Outcome::Release => "release".to_owned(),
        Outcome::Fail { .. } => "fail".to_owned(),
        Outcome::Cancel { failure } => {
            format!("cancel{}", if failure.is_some() { " with a reason" } else { "" })
        }
    }
}

pub(super) fn settled(reply: &SettledJobs) -> String {
    list(&reply.jobs, |job| match job {
        Settled::Applied { state } => format!("applied, {state}"),
        Settled::Lost => "lost".to_owned(),
    })
}

pub(super) fn recover(request: &RecoverJobs) -> String {
    format!("recover {} with back-off {:?} at {}", request.limit, request.crash_backoff, at(request.now))
}

pub(super) fn recovered(reply: &RecoveredJobs) -> String {
    let jobs = list(&reply.jobs, |job| {
        format!("{} {} after {} crashes, run at {}", id(job.id), job.state, job.crashes, at(job.run_at))
    });
    format!("{jobs}, next expiry {}", when(reply.next_expiry))
}

pub(super) fn prune(request: &PruneJobs) -> String {
    let keep = |keep: Keep| match (keep.max_age, keep.max_count) {
        (None, None) => "all".to_owned(),
        (age, count) => {
            let age = age.map(|age| format!("{age:?}"));
            let count = count.map(|count| format!("the latest {count}"));
            [age, count].into_iter().flatten().collect::<Vec<_>>().join(" and ")
        }
    };
    let kept = request.retention;
    let (succeeded, failed, cancelled) = (keep(kept.succeeded), keep(kept.failed), keep(kept.cancelled));
    format!(
        "prune {} at {}, keeping {succeeded} succeeded, {failed} failed, {cancelled} cancelled",
        request.limit,
        at(request.now)
    )
}

pub(super) fn pruned(reply: &PrunedJobs) -> String {
    format!("{} removed, next prune {}", reply.removed, when(reply.next_prune))
}

/// What a job's record says that a failure is mostly about.
pub(super) fn record(record: &JobRecord) -> String {
    let mut text = format!("{} {} generation {}", id(record.id), record.state, record.generation);
    if record.cancel_requested {
        text += " to be cancelled";
    }
    if let Some(lease) = &record.lease {
        text += &format!(" leased until {}", at(lease.until));
    }
    let (attempts, crashes) = (record.attempts, record.crashes);
    format!("{text}, {attempts} attempts, {crashes} crashes, run at {}", at(record.run_at))
}

fn filter(filter: &JobFilter) -> String {
    let JobFilter { queues, kinds, states, .. } = filter;
    let all = || "all".to_owned();
    let queues = queues.as_ref().map_or_else(all, |queues| list(queues, ToString::to_string));
    let kinds = kinds.as_ref().map_or_else(all, |kinds| list(kinds, ToString::to_string));
    let states = states.as_ref().map_or_else(all, |states| list(states, ToString::to_string));
    format!("queues {queues}, kinds {kinds}, states {states}")
}

pub(super) fn count(request: &CountJobs) -> String {
    format!("count {} at {}", filter(&request.filter), at(request.now))
}

pub(super) fn counted(reply: &JobCounts) -> String {
    list(&reply.rows, |row| {
        let next = row.next_run_at.map_or_else(String::new, |next| format!(", next at {}", at(next)));
        format!("{} {}/{} {}{next}", row.count, row.queue, row.kind, row.state)
    })
}

pub(super) fn page(request: &ListJobs) -> String {
    let after = request.after.map_or_else(String::new, |cursor| format!(" after {}", id(cursor.0)));
    format!("list {}{after} of {} at {}", request.limit, filter(&request.filter), at(request.now))
}

pub(super) fn listed(reply: &JobPage) -> String {
    let jobs = list(&reply.jobs, |job| format!("{} {}", id(job.id), job.state));
    format!("{jobs}, next {}", reply.next.map_or_else(|| "none".to_owned(), |cursor| id(cursor.0)))
}

pub(super) fn facts(facts: &QueueFacts) -> String {
    let paused = facts.paused_since.map_or_else(String::new, |since| format!(" paused since {}", at(since)));
    format!("{}{paused}", facts.queue)
}
