//! The conformance checks let a store pass that keeps every clause in its own way: behind a server whose calls take
//! their time, overtake each other and go on when nobody waits for them any more; that hands out less, and says so,
//! where claims meet; that one process has for itself; and whose close waits for who listens.

use std::collections::{BTreeMap, HashSet};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use async_trait::async_trait;
use backgroundjobs_core::{
    CancelJobs, CancelStatus, ClaimId, ClaimJobs, ClaimedJobs, ControlStore, InsertJobs, InsertedJobs,
    InspectStore, JobId, JobRecord, JobStore, PruneJobs, PrunedJobs, RecoverJobs, RecoveredJobs, RemoteWakes,
    RenewLeases, RenewedLeases, SettleJobs, SettledJobs, StoreError, StoreErrorKind, StoreOperation,
    StoreProfile, WakeHub, step_aside,
};
use backgroundjobs_memory::MemoryStore;
use backgroundjobs_testing::conformance::{FreshStore, StoreUnderTest, run_all};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// How many steps a call takes at most.
const STEPS: u64 = 5;

/// How many steps an insert waits at most for claims to be over, which come first.
const PATIENCE: usize = 20_000;

/// What all handles on the same data share.
#[derive(Debug, Default)]
struct Server {
    calls: AtomicU64,
    claims_in_flight: AtomicUsize,
    claims: Mutex<HashSet<ClaimId>>,
    /// How many open handles each process has.
    open: Mutex<BTreeMap<u64, usize>>,
    processes: AtomicU64,
}

/// A handle of one process.
#[derive(Debug)]
struct Remote {
    store: Arc<MemoryStore>,
    server: Arc<Server>,
    process: u64,
    is_open: AtomicBool,
    closing: Notify,
    waits: AtomicUsize,
    waits_ended: Notify,
    has_parts: bool,
}

impl Remote {
    fn new(store: MemoryStore, server: Arc<Server>, process: u64, has_parts: bool) -> Self {
        let (store, closing, waits_ended) = (Arc::new(store), Notify::new(), Notify::new());
        let (is_open, waits) = (AtomicBool::new(false), AtomicUsize::new(0));
        Self { store, server, process, is_open, closing, waits, waits_ended, has_parts }
    }

    /// Sends a call, which takes effect though nobody may wait for it any more.
    #[expect(clippy::disallowed_methods, reason = "a server is a task of its own")]
    async fn send<T: Send + 'static>(
        &self,
        call: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let number = self.server.calls.fetch_add(1, Ordering::SeqCst);
        let answer = tokio::spawn(async move {
            for _ in 0..number * 7 % STEPS {
                step_aside().await;
            }
            call.await
        });
        answer.await.expect("the server does not panic")
    }

    fn leave(&self) {
        if self.is_open.swap(false, Ordering::SeqCst) {
            let mut open = self.server.open.lock();
            let count = open.get_mut(&self.process).expect("it is open");
            *count -= 1;
            if *count == 0 {
                open.remove(&self.process);
            }
        }
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Counts down when it is dropped, and says so.
struct Counted<'a>(&'a AtomicUsize, Option<&'a Notify>);

impl<'a> Counted<'a> {
    fn up(count: &'a AtomicUsize, told: Option<&'a Notify>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count, told)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
        if let Some(told) = self.1 {
            told.notify_one();
        }
    }
}

/// An insert lets claims go first, for as long as they follow each other.
async fn insert(
    store: Arc<MemoryStore>,
    server: Arc<Server>,
    request: InsertJobs,
) -> Result<InsertedJobs, StoreError> {
    let mut quiet = 0;
    for _ in 0..PATIENCE {
        quiet = if server.claims_in_flight.load(Ordering::SeqCst) == 0 { quiet + 1 } else { 0 };
        if quiet > 300 {
            break;
        }
        step_aside().await;
    }
    store.insert(&request).await
}

/// A claim beside another is handed half of what it asks for, and one that comes after its repeat nothing.
async fn claim(
    store: Arc<MemoryStore>,
    server: Arc<Server>,
    request: ClaimJobs,
) -> Result<ClaimedJobs, StoreError> {
    let _in_flight = Counted::up(&server.claims_in_flight, None);
    step_aside().await;
    let mut asked = request.clone();
    let is_late = !server.claims.lock().insert(request.claim_id) && !request.repeated;
    let meets_others = server.claims_in_flight.load(Ordering::SeqCst) > 1;
    if is_late || (meets_others && !request.repeated) {
        let part = if is_late { 0 } else { 2 };
        asked.queues.iter_mut().for_each(|demand| demand.limit = demand.limit.checked_div(part).unwrap_or(0));
    }
    let mut reply = store.claim(&asked).await?;
    for queue in &mut reply.queues {
        queue.more |= (is_late || meets_others) && !queue.paused;
        if queue.more {
            queue.next_due = None;
        }
    }
    Ok(reply)
}

macro_rules! sent {
    ($($call:ident($request:ty) -> $reply:ty;)*) => {
        #[async_trait]
        impl JobStore for Remote {
            fn profile(&self) -> StoreProfile {
                StoreProfile::shared("remote")
            }

            async fn prepare(&self) -> Result<(), StoreError> {
                let store = self.store.clone();
                self.send(async move { store.prepare().await }).await?;
                let mut open = self.server.open.lock();
                if open.keys().any(|process| *process != self.process) {
                    let (operation, kind) = (StoreOperation::Prepare, StoreErrorKind::Unavailable);
                    return Err(StoreError::new(operation, kind, "another process has the file open"));
                }
                if !self.is_open.swap(true, Ordering::SeqCst) {
                    *open.entry(self.process).or_default() += 1;
                }
                Ok(())
            }

            async fn close(&self) -> Result<(), StoreError> {
                self.store.close().await?;
                self.closing.notify_waiters();
                while self.waits.load(Ordering::SeqCst) > 0 {
                    self.waits_ended.notified().await;
                }
                self.leave();
                Ok(())
            }

            async fn insert(&self, request: &InsertJobs) -> Result<InsertedJobs, StoreError> {
                self.send(insert(self.store.clone(), self.server.clone(), request.clone())).await
            }

            async fn claim(&self, request: &ClaimJobs) -> Result<ClaimedJobs, StoreError> {
                self.send(claim(self.store.clone(), self.server.clone(), request.clone())).await
            }

            async fn get(&self, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>, StoreError> {
                let (store, ids) = (self.store.clone(), ids.to_vec());
                self.send(async move { store.get(&ids).await }).await
            }

            fn local_hub(&self) -> Option<&WakeHub> {
                None
            }

            fn remote_wakes(&self) -> Option<&dyn RemoteWakes> {
                self.has_parts.then_some(self as &dyn RemoteWakes)
            }

            fn inspect(&self) -> Option<&dyn InspectStore> {
                self.store.inspect().filter(|_| self.has_parts)
            }

            fn control(&self) -> Option<&dyn ControlStore> {
                self.store.control().filter(|_| self.has_parts)
            }

            $(async fn $call(&self, request: &$request) -> Result<$reply, StoreError> {
                let (store, request) = (self.store.clone(), request.clone());
                self.send(async move { store.$call(&request).await }).await
            })*
        }
    };
}

sent! {
    renew(RenewLeases) -> RenewedLeases;
    settle(SettleJobs) -> SettledJobs;
    recover(RecoverJobs) -> RecoveredJobs;
    cancel(CancelJobs) -> Vec<CancelStatus>;
    prune(PruneJobs) -> PrunedJobs;
}

#[async_trait]
impl RemoteWakes for Remote {
    async fn next_wake(&self) -> Result<(), StoreError> {
        let _waits = Counted::up(&self.waits, Some(&self.waits_ended));
        let closing = self.closing.notified();
        if self.store.get(&[]).await.is_ok() {
            closing.await;
        }
        Err(StoreError::new(StoreOperation::NextWake, StoreErrorKind::Closed, "it was closed"))
    }
}

struct Fixture {
    has_parts: bool,
}

#[async_trait]
impl StoreUnderTest for Fixture {
    async fn fresh(&self) -> FreshStore {
        let (store, server) = (MemoryStore::new(), Arc::new(Server::default()));
        FreshStore::new(Remote::new(store.clone(), server.clone(), 0, self.has_parts))
            .guarded_by((store, server))
    }

    async fn second_handle(&self, fresh: &FreshStore) -> Option<Arc<dyn JobStore>> {
        let (store, server) = fresh.guard::<(MemoryStore, Arc<Server>)>();
        let process = server.processes.load(Ordering::SeqCst);
        Some(Arc::new(Remote::new(store.clone(), server.clone(), process, self.has_parts)))
    }

    async fn reopen(&self, fresh: &FreshStore) -> Option<Arc<dyn JobStore>> {
        let (store, server) = fresh.guard::<(MemoryStore, Arc<Server>)>();
        let process = server.processes.fetch_add(1, Ordering::SeqCst) + 1;
        Some(Arc::new(Remote::new(store.clone(), server.clone(), process, self.has_parts)))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_behind_a_server_passes() {
    let report = run_all(Fixture { has_parts: true }).await;
    assert!(report.is_conforming(), "{report}");
}

#[tokio::test]
async fn a_store_behind_a_server_passes_on_one_thread() {
    let report = run_all(Fixture { has_parts: true }).await;
    assert!(report.is_conforming(), "{report}");
}

#[tokio::test]
async fn a_store_that_leaves_out_what_it_may_passes() {
    let report = run_all(Fixture { has_parts: false }).await;
    assert!(report.is_conforming(), "{report}");
}
