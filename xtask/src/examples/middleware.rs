//! The example of middleware: it sees every run, and what it refuses never reaches its handler.

use super::{Place, expect_lines};

/// What is printed of each run, but for its duration.
const RUNS: &[&str] = &[
    "send_mail succeeded in attempt 1",
    "send_mail did not succeed (the mail server is down) in attempt 1",
    "send_mail succeeded in attempt 2",
    "charge_card did not succeed (charge_card is switched off) in attempt 1",
];

pub(super) fn sees_and_refuses(place: &Place) -> Result<(), String> {
    let finished = place.run("middleware")?;
    let mut seen: Vec<&str> =
        finished.stdout.lines().filter_map(|line| Some(line.split_once(", after ")?.0)).collect();
    let mut expected = RUNS.to_vec();
    seen.sort_unstable();
    expected.sort_unstable();
    if seen != expected {
        return Err(format!("the runs seen are {seen:?}, not {expected:?}; {}", finished.quote()));
    }
    if finished.stdout.contains("charged") {
        return Err(format!("the refused handler ran; {}", finished.quote()));
    }
    expect_lines(&finished, &["send_mail: succeeded", "send_mail: succeeded", "charge_card: failed"])
}
