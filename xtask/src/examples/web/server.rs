//! The web service as a child process: where it listens, and how it ends.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use super::super::{Place, signal};

/// From its start to its first line, and from the signal to its end, on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(5);

pub(super) struct Server {
    child: Child,
    lines: Receiver<String>,
    address: SocketAddr,
}

impl Server {
    /// Starts it on a port that is free, and waits until it listens.
    pub(super) fn start(place: &Place, more: &[&str]) -> Result<Self, String> {
        let mut command = place.program("web");
        command.args(["--listen", "127.0.0.1:0"]).args(more).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("web cannot be started: {error}"))?;
        let (sender, lines) = mpsc::channel();
        if let Some(stdout) = child.stdout.take() {
            thread::spawn(move || {
                // Nobody listens any more when a check has failed.
                BufReader::new(stdout).lines().map_while(Result::ok).for_each(|line| drop(sender.send(line)));
            });
        }
        let any = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut server = Self { child, lines, address: any };
        let first = server.lines.recv_timeout(LIMIT).map_err(|_| "web does not say where it listens")?;
        let address = first.strip_prefix("listening on http://").and_then(|address| address.parse().ok());
        server.address =
            address.ok_or_else(|| format!("web does not say where it listens, but {first:?}"))?;
        Ok(server)
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks it to end by a signal, and expects that it drains and ends well.
    pub(super) fn end(self, by: &str) -> Result<(), String> {
        self.signal(by)?;
        self.has_ended(by)
    }

    pub(super) fn signal(&self, name: &str) -> Result<(), String> {
        signal(name, self.child.id())
    }

    /// Expects that it drains and ends well after this signal.
    pub(super) fn has_ended(mut self, by: &str) -> Result<(), String> {
        let status = self.wait()?;
        let said: Vec<String> = self.lines.iter().collect();
        let has = |start: &str| said.iter().any(|line| line.starts_with(start));
        if !status.success() || !has("draining: ") || !has("drained: ") {
            return Err(format!("after SIG{by} it ended with {status} and said {said:?}"));
        }
        Ok(())
    }

    /// Ends it at once, as a crash would.
    pub(super) fn kill(&mut self) -> Result<(), String> {
        signal("KILL", self.child.id())?;
        self.wait().map(drop)
    }

    fn wait(&mut self) -> Result<ExitStatus, String> {
        let deadline = Instant::now() + LIMIT;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Ok(status),
                Ok(None) if Instant::now() < deadline => thread::sleep(POLL_INTERVAL),
                Ok(None) => return Err(format!("web had not ended {LIMIT:?} after the signal")),
                Err(error) => return Err(format!("web cannot be waited for: {error}")),
            }
        }
    }
}

impl Drop for Server {
    /// A check that fails must not leave a program behind; whether it had ended by itself does not matter.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
