//! [`Watch`]: sees to it that nothing is enqueued here and silently never run.
//!
//! A kind and queue that no worker of this process serves yet is looked at again: five seconds after the
//! enqueue, and, where no other process can run it either, a minute after its jobs fell due.

use std::collections::BTreeSet;
use std::sync::Weak;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::store_manager::StoreManager;
use crate::env::TaskKind;
use crate::limits::{OVERDUE_WARNING, UNSERVED_WARNING, WATCHED_PAIRS};
use crate::store::{CountJobs, JobCounts, JobFilter, StoreError};
use crate::{Env, JobState, Kind, NewJob, QueueName, Timestamp};

type Pair = (QueueName, Kind);

#[derive(Default)]
pub(super) struct Watch {
    /// Looked at by a task.
    watched: Mutex<BTreeSet<Pair>>,
    /// Warned of, each once.
    unserved: Mutex<BTreeSet<Pair>>,
    overdue: Mutex<BTreeSet<Pair>>,
    after_stop: AtomicBool,
    /// Ends the tasks, with the manager.
    ended: CancellationToken,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}

/// Warns of a pair once, and of so many pairs at most. Says whether to.
fn is_first(warned: &Mutex<BTreeSet<Pair>>, pair: &Pair) -> bool {
    let mut warned = warned.lock();
    warned.len() < WATCHED_PAIRS && warned.insert(pair.clone())
}

impl StoreManager {
    /// Watches over what was just stored, where nobody here is known to run it.
    pub(super) fn watch_over<'a>(&self, jobs: impl Iterator<Item = &'a NewJob>) {
        let mut last: Option<(&QueueName, &Kind)> = None;
        for job in jobs {
            let pair = (&job.queue, &job.kind);
            if last.replace(pair) != Some(pair) && !self.is_served_here(pair.0, pair.1) {
                self.watch_pair(pair.0, pair.1);
            }
        }
    }

    /// Whether somebody else than these jobs' own worker can run it. Where only other processes can, that is
    /// worth one warning once these jobs are stopped.
    pub(super) fn may_be_run_by_others(&self, queue: &QueueName, kind: &Kind) -> bool {
        if self.hub_serves(queue, kind) {
            return true;
        }
        if !self.is_shared() {
            return false;
        }
        if self.producing().is_run_here(queue, kind) && !self.watch().after_stop.swap(true, Ordering::AcqRel)
        {
            tracing::warn!(
                %kind, %queue,
                "enqueued after these jobs were stopped: it waits for another process that serves it"
            );
        }
        true
    }

    /// Whether a worker of this process, these jobs' own or another on the same store, claims such jobs.
    pub(crate) fn is_served_here(&self, queue: &QueueName, kind: &Kind) -> bool {
        let own = self.has_started() && !self.is_stopped() && self.producing().is_run_here(queue, kind);
        own || self.hub_serves(queue, kind)
    }

    fn hub_serves(&self, queue: &QueueName, kind: &Kind) -> bool {
        self.door().hub().is_some_and(|hub| hub.is_served(queue, kind))
    }

    fn is_shared(&self) -> bool {
        self.door().profile().is_shared()
    }

    fn watch_pair(&self, queue: &QueueName, kind: &Kind) {
        let env = self.door().env();
        // On a shared store what these jobs do not run is meant for other processes.
        if (self.is_shared() && !self.producing().is_run_here(queue, kind)) || !env.can_spawn() {
            return;
        }
        let pair = (queue.clone(), kind.clone());
        let mut watched = self.watch().watched.lock();
        if watched.len() >= WATCHED_PAIRS || !watched.insert(pair.clone()) {
            return;
        }
        drop(watched);
        let name = format!("watch {kind} in {queue}");
        let (manager, ended, clock) = (self.weak(), self.watch().ended.clone(), env.clone());
        let watch = async move {
            tokio::select! {
                biased;
                () = ended.cancelled() => {}
                () = keep_watch(manager, clock, pair) => {}
            }
        };
        env.spawn(TaskKind::Housekeeping, name, watch);
    }

    /// Warns if no worker of this process serves it still.
    fn warn_if_unserved(&self, pair: &Pair) {
        let (queue, kind) = pair;
        if self.is_served_here(queue, kind) || self.serves_queue_here(queue) {
            return;
        }
        let what_to_do = if self.is_stopped() {
            "these jobs are stopped"
        } else if self.has_worker_to_start() && self.producing().is_run_here(queue, kind) {
            "call jobs.start().await"
        } else {
            "start jobs in this process, on the same store, that have its handler and its queue"
        };
        if is_first(&self.watch().unserved, pair) {
            tracing::warn!(
                %kind, %queue,
                "jobs wait, and no worker here has served their queue for {UNSERVED_WARNING:?}: {what_to_do}"
            );
        }
    }

    fn serves_queue_here(&self, queue: &QueueName) -> bool {
        self.local_workers().iter().any(|worker| worker.serves_queue(queue))
    }

    /// Warns if its jobs are overdue. Answers when to look again, if that is worth it.
    async fn warn_if_overdue(&self, pair: &Pair) -> Result<Option<Timestamp>, StoreError> {
        let (queue, kind) = pair;
        if self.is_served_here(queue, kind) || self.is_shared() {
            return Ok(None);
        }
        let counts = self.count_waiting(pair).await?;
        let Some(due) = counts.next_run_at() else { return Ok(None) };
        let now = self.door().env().now();
        if due + OVERDUE_WARNING > now {
            return Ok(Some(due + OVERDUE_WARNING));
        }
        if is_first(&self.watch().overdue, pair) {
            tracing::warn!(
                %kind, %queue,
                jobs = counts.total(&[JobState::Waiting]),
                since = %due,
                "jobs are overdue, and no worker of this process claims them: start jobs that have a handler \
                 for {kind} and serve the queue {queue}"
            );
        }
        Ok(None)
    }

    async fn count_waiting(&self, (queue, kind): &Pair) -> Result<JobCounts, StoreError> {
        let filter =
            JobFilter::all().queues([queue.clone()]).kinds([kind.clone()]).states([JobState::Waiting]);
        self.door().count(&CountJobs::new(self.door().env().now(), filter)).await
    }
}

/// Ends when the jobs are served, gone, or warned of, and with the manager.
async fn keep_watch(manager: Weak<StoreManager>, env: Env, pair: Pair) {
    env.sleep(UNSERVED_WARNING).await;
    if let Some(manager) = manager.upgrade() {
        manager.warn_if_unserved(&pair);
    }
    let mut at = env.now() + OVERDUE_WARNING - UNSERVED_WARNING;
    loop {
        env.sleep_until(at).await;
        let Some(manager) = manager.upgrade() else { return };
        // Before the look: what is enqueued from now on is watched over by a task of its own.
        manager.watch().watched.lock().remove(&pair);
        at = match manager.warn_if_overdue(&pair).await {
            Ok(Some(next)) => next,
            Err(error) if error.is_retryable() => env.now() + OVERDUE_WARNING,
            // A store that cannot count never will.
            Ok(None) | Err(_) => return,
        };
        if !manager.watch().watched.lock().insert(pair.clone()) {
            return;
        }
    }
}
