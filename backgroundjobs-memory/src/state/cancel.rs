//! Cancel: keeping a job from running, or from running on.

use backgroundjobs_core::{CancelStatus, JobId, JobState, Step, Timestamp};

use super::State;
use super::job::Stage;

impl State {
    /// Ends waiting jobs and flags running ones (clause X-3).
    pub(crate) fn cancel(&mut self, ids: &[JobId], now: Timestamp) -> Vec<CancelStatus> {
        ids.iter().map(|id| self.cancel_one(*id, now)).collect()
    }

    fn cancel_one(&mut self, id: JobId, now: Timestamp) -> CancelStatus {
        let Some(job) = self.jobs.get_mut(&id) else { return CancelStatus::Unknown };
        match job.stage {
            Stage::Waiting => {
                let over = Stage::at_rest(JobState::Cancelled, now);
                self.index.step(id, job, Step::Cancel, |job| job.stage = over);
                CancelStatus::Cancelled
            }
            Stage::Running(_) => {
                job.cancel_requested = true;
                CancelStatus::Requested
            }
            Stage::Finished(state, _) => CancelStatus::Finished(state),
        }
    }
}
