//! [`ControlStore`] for [`MemoryStore`].

use async_trait::async_trait;
use backgroundjobs_core::{
    ControlStore, DeleteStatus, JobId, QueueName, RequeuedJobs, StoreError, StoreOperation, Timestamp,
};

use crate::MemoryStore;

#[async_trait]
impl ControlStore for MemoryStore {
    async fn requeue(&self, now: Timestamp, ids: &[JobId]) -> Result<RequeuedJobs, StoreError> {
        let store_now = self.store_now(now);
        let jobs = self.state(StoreOperation::Requeue)?.requeue(ids, store_now);
        Ok(RequeuedJobs { store_now, jobs })
    }

    async fn delete(&self, _now: Timestamp, ids: &[JobId]) -> Result<Vec<DeleteStatus>, StoreError> {
        Ok(self.state(StoreOperation::Delete)?.delete(ids))
    }

    async fn pause(&self, now: Timestamp, queue: &QueueName) -> Result<(), StoreError> {
        let store_now = self.store_now(now);
        self.state(StoreOperation::Pause)?.pause(queue, store_now);
        Ok(())
    }

    async fn resume(&self, _now: Timestamp, queue: &QueueName) -> Result<(), StoreError> {
        self.state(StoreOperation::Resume)?.resume(queue);
        Ok(())
    }
}
