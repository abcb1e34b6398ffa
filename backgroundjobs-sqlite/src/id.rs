//! Ids as SQLite keeps them (16 bytes, which it compares as the ids compare) and as JSON carries them there.

use std::fmt::Write;

use backgroundjobs_core::{JobId, LeaseKey};

use crate::error::Failed;

pub(crate) fn bytes(id: JobId) -> [u8; 16] {
    id.as_uuid().into_bytes()
}

pub(crate) fn from_bytes(bytes: &[u8]) -> Result<JobId, Failed> {
    let id = uuid::Uuid::from_slice(bytes).map_err(|_| Failed::corrupt("a job's id is not of 16 bytes"))?;
    Ok(JobId::from_uuid(id))
}

pub(crate) fn from_hex(text: &str) -> Result<JobId, Failed> {
    // Of the ways to write one, this has no dashes.
    let id = uuid::Uuid::try_parse(text).ok().filter(|_| text.len() == 32);
    let id = id.ok_or_else(|| Failed::corrupt(format!("{text:?} is not a job's id in hex")))?;
    Ok(JobId::from_uuid(id))
}

/// A JSON array of ids in hex.
pub(crate) fn array(ids: impl IntoIterator<Item = JobId>) -> String {
    let mut text = String::from("[");
    for id in ids {
        comma(&mut text, 1);
        write!(text, "\"{}\"", id.as_uuid().simple()).expect("a text takes all");
    }
    text.push(']');
    text
}

/// A JSON object of ids in hex with their generations: what `json_each` goes through as `key` and `value`.
pub(crate) fn leases<'a>(leases: impl IntoIterator<Item = &'a LeaseKey>) -> String {
    let mut text = String::from("{");
    for LeaseKey { id, generation } in leases {
        comma(&mut text, 1);
        write!(text, "\"{}\":{generation}", id.as_uuid().simple()).expect("a text takes all");
    }
    text.push('}');
    text
}

fn comma(text: &mut String, begun: usize) {
    if text.len() > begun {
        text.push(',');
    }
}
