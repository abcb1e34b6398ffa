//! What a program may listen to: runs that are over, and how a stop comes along.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::catch_panic::catch_panic;
use crate::{ErrorText, FailureKind, JobId, JobState, Kind, QueueName};

/// A run is over and the store has taken its outcome.
///
/// Heard by [`Options::on_finished`](crate::Options::on_finished).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FinishedRun {
    /// The job.
    pub id: JobId,
    /// Its kind.
    pub kind: Kind,
    /// Its queue.
    pub queue: QueueName,
    /// The state it is in now: `Waiting` when another run follows (a retry, a snooze, a run handed back).
    pub state: JobState,
    /// Which attempt it was, counted from 1.
    pub attempt: u16,
    /// What went wrong, if something did.
    pub error: Option<(FailureKind, ErrorText)>,
}

/// How far a stop has come.
///
/// Heard by [`Options::on_drain_progress`](crate::Options::on_drain_progress).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DrainProgress {
    /// What it is doing.
    pub step: DrainStep,
    /// Handlers that still run.
    pub running: usize,
    /// Outcomes that the store has not been told yet.
    pub unsettled: usize,
    /// How long the present step may still take.
    pub remaining: Duration,
}

/// The steps of a stop, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DrainStep {
    /// Runs may come to their end.
    Finishing,
    /// Time is over: runs were told to stop, and are dropped after the grace.
    Interrupting,
    /// Handlers are gone; the store is told what is left.
    Settling,
    /// The stop is over.
    Done,
}

/// What a program wants called.
pub(crate) struct Listeners<E>(Vec<Listener<E>>);

type Listener<E> = Arc<dyn Fn(&E) + Send + Sync>;

impl<E> Listeners<E> {
    pub(crate) fn add(&mut self, listener: impl Fn(&E) + Send + Sync + 'static) {
        self.0.push(Arc::new(listener));
    }

    /// Calls each listener. One that panics harms nobody else.
    pub(crate) fn tell(&self, event: impl FnOnce() -> E) {
        if self.0.is_empty() {
            return;
        }
        let event = event();
        for listener in &self.0 {
            if let Err(panic) = catch_panic(|| listener(&event)) {
                tracing::error!(panic, "a listener panicked; the jobs go on");
            }
        }
    }
}

impl<E> Default for Listeners<E> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<E> Clone for Listeners<E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<E> fmt::Debug for Listeners<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} listeners", self.0.len())
    }
}
