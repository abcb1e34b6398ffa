//! [`CrashPlan`]: at which point of the runtime a process dies.

use std::sync::Arc;

use backgroundjobs_core::Checkpoint;
use parking_lot::Mutex;

use super::life::Life;

type Crash = Box<dyn Fn(&Arc<Life>) + Send + Sync>;

/// Counts the points that named processes come to, and lets one die at the point that is asked for.
#[derive(Default)]
pub(crate) struct CrashPlan {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// At which point, counted from 1.
    at: Option<u64>,
    reached: u64,
    /// Where it happened.
    happened: Option<String>,
    crash: Option<Arc<Crash>>,
}

impl CrashPlan {
    /// The process that comes to the `at`th point dies there; `crash` does it.
    pub(crate) fn set(&self, at: u64, crash: impl Fn(&Arc<Life>) + Send + Sync + 'static) {
        *self.state.lock() =
            State { at: Some(at), reached: 0, happened: None, crash: Some(Arc::new(Box::new(crash))) };
    }

    /// Where a process died; none where the plan's point was not reached.
    pub(crate) fn happened(&self) -> Option<String> {
        self.state.lock().happened.clone()
    }

    /// A process has come to this point. Says whether it dies here.
    pub(super) fn is_reached(&self, at: &Checkpoint, life: &Arc<Life>) -> bool {
        let mut state = self.state.lock();
        if state.at.is_none() || state.happened.is_some() {
            return false;
        }
        state.reached += 1;
        if state.at != Some(state.reached) {
            return false;
        }
        state.happened = Some(format!("{} {}", life.node(), point(at)));
        let crash = state.crash.clone();
        drop(state);
        if let Some(crash) = crash {
            crash(life);
        }
        true
    }
}

/// The point in words, after the name of the process.
fn point(at: &Checkpoint) -> String {
    match at {
        Checkpoint::BeforeStore(operation) => format!("before the call {operation}"),
        Checkpoint::AfterStore(operation) => format!("after the call {operation}"),
        Checkpoint::BeforeRun { kind, attempt, .. } => format!("before a run of {kind}, attempt {attempt}"),
        Checkpoint::AfterRun { kind, attempt, .. } => format!("after a run of {kind}, attempt {attempt}"),
        other => format!("at {other:?}"),
    }
}
