//! [`Board`]: what each queue of a worker has to run, and whether it is worth asking the store for more.
//!
//! Plain state under one lock, without an await. Slots, the claimer and wakes all look here; whoever finds a
//! claim worth making and none in flight makes it for every queue.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::claimer::lease_of;
use super::pace::Pace;
use crate::limits::{CLAIM_BATCH, READ_AHEAD_AGE};
use crate::store::{ClaimedJob, LeaseKey, QueueDemand};
use crate::{QueueName, Timestamp};

pub(super) struct Board {
    state: Mutex<State>,
    /// By index, as they are in the state.
    names: Vec<QueueName>,
    /// One for each queue: wakes its idle slots.
    ready: Vec<Notify>,
    /// Wakes the claimer: an alarm moved earlier, or there is something to claim and no idle slot to do it.
    pub(super) claimer: Notify,
    /// Jobs that slots have taken and not yet registered as runs.
    starting: AtomicUsize,
}

struct State {
    queues: Vec<Queue>,
    claiming: bool,
    closed: bool,
}

struct Queue {
    name: QueueName,
    slots: usize,
    busy: usize,
    /// Claimed and not started, in the order to start.
    buffer: VecDeque<ReadAhead>,
    /// The store may have a due job that this worker was not told of.
    look: bool,
    /// It was paused while a claim is in flight.
    paused_meanwhile: bool,
    /// When to look again at the latest, on the worker's clock.
    alarm: Option<Timestamp>,
    pace: Pace,
}

struct ReadAhead {
    job: ClaimedJob,
    since: Timestamp,
}

/// What a slot is to do next.
pub(super) enum Next {
    Run(ClaimedJob),
    Claim(Vec<Demand>),
    Wait,
    End,
}

/// What to ask the store for one queue.
pub(super) struct Demand {
    pub(super) index: usize,
    pub(super) ask: QueueDemand,
}

/// What the store answered for one queue, in the worker's time.
pub(super) struct Supply {
    pub(super) jobs: Vec<ClaimedJob>,
    /// Look again as soon as there is room.
    pub(super) more: bool,
    pub(super) next_look: Option<Timestamp>,
}

impl Board {
    pub(super) fn new(queues: &[(QueueName, usize)], read_ahead: Duration) -> Self {
        let queues: Vec<Queue> = queues
            .iter()
            .filter(|(_, slots)| *slots > 0)
            .map(|(name, slots)| Queue {
                name: name.clone(),
                slots: *slots,
                busy: 0,
                buffer: VecDeque::new(),
                look: true,
                paused_meanwhile: false,
                alarm: None,
                pace: Pace::new(read_ahead, *slots),
            })
            .collect();
        let ready = queues.iter().map(|_| Notify::new()).collect();
        Self {
            names: queues.iter().map(|queue| queue.name.clone()).collect(),
            state: Mutex::new(State { queues, claiming: false, closed: false }),
            ready,
            claimer: Notify::new(),
            starting: AtomicUsize::new(0),
        }
    }

    /// The queues served, with their slots, by index.
    pub(super) fn queues(&self) -> Vec<(QueueName, usize)> {
        self.state.lock().queues.iter().map(|queue| (queue.name.clone(), queue.slots)).collect()
    }

    /// The name of a queue.
    pub(super) fn name(&self, queue: usize) -> &QueueName {
        &self.names[queue]
    }

    /// What wakes an idle slot of a queue.
    pub(super) fn ready(&self, queue: usize) -> &Notify {
        &self.ready[queue]
    }

    /// A slot is free, after a run that took `ran` if it had one: what shall it do?
    pub(super) fn next(&self, index: usize, ran: Option<Duration>, now: Timestamp) -> Next {
        let mut state = self.state.lock();
        let closed = state.closed;
        let claiming = state.claiming;
        let queue = &mut state.queues[index];
        if let Some(ran) = ran {
            queue.busy -= 1;
            queue.pace.ran(ran);
        }
        if closed {
            return Next::End;
        }
        if let Some(next) = queue.buffer.pop_front() {
            queue.busy += 1;
            self.starting.fetch_add(1, Ordering::SeqCst);
            let low = queue.buffer.len() <= queue.pace.read_ahead() / 2
                && queue.look
                && !claiming
                && queue.room() > 0;
            drop(state);
            if low {
                self.claimer.notify_one();
            }
            return Next::Run(next.job);
        }
        state.begin_claim(now).map_or(Next::Wait, Next::Claim)
    }

    /// Whether a slot that was told to wait would be told otherwise now.
    pub(super) fn is_worth_a_look(&self, index: usize, now: Timestamp) -> bool {
        let state = self.state.lock();
        state.closed
            || !state.queues[index].buffer.is_empty()
            || (!state.claiming && state.queues.iter().any(|queue| queue.wants_claim(now)))
    }

    /// The job that [`next`](Self::next) gave is registered as a run.
    pub(super) fn has_started(&self) {
        self.starting.fetch_sub(1, Ordering::SeqCst);
    }

    /// Whether a slot has taken a job that no run is registered for yet.
    pub(super) fn is_starting_one(&self) -> bool {
        self.starting.load(Ordering::SeqCst) > 0
    }

    /// What is worth asking the store for now; a claim counts as in flight until [`supply`](Self::supply) or
    /// [`claim_failed`](Self::claim_failed).
    pub(super) fn begin_claim(&self, now: Timestamp) -> Option<Vec<Demand>> {
        self.state.lock().begin_claim(now)
    }

    /// Whether a claim is in flight.
    pub(super) fn is_claiming(&self) -> bool {
        self.state.lock().claiming
    }

    /// Takes in the answer to a claim, made by an idle slot of the queue `by` if it was one: that slot looks for
    /// itself and is not to be woken. What comes back is to be released: the board was closed, or the
    /// queue paused, meanwhile.
    pub(super) fn supply(
        &self,
        demands: &[Demand],
        supplies: Vec<Supply>,
        by: Option<usize>,
        now: Timestamp,
    ) -> Vec<ClaimedJob> {
        let mut state = self.state.lock();
        state.claiming = false;
        if state.closed {
            return supplies.into_iter().flat_map(|supply| supply.jobs).collect();
        }
        let (mut wake, mut late) = (Vec::with_capacity(demands.len()), Vec::new());
        let mut for_claimer = false;
        for (demand, supply) in demands.iter().zip(supplies) {
            let queue = &mut state.queues[demand.index];
            if std::mem::take(&mut queue.paused_meanwhile) {
                // It may be resumed by now: the next claim will tell.
                queue.look = true;
                late.extend(supply.jobs);
                continue;
            }
            // A wake that came while the claim was in flight has set `look` or `alarm` already: they stay.
            queue.look |= supply.more;
            for_claimer |= queue.alarm_at(supply.next_look);
            queue.buffer.extend(supply.jobs.into_iter().map(|job| ReadAhead { job, since: now }));
            // What no idle slot takes may grow too old.
            for_claimer |= queue.buffer.len() > queue.idle();
            let awake = usize::from(by == Some(demand.index));
            wake.push((demand.index, queue.buffer.len().min(queue.idle()).saturating_sub(awake)));
        }
        // Queues that were not asked for, too: their slots saw a claim in flight and went to wait.
        for_claimer |= state.queues.iter().any(|queue| queue.wants_claim(now));
        drop(state);
        for (index, idle) in wake {
            (0..idle).for_each(|_| self.ready[index].notify_one());
        }
        if for_claimer {
            self.claimer.notify_one();
        }
        late
    }

    /// No claim is in flight any more and nothing is known of it.
    pub(super) fn claim_failed(&self, demands: &[Demand]) {
        let mut state = self.state.lock();
        state.claiming = false;
        for demand in demands {
            state.queues[demand.index].look = true;
        }
    }

    /// A job of this queue falls due at `alarm`; at once without one.
    pub(super) fn due(&self, name: &QueueName, alarm: Option<Timestamp>) {
        let mut state = self.state.lock();
        let Some((index, queue)) = state.queues.iter_mut().enumerate().find(|(_, queue)| queue.name == *name)
        else {
            return;
        };
        if alarm.is_none() {
            queue.look = true;
            drop(state);
            self.ready[index].notify_one();
        } else if queue.alarm_at(alarm) {
            drop(state);
            self.claimer.notify_one();
        }
    }

    /// Every queue may have due jobs: another process said something.
    pub(super) fn look_everywhere(&self) {
        self.state.lock().queues.iter_mut().for_each(|queue| queue.look = true);
        self.claimer.notify_one();
    }

    /// When the claimer has something to do next.
    pub(super) fn next_alarm(&self) -> Option<Timestamp> {
        let state = self.state.lock();
        if state.closed {
            // Nothing is claimed any more, so an alarm would ring for ever.
            return None;
        }
        let alarms = state.queues.iter().filter_map(|queue| queue.alarm);
        let ages = state.queues.iter().filter_map(|queue| Some(queue.buffer.front()?.since + READ_AHEAD_AGE));
        alarms.chain(ages).min()
    }

    /// Takes out the jobs that were read ahead too long ago: they are to be released.
    pub(super) fn take_stale(&self, now: Timestamp) -> Vec<ClaimedJob> {
        let mut stale = Vec::new();
        for queue in &mut self.state.lock().queues {
            let before = stale.len();
            while let Some(next) = queue.buffer.pop_front_if(|next| next.since + READ_AHEAD_AGE <= now) {
                stale.push(next.job);
            }
            if stale.len() > before {
                queue.pace.too_fast();
            }
        }
        stale
    }

    /// A slot has something to do that is no run: it takes no job meanwhile.
    pub(super) fn occupy(&self, index: usize) {
        let mut state = self.state.lock();
        let queue = &mut state.queues[index];
        queue.busy += 1;
        if queue.buffer.len() > queue.idle() {
            // A job was put there for this slot, and may now grow too old.
            drop(state);
            self.claimer.notify_one();
        }
    }

    /// It has done that.
    pub(super) fn vacate(&self, index: usize) {
        self.state.lock().queues[index].busy -= 1;
    }

    /// Takes a job out that was read ahead, if it is still there.
    pub(super) fn take_out(&self, lease: LeaseKey) -> Option<ClaimedJob> {
        self.state.lock().queues.iter_mut().find_map(|queue| {
            let is_it = |next: &ReadAhead| lease_of(&next.job) == lease;
            let at = queue.buffer.iter().position(is_it)?;
            queue.buffer.remove(at).map(|next| next.job)
        })
    }

    /// Takes out everything that was read ahead for a queue: the store says that it is paused.
    pub(super) fn take_queue(&self, name: &QueueName) -> Vec<ClaimedJob> {
        self.state.lock().take_queue(name)
    }

    /// The same for a queue that is being paused right now: what a claim in flight brings for it goes back, too.
    pub(super) fn pause(&self, name: &QueueName) -> Vec<ClaimedJob> {
        let mut state = self.state.lock();
        let claiming = state.claiming;
        if let Some(queue) = state.queues.iter_mut().find(|queue| queue.name == *name) {
            queue.paused_meanwhile |= claiming;
        }
        state.take_queue(name)
    }

    /// The slots of a queue and how many are taken, if it is served.
    pub(super) fn slots_of(&self, name: &QueueName) -> Option<(usize, usize)> {
        let state = self.state.lock();
        let queue = state.queues.iter().find(|queue| queue.name == *name)?;
        Some((queue.slots, queue.busy))
    }

    /// Ends it: no more claims, every slot ends when it is free. What was read ahead is to be released.
    pub(super) fn close(&self) -> Vec<ClaimedJob> {
        let mut state = self.state.lock();
        state.closed = true;
        let left: Vec<ClaimedJob> =
            state.queues.iter_mut().flat_map(|queue| queue.buffer.drain(..)).map(|next| next.job).collect();
        drop(state);
        self.ready.iter().for_each(Notify::notify_waiters);
        // A slot between its last look and its wait finds this permit.
        self.ready.iter().for_each(Notify::notify_one);
        self.claimer.notify_one();
        left
    }
}

impl State {
    fn take_queue(&mut self, name: &QueueName) -> Vec<ClaimedJob> {
        let queue = self.queues.iter_mut().find(|queue| queue.name == *name);
        queue.into_iter().flat_map(|queue| queue.buffer.drain(..)).map(|next| next.job).collect()
    }

    fn begin_claim(&mut self, now: Timestamp) -> Option<Vec<Demand>> {
        // An alarm that has rung becomes a look, whatever else holds: one that stays in the past would wake the
        // claimer for ever.
        for queue in &mut self.queues {
            queue.look |= queue.alarm.take_if(|alarm| *alarm <= now).is_some();
        }
        if self.claiming || self.closed {
            return None;
        }
        let mut demands = Vec::new();
        for (index, queue) in self.queues.iter_mut().enumerate() {
            if queue.wants_claim(now) {
                let limit = queue.room().min(CLAIM_BATCH);
                // Before the store is asked: what comes from now on is seen by the claim or sets these again.
                queue.look = false;
                queue.alarm = None;
                demands.push(Demand { index, ask: QueueDemand { queue: queue.name.clone(), limit } });
            }
        }
        self.claiming = !demands.is_empty();
        self.claiming.then_some(demands)
    }
}

impl Queue {
    fn idle(&self) -> usize {
        self.slots - self.busy
    }

    fn wants_claim(&self, now: Timestamp) -> bool {
        self.room() > 0 && (self.look || self.alarm.is_some_and(|alarm| alarm <= now))
    }

    /// How many more jobs to hold: one for each free slot, and what is read ahead.
    fn room(&self) -> usize {
        (self.idle() + self.pace.read_ahead()).saturating_sub(self.buffer.len())
    }

    /// Sets the alarm if it is earlier than the one there is; says whether it was.
    fn alarm_at(&mut self, instant: Option<Timestamp>) -> bool {
        let Some(instant) = instant else { return false };
        let earlier = self.alarm.is_none_or(|alarm| instant < alarm);
        if earlier {
            self.alarm = Some(instant);
        }
        earlier
    }
}

#[cfg(test)]
mod tests;
