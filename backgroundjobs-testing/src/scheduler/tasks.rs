//! The tasks of a scheduler, and the queues of those that want to be polled.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};

use backgroundjobs_core::BoxFuture;

use super::shared::Shared;
use crate::current::{self, Owner};

#[derive(Default)]
pub(super) struct Tasks {
    spawned: u64,
    woken: u64,
    by_id: BTreeMap<u64, Task>,
    /// In the order of their wakes.
    ready: VecDeque<u64>,
    /// Woken from outside the kit, at a moment that nobody decided. They go first, so that the moment has no
    /// say in who is chosen among the ready.
    answered: VecDeque<u64>,
}

pub(super) struct Task {
    pub(super) owner: Owner,
    pub(super) waker: Waker,
    /// Gone while it is polled; none at all for the future that the driving verb itself holds.
    pub(super) future: Option<BoxFuture<'static, ()>>,
    /// To be dropped at the next grant instead of polled.
    pub(super) aborted: bool,
    phase: Phase,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Idle,
    Ready,
    Answered,
    Running,
    /// Running, and to be polled once more.
    Woken(By),
}

/// Who wakes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum By {
    /// A task of the scheduler, a timer, or the test between two verbs.
    Kit,
    /// Somebody else while the scheduler is at work: real input and output.
    Outside,
}

impl Tasks {
    /// A new task, ready to be polled.
    pub(super) fn add(
        &mut self,
        owner: Owner,
        future: Option<BoxFuture<'static, ()>>,
        shared: Weak<Shared>,
    ) -> u64 {
        self.spawned += 1;
        let id = self.spawned;
        let waker = Waker::from(Arc::new(TaskWaker { id, shared }));
        self.by_id.insert(id, Task { owner, waker, future, aborted: false, phase: Phase::Ready });
        self.ready.push_back(id);
        id
    }

    pub(super) fn get(&self, id: u64) -> Option<&Task> {
        self.by_id.get(&id)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.by_id.values().map(|task| &task.owner.name)
    }

    pub(super) fn name(&self, id: u64) -> Option<Arc<str>> {
        self.get(id).map(|task| task.owner.name.clone())
    }

    /// The names of those that want to be polled.
    pub(super) fn waiting_names(&self) -> Vec<Arc<str>> {
        self.answered.iter().chain(&self.ready).filter_map(|id| self.name(*id)).collect()
    }

    /// The name of the one being polled.
    pub(super) fn running_name(&self) -> Option<Arc<str>> {
        let running = |task: &&Task| matches!(task.phase, Phase::Running | Phase::Woken(_));
        self.by_id.values().find(running).map(|task| task.owner.name.clone())
    }

    /// How much tasks have done to tasks: wakes, starts. Only good for comparing.
    pub(super) const fn activity(&self) -> u64 {
        self.spawned + self.woken
    }

    pub(super) fn wake(&mut self, id: u64, by: By) {
        let Some(task) = self.by_id.get_mut(&id) else { return };
        let next = match (task.phase, by) {
            (Phase::Idle, By::Kit) => Phase::Ready,
            (Phase::Idle, By::Outside) => Phase::Answered,
            // What the kit decides must not depend on whether an answer came just before.
            (Phase::Answered, By::Kit) => {
                self.answered.retain(|queued| *queued != id);
                Phase::Ready
            }
            (Phase::Running, by) | (Phase::Woken(By::Outside), by) => Phase::Woken(by),
            (unchanged, _) => unchanged,
        };
        if next == task.phase {
            return;
        }
        task.phase = next;
        match next {
            Phase::Ready => self.ready.push_back(id),
            Phase::Answered => self.answered.push_back(id),
            _ => {}
        }
        self.woken += u64::from(by == By::Kit);
    }

    /// Takes the first that an answer from outside has woken, of those that `may` run.
    pub(super) fn take_answered(&mut self, may: impl Fn(u64) -> bool) -> Option<u64> {
        let at = self.answered.iter().position(|id| may(*id))?;
        self.answered.remove(at)
    }

    /// Takes the first ready one of those that `may` run.
    pub(super) fn take_first(&mut self, may: impl Fn(u64) -> bool) -> Option<u64> {
        let at = self.ready.iter().position(|id| may(*id))?;
        self.ready.remove(at)
    }

    /// Takes the ready one that `pick` chooses; answers it and which of how many it was.
    pub(super) fn take_chosen(&mut self, pick: impl FnOnce(usize) -> usize) -> Option<(u64, (usize, usize))> {
        let count = self.ready.len();
        let picked = if count > 1 { pick(count) } else { 0 };
        self.ready.remove(picked).map(|id| (id, (picked, count)))
    }

    pub(super) fn nobody_waits(&self) -> bool {
        self.ready.is_empty() && self.answered.is_empty()
    }

    /// Whether the task wants to be polled.
    pub(super) fn is_queued(&self, id: u64) -> bool {
        self.get(id).is_some_and(|task| matches!(task.phase, Phase::Ready | Phase::Answered))
    }

    pub(super) fn begin(&mut self, id: u64) -> Option<&mut Task> {
        let task = self.by_id.get_mut(&id)?;
        task.phase = Phase::Running;
        Some(task)
    }

    /// The task's poll is over and it has more to do.
    pub(super) fn park(&mut self, id: u64, future: Option<BoxFuture<'static, ()>>) {
        let Some(task) = self.by_id.get_mut(&id) else { return };
        task.future = future;
        let woken = if let Phase::Woken(by) = task.phase { Some(by) } else { None };
        task.phase = Phase::Idle;
        if let Some(by) = woken {
            self.wake(id, by);
        }
    }

    /// Marks the task for its end.
    pub(super) fn abort(&mut self, id: u64, by: By) {
        if let Some(task) = self.by_id.get_mut(&id) {
            task.aborted = true;
            self.wake(id, by);
        }
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<Task> {
        let task = self.by_id.remove(&id)?;
        self.ready.retain(|queued| *queued != id);
        self.answered.retain(|queued| *queued != id);
        Some(task)
    }

    pub(super) fn remove_first(&mut self) -> Option<(u64, Task)> {
        let id = *self.by_id.first_key_value()?.0;
        self.remove(id).map(|task| (id, task))
    }
}

struct TaskWaker {
    id: u64,
    /// Weak: wakers end up in channels and timers that the tasks themselves own.
    shared: Weak<Shared>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let Some(shared) = self.shared.upgrade() else { return };
        let inside = current::is_inside(shared.identity());
        let mut state = shared.state.lock();
        let by = if inside || !state.is_driven() { By::Kit } else { By::Outside };
        state.tasks.wake(self.id, by);
        drop(state);
        if !inside {
            shared.changed.notify_one();
        }
    }
}
