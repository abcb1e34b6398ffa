//! The worker as others of this process see it: they wake it, and ask what it does with a job.

use std::sync::atomic::Ordering;

use super::Shared;
use super::claimer::lease_of;
use super::run::CancelCause;
use crate::env::Process;
use crate::local_worker::{Holding, LocalWorker, WorkerView, lease_key};
use crate::store::Wake;
use crate::{JobRecord, JobState, Kind, QueueName};

impl LocalWorker for Shared {
    fn wake(&self, wake: Wake<'_>) {
        match wake {
            Wake::Due { queue, delay } => {
                // Most jobs are due at once, which needs no look at the clock.
                let alarm = (!delay.is_zero()).then(|| self.door.env().now() + delay);
                self.board.due(queue, alarm);
            }
            // It hears of it by its next renewal, as another process does.
            Wake::CancelRequested(_) if self.process() != Process::Whole => {}
            Wake::CancelRequested(ids) => {
                for run in ids.iter().filter_map(|id| self.runs.request_cancel(*id)) {
                    self.cancel_run(&run, CancelCause::User);
                }
            }
            Wake::Anything => {
                self.board.look_everywhere();
                // Held leases may be over, or runs to be cancelled.
                self.runs.renew.notify_one();
            }
            Wake::Paused(queue) => self.release(self.board.pause(queue).iter().map(lease_of)),
        }
    }

    fn serves(&self, queue: &QueueName, kind: &Kind) -> bool {
        self.registry.find(kind).is_some() && self.serves_queue(queue)
    }

    fn serves_queue(&self, queue: &QueueName) -> bool {
        self.claims() && self.board.slots_of(queue).is_some()
    }

    fn look(&self, job: &JobRecord) -> WorkerView {
        let queues = self.board.queues();
        WorkerView {
            worker: self.id,
            slots: self.board.slots_of(&job.queue).filter(|_| self.claims()),
            kinds: self.registry.names().iter().map(Kind::to_string).collect(),
            queues: queues.into_iter().map(|(queue, _)| queue.to_string()).collect(),
            claim_error: self.claim_error.lock().clone(),
            holding: self.holding(job),
        }
    }
}

impl Shared {
    /// Whether it is not stopping, and its process has not crashed under a kit.
    fn claims(&self) -> bool {
        !self.stopping.load(Ordering::Acquire) && self.process() != Process::Crashed
    }

    fn process(&self) -> Process {
        self.door.env().hooks().map_or(Process::Whole, |hooks| hooks.process())
    }

    fn holding(&self, job: &JobRecord) -> Option<Holding> {
        if job.state != JobState::Running {
            return None;
        }
        Some(match self.runs.held(lease_key(job))? {
            None => Holding::ReadAhead,
            Some(run) if run.has_ended() => Holding::Ended,
            Some(run) => {
                Holding::Runs { since: run.started, told_to_stop: run.cause().map(CancelCause::as_str) }
            }
        })
    }
}
