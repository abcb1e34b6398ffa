//! How a worker stops: claim no more, let runs end, tell them to stop, drop them, hand back, report.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::run::Run;
use super::{Shared, Worker};
use crate::limits::LAST_CALLS;
use crate::store::LeaseKey;
use crate::{DrainProgress, DrainStep, JobId, Kind, Timestamp};

/// What a stop left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StopReport {
    /// Runs that were going on when the stop began and ended by themselves before its deadline.
    pub finished: usize,
    /// Jobs whose run was told to stop at the deadline; they were handed back, at no cost, unless they came
    /// to an end of their own.
    pub interrupted: Vec<JobId>,
    /// Runs that would not end and could not be dropped: they block their thread. Their leases run out, then
    /// the jobs run again. A tokio runtime waits for such threads when it is dropped, so `#[tokio::main]` does not
    /// return before they do: end it by `Runtime::shutdown_timeout`, or the process by `std::process::exit`.
    pub still_running: Vec<LeftRunning>,
    /// Jobs whose outcome the store could not be told. Their leases run out, then they run again.
    pub unsettled: Vec<JobId>,
    /// Jobs that wait in a store that only this process can reach, and that no other worker of it serves: they
    /// are lost with it, unless the store [lasts](crate::StoreProfile::lasts). 0 on stores that other processes reach, and where the store
    /// did not say within a second.
    pub left_waiting: u64,
    /// Parts of the worker that still wait for the store.
    pub calls_in_flight: Vec<&'static str>,
}

impl StopReport {
    /// Whether nothing was left behind but jobs that wait.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.still_running.is_empty() && self.unsettled.is_empty() && self.calls_in_flight.is_empty()
    }
}

/// A run that a stop could not end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftRunning {
    /// The job.
    pub id: JobId,
    /// Its kind.
    pub kind: Kind,
}

impl Worker {
    /// Stops, and answers what was left. May be called again when an earlier call was dropped halfway.
    ///
    /// 1. No more claims; what was read ahead is handed back. 2. Runs may end until `drain` is over. 3. What
    ///    is left is told to stop and has the cancel grace. 4. Handlers are dropped where they wait; when they
    ///    are gone their jobs are handed back. 5. Claims in flight are awaited and the store is told the rest.
    pub(crate) async fn stop(&self, drain: Duration) -> StopReport {
        let shared = &self.shared;
        let env = shared.door.env();
        let grace = shared.times.cancel_grace;
        let running: Vec<LeaseKey> = shared.runs.all_running().iter().map(|run| run.lease).collect();
        let unstarted = shared.close_board();
        shared.release(unstarted.iter().map(super::claimer::lease_of));
        let drained = env.now() + drain;
        let mut settled_by = drained.max(env.now() + LAST_CALLS);
        if !handlers_ended_by(shared, drained, DrainStep::Finishing, drained).await {
            // A stop that goes on after a dropped one has told some before.
            let told: Vec<LeaseKey> = shared.interrupt().iter().map(|run| run.lease).collect();
            shared.told_by_stop.lock().extend(told);
            // `interrupt` has set the deadline by which the handlers are dropped; one that can be dropped is
            // gone right after.
            let gone_by = env.now() + grace + grace.max(LAST_CALLS);
            handlers_ended_by(shared, gone_by, DrainStep::Interrupting, env.now() + grace).await;
            settled_by = settled_by.max(env.now() + grace.max(LAST_CALLS));
        }
        let still_running = self.still_running();
        progress(shared, DrainStep::Settling, still_running.len(), settled_by);
        slots_ended_by(shared, settled_by, still_running.len()).await;
        // One of the claimer's own: what it brings goes back, which the settler is to say in time.
        ended_by(shared, settled_by, || !shared.board.is_claiming()).await;
        tokio::select! {
            biased;
            () = shared.settler.emptied() => {}
            () = env.sleep_until(settled_by) => {}
        }
        shared.closing.cancel();
        let calls_in_flight = self.calls_in_flight(still_running.len()).await;
        progress(shared, DrainStep::Done, still_running.len(), env.now());
        let unsettled = shared.settler.unsettled().into_iter().map(|lease| lease.id).collect();
        let interrupted = shared.told_by_stop.lock().clone();
        let stuck = |lease: &LeaseKey| still_running.iter().any(|left| left.id == lease.id);
        let finished = running.iter().filter(|lease| !interrupted.contains(lease) && !stuck(lease)).count();
        let interrupted =
            interrupted.into_iter().filter(|lease| !stuck(lease)).map(|lease| lease.id).collect();
        StopReport { finished, interrupted, still_running, unsettled, left_waiting: 0, calls_in_flight }
    }

    fn still_running(&self) -> Vec<LeftRunning> {
        let left = |run: Arc<Run>| LeftRunning { id: run.lease.id, kind: run.kind.clone() };
        self.shared.runs.all_running().into_iter().map(left).collect()
    }

    /// Gives what still waits for the store a last moment, and names what does not end in it.
    async fn calls_in_flight(&self, stuck: usize) -> Vec<&'static str> {
        let env = self.shared.door.env();
        let deadline = env.now() + LAST_CALLS;
        let mut names = Vec::new();
        if !slots_ended_by(&self.shared, deadline, stuck).await {
            names.push("slot");
        }
        for (name, task) in &self.services {
            tokio::select! {
                biased;
                () = task.ended() => {}
                () = env.sleep_until(deadline) => names.push(*name),
            }
        }
        names
    }
}

/// Waits until no handler runs. Says whether that came before `deadline`; tells the program of the time until
/// `shown`.
async fn handlers_ended_by(shared: &Shared, deadline: Timestamp, step: DrainStep, shown: Timestamp) -> bool {
    let mut told = None;
    let have_ended = || {
        let running = shared.runs.all_running().len();
        if told.replace(running) != Some(running) {
            progress(shared, step, running, shown);
        }
        running == 0 && !shared.board.is_starting_one()
    };
    ended_by(shared, deadline, have_ended).await
}

/// Tells the program how far the stop has come.
fn progress(shared: &Shared, step: DrainStep, running: usize, until: Timestamp) {
    shared.on_drain.tell(|| DrainProgress {
        step,
        running,
        unsettled: shared.settler.backlog(),
        remaining: until.since(shared.door.env().now()),
    });
}

/// Waits until all slots have ended but the `stuck` ones that a handler blocks. Says whether that came before
/// `deadline`.
async fn slots_ended_by(shared: &Shared, deadline: Timestamp, stuck: usize) -> bool {
    ended_by(shared, deadline, || shared.slots_left.load(Ordering::SeqCst) <= stuck).await
}

async fn ended_by(shared: &Shared, deadline: Timestamp, mut have_ended: impl FnMut() -> bool) -> bool {
    loop {
        let ended = shared.runs.ended.notified();
        if have_ended() {
            return true;
        }
        tokio::select! {
            biased;
            () = ended => {}
            () = shared.door.env().sleep_until(deadline) => return false,
        }
    }
}
