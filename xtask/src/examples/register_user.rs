//! The first example: one job, three seconds later, and an orderly end.

use std::process::Stdio;
use std::time::Duration;

use super::Place;
use crate::process::Running;

/// Its one job is due after 3 s; whoever waits longer than this thinks that it hangs.
const LIMIT: Duration = Duration::from_secs(20);

pub(super) fn greets(place: &Place) -> Result<(), String> {
    let mut command = place.program("register_user");
    command.stdin(Stdio::null());
    let finished = Running::start("register_user", command)?.finish(LIMIT)?;
    if !finished.status.success() {
        return Err(format!("it ended with {}; {}", finished.status, finished.quote()));
    }
    if !finished.stdout.lines().any(|line| line.contains("masa")) {
        return Err(format!("no line names masa; {}", finished.quote()));
    }
    Ok(())
}
