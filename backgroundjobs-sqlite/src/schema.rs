//! The tables, version by version.

use crate::error::Failed;

/// The version that this crate works with.
pub(crate) const VERSION: i64 = 1;

/// What takes an empty file, or one of the version before, to each version in turn. `{p}` stands for the prefix. A step
/// that was published is never changed: files made by it are out there.
pub(crate) const STEPS: [&str; VERSION as usize] = [FIRST];

/// A job is one row of `jobs`, found by its id, or by one of three indexes: what waits, what runs, what is over. A
/// lane is what waits of one queue, kind and priority; a claim looks at the first entries of its lanes, and not at those
/// behind them. The other two indexes name the lane at their end, so that jobs are counted in them. Payloads too large for
/// the row, which each change of state writes anew, are rows apart.
const FIRST: &str = "\
CREATE TABLE {p}meta (
    name TEXT PRIMARY KEY NOT NULL,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE {p}lanes (
    lane INTEGER PRIMARY KEY NOT NULL,
    queue TEXT NOT NULL,
    kind TEXT NOT NULL,
    priority INTEGER NOT NULL,
    UNIQUE (queue, kind, priority)
) STRICT;

CREATE TABLE {p}jobs (
    id BLOB PRIMARY KEY NOT NULL,
    lane INTEGER NOT NULL,
    state INTEGER NOT NULL DEFAULT 0,
    run_at INTEGER NOT NULL,
    generation INTEGER NOT NULL DEFAULT 0,
    settled INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0,
    max_attempts INTEGER NOT NULL,
    max_crashes INTEGER NOT NULL,
    flagged INTEGER NOT NULL DEFAULT 0,
    lease_until INTEGER,
    worker BLOB,
    claim BLOB,
    created_at INTEGER NOT NULL,
    claimed_at INTEGER,
    finished_at INTEGER,
    unique_key TEXT,
    hold TEXT,
    metadata TEXT,
    args TEXT
) STRICT, WITHOUT ROWID;

CREATE INDEX {p}waiting ON {p}jobs (lane, run_at, id) WHERE state = 0;
CREATE INDEX {p}running ON {p}jobs (lease_until, id, lane) WHERE state = 1;
CREATE INDEX {p}over ON {p}jobs (state, finished_at, id, lane) WHERE state > 1;

CREATE TABLE {p}payloads (
    job BLOB NOT NULL UNIQUE,
    args TEXT NOT NULL,
    metadata TEXT
) STRICT;

CREATE TABLE {p}failures (
    job BLOB NOT NULL,
    generation INTEGER NOT NULL,
    at INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    kind TEXT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (job, generation)
) STRICT, WITHOUT ROWID;

CREATE TABLE {p}keys (
    unique_key TEXT PRIMARY KEY NOT NULL,
    job BLOB NOT NULL,
    hold INTEGER NOT NULL,
    until INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX {p}keys_of_job ON {p}keys (job);
CREATE INDEX {p}keys_until_start ON {p}keys (hold) WHERE hold = 1;
CREATE INDEX {p}keys_expiring ON {p}keys (until) WHERE until IS NOT NULL;

CREATE TABLE {p}paused (
    queue TEXT PRIMARY KEY NOT NULL,
    since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// The whole schema with this prefix, as one text of SQL.
pub(crate) fn text(prefix: &str) -> String {
    let mut text = STEPS.concat().replace("{p}", prefix);
    text.push_str(&format!("\n{}\n", set_version(VERSION).replace("{p}", prefix)));
    text
}

/// Notes that the schema is of `version`.
pub(crate) fn set_version(version: i64) -> String {
    format!(
        "INSERT INTO {{p}}meta (name, value) VALUES ('schema_version', {version}) \
         ON CONFLICT (name) DO UPDATE SET value = excluded.value;"
    )
}

/// Refuses a text that cannot start table names.
pub(crate) fn check_prefix(prefix: &str) -> Result<(), Failed> {
    wrong_prefix(prefix).map_or(Ok(()), |wrong| {
        Err(Failed::rejected(format!("the table prefix {prefix:?} will not do: {wrong}")))
    })
}

fn wrong_prefix(prefix: &str) -> Option<&'static str> {
    const LONGEST: usize = 40;
    let plain = prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if prefix.is_empty() {
        Some("it is empty")
    } else if prefix.len() > LONGEST {
        Some("it is longer than 40 bytes")
    } else if !plain || prefix.starts_with(|first: char| first.is_ascii_digit()) {
        Some("it has other characters than letters, digits and _, or starts with a digit")
    } else if prefix.to_ascii_lowercase().starts_with("sqlite_") {
        Some("names that start with sqlite_ are SQLite's own")
    } else {
        None
    }
}
