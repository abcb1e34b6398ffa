//! [`Watched`]: a store whose calls are written down.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use backgroundjobs_core::{
    CancelJobs, CancelStatus, ClaimJobs, ClaimedJobs, ControlStore, CountJobs, DeleteStatus, InsertJobs,
    InsertedJobs, InspectStore, JobCounts, JobId, JobPage, JobRecord, JobStore, ListJobs, PruneJobs,
    PrunedJobs, QueueFacts, QueueName, RecoverJobs, RecoveredJobs, RemoteWakes, RenewLeases, RenewedLeases,
    RequeuedJobs, SettleJobs, SettledJobs, StoreError, StoreProfile, Timestamp, WakeHub,
};

use super::{Operations, words};

/// A store, every call of which is written down.
pub(in crate::conformance) struct Watched {
    inner: Arc<dyn JobStore>,
    /// Put in front of each call; tells handles apart.
    name: &'static str,
    operations: Operations,
}

impl Watched {
    pub(in crate::conformance) fn new(
        inner: Arc<dyn JobStore>,
        name: &'static str,
        operations: Operations,
    ) -> Arc<Self> {
        Arc::new(Self { inner, name, operations })
    }

    async fn call<T>(
        &self,
        asked: String,
        call: impl Future<Output = Result<T, StoreError>>,
        words: impl FnOnce(&T) -> String,
    ) -> Result<T, StoreError> {
        let pending = self.operations.ask(format!("{}{asked}", self.name));
        let reply = call.await;
        pending.answer(match &reply {
            Ok(reply) => words(reply),
            Err(error) => format!("{:?}: {error}", error.kind()),
        });
        reply
    }

    fn inspect_inner(&self) -> &dyn InspectStore {
        self.inner.inspect().expect("asked only where the store inside has it")
    }

    fn control_inner(&self) -> &dyn ControlStore {
        self.inner.control().expect("asked only where the store inside has it")
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.inner, f)
    }
}

fn nothing<T>(_: &T) -> String {
    String::new()
}

#[async_trait]
impl JobStore for Watched {
    fn profile(&self) -> StoreProfile {
        self.inner.profile()
    }

    async fn prepare(&self) -> Result<(), StoreError> {
        self.call("prepare".to_owned(), self.inner.prepare(), nothing).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.call("close".to_owned(), self.inner.close(), nothing).await
    }

    async fn insert(&self, request: &InsertJobs) -> Result<InsertedJobs, StoreError> {
        self.call(words::insert(request), self.inner.insert(request), words::inserted).await
    }

    async fn claim(&self, request: &ClaimJobs) -> Result<ClaimedJobs, StoreError> {
        self.call(words::claim(request), self.inner.claim(request), words::claimed).await
    }

    async fn renew(&self, request: &RenewLeases) -> Result<RenewedLeases, StoreError> {
        let words = |reply: &RenewedLeases| words::list(&reply.leases, |status| format!("{status:?}"));
        self.call(words::renew(request), self.inner.renew(request), words).await
    }

    async fn settle(&self, request: &SettleJobs) -> Result<SettledJobs, StoreError> {
        self.call(words::settle(request), self.inner.settle(request), words::settled).await
    }

    async fn recover(&self, request: &RecoverJobs) -> Result<RecoveredJobs, StoreError> {
        self.call(words::recover(request), self.inner.recover(request), words::recovered).await
    }

    async fn cancel(&self, request: &CancelJobs) -> Result<Vec<CancelStatus>, StoreError> {
        let words = |reply: &Vec<CancelStatus>| words::list(reply, |status| format!("{status:?}"));
        self.call(words::of_ids("cancel", request.now, &request.ids), self.inner.cancel(request), words).await
    }

    async fn get(&self, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>, StoreError> {
        let words = |reply: &Vec<Option<JobRecord>>| {
            words::list(reply, |found| found.as_ref().map_or_else(|| "none".to_owned(), words::record))
        };
        self.call(format!("get {}", words::ids(ids)), self.inner.get(ids), words).await
    }

    async fn prune(&self, request: &PruneJobs) -> Result<PrunedJobs, StoreError> {
        self.call(words::prune(request), self.inner.prune(request), words::pruned).await
    }

    fn local_hub(&self) -> Option<&WakeHub> {
        self.inner.local_hub()
    }

    fn remote_wakes(&self) -> Option<&dyn RemoteWakes> {
        self.inner.remote_wakes()
    }

    fn inspect(&self) -> Option<&dyn InspectStore> {
        self.inner.inspect().map(|_| self as &dyn InspectStore)
    }

    fn control(&self) -> Option<&dyn ControlStore> {
        self.inner.control().map(|_| self as &dyn ControlStore)
    }
}

#[async_trait]
impl InspectStore for Watched {
    async fn count(&self, request: &CountJobs) -> Result<JobCounts, StoreError> {
        self.call(words::count(request), self.inspect_inner().count(request), words::counted).await
    }

    async fn list(&self, request: &ListJobs) -> Result<JobPage, StoreError> {
        self.call(words::page(request), self.inspect_inner().list(request), words::listed).await
    }

    async fn queues(&self, now: Timestamp) -> Result<Vec<QueueFacts>, StoreError> {
        let words = |reply: &Vec<QueueFacts>| words::list(reply, words::facts);
        self.call(format!("queues at {}", words::at(now)), self.inspect_inner().queues(now), words).await
    }
}

#[async_trait]
impl ControlStore for Watched {
    async fn requeue(&self, now: Timestamp, ids: &[JobId]) -> Result<RequeuedJobs, StoreError> {
        let words = |reply: &RequeuedJobs| words::list(&reply.jobs, |status| format!("{status:?}"));
        self.call(words::of_ids("requeue", now, ids), self.control_inner().requeue(now, ids), words).await
    }

    async fn delete(&self, now: Timestamp, ids: &[JobId]) -> Result<Vec<DeleteStatus>, StoreError> {
        let words = |reply: &Vec<DeleteStatus>| words::list(reply, |status| format!("{status:?}"));
        self.call(words::of_ids("delete", now, ids), self.control_inner().delete(now, ids), words).await
    }

    async fn pause(&self, now: Timestamp, queue: &QueueName) -> Result<(), StoreError> {
        let asked = format!("pause {queue} at {}", words::at(now));
        self.call(asked, self.control_inner().pause(now, queue), nothing).await
    }

    async fn resume(&self, now: Timestamp, queue: &QueueName) -> Result<(), StoreError> {
        let asked = format!("resume {queue} at {}", words::at(now));
        self.call(asked, self.control_inner().resume(now, queue), nothing).await
    }
}
