//! The same loop as `ideal-sqlx`, through rusqlite: what is left is what SQLite itself costs. `ideal-rusqlite ROW JOBS
//! FILE` prints the seconds.
//!
//! Here a statement is a call on the same thread, so each row has a statement of its own, prepared once.

#[path = "../../common.rs"]
mod common;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use common::{BATCH, Marks, NOW, Notice, SELF, Task, id, text};
use rusqlite::{Connection, TransactionBehavior, params};

fn main() -> ExitCode {
    common::end(Task::from_arguments().and_then(|task| match task.row.as_str() {
        "end-to-end" => end_to_end(&task, false),
        "end-to-end-indexed" => end_to_end(&task, true),
        "one-task" => one_task(&task),
        _ => Err(task.unknown_row()),
    }))
}

fn open(task: &Task, indexed: bool) -> Result<Connection, String> {
    let db = Connection::open(&task.file).map_err(text)?;
    let settings = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -64000; \
                    PRAGMA wal_autocheckpoint = 8000";
    db.execute_batch(settings).map_err(text)?;
    db.execute_batch(include_str!("../../schema.sql")).map_err(text)?;
    if indexed {
        db.execute_batch(include_str!("../../indexes.sql")).map_err(text)?;
    }
    Ok(db)
}

fn end_to_end(task: &Task, indexed: bool) -> Result<Duration, String> {
    let mut db = open(task, indexed)?;
    let marks = Marks::new(task.jobs);
    let begun = Instant::now();
    for first in (0..task.jobs).step_by(BATCH) {
        insert(&mut db, first, (first + BATCH).min(task.jobs)).map_err(text)?;
    }
    let mut finished = 0;
    while finished < task.jobs {
        let jobs = claim(&mut db).map_err(text)?;
        if jobs.is_empty() {
            return Err(format!("{finished} of {} jobs were claimed", task.jobs));
        }
        jobs.iter().try_for_each(|(_, args)| marks.mark_json(args))?;
        finished += finish(&mut db, &jobs).map_err(text)?;
    }
    let took = begun.elapsed();
    marks.each_once()?;
    Ok(took)
}

fn one_task(task: &Task) -> Result<Duration, String> {
    let mut db = open(task, true)?;
    let begun = Instant::now();
    for number in 0..task.jobs {
        insert(&mut db, number, number + 1).map_err(text)?;
    }
    Ok(begun.elapsed())
}

fn insert(db: &mut Connection, first: usize, end: usize) -> rusqlite::Result<()> {
    let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut insert = change.prepare_cached(
            "INSERT INTO jobs (id, lane, run_at, created_at, max_attempts, max_crashes, args) \
             VALUES (?1, 1, ?2, ?2, 11, 3, ?3)",
        )?;
        for number in first..end {
            insert.execute(params![id(number), NOW, Notice::json(number)])?;
        }
    }
    change.commit()
}

fn claim(db: &mut Connection) -> rusqlite::Result<Vec<([u8; 16], String)>> {
    let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let jobs = {
        let mut look = change.prepare_cached(
            "SELECT id, args FROM jobs WHERE state = 0 AND lane = 1 AND run_at <= ?1 ORDER BY run_at, id LIMIT ?2",
        )?;
        let jobs = look.query_map(params![NOW, BATCH as i64], |row| Ok((row.get(0)?, row.get(1)?)))?;
        jobs.collect::<rusqlite::Result<Vec<_>>>()?
    };
    {
        let mut take = change.prepare_cached(
            "UPDATE jobs SET state = 1, generation = generation + 1, worker = ?2, claim = ?2, lease_until = ?3, \
             claimed_at = ?1 WHERE id = ?4",
        )?;
        for (id, _) in &jobs {
            take.execute(params![NOW, SELF, NOW + 30_000_000, id])?;
        }
    }
    change.commit()?;
    Ok(jobs)
}

fn finish(db: &mut Connection, jobs: &[([u8; 16], String)]) -> rusqlite::Result<usize> {
    let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut finished = 0;
    {
        let mut finish = change.prepare_cached(
            "UPDATE jobs SET state = 2, settled = generation, crashes = 0, lease_until = NULL, worker = NULL, \
             claim = NULL, finished_at = ?1 WHERE id = ?2 AND generation = 1 AND state = 1",
        )?;
        for (id, _) in jobs {
            finished += finish.execute(params![NOW, id])?;
        }
    }
    change.commit()?;
    Ok(finished)
}
