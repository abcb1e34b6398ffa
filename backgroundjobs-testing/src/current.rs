//! What is being polled on this thread: a task of a scheduler, and the guards it is inside.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use backgroundjobs_core::TaskKind;
use parking_lot::Mutex;

/// A thread that has asked so often whether it shall stop does nothing else: it waits for that. One that asks
/// between its steps is at work.
const LOOKS_OF_ONE_THAT_WAITS: usize = 100;

thread_local! {
    static CURRENT: RefCell<Current> = const { RefCell::new(Current { place: None, guards: Vec::new() }) };
}

struct Current {
    place: Option<Place>,
    /// Outermost first.
    guards: Vec<Arc<Waits>>,
}

/// Where a thread is while a scheduler acts on it.
struct Place {
    scheduler: usize,
    task: Option<(u64, Owner)>,
}

/// Who a timer, a line of the trace or a grant belongs to.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    pub(crate) name: Arc<str>,
    pub(crate) kind: TaskKind,
}

/// What a guard is known to wait for inside the kit.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    sleeps: AtomicUsize,
    cancel: AtomicBool,
    /// A thread is at work for it.
    thread: Mutex<Option<Thread>>,
}

#[derive(Debug)]
struct Thread {
    /// How often it has asked whether it shall stop.
    looks_for_cancel: Option<Arc<AtomicUsize>>,
}

impl Waits {
    /// Whether the kit can see something that will go on: a sleep on the virtual clock, a cancellation.
    pub(crate) fn any(&self) -> bool {
        self.sleeps.load(Ordering::SeqCst) > 0 || self.cancel.load(Ordering::SeqCst)
    }

    /// Whether a thread is at work for it that, as far as one can tell, waits for nothing.
    pub(crate) fn for_busy_thread(&self) -> bool {
        self.thread.lock().as_ref().is_some_and(|thread| {
            let looks = thread.looks_for_cancel.as_ref().map_or(0, |looks| looks.load(Ordering::SeqCst));
            looks < LOOKS_OF_ONE_THAT_WAITS
        })
    }
}

/// While it lives, this thread acts for a scheduler. Dropping it, in a panic too, restores what was before.
pub(crate) struct Scope(Option<Current>);

/// This thread acts for `scheduler`, in a task or, without one, for itself.
pub(crate) fn enter(scheduler: usize, task: Option<(u64, Owner)>) -> Scope {
    let inner = Current { place: Some(Place { scheduler, task }), guards: Vec::new() };
    Scope(Some(CURRENT.replace(inner)))
}

impl Drop for Scope {
    fn drop(&mut self) {
        if let Some(outer) = self.0.take() {
            let inner = CURRENT.replace(outer);
            drop(inner);
        }
    }
}

/// Whether this thread acts for `scheduler` right now.
pub(crate) fn is_inside(scheduler: usize) -> bool {
    read(|current| current.place.as_ref().is_some_and(|place| place.scheduler == scheduler))
}

/// The task of `scheduler` that this thread polls.
pub(crate) fn task(scheduler: usize) -> Option<u64> {
    read(|current| {
        let place = current.place.as_ref().filter(|place| place.scheduler == scheduler)?;
        place.task.as_ref().map(|(id, _)| *id)
    })
}

/// The task that this thread polls.
pub(crate) fn owner() -> Option<Owner> {
    read(|current| current.place.as_ref()?.task.as_ref().map(|(_, owner)| owner.clone()))
}

/// The name of the task that this thread polls.
pub(crate) fn task_name() -> Option<Arc<str>> {
    owner().map(|owner| owner.name)
}

/// The thread is inside the guard with these waits.
pub(crate) fn enter_guard(waits: &Arc<Waits>) {
    waits.cancel.store(false, Ordering::SeqCst);
    *waits.thread.lock() = None;
    write(|current| current.guards.push(waits.clone()));
}

/// The thread has left the guard with these waits, and whatever guard was left open inside it by a panic.
pub(crate) fn leave_guard(waits: &Arc<Waits>) {
    write(|current| {
        if let Some(at) = current.guards.iter().rposition(|open| Arc::ptr_eq(open, waits)) {
            current.guards.truncate(at);
        }
    });
}

/// Every guard that this thread is inside waits for a cancellation.
pub(crate) fn wait_for_cancel() {
    read(|current| current.guards.iter().for_each(|waits| waits.cancel.store(true, Ordering::SeqCst)));
}

/// Every guard that this thread is inside waits for another thread.
pub(crate) fn wait_for_thread(looks_for_cancel: Option<&Arc<AtomicUsize>>) {
    read(|current| {
        for waits in &current.guards {
            *waits.thread.lock() = Some(Thread { looks_for_cancel: looks_for_cancel.cloned() });
        }
    });
}

/// A sleep on the virtual clock, known to the guards inside which it was polled; over when dropped.
///
/// It counts as long as it lives, not only for the poll that began it: a handler that gathers sleeps in a
/// `FuturesUnordered` is polled again without polling each of them.
#[derive(Debug)]
pub(crate) struct VirtualWait(Vec<Arc<Waits>>);

impl VirtualWait {
    /// A wait inside every guard that this thread is inside.
    pub(crate) fn begin() -> Self {
        let guards = read(|current| current.guards.clone());
        guards.iter().for_each(|waits| _ = waits.sleeps.fetch_add(1, Ordering::SeqCst));
        Self(guards)
    }
}

impl Drop for VirtualWait {
    fn drop(&mut self) {
        self.0.iter().for_each(|waits| _ = waits.sleeps.fetch_sub(1, Ordering::SeqCst));
    }
}

/// A thread that is ending has no current task any more, so there the answer is the default.
fn read<T: Default>(look: impl FnOnce(&Current) -> T) -> T {
    CURRENT.try_with(|current| look(&current.borrow())).unwrap_or_default()
}

fn write(change: impl FnOnce(&mut Current)) {
    _ = CURRENT.try_with(|current| change(&mut current.borrow_mut()));
}
