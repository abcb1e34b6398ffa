//! A store that answers as a test says.

pub(crate) mod scene;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use backgroundjobs_core::{
    CancelJobs, CancelStatus, ClaimJobs, ClaimedJobs, ControlStore, Env, InsertJobs, InsertedJobs,
    InspectStore, JobId, JobRecord, JobStore, PruneJobs, PrunedJobs, RecoverJobs, RecoveredJobs, RemoteWakes,
    RenewLeases, RenewedLeases, SettleJobs, SettledJobs, StoreError, StoreErrorKind, StoreOperation,
    StoreProfile, WakeHub,
};
use backgroundjobs_memory::MemoryStore;
use parking_lot::Mutex;

/// What a call gets instead of its answer.
#[derive(Clone, Debug)]
#[allow(dead_code, reason = "each test that includes this module uses a part of it")]
pub(crate) enum Trouble {
    /// An error; nothing was done.
    Error,
    /// An error; it was done all the same.
    LostReply,
    /// An error that will come again for the same request.
    Refused,
    /// A panic; nothing was done.
    Panic,
    /// It is done, and the answer takes this long.
    SlowReply(Env, Duration),
    /// It takes this long before anything is done.
    Slow(Env, Duration),
}

type Script = Box<dyn FnMut(StoreOperation, u32, &str) -> Option<Trouble> + Send>;

/// A memory store whose calls fail as a script says: (operation, how manyth call of it, the request).
pub(crate) struct TroubledStore {
    inner: MemoryStore,
    /// Without a hub, as if it lay in another process; polled.
    deaf: bool,
    script: Mutex<Script>,
    calls: Mutex<BTreeMap<String, u32>>,
}

impl TroubledStore {
    pub(crate) fn new(
        inner: MemoryStore,
        script: impl FnMut(StoreOperation, u32, &str) -> Option<Trouble> + Send + 'static,
    ) -> Self {
        Self { inner, deaf: false, script: Mutex::new(Box::new(script)), calls: Mutex::default() }
    }

    /// A store without trouble that must be polled.
    #[allow(dead_code, reason = "each test that includes this module uses a part of it")]
    pub(crate) fn deaf(inner: MemoryStore) -> Self {
        Self { deaf: true, ..Self::new(inner, |_, _, _| None) }
    }

    async fn call<T>(
        &self,
        operation: StoreOperation,
        request: String,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let count = {
            let mut calls = self.calls.lock();
            let count = calls.entry(operation.to_string()).or_default();
            *count += 1;
            *count
        };
        let trouble = (self.script.lock())(operation, count, &request);
        let error = |kind| StoreError::new(operation, kind, "as the test says");
        match trouble {
            None => call.await,
            Some(Trouble::Error) => Err(error(StoreErrorKind::Unavailable)),
            Some(Trouble::LostReply) => {
                call.await?;
                Err(error(StoreErrorKind::Unavailable))
            }
            Some(Trouble::Refused) => Err(error(StoreErrorKind::Rejected)),
            Some(Trouble::Panic) => panic!("the store has a bug"),
            Some(Trouble::SlowReply(env, time)) => {
                let reply = call.await;
                env.sleep(time).await;
                reply
            }
            Some(Trouble::Slow(env, time)) => {
                env.sleep(time).await;
                call.await
            }
        }
    }
}

impl std::fmt::Debug for TroubledStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TroubledStore")
    }
}

macro_rules! forward {
    ($($method:ident($request:ty) -> $reply:ty as $operation:ident;)*) => {
        #[async_trait]
        impl JobStore for TroubledStore {
            fn profile(&self) -> StoreProfile {
                if self.deaf { StoreProfile::shared("deaf") } else { self.inner.profile() }
            }

            async fn prepare(&self) -> Result<(), StoreError> {
                self.call(StoreOperation::Prepare, String::new(), self.inner.prepare()).await
            }

            async fn close(&self) -> Result<(), StoreError> {
                self.inner.close().await
            }

            async fn get(&self, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>, StoreError> {
                self.inner.get(ids).await
            }

            fn local_hub(&self) -> Option<&WakeHub> {
                self.inner.local_hub().filter(|_| !self.deaf)
            }

            fn remote_wakes(&self) -> Option<&dyn RemoteWakes> {
                None
            }

            fn inspect(&self) -> Option<&dyn InspectStore> {
                self.inner.inspect()
            }

            fn control(&self) -> Option<&dyn ControlStore> {
                self.inner.control()
            }

            $(async fn $method(&self, request: &$request) -> Result<$reply, StoreError> {
                let call = self.inner.$method(request);
                self.call(StoreOperation::$operation, format!("{request:?}"), call).await
            })*
        }
    };
}

forward! {
    insert(InsertJobs) -> InsertedJobs as Insert;
    claim(ClaimJobs) -> ClaimedJobs as Claim;
    renew(RenewLeases) -> RenewedLeases as Renew;
    settle(SettleJobs) -> SettledJobs as Settle;
    recover(RecoverJobs) -> RecoveredJobs as Recover;
    cancel(CancelJobs) -> Vec<CancelStatus> as Cancel;
    prune(PruneJobs) -> PrunedJobs as Prune;
}
