//! [`Life`]: one process under a kit, from its start to its end or crash.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use backgroundjobs_core::{
    AbortTask, BoxFuture, Checkpoint, Hooks, Outside, OutsideGuard, Process, TaskKind, step_aside,
};
use parking_lot::Mutex;

use super::crash_plan::CrashPlan;
use crate::history::History;
use crate::scheduler::Steps;

/// What the process is called that a kit's own `start` makes.
const UNNAMED: &str = "the program";

/// One process: what it runs, and whether it lives and reaches its store.
pub(crate) struct Life {
    node: Arc<str>,
    is_named: bool,
    alive: AtomicBool,
    cut_off: AtomicBool,
    /// The tasks it ever started, by the scheduler's number.
    tasks: Mutex<BTreeSet<u64>>,
}

impl Life {
    pub(crate) fn unnamed() -> Arc<Self> {
        Self::new(UNNAMED.into(), false)
    }

    pub(crate) fn of_node(node: &Arc<str>) -> Arc<Self> {
        Self::new(node.clone(), true)
    }

    fn new(node: Arc<str>, is_named: bool) -> Arc<Self> {
        Arc::new(Self {
            node,
            is_named,
            alive: AtomicBool::new(true),
            cut_off: AtomicBool::new(false),
            tasks: Mutex::default(),
        })
    }

    pub(crate) const fn node(&self) -> &Arc<str> {
        &self.node
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.alive.load(Ordering::SeqCst)
    }

    pub(crate) fn is_cut_off(&self) -> bool {
        self.cut_off.load(Ordering::SeqCst)
    }

    pub(crate) fn cut_off(&self, cut_off: bool) {
        self.cut_off.store(cut_off, Ordering::SeqCst);
    }

    /// Ends every task of the process where it waits, and keeps it from starting others.
    pub(crate) fn crash(&self, steps: &Steps) {
        self.alive.store(false, Ordering::SeqCst);
        let tasks = std::mem::take(&mut *self.tasks.lock());
        tasks.into_iter().for_each(|task| steps.abort(task));
    }

    /// Whether the task is one of the process.
    fn has(&self, task: u64) -> bool {
        self.tasks.lock().contains(&task)
    }
}

/// The kit's part in one process.
pub(crate) struct LifeHooks {
    pub(crate) steps: Steps,
    pub(crate) life: Arc<Life>,
    pub(crate) history: History,
    pub(crate) plan: Arc<CrashPlan>,
    /// Other tasks may go on wherever this process comes to a point: what two threads do by chance.
    pub(crate) is_explored: bool,
}

impl Hooks for LifeHooks {
    fn spawn(&self, kind: TaskKind, name: String, task: BoxFuture<'static, ()>) -> AbortTask {
        if !self.life.is_alive() {
            drop(task);
            return Box::new(|| {});
        }
        let name = if self.life.is_named { format!("{}/{name}", self.life.node) } else { name };
        let id = self.steps.spawn(kind, name, task);
        if self.life.is_named {
            self.life.tasks.lock().extend(id);
        }
        self.steps.abort_of(id)
    }

    fn outside(&self, what: Outside) -> Box<dyn OutsideGuard> {
        self.steps.outside(what)
    }

    fn waits_for_cancel(&self) {
        self.steps.waits_for_cancel();
    }

    fn waits_for_thread(&self, looks_for_cancel: Option<&Arc<AtomicUsize>>) {
        self.steps.waits_for_thread(looks_for_cancel);
    }

    fn process(&self) -> Process {
        if !self.life.is_alive() {
            Process::Crashed
        } else if self.life.is_cut_off() {
            Process::CutOff
        } else {
            Process::Whole
        }
    }

    fn checkpoint(&self, at: Checkpoint) -> BoxFuture<'static, ()> {
        let task = self.steps.current_task();
        if self.is_explored && task.is_some() {
            let (steps, history) = (self.steps.clone(), self.history.clone());
            return Box::pin(async move {
                // What is about to happen has not happened yet when others go first.
                if matches!(at, Checkpoint::AfterRun { .. } | Checkpoint::AfterStore(_)) {
                    note(&at, &steps, &history);
                    step_aside().await;
                } else {
                    step_aside().await;
                    note(&at, &steps, &history);
                    begin(&at, &history);
                }
            });
        }
        note(&at, &self.steps, &self.history);
        // The test itself calls through managers too, and is no process that could crash.
        if task.is_some_and(|task| self.life.has(task)) && self.plan.is_reached(&at, &self.life) {
            return Box::pin(std::future::pending());
        }
        // One that crashes before it has not begun.
        begin(&at, &self.history);
        Box::pin(std::future::ready(()))
    }
}

fn note(at: &Checkpoint, steps: &Steps, history: &History) {
    steps.trace_checkpoint(at);
    if let Checkpoint::AfterRun { id, generation, .. } = at {
        history.ended(*id, *generation);
    }
}

fn begin(at: &Checkpoint, history: &History) {
    if let Checkpoint::BeforeRun { id, generation, .. } = at {
        history.started(*id, *generation);
    }
}

impl fmt::Debug for LifeHooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LifeHooks").field("node", &self.life.node).finish_non_exhaustive()
    }
}
