//! Child processes: cargo's commands, and programs that must end within a limit.

use std::env;
use std::ffi::OsString;
use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// The cargo that runs this program.
pub(crate) fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")))
}

/// A program whose output is gathered while it runs.
pub(crate) struct Running {
    name: String,
    child: Child,
    /// Says once that something came on standard output.
    printed: Receiver<()>,
    stdout: JoinHandle<String>,
    stderr: JoinHandle<String>,
}

/// What a program left behind.
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Running {
    /// Starts `command`; its standard input is as the caller set it.
    pub(crate) fn start(name: &str, mut command: Command) -> Result<Self, String> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("{name} cannot be started: {error}"))?;
        let (first, printed) = mpsc::channel();
        // Whoever does not wait for it does not hear it.
        let stdout = read_to_end(child.stdout.take(), move || _ = first.send(()));
        let stderr = read_to_end(child.stderr.take(), || {});
        Ok(Self { name: name.to_owned(), child, printed, stdout, stderr })
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits until it has printed something.
    #[cfg(unix)]
    pub(crate) fn wait_for_output(&mut self, limit: Duration) -> Result<(), String> {
        self.printed.recv_timeout(limit).map_err(|_| {
            self.kill();
            format!("{} had printed nothing after {limit:?}", self.name)
        })
    }

    /// Waits for the end; kills the program when it takes longer than `limit`.
    pub(crate) fn finish(mut self, limit: Duration) -> Result<Finished, String> {
        let deadline = Instant::now() + limit;
        let status = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break Some(status),
                Ok(None) if Instant::now() < deadline => thread::sleep(POLL_INTERVAL),
                Ok(None) => {
                    self.kill();
                    break None;
                }
                Err(error) => return Err(format!("{} cannot be waited for: {error}", self.name)),
            }
        };
        let stdout = self.stdout.join().unwrap_or_default();
        let stderr = self.stderr.join().unwrap_or_default();
        let Some(status) = status else {
            return Err(format!(
                "{} had not ended after {limit:?} and was killed; {}",
                self.name,
                quote(&stdout, &stderr)
            ));
        };
        Ok(Finished { status, stdout, stderr })
    }

    /// Ends the program at once; whether it had ended by itself does not matter.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Finished {
    /// Both outputs, shortened, for a message about what was wrong with them.
    pub(crate) fn quote(&self) -> String {
        quote(&self.stdout, &self.stderr)
    }
}

/// Reads all there is, and calls `at_first` when the first of it has come.
fn read_to_end<R: Read + Send + 'static>(
    source: Option<R>,
    at_first: impl FnOnce() + Send + 'static,
) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut source) = source {
            // What came before a failed read is still worth showing.
            if source.by_ref().take(1).read_to_end(&mut bytes).is_ok_and(|count| count > 0) {
                at_first();
            }
            let _ = source.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn quote(stdout: &str, stderr: &str) -> String {
    format!("standard output ends with\n{}\nand standard error with\n{}", tail(stdout), tail(stderr))
}

const QUOTED_LINES: usize = 10;

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let shown = &lines[lines.len().saturating_sub(QUOTED_LINES)..];
    if shown.is_empty() {
        return "  (nothing)".to_owned();
    }
    shown.iter().map(|line| format!("  | {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::tail;

    #[test]
    fn a_long_output_is_quoted_by_its_end() {
        let text: String = (1..=12).map(|number| format!("{number}\n")).collect();
        assert!(tail(&text).starts_with("  | 3\n"));
        assert!(tail(&text).ends_with("  | 12"));
        assert_eq!(tail(""), "  (nothing)");
    }
}
