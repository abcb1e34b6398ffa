//! How a worker stops: claim no more, let runs end, tell them to stop, drop them, hand back, report.

use std::time::Duration;

use super::runs::CancelCause;
use super::{Shared, Worker};
use crate::env::TaskHandle;
use crate::{JobId, Kind, Timestamp};

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
    /// the jobs run again.
    pub still_running: Vec<LeftRunning>,
    /// Jobs whose outcome the store could not be told. Their leases run out, then they run again.
    pub unsettled: Vec<JobId>,
    /// Parts of the worker that still wait for the store.
    pub calls_in_flight: Vec<&'static str>,
}

impl StopReport {
    /// Whether nothing was left behind.
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
    ///    are gone their jobs are handed back. 5. The settler tells the store the rest, within another grace.
    pub(crate) async fn stop(&self, drain: Duration) -> StopReport {
        let shared = &self.shared;
        let env = shared.door.env();
        let grace = shared.times.cancel_grace;
        let running = shared.runs.all().len();
        let unstarted = shared.close_board();
        shared.release(unstarted.iter().map(super::claimer::lease_of));
        let deadline = env.now() + drain;
        let mut interrupted = Vec::new();
        if !ended_by(shared, &self.slots, deadline).await {
            for run in shared.runs.all() {
                shared.cancel_run(&run, CancelCause::Stop);
                interrupted.push(run.lease.id);
            }
            // `cancel_run` has set the deadlines by which the handlers are dropped; one that can be dropped is
            // gone right after.
            ended_by(shared, &self.slots, env.now() + grace + grace).await;
        }
        let still_running = self.left_running();
        let settled_by = deadline.max(env.now() + grace);
        tokio::select! {
            biased;
            () = shared.settler.emptied() => {}
            () = env.sleep_until(settled_by) => {}
        }
        let unsettled = shared.settler.unsettled().into_iter().map(|lease| lease.id).collect();
        shared.closing.cancel();
        let last = env.now() + Duration::from_secs(1);
        let mut calls_in_flight = Vec::new();
        for (name, task) in &self.services {
            if !ended_by(shared, std::slice::from_ref(task), last).await {
                calls_in_flight.push(*name);
            }
        }
        let finished = running.saturating_sub(interrupted.len());
        StopReport { finished, interrupted, still_running, unsettled, calls_in_flight }
    }

    fn left_running(&self) -> Vec<LeftRunning> {
        let unsettled = self.shared.settler.unsettled();
        self.shared
            .runs
            .all()
            .into_iter()
            .filter(|run| !unsettled.contains(&run.lease))
            .map(|run| LeftRunning { id: run.lease.id, kind: run.kind.clone() })
            .collect()
    }
}

/// Waits for tasks to end, until `deadline`. Says whether they did.
async fn ended_by(shared: &Shared, tasks: &[TaskHandle], deadline: Timestamp) -> bool {
    let all = async {
        for task in tasks {
            task.ended().await;
        }
    };
    tokio::select! {
        biased;
        () = all => true,
        () = shared.door.env().sleep_until(deadline) => false,
    }
}
