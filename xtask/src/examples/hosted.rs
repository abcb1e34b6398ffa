//! The examples of hosted services: each does its work and ends by itself, and in good order when it is asked to.

use std::process::Stdio;
use std::time::{Duration, Instant};

use super::{Place, expect_lines};
use crate::process::{Finished, Running};

/// Each ends by itself within this time.
const LIMIT: Duration = Duration::from_secs(15);

pub(super) fn ticks(place: &Place) -> Result<(), String> {
    let finished = end_by_itself(place, "hosted_timer")?;
    let mut lines = Vec::new();
    for number in 1..=5 {
        if number == 2 {
            lines.push(format!("connection {number} is closed"));
            lines.push("tick 2 of tidy up failed: the server said no".to_owned());
            continue;
        }
        lines.push(format!("tick {number} on connection {number}"));
        lines.push(format!("connection {number} is closed"));
    }
    lines.push("stopped; 5 connections were opened".to_owned());
    expect_exactly(&finished, &lines)
}

pub(super) fn sends_letters(place: &Place) -> Result<(), String> {
    let finished = end_by_itself(place, "queued_tasks")?;
    let letter = |number: u32| match number {
        7 => "task letter 7 of post office failed: the address is unknown".to_owned(),
        _ => format!("letter {number} is sent"),
    };
    let mut lines: Vec<String> = (1..=20).map(letter).collect();
    lines.push("stopped; 19 letters were sent, 0 wait".to_owned());
    expect_exactly(&finished, &lines)
}

pub(super) fn refreshes(place: &Place) -> Result<(), String> {
    let finished = end_by_itself(place, "refreshing_cache")?;
    expect_lines(
        &finished,
        &[
            "token 1 is fetched",
            "token 2 is fetched",
            "refresh of token failed: no answer from the server",
            "token 4 is fetched",
        ],
    )?;
    let used = |token: &str| finished.stdout.lines().filter(|line| *line == format!("used {token}")).count();
    if used("token 1") == 0 || used("token 2") == 0 || used("token 4") == 0 {
        return Err(format!("not every token was used; {}", finished.quote()));
    }
    if !finished.stdout.lines().next_back().is_some_and(|line| line.starts_with("stopped; ")) {
        return Err(format!("it does not say at last that it stopped; {}", finished.quote()));
    }
    Ok(())
}

/// Asks each to end, when it has printed something.
#[cfg(unix)]
pub(super) fn stop_at_a_signal(place: &Place) -> Result<(), String> {
    for name in ["hosted_timer", "queued_tasks", "refreshing_cache"] {
        for signal in ["TERM", "INT"] {
            let begun = Instant::now();
            let mut command = place.program(name);
            command.stdin(Stdio::null());
            let mut running = Running::start(name, command)?;
            // It listens when it has printed a line, and has seconds of work before it then.
            running.wait_for_output(LIMIT)?;
            super::signal(signal, running.child().id())?;
            let finished = running.finish(LIMIT)?;
            let last = finished.stdout.lines().next_back().unwrap_or_default();
            if !finished.status.success() || !last.starts_with("stopped; ") {
                return Err(format!(
                    "{name} ended with {} after SIG{signal}; {}",
                    finished.status,
                    finished.quote()
                ));
            }
            if begun.elapsed() > LIMIT {
                return Err(format!("{name} took {:?}", begun.elapsed()));
            }
        }
    }
    Ok(())
}

fn end_by_itself(place: &Place, name: &str) -> Result<Finished, String> {
    let begun = Instant::now();
    let finished = place.run(name)?;
    let took = begun.elapsed();
    if took > LIMIT { Err(format!("{name} took {took:?}; {}", finished.quote())) } else { Ok(finished) }
}

fn expect_exactly(finished: &Finished, lines: &[String]) -> Result<(), String> {
    if finished.stdout.lines().eq(lines) {
        return Ok(());
    }
    Err(format!("it should print {lines:?}; {}", finished.quote()))
}
