//! [`InspectStore`] for [`MemoryStore`].

use async_trait::async_trait;
use backgroundjobs_core::{
    CountJobs, InspectStore, JobCounts, JobPage, ListJobs, QueueFacts, StoreError, StoreOperation, Timestamp,
};

use crate::MemoryStore;

#[async_trait]
impl InspectStore for MemoryStore {
    async fn count(&self, request: &CountJobs) -> Result<JobCounts, StoreError> {
        let store_now = self.store_now(request.now);
        let rows = self.state(StoreOperation::Count)?.count(&request.filter);
        Ok(JobCounts { store_now, rows })
    }

    async fn list(&self, request: &ListJobs) -> Result<JobPage, StoreError> {
        let store_now = self.store_now(request.now);
        let (jobs, next) = self.state(StoreOperation::List)?.list(request);
        Ok(JobPage { store_now, jobs, next })
    }

    async fn queues(&self, _now: Timestamp) -> Result<Vec<QueueFacts>, StoreError> {
        Ok(self.state(StoreOperation::Queues)?.queues())
    }
}
