//! [`Run`]: one run of one job.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};

use tokio::sync::Notify;

use super::claimer::lease_of;
use crate::context::Surroundings;
use crate::store::{ClaimedJob, LeaseKey};
use crate::{Kind, Metadata, Payload, QueueName, Timestamp};

/// Why a run was told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum CancelCause {
    /// Somebody cancelled the job.
    User = 1,
    /// It ran out of time.
    Timeout,
    /// The program stops.
    Stop,
    /// The lease is lost: another worker may run the job.
    Lost,
    /// A wrapper has answered for it without waiting for its blocking call.
    GivenUp,
}

impl CancelCause {
    /// Why, in words.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::User => "somebody cancelled it",
            Self::Timeout => "it ran out of time",
            Self::Stop => "the program stops",
            Self::Lost => "its lease was lost",
            Self::GivenUp => "a wrapper did not wait for it",
        }
    }
}

/// One run of one job: what its handler may know of it, and how to tell it to stop. One allocation, because
/// there is one for each run.
pub(crate) struct Run {
    pub(crate) lease: LeaseKey,
    pub(crate) kind: Kind,
    pub(crate) queue: QueueName,
    pub(crate) attempt: u16,
    pub(crate) max_attempts: u16,
    pub(crate) metadata: Metadata,
    pub(super) started: Timestamp,
    pub(crate) deadline: Option<Timestamp>,
    pub(crate) surroundings: Arc<Surroundings>,
    signals: Signals,
    /// For a kit: how often a blocking call has asked whether it shall stop.
    pub(crate) looks_for_cancel: Option<Arc<AtomicUsize>>,
}

/// What passes between a run and those who end it: all of it new for each run.
#[derive(Default)]
struct Signals {
    cause: AtomicU8,
    told: Notify,
    ended: AtomicBool,
    drop_now: Notify,
    /// Calls on the blocking pool that have not returned. They cannot be dropped, so the run lasts until then.
    blocking_calls: AtomicUsize,
    blocking_call_ended: Notify,
    /// No call on the blocking pool begins any more.
    closed_to_calls: AtomicBool,
}

impl Run {
    /// The run of a job that was claimed, and its args.
    pub(super) fn of(
        job: ClaimedJob,
        started: Timestamp,
        deadline: Option<Timestamp>,
        surroundings: &Arc<Surroundings>,
    ) -> (Self, Payload) {
        let run = Self {
            looks_for_cancel: surroundings.env.hooks().map(|_| Arc::default()),
            lease: lease_of(&job),
            attempt: job.attempt(),
            max_attempts: job.max_attempts,
            kind: job.kind,
            queue: job.queue,
            metadata: job.metadata,
            started,
            deadline,
            surroundings: surroundings.clone(),
            signals: Signals::default(),
        };
        (run, job.args)
    }

    /// Makes this the run of another job of the same worker, in its memory, and answers the job's args. What all
    /// runs of a worker have in common stays, whose count of owners every thread would write.
    pub(super) fn reuse(
        &mut self,
        job: ClaimedJob,
        started: Timestamp,
        deadline: Option<Timestamp>,
    ) -> Payload {
        self.looks_for_cancel = self.surroundings.env.hooks().map(|_| Arc::default());
        self.lease = lease_of(&job);
        self.attempt = job.attempt();
        self.max_attempts = job.max_attempts;
        self.kind = job.kind;
        self.queue = job.queue;
        self.metadata = job.metadata;
        self.started = started;
        self.deadline = deadline;
        self.signals = Signals::default();
        job.args
    }

    /// Tells the handler to stop, for the first cause that comes. Says whether this was it.
    pub(super) fn cancel(&self, cause: CancelCause) -> bool {
        let first =
            self.signals.cause.compare_exchange(0, cause as u8, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if first {
            self.signals.told.notify_waiters();
        }
        first
    }

    /// Waits until it is told to stop. Cancel safe.
    pub(crate) async fn told_to_stop(&self) {
        // It hears of every notice from here on, so one that comes after the look is not missed.
        let told = self.signals.told.notified();
        if self.cause().is_none() {
            told.await;
        }
    }

    /// Why it was told to stop, if it was.
    pub(crate) fn cause(&self) -> Option<CancelCause> {
        match self.signals.cause.load(Ordering::Acquire) {
            1 => Some(CancelCause::User),
            2 => Some(CancelCause::Timeout),
            3 => Some(CancelCause::Stop),
            4 => Some(CancelCause::Lost),
            5 => Some(CancelCause::GivenUp),
            _ => None,
        }
    }

    /// The handler is gone.
    pub(super) fn end(&self) {
        // In one order with the look at whether the worker stops, which follows.
        self.signals.ended.store(true, Ordering::SeqCst);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.signals.ended.load(Ordering::SeqCst)
    }

    /// The handler had its time to stop: its slot drops it where it waits.
    pub(super) fn drop_handler(&self) {
        self.signals.drop_now.notify_one();
    }

    /// Waits until the handler is to be dropped. Cancel safe.
    pub(super) async fn to_be_dropped(&self) {
        self.signals.drop_now.notified().await;
    }

    /// From now on no call on the blocking pool begins: what [`is_blocking`](Self::is_blocking) says after this
    /// only falls.
    pub(super) fn close_to_calls(&self) {
        self.signals.closed_to_calls.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_closed_to_calls(&self) -> bool {
        self.signals.closed_to_calls.load(Ordering::SeqCst)
    }

    /// Whether a call on the blocking pool has begun and its answer has not been taken.
    pub(super) fn is_blocking(&self) -> bool {
        self.signals.blocking_calls.load(Ordering::SeqCst) > 0
    }

    /// Waits until every call on the blocking pool has returned. For one waiter: the run's slot.
    pub(super) async fn blocking_calls_ended(&self) {
        while self.is_blocking() {
            let mut ended = pin!(self.signals.blocking_call_ended.notified());
            poll_fn(|cx| {
                let answer = ended.as_mut().poll(cx);
                if answer.is_pending()
                    && let Some(hooks) = self.surroundings.env.hooks()
                {
                    hooks.waits_for_thread(None);
                }
                answer
            })
            .await;
        }
    }
}

/// A call on the blocking pool that has not returned.
pub(crate) struct BlockingCall(Arc<Run>);

impl BlockingCall {
    /// None when it is too late to begin one.
    pub(crate) fn begin(run: Arc<Run>) -> Option<Self> {
        // Counted first, then looked: the slot closes first, then counts. So one of them sees the other.
        run.signals.blocking_calls.fetch_add(1, Ordering::SeqCst);
        let call = Self(run);
        (!call.0.is_closed_to_calls()).then_some(call)
    }
}

impl Drop for BlockingCall {
    fn drop(&mut self) {
        self.0.signals.blocking_calls.fetch_sub(1, Ordering::SeqCst);
        self.0.signals.blocking_call_ended.notify_one();
    }
}
