//! What a check says when it fails: the clause, what was expected, what was seen, and the calls so far.

use std::fmt::{Debug, Display};

use backgroundjobs_core::StoreError;

use super::operations;

/// What is longer is told by its differences.
const SHORT: usize = 300;

/// As much of a value as a message can bear, in the words of the calls below it.
pub(super) fn shown(value: impl Debug) -> String {
    const MOST: usize = 1_500;
    let mut text = operations::reworded(&format!("{value:?}"));
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
        broken(format_args!("clause {clause}: {what}: {}", told(&seen, &expected)));
    }
}

/// What was expected and what was seen; of long values that have the same lines, those that differ.
pub(super) fn told(seen: &impl Debug, expected: &impl Debug) -> String {
    let both = format!("expected {}, saw {}", shown(expected), shown(seen));
    let (saw, wanted) = (lines(seen), lines(expected));
    if both.len() < SHORT || saw.len() != wanted.len() {
        return both;
    }
    let pairs = saw.into_iter().zip(wanted).filter(|(saw, wanted)| saw != wanted);
    let different: Vec<_> = pairs.map(|(saw, wanted)| format!("expected {wanted}, saw {saw}")).collect();
    // What is not written out, as args are not, may be all that differs.
    if different.is_empty() { both } else { different.join("; ") }
}

/// A value line by line, what is in a `Some` beside its name.
fn lines(value: &impl Debug) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in operations::reworded(&format!("{value:#?}")).lines() {
        let line = line.trim().trim_end_matches(',');
        match lines.last_mut() {
            Some(last) if last.ends_with("Some(") || (line == ")" && last.contains("Some(")) => {
                last.push_str(line);
            }
            _ => lines.push(line.to_owned()),
        }
    }
    lines
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
