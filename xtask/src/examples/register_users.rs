//! The second example: one job per line of a file, whatever is in the file.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
#[cfg(unix)]
use std::{io::Write, process::ChildStdin, sync::mpsc, thread};

use super::Place;
#[cfg(unix)]
use super::signal;
use crate::process::{Finished, Running};

const NAME: &str = "register_users";

/// For 100,000 lines, not optimised, on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

const GOOD_LINES: usize = 100_000;

/// The longest name that is registered.
const MAX_LINE_BYTES: usize = 1024;

pub(super) fn counts_lines(place: &Place) -> Result<(), String> {
    let input = Input::with_bad_lines();
    let path = write_input(place, "names.txt", &input.bytes)?;
    let mut command = place.program(NAME);
    command.arg("--print").arg(&path).stdin(Stdio::null());
    let finished = Running::start(NAME, command)?.finish(LIMIT)?;
    expect_totals(&finished, GOOD_LINES, input.bad_lines.len())?;
    expect_each_name_once(&finished)?;
    for bad_line in &input.bad_lines {
        bad_line.expect_reported(&finished)?;
    }
    Ok(())
}

pub(super) fn reads_standard_input(place: &Place) -> Result<(), String> {
    // The last line has no end of line, and counts.
    for (text, registered, skipped) in [("masa\n\ntaro", 2, 1), ("", 0, 0)] {
        let path = write_input(place, "standard-input.txt", text.as_bytes())?;
        let file =
            fs::File::open(&path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        let mut command = place.program(NAME);
        command.arg("-").stdin(file);
        let finished = Running::start(NAME, command)?.finish(LIMIT)?;
        expect_totals(&finished, registered, skipped)?;
    }
    Ok(())
}

pub(super) fn names_a_missing_file(place: &Place) -> Result<(), String> {
    let mut command = place.program(NAME);
    command.arg(place.inputs.join("no-such-file.txt")).stdin(Stdio::null());
    let finished = Running::start(NAME, command)?.finish(LIMIT)?;
    if finished.status.code() != Some(2) {
        return Err(format!("it ended with {}, not with exit code 2; {}", finished.status, finished.quote()));
    }
    if !finished.stderr.contains("no-such-file.txt") {
        return Err(format!("standard error does not name the file; {}", finished.quote()));
    }
    Ok(())
}

/// The input comes through a pipe that stays open, so the program is still at work when the signal comes.
#[cfg(unix)]
pub(super) fn survives_an_interrupt(place: &Place) -> Result<(), String> {
    let mut command = place.program(NAME);
    command.arg("-").stdin(Stdio::piped());
    let mut running = Running::start(NAME, command)?;
    let open_pipe =
        match feed(&mut running).and_then(|pipe| signal("INT", running.child().id()).map(|()| pipe)) {
            Ok(pipe) => pipe,
            Err(failure) => {
                running.kill();
                return Err(failure);
            }
        };
    let finished = running.finish(INTERRUPT_LIMIT)?;
    drop(open_pipe);
    if finished.status.code().is_none() {
        return Err(format!("the signal ended it before it said what was left; {}", finished.quote()));
    }
    let says_left = |line: &str| line.split_whitespace().any(|word| word.starts_with("left"));
    if !finished.stdout.lines().chain(finished.stderr.lines()).any(says_left) {
        return Err(format!("no line says what was left; {}", finished.quote()));
    }
    Ok(())
}

/// Writes far more than a pipe holds, and answers the pipe, still open: most of the input has then been read.
#[cfg(unix)]
fn feed(running: &mut Running) -> Result<ChildStdin, String> {
    let mut pipe = running.child().stdin.take().ok_or("it has no standard input")?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let written = pipe.write_all("masa\n".repeat(2 * GOOD_LINES).as_bytes());
        // Nobody listens when the limit was over first.
        let _ = sender.send(written.map(|()| pipe));
    });
    match receiver.recv_timeout(LIMIT) {
        Ok(Ok(pipe)) => Ok(pipe),
        Ok(Err(error)) => Err(format!("it closed its standard input before the end: {error}")),
        Err(_) => Err(format!("it had not read its standard input after {LIMIT:?}")),
    }
}

/// An interrupt is answered within this time, drain included.
#[cfg(unix)]
const INTERRUPT_LIMIT: Duration = Duration::from_secs(40);

struct Input {
    bytes: Vec<u8>,
    bad_lines: Vec<BadLine>,
}

/// A line that is skipped: its number from 1, and words of which its report has at least one.
struct BadLine {
    number: usize,
    reasons: &'static [&'static str],
}

impl Input {
    fn with_bad_lines() -> Self {
        let mut lines: Vec<Vec<u8>> = good_names().map(String::into_bytes).collect();
        let bad: [(usize, Vec<u8>, &[&str]); 3] = [
            (3, Vec::new(), &["blank", "empty"]),
            (50_001, vec![b'x'; MAX_LINE_BYTES + 1], &["long", "bytes", "KiB"]),
            (99_999, b"ma\xffsa".to_vec(), &["UTF-8", "utf-8"]),
        ];
        let mut bad_lines = Vec::new();
        for (number, line, reasons) in bad {
            lines.insert(number - 1, line);
            bad_lines.push(BadLine { number, reasons });
        }
        let mut bytes = lines.join(&b'\n');
        bytes.push(b'\n');
        Self { bytes, bad_lines }
    }
}

impl BadLine {
    fn expect_reported(&self, finished: &Finished) -> Result<(), String> {
        let number = self.number.to_string();
        let is_report = |line: &&str| {
            line.split(|character: char| !character.is_ascii_digit()).any(|word| word == number)
                && self.reasons.iter().any(|reason| line.contains(reason))
        };
        if finished.stderr.lines().any(|line| is_report(&line)) {
            return Ok(());
        }
        Err(format!(
            "standard error does not say that line {number} was skipped and why (one of: {}); {}",
            self.reasons.join(", "),
            finished.quote()
        ))
    }
}

/// The program prints each name as it registers it: every good line once, in whatever order.
fn expect_each_name_once(finished: &Finished) -> Result<(), String> {
    let mut printed: Vec<&str> = finished.stdout.lines().collect();
    printed.pop();
    printed.sort_unstable();
    let mut names: Vec<String> = good_names().collect();
    names.sort_unstable();
    if printed == names {
        return Ok(());
    }
    let different = printed.iter().zip(&names).find(|(printed, name)| **printed != name.as_str());
    Err(format!(
        "{} names are printed, {} expected; first difference: {different:?}",
        printed.len(),
        names.len()
    ))
}

fn good_names() -> impl Iterator<Item = String> {
    (1..GOOD_LINES).map(|number| format!("user {number}")).chain(["x".repeat(MAX_LINE_BYTES)])
}

fn expect_totals(finished: &Finished, registered: usize, skipped: usize) -> Result<(), String> {
    if !finished.status.success() {
        return Err(format!("it ended with {}; {}", finished.status, finished.quote()));
    }
    let expected = format!("registered {registered}, skipped {skipped}");
    if finished.stdout.lines().next_back() != Some(expected.as_str()) {
        return Err(format!("the last line is not `{expected}`; {}", finished.quote()));
    }
    Ok(())
}

fn write_input(place: &Place, name: &str, bytes: &[u8]) -> Result<PathBuf, String> {
    let path = place.inputs.join(name);
    fs::write(&path, bytes).map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_lines_are_where_the_input_says() {
        let input = Input::with_bad_lines();
        let lines: Vec<&[u8]> = input.bytes.split(|byte| *byte == b'\n').collect();
        assert_eq!(lines.len(), GOOD_LINES + 3 + 1, "the last one is what follows the last end of line");
        assert_eq!(lines[2], b"");
        assert_eq!(lines[50_000].len(), MAX_LINE_BYTES + 1);
        assert!(std::str::from_utf8(lines[99_998]).is_err());
        let good = lines.iter().filter(|line| {
            !line.is_empty() && line.len() <= MAX_LINE_BYTES && std::str::from_utf8(line).is_ok()
        });
        assert_eq!(good.count(), GOOD_LINES);
    }
}
