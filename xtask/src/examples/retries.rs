//! The example of jobs that do not go well: its table says what became of each.

use super::Place;

/// Kind, final state, failed attempts, and words of the last error.
const ENDS: &[(&str, &str, &str, &str)] = &[
    ("flaky", "succeeded", "2", "the mail server is down"),
    ("panics", "failed", "3", "the list of recipients is empty"),
    ("too_slow", "failed", "1", "ran longer than its timeout"),
    ("snoozes", "succeeded", "0", "none"),
    ("cancelled", "cancelled", "0", "the customer withdrew the order"),
];

pub(super) fn shows_each_end(place: &Place) -> Result<(), String> {
    let finished = place.run("retries")?;
    let mut rows = finished.stdout.lines().skip_while(|line| !line.starts_with("kind")).skip(1);
    for (kind, state, attempts, error) in ENDS {
        let row = rows.next().unwrap_or_default();
        let mut words = row.split_whitespace();
        let starts_right = [kind, state, attempts].into_iter().all(|word| words.next() == Some(*word));
        if !starts_right || !row.contains(error) {
            return Err(format!(
                "instead of a row with {kind}, {state}, {attempts} and `{error}` there is `{row}`; {}",
                finished.quote()
            ));
        }
    }
    Ok(())
}
