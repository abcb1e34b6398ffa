//! What comes next: the one place where the scheduler decides.

use std::task::Waker;
use std::time::Duration;

use backgroundjobs_core::{BoxFuture, Outside, Timestamp};
use fastrand::Rng;

use super::guards::{GivenUp, Guard, Guards};
use super::real_time;
use super::report::{Report, TaskPanic};
use super::tasks::Tasks;
use super::trace::TraceLog;
use crate::VirtualClock;
use crate::clock::Purpose;
use crate::current::Owner;

/// So many times longer a handler is waited for where only a look for jobs is to come, which may find none.
const LOOKS_ARE_LESS: u32 = 10;

pub(super) struct State {
    pub(super) tasks: Tasks,
    pub(super) guards: Guards,
    /// None chooses first come, first served.
    pub(super) chance: Option<Rng>,
    /// What the verb at work has seen; none while the test does not drive.
    pub(super) drive: Option<Report>,
    /// What the last verb saw.
    pub(super) last: Option<Report>,
    /// Why another run may differ, from every verb so far.
    pub(super) doubts: Vec<String>,
    /// The tick of the latest grant or timer.
    pub(super) progress: u64,
    /// The scheduler is gone; nothing is started any more.
    pub(super) closed: bool,
}

pub(super) enum Step {
    /// This task is to be polled, or dropped.
    Grant(Grant),
    /// Somebody waits for something outside, and all others wait for him.
    Wait,
    /// Nothing is left to do at this instant.
    Rest,
}

pub(super) struct Grant {
    pub(super) id: u64,
    pub(super) owner: Owner,
    pub(super) waker: Waker,
    pub(super) work: Work,
    pub(super) asked: Asked,
}

pub(super) enum Work {
    Poll(BoxFuture<'static, ()>),
    Drop(Option<BoxFuture<'static, ()>>),
    /// The future is in the hands of the verb at work.
    PollOwn,
}

/// How a task came to its grant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// It was its turn: part of the trace and, where there were several, of chance.
    Turn,
    /// It holds a guard, so nobody else could go.
    InGuard,
    /// Something outside woke it while nobody waited for that, so others may or may not have gone before.
    Unannounced,
}

impl State {
    pub(super) fn new(chance: Option<Rng>) -> Self {
        Self {
            tasks: Tasks::default(),
            guards: Guards::default(),
            chance,
            drive: None,
            last: None,
            doubts: Vec::new(),
            progress: 0,
            closed: false,
        }
    }

    pub(super) const fn is_driven(&self) -> bool {
        self.drive.is_some()
    }

    /// Takes whoever may be polled next.
    ///
    /// While a guard counts only its owner may: how long the outside takes must not be seen by anyone else.
    /// For the same reason such grants draw no chance and leave no trace.
    pub(super) fn next_step(
        &mut self,
        tick: u64,
        asleep: impl FnOnce() -> Purpose,
        trace: &TraceLog,
    ) -> Step {
        let holders = self.guards.holders();
        let may = |id: u64| holders.is_empty() || holders.contains(&Some(id));
        if let Some(id) = self.tasks.take_answered(may) {
            let announced = holders.contains(&Some(id));
            return self.grant(id, if announced { Asked::InGuard } else { Asked::Unannounced });
        }
        if !holders.is_empty() {
            let held = self.tasks.take_first(may);
            return held.map_or(Step::Wait, |id| self.grant(id, Asked::InGuard));
        }
        let chance = &mut self.chance;
        let pick = |count: usize| chance.as_mut().map_or(0, |rng| rng.usize(..count));
        let Some((id, (picked, count))) = self.tasks.take_chosen(pick) else {
            let waits_again = self.wait_again_at_rest(tick, asleep);
            return if waits_again { Step::Wait } else { Step::Rest };
        };
        if let Some(name) = self.tasks.name(id).filter(|_| count > 1) {
            trace.log(format!("chose {name}, {} of {count}", picked + 1));
        }
        if let Some(report) = &mut self.drive {
            report.grants += 1;
        }
        self.grant(id, Asked::Turn)
    }

    fn grant(&mut self, id: u64, asked: Asked) -> Step {
        // A queued task exists: whoever removes one takes it out of the queues.
        let Some(task) = self.tasks.begin(id) else { return Step::Rest };
        let future = task.future.take();
        let work = match future {
            future if task.aborted => Work::Drop(future),
            Some(future) => Work::Poll(future),
            None => Work::PollOwn,
        };
        Step::Grant(Grant { id, owner: task.owner.clone(), waker: task.waker.clone(), work, asked })
    }

    /// Takes the next timer due at `until` and moves the clock there; answers whom to wake.
    pub(super) fn next_timer(
        &mut self,
        clock: &VirtualClock,
        until: Timestamp,
        trace: &TraceLog,
    ) -> Option<Waker> {
        let chance = &mut self.chance;
        let due = clock.take_due(until, |count| chance.as_mut().map_or(0, |rng| rng.usize(..count)))?;
        let owner = due.owner.as_ref().map_or("the test", |owner| &*owner.name);
        match due.choice {
            (_, 1) => trace.log(format!("timer of {owner}")),
            (picked, count) => trace.log(format!("timer of {owner}, {} of {count}", picked + 1)),
        }
        if let Some(report) = &mut self.drive {
            report.timers_fired += 1;
        }
        Some(due.waker)
    }

    /// Goes on without the guards that were waited for long enough at `tick`, if anybody gains by it: a task that
    /// is ready, or one that is `asleep` and does more than keep house.
    pub(super) fn lose_patience(&mut self, tick: u64, patience: &Patience, asleep: Purpose) {
        let tasks = &self.tasks;
        if self.guards.holders().into_iter().flatten().any(|id| tasks.is_queued(id)) {
            // Its answer has come, perhaps in this very moment.
            return;
        }
        let others_are_ready = !tasks.nobody_waits();
        for guard in self.guards.iter_mut().filter(|guard| guard.counts() && guard.waits()) {
            let limit = patience.with(guard);
            let (given_up, limit) = match asleep {
                _ if others_are_ready => (GivenUp::ForOthers, limit),
                Purpose::Work => (GivenUp::ForTime, limit),
                // A thread has its own limit, whoever else there is.
                _ if guard.waits_for_busy_thread() => (GivenUp::ForTime, limit),
                Purpose::Looks => (GivenUp::ForLooks, limit.saturating_mul(LOOKS_ARE_LESS)),
                // Nothing could happen without it. If nothing ever does, that is the watchdog's business.
                Purpose::Nothing => continue,
            };
            if tick.saturating_sub(guard.since_tick) < real_time::ticks(limit) {
                continue;
            }
            guard.given_up = given_up;
            let task = guard.owner.and_then(|id| self.tasks.name(id));
            let task = task.as_deref().unwrap_or("the test");
            let reason = format!(
                "{} in task {task} waited for something outside for {limit:?}; others went on without it",
                guard.what
            );
            note(&mut self.drive, reason);
            if others_are_ready || asleep != Purpose::Nothing {
                self.progress = tick;
            }
            // Else nobody may have gained by it, and whoever waits again for this guard must meet the watchdog.
        }
    }

    /// Waits again for what was given up; answers whether there was any.
    pub(super) fn take_patience(&mut self, tick: u64) -> bool {
        self.wait_again(tick, |given_up| given_up != GivenUp::No)
    }

    /// With nobody ready: waits again for what was given up for those who were, or for looks that are over.
    fn wait_again_at_rest(&mut self, tick: u64, asleep: impl FnOnce() -> Purpose) -> bool {
        if self.guards.iter().all(|guard| guard.given_up == GivenUp::No) {
            return false;
        }
        let looks_are_over = asleep() == Purpose::Nothing;
        self.wait_again(tick, |given_up| {
            given_up == GivenUp::ForOthers || (given_up == GivenUp::ForLooks && looks_are_over)
        })
    }

    fn wait_again(&mut self, tick: u64, which: impl Fn(GivenUp) -> bool) -> bool {
        let mut any = false;
        for guard in self.guards.iter_mut().filter(|guard| which(guard.given_up) && guard.waits()) {
            (guard.given_up, guard.since_tick, any) = (GivenUp::No, tick, true);
        }
        any
    }

    /// Whether all wait for a store call.
    pub(super) fn waits_for_store(&self) -> bool {
        self.guards.iter().any(|guard| guard.counts() && matches!(guard.what, Outside::Store(_)))
    }

    /// Waits again for the threads that were given up.
    pub(super) fn wait_for_threads_again(&mut self, tick: u64) {
        for guard in self.guards.iter_mut().filter(|guard| guard.waits_for_busy_thread()) {
            (guard.given_up, guard.since_tick) = (GivenUp::No, tick);
        }
    }

    pub(super) fn note_nondeterminism(&mut self, reason: String) {
        note(&mut self.drive, reason);
    }

    /// The last verb is over: what made it unrepeatable makes all that follows so.
    pub(super) fn keep_doubts(&mut self) {
        let Some(report) = &self.last else { return };
        for reason in &report.nondeterministic {
            if !self.doubts.contains(reason) {
                self.doubts.push(reason.clone());
            }
        }
    }

    pub(super) fn note_panic(&mut self, task: &str, message: String) {
        if let Some(report) = &mut self.drive {
            report.panicked.push(TaskPanic { task: task.into(), message });
        }
    }
}

fn note(drive: &mut Option<Report>, reason: String) {
    if let Some(report) = drive
        && !report.nondeterministic.contains(&reason)
    {
        report.nondeterministic.push(reason);
    }
}

/// How long, in real time, others wait for a guard whose task is not woken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) handler: Duration,
    pub(super) store: Duration,
    pub(super) thread: Duration,
}

impl Patience {
    fn with(&self, guard: &Guard) -> Duration {
        match guard.what {
            Outside::Handler { .. } if guard.waits_for_busy_thread() => self.thread,
            Outside::Handler { .. } | Outside::Service { .. } => self.handler,
            _ => self.store,
        }
    }
}
