//! What happened, in order: the evidence that two runs were the same.

use std::fmt;
use std::sync::Arc;

use backgroundjobs_core::{Checkpoint, Clock, Timestamp};
use parking_lot::Mutex;

use crate::VirtualClock;

/// Something that happened under a scheduler.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// When, on the virtual clock.
    pub at: Timestamp,
    /// What.
    pub text: String,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.at, self.text)
    }
}

/// A handle for writing into a scheduler's trace, for tasks and fakes of a test. Clones write into the same.
///
/// The trace keeps every event until the scheduler and all handles are gone: about 100 bytes each, one or two
/// per timer.
#[derive(Clone)]
pub struct TraceLog {
    clock: VirtualClock,
    events: Arc<Mutex<Vec<Event>>>,
}

impl TraceLog {
    pub(super) fn new(clock: VirtualClock) -> Self {
        Self { clock, events: Arc::default() }
    }

    /// Writes `text` with the present virtual instant.
    pub fn log(&self, text: impl Into<String>) {
        let event = Event { at: self.clock.now(), text: text.into() };
        self.events.lock().push(event);
    }

    pub(super) fn events(&self) -> Vec<Event> {
        self.events.lock().clone()
    }

    pub(super) fn len(&self) -> usize {
        self.events.lock().len()
    }

    pub(super) fn hash(&self) -> u64 {
        hash(&self.events.lock())
    }
}

impl fmt::Debug for TraceLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceLog").field("events", &self.len()).finish_non_exhaustive()
    }
}

/// How a checkpoint reads in the trace.
///
/// The one after a store call is left out: whether the answer came within the first poll or a later one is
/// nobody's decision, and the next thing the task does is traced anyway.
pub(super) fn checkpoint_text(at: &Checkpoint) -> Option<String> {
    Some(match at {
        Checkpoint::AfterStore(_) => return None,
        Checkpoint::BeforeStore(operation) => format!("calls the store: {operation}"),
        Checkpoint::BeforeRun { id, kind, attempt, .. } => format!("runs {kind} {id}, attempt {attempt}"),
        Checkpoint::AfterRun { id, kind, attempt, .. } => format!("has run {kind} {id}, attempt {attempt}"),
        other => format!("{other:?}"),
    })
}

/// Over each event's microseconds (little-endian), its text and one byte 0xff, which no UTF-8 text contains.
fn hash(events: &[Event]) -> u64 {
    fnv_1a(events.iter().flat_map(|event| {
        let text = event.text.bytes().chain([0xff]);
        event.at.as_micros().to_le_bytes().into_iter().chain(text)
    }))
}

/// The 64-bit FNV-1a hash (Fowler, Noll, Vo). Fixed, so that one can be written down and compared on another machine.
pub(crate) fn fnv_1a(bytes: impl IntoIterator<Item = u8>) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    bytes.into_iter().fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv_1a_and_sees_instants_texts_and_their_borders() {
        assert_eq!(hash(&[]), 0xcbf2_9ce4_8422_2325, "the offset basis");
        let event = |at, text: &str| Event { at: Timestamp::from_micros(at), text: text.into() };
        let hashes = [
            hash(&[event(0, "ab")]),
            hash(&[event(1, "ab")]),
            hash(&[event(0, "a"), event(0, "b")]),
            hash(&[event(0, "b"), event(0, "a")]),
        ];
        let different: std::collections::BTreeSet<_> = hashes.iter().collect();
        assert_eq!(different.len(), hashes.len());
    }
}
