//! What a check says when it fails: the clause, what was expected, what was seen, and the calls so far.

use std::fmt::{Debug, Display};

use backgroundjobs_core::StoreError;

use super::operations;

/// As much of a value as a message can bear.
pub(super) fn shown(value: impl Debug) -> String {
    const MOST: usize = 1_500;
    let mut text = format!("{value:?}");
    if text.len() > MOST {
        text.truncate(text.floor_char_boundary(MOST));
        text.push('…');
    }
    text
}

/// Fails with the clause unless both are equal.
#[track_caller]
pub(super) fn same<T: PartialEq + Debug>(clause: &str, what: impl Display, seen: T, expected: T) {
    if seen != expected {
        broken(format_args!("clause {clause}: {what}: expected {}, saw {}", shown(expected), shown(seen)));
    }
}

/// Fails, and shows the calls so far.
#[track_caller]
pub(super) fn broken(message: impl Display) -> ! {
    panic!("{message}{}", operations::so_far())
}

/// Fails with the clause unless `holds`; `what` says what should.
#[track_caller]
pub(super) fn holds(clause: &str, what: impl Display, holds: bool, seen: impl Debug) {
    if !holds {
        broken(format_args!("clause {clause}: expected {what}, saw {}", shown(seen)));
    }
}

#[track_caller]
pub(super) fn answer<T>(call: &str, result: Result<T, StoreError>) -> T {
    match result {
        Ok(reply) => reply,
        Err(error) => broken(format_args!("clauses F-2, F-3: {call}: expected an answer, saw {error}")),
    }
}
