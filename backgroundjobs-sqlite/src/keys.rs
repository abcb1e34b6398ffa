//! Unique keys: rows of their own, as (key, job, held until).

use backgroundjobs_core::{JobId, KeyHold, Timestamp, UniqueKey};

/// Who holds a key.
#[derive(Clone, Copy)]
pub(crate) struct Held {
    pub(crate) job: JobId,
    /// When it ends by itself; `None` until the job lets go.
    pub(crate) until: Option<Timestamp>,
}

impl Held {
    pub(crate) fn by(job: JobId, unique: &UniqueKey, now: Timestamp) -> Self {
        Self { job, until: until(unique.hold, now) }
    }

    pub(crate) fn is_held(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

fn until(hold: KeyHold, now: Timestamp) -> Option<Timestamp> {
    match hold {
        KeyHold::For(time) => Some(now + time),
        KeyHold::UntilFinished | KeyHold::UntilStarted => None,
    }
}

/// How a hold is numbered in the column `hold` of a key.
const fn number(hold: KeyHold) -> i64 {
    match hold {
        KeyHold::UntilFinished => 0,
        KeyHold::UntilStarted => 1,
        KeyHold::For(_) => 2,
    }
}

/// What [`TAKE`] binds: keys with who takes them at what time.
pub(crate) fn taken(keys: &[(&UniqueKey, JobId, Timestamp)]) -> String {
    let rows: Vec<_> = keys
        .iter()
        .map(|(unique, job, now)| {
            let until = until(unique.hold, *now).map(Timestamp::as_micros);
            (&*unique.key, job.as_uuid().simple().to_string(), number(unique.hold), until)
        })
        .collect();
    serde_json::to_string(&rows).expect("texts and numbers can be written")
}

/// Gives keys to those who were found to be free to take them.
pub(crate) const TAKE: &str = "\
INSERT INTO {p}keys (unique_key, job, hold, until)
    SELECT value ->> 0, unhex(value ->> 1), value ->> 2, value ->> 3 FROM json_each($1) WHERE true
    ON CONFLICT (unique_key) DO UPDATE SET job = excluded.job, hold = excluded.hold, until = excluded.until;
";

/// Lets go of the keys that jobs of `$1` (an array of ids) held until they were over.
pub(crate) const LET_GO_AT_END: &str = "\
DELETE FROM {p}keys WHERE hold < 2 AND job IN (
    SELECT unhex(value) FROM json_each($1) WHERE EXISTS (SELECT 1 FROM {p}keys)
);
";

/// Lets go of every key that jobs of `$1` (an array of ids) hold.
pub(crate) const LET_GO_OF_ALL: &str = "\
DELETE FROM {p}keys WHERE job IN (SELECT unhex(value) FROM json_each($1))";
