//! [`Board`]: what each queue of a worker has to run, and whether it is worth asking the store for more.
//!
//! Plain state under one lock, without an await. Slots, the claimer and wakes all look here; whoever finds a
//! claim worth making and none in flight makes it for every queue.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::pace::Pace;
use crate::limits::{CLAIM_BATCH, READ_AHEAD_AGE};
use crate::store::{ClaimedJob, QueueDemand};
use crate::{QueueName, Timestamp};

pub(super) struct Board {
    state: Mutex<State>,
    /// One for each queue: wakes its idle slots.
    ready: Vec<Notify>,
    /// Wakes the claimer: an alarm moved earlier, or there is something to claim and no idle slot to do it.
    pub(super) claimer: Notify,
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
    Run(Box<ClaimedJob>),
    Claim(Vec<Demand>),
    Wait,
    End,
}

/// What to ask the store for one queue.
pub(super) struct Demand {
    index: usize,
    pub(super) ask: QueueDemand,
}

/// What the store answered for one queue, in the worker's time.
pub(super) struct Supply {
    pub(super) jobs: Vec<ClaimedJob>,
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
                alarm: None,
                pace: Pace::new(read_ahead, *slots),
            })
            .collect();
        let ready = queues.iter().map(|_| Notify::new()).collect();
        Self {
            state: Mutex::new(State { queues, claiming: false, closed: false }),
            ready,
            claimer: Notify::new(),
        }
    }

    /// The queues served, with their slots, by index.
    pub(super) fn queues(&self) -> Vec<(QueueName, usize)> {
        self.state.lock().queues.iter().map(|queue| (queue.name.clone(), queue.slots)).collect()
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
            let low = queue.buffer.len() == queue.pace.read_ahead() / 2
                && queue.look
                && !claiming
                && queue.room() > 0;
            drop(state);
            if low {
                self.claimer.notify_one();
            }
            return Next::Run(Box::new(next.job));
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

    /// What is worth asking the store for now; a claim counts as in flight until [`supply`](Self::supply) or
    /// [`claim_failed`](Self::claim_failed).
    pub(super) fn begin_claim(&self, now: Timestamp) -> Option<Vec<Demand>> {
        self.state.lock().begin_claim(now)
    }

    /// Takes in the answer to a claim. What comes back is to be released: the board was closed meanwhile.
    pub(super) fn supply(
        &self,
        demands: &[Demand],
        supplies: Vec<Supply>,
        now: Timestamp,
    ) -> Vec<ClaimedJob> {
        let mut state = self.state.lock();
        state.claiming = false;
        if state.closed {
            return supplies.into_iter().flat_map(|supply| supply.jobs).collect();
        }
        let mut wake = Vec::with_capacity(demands.len());
        for (demand, supply) in demands.iter().zip(supplies) {
            let queue = &mut state.queues[demand.index];
            // A wake that came while the claim was in flight has set `look` or `alarm` already: they stay.
            queue.look |= supply.jobs.len() >= demand.ask.limit;
            queue.alarm_at(supply.next_look);
            queue.buffer.extend(supply.jobs.into_iter().map(|job| ReadAhead { job, since: now }));
            wake.push((demand.index, queue.buffer.len().min(queue.idle())));
        }
        drop(state);
        for (index, idle) in wake {
            (0..idle).for_each(|_| self.ready[index].notify_one());
        }
        // Its alarms have changed, and there may be more to claim.
        self.claimer.notify_one();
        Vec::new()
    }

    /// No claim is in flight any more and nothing is known of it.
    pub(super) fn claim_failed(&self, demands: &[Demand]) {
        let mut state = self.state.lock();
        state.claiming = false;
        for demand in demands {
            state.queues[demand.index].look = true;
        }
    }

    /// A job of this queue falls due at `instant`.
    pub(super) fn due(&self, name: &QueueName, instant: Timestamp, now: Timestamp) {
        let mut state = self.state.lock();
        let Some((index, queue)) = state.queues.iter_mut().enumerate().find(|(_, queue)| queue.name == *name)
        else {
            return;
        };
        if instant <= now {
            queue.look = true;
            drop(state);
            self.ready[index].notify_one();
        } else if queue.alarm_at(Some(instant)) {
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

    /// Takes a job out that was read ahead, if it is still there.
    pub(super) fn take_out(&self, id: crate::JobId) -> Option<ClaimedJob> {
        self.state.lock().queues.iter_mut().find_map(|queue| {
            let at = queue.buffer.iter().position(|next| next.job.id == id)?;
            queue.buffer.remove(at).map(|next| next.job)
        })
    }

    /// Takes out everything that was read ahead for a queue: it is paused.
    pub(super) fn take_queue(&self, demand: &Demand) -> Vec<ClaimedJob> {
        let mut state = self.state.lock();
        state.queues[demand.index].buffer.drain(..).map(|next| next.job).collect()
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

    pub(super) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }
}

impl State {
    fn begin_claim(&mut self, now: Timestamp) -> Option<Vec<Demand>> {
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
