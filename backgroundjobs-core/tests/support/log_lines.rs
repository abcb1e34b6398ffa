//! What is logged while a test runs.

#![allow(dead_code, reason = "each test that includes this module uses a part of it")]

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::Level;
use tracing::subscriber::DefaultGuard;

/// The lines logged by this thread, from warnings up.
#[derive(Clone, Default)]
pub(crate) struct LogLines(Arc<Mutex<Vec<u8>>>);

impl io::Write for LogLines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl LogLines {
    /// Listens to warnings and errors until the guard is dropped.
    pub(crate) fn listen() -> (Self, DefaultGuard) {
        Self::listen_from(Level::WARN)
    }

    pub(crate) fn listen_from(level: Level) -> (Self, DefaultGuard) {
        let lines = Self::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_max_level(level)
            .without_time()
            .with_target(false)
            .with_ansi(false)
            .finish();
        (lines, tracing::subscriber::set_default(subscriber))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().clone()).expect("logs are UTF-8")
    }

    /// The lines of a job's span that end like this.
    pub(crate) fn of_job(&self, id: &str, level: &str, end: &str) -> Vec<String> {
        let text = self.text();
        let is_it = |line: &&str| line.contains(id) && line.contains(level) && line.contains(end);
        text.lines().filter(is_it).map(str::to_owned).collect()
    }

    /// The lines since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        let text = String::from_utf8(std::mem::take(&mut *self.0.lock())).expect("logs are UTF-8");
        text.lines().map(|line| line.trim_start().to_owned()).collect()
    }
}
