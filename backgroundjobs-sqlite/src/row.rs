//! Jobs as rows: how each part of a record is written, and [`Packed`], how rows come back.
//!
//! A row that comes back through sqlx costs a copy and an allocation for each of its columns, on the thread that works on
//! the file. So many rows are joined into one text there: numbers that end with a comma, then texts, whose lengths are
//! among the numbers.

use std::time::Duration;

use backgroundjobs_core::{JobState, KeyHold, Metadata, Timestamp};

use crate::error::Failed;

/// Args and metadata that are larger, together and in bytes, lie in a row apart: each change of a job's state writes its
/// row anew, and SQLite keeps about a thousand bytes of a row in one piece.
pub(crate) const INLINE_BYTES: usize = 700;

pub(crate) fn state(number: i64) -> Result<JobState, Failed> {
    usize::try_from(number)
        .ok()
        .and_then(|number| JobState::ALL.get(number).copied())
        .ok_or_else(|| Failed::corrupt(format!("a job has the state {number}, which there is not")))
}

/// States are numbered as they are listed.
pub(crate) const fn state_number(state: JobState) -> i64 {
    state as i64
}

pub(crate) const fn instant(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

/// How a key is held, for the record.
pub(crate) fn hold_text(hold: KeyHold) -> String {
    match hold {
        KeyHold::UntilFinished => "until finished".into(),
        KeyHold::UntilStarted => "until started".into(),
        KeyHold::For(time) => format!("for {}.{:09}", time.as_secs(), time.subsec_nanos()),
    }
}

pub(crate) fn hold(text: &str) -> Result<KeyHold, Failed> {
    let time = |text: &str| {
        let (seconds, nanos) = text.strip_prefix("for ")?.split_once('.')?;
        let nanos: u32 = nanos.parse().ok().filter(|nanos| *nanos < 1_000_000_000)?;
        Some(Duration::new(seconds.parse().ok()?, nanos))
    };
    match text {
        "until finished" => Ok(KeyHold::UntilFinished),
        "until started" => Ok(KeyHold::UntilStarted),
        other => time(other)
            .map(KeyHold::For)
            .ok_or_else(|| Failed::corrupt(format!("a unique key is held {other:?}, which cannot be read"))),
    }
}

/// `None` for none at all, as most jobs have.
pub(crate) fn metadata_text(metadata: &Metadata) -> Option<String> {
    (!metadata.is_empty()).then(|| serde_json::to_string(metadata).expect("texts by texts can be written"))
}

pub(crate) fn metadata(text: Option<&str>) -> Result<Metadata, Failed> {
    text.map_or(Ok(Metadata::new()), |text| {
        serde_json::from_str(text)
            .map_err(|error| Failed::corrupt(format!("a job's metadata cannot be read: {error}")))
    })
}

/// A statement that changes jobs that are there. Not an UPDATE: whether one of those finds its rows by id, or goes through
/// the whole table, is for SQLite's planner to choose, and it goes by what an ANALYZE once saw. An insert that conflicts
/// has no choice. `select` answers the ids of jobs that exist, five zeros for what a new row could not be without, and a
/// value for each of `columns` (a list that starts with a comma), which `set` finds as `excluded.column`.
pub(crate) fn change(columns: &str, select: &str, set: &str) -> String {
    format!(
        "INSERT INTO {{p}}jobs (id, lane, run_at, created_at, max_attempts, max_crashes{columns}) {select} \
         ON CONFLICT (id) DO UPDATE SET {set}"
    )
}

/// A [`change`] of jobs that are named by the elements of `$1`, a JSON array or object.
pub(crate) struct Named {
    /// The id of an element `e`, in hex.
    pub(crate) id: &'static str,
    /// `excluded.run_at`.
    pub(crate) run_at: &'static str,
    /// More columns, each with a comma in front, and the values that `excluded` has of them.
    pub(crate) columns: &'static str,
    pub(crate) values: &'static str,
    /// Which of them, as `j` and `e`.
    pub(crate) only: &'static str,
    pub(crate) set: &'static str,
}

impl Named {
    /// All of them, by an array of their ids.
    pub(crate) const fn all(set: &'static str) -> Self {
        Self { id: "e.value", run_at: "0", columns: "", values: "", only: "true", set }
    }

    pub(crate) fn change(&self) -> String {
        let Self { id, run_at, columns, values, only, set } = self;
        let select = format!(
            "SELECT j.id, 0, {run_at}, 0, 0, 0{values} \
             FROM json_each($1) e CROSS JOIN {{p}}jobs j ON j.id = unhex({id}) WHERE {only}"
        );
        change(columns, &select, set)
    }
}

/// Reads what was packed.
pub(crate) struct Packed<'a> {
    left: &'a str,
}

impl<'a> Packed<'a> {
    pub(crate) const fn new(text: &'a str) -> Self {
        Self { left: text }
    }

    pub(crate) const fn is_over(&self) -> bool {
        self.left.is_empty()
    }

    pub(crate) fn number<T: TryFrom<i64>>(&mut self) -> Result<T, Failed> {
        let (number, left) = self.left.split_once(',').ok_or_else(|| self.unreadable())?;
        let number = number.parse::<i64>().ok().and_then(|number| T::try_from(number).ok());
        let number = number.ok_or_else(|| self.unreadable())?;
        self.left = left;
        Ok(number)
    }

    /// The next so many bytes.
    pub(crate) fn text(&mut self, bytes: usize) -> Result<&'a str, Failed> {
        let (text, left) = self.left.split_at_checked(bytes).ok_or_else(|| self.unreadable())?;
        self.left = left;
        Ok(text)
    }

    fn unreadable(&self) -> Failed {
        let start: String = self.left.chars().take(40).collect();
        Failed::corrupt(format!("a row reads {start:?}…, which is not what this program writes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// They lie in files that are out there.
    #[test]
    fn the_numbers_of_states_never_change() {
        let numbers = JobState::ALL.map(|state| (state.as_str(), state_number(state)));
        let kept = [("waiting", 0), ("running", 1), ("succeeded", 2), ("failed", 3), ("cancelled", 4)];
        assert_eq!(numbers, kept);
        for state_there in JobState::ALL {
            assert_eq!(state(state_number(state_there)).expect("a state"), state_there);
        }
        assert!(state(5).is_err() && state(-1).is_err());
    }

    #[test]
    fn how_a_key_is_held_is_read_as_it_was_written() {
        let times = [Duration::ZERO, Duration::from_nanos(1), Duration::from_millis(1_500), Duration::MAX];
        let holds =
            times.map(KeyHold::For).into_iter().chain([KeyHold::UntilFinished, KeyHold::UntilStarted]);
        for held in holds {
            assert_eq!(hold(&hold_text(held)).expect("readable"), held);
        }
        for wrong in ["", "for", "for 1", "for 1.", "for 1.1000000000", "until", "for -1.0"] {
            assert!(hold(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_was_packed_is_read_by_its_lengths_and_damage_is_told() {
        let mut packed = Packed::new("7,-1,4,é,,!9,");
        assert_eq!(packed.number::<u16>().expect("a number"), 7);
        assert!(packed.number::<u16>().is_err(), "-1 is none");
        assert_eq!(packed.number::<i64>().expect("a number"), -1);
        let bytes: usize = packed.number().expect("a length");
        assert_eq!(packed.text(bytes).expect("a text"), "é,,");
        assert_eq!(packed.text(1).expect("a text"), "!");
        assert!(packed.text(9).is_err(), "there is not so much");
        assert!(!packed.is_over());
        assert_eq!(packed.number::<u8>().expect("a number"), 9);
        assert!(packed.is_over() && packed.number::<u8>().is_err());
        assert!(Packed::new("é").text(1).is_err(), "half a character");
    }
}
