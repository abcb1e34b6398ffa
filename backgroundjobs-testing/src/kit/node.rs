//! [`Node`]: one of several processes under a kit, which may crash, come back, be cut off, and have a wrong clock.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use backgroundjobs_core::{
    BackgroundJobs, Builder, CancelStatus, EnqueueError, Enqueued, Explanation, InsertJobs, JobDraft, JobId,
    JobManager, JobRecord, JobState, RequeueStatus, StoreError, StoreErrorKind, StoreOperation, SubmitError,
    TaskKind, WaitError,
};
use parking_lot::Mutex;

use super::life::Life;
use super::shared::KitShared;
use crate::Skew;
use crate::scheduler::fnv_1a;

type MakeProgram = Box<dyn Fn() -> Builder + Send + Sync>;

/// One process of several under a kit: a program's jobs that may crash and be started again, be cut off from the
/// store, and have a clock of their own. Made by [`TestKit::node`](crate::TestKit::node) and
/// [`TestKit::workers`](crate::TestKit::workers). Cloning makes another handle on the same node.
///
/// A crash drops every task of the process where it waits, at once: nothing is settled, released or said. What
/// its store has, it keeps. A blocking handler's thread cannot be dropped and runs on.
#[derive(Clone)]
pub struct Node {
    inner: Arc<NodeInner>,
}

pub(crate) struct NodeInner {
    name: Arc<str>,
    skew: Skew,
    make: MakeProgram,
    kit: Weak<KitShared>,
    lives: AtomicU64,
    process: Mutex<Option<Process>>,
}

/// The latest process of a node.
struct Process {
    life: Arc<Life>,
    /// None after a crash.
    jobs: Option<Arc<BackgroundJobs>>,
    /// That of the jobs, also after a crash: then it answers what a process answers that is not there.
    manager: Arc<dyn JobManager>,
}

/// Puts a [`Node`] together.
#[must_use = "a node is made by .start(program)"]
pub struct NodeBuilder<'a> {
    kit: &'a Arc<KitShared>,
    name: Arc<str>,
    skew: Skew,
}

impl<'a> NodeBuilder<'a> {
    pub(crate) fn new(kit: &'a Arc<KitShared>, name: &str) -> Self {
        Self { kit, name: name.into(), skew: Skew::None }
    }

    /// How wrong its clock is; right unless given. A store on its callers' time ([`TimeSource::Given`]) is as
    /// wrong as they are: give nodes whose clocks differ a store with a time of its own, as a database server
    /// has: `MemoryStore::with_clock(Arc::new(kit.clock()))`.
    ///
    /// [`TimeSource::Given`]: backgroundjobs_core::TimeSource::Given
    pub const fn skew(mut self, skew: Skew) -> Self {
        self.skew = skew;
        self
    }

    /// Starts the program that `make` builds, and builds again at each restart. What it shall share with other
    /// nodes, the store first of all, it must take in from outside.
    ///
    /// # Panics
    /// With the error's text when the jobs cannot be built or started, and when the kit has a node of this name.
    pub async fn start(self, make: impl Fn() -> Builder + Send + Sync + 'static) -> Node {
        let taken = self.kit.nodes.lock().iter().any(|node| node.name == self.name);
        assert!(!taken, "the kit has a node {:?}: give each node a name of its own", self.name);
        let inner = Arc::new(NodeInner {
            name: self.name,
            skew: self.skew,
            make: Box::new(make),
            kit: Arc::downgrade(self.kit),
            lives: AtomicU64::new(0),
            process: Mutex::new(None),
        });
        self.kit.nodes.lock().push(inner.clone());
        _ = inner.start_process().await;
        Node { inner }
    }
}

impl fmt::Debug for NodeBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeBuilder")
            .field("name", &self.name)
            .field("skew", &self.skew)
            .finish_non_exhaustive()
    }
}

impl Node {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// A manager of this node's process, whichever it is when it is called. While there is none, calls fail as
    /// they do when the store cannot be reached.
    #[must_use]
    pub fn manager(&self) -> Arc<dyn JobManager> {
        Arc::new(NodeManager(self.inner.clone()))
    }

    /// The jobs of the present process; `None` after a crash. Whoever still holds them then holds a dead
    /// process's: they run nothing and reach no store.
    #[must_use]
    pub fn jobs(&self) -> Option<Arc<BackgroundJobs>> {
        self.inner.process.lock().as_ref().and_then(|process| process.jobs.clone())
    }

    /// Whether its process runs.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.jobs().is_some()
    }

    /// Ends its process where it stands. Harmless when it has none.
    pub fn crash(&self) {
        self.inner.crash();
    }

    /// Starts a new process of the same program, after a crash of the one before if it still runs. One that
    /// crashes while it starts is down when this returns.
    ///
    /// # Panics
    /// With the error's text when the jobs cannot be built or started.
    pub async fn restart(&self) {
        self.inner.crash();
        self.inner.start_again().await;
    }

    /// From now on nothing passes between the process and its store: calls fail, and what is under way either
    /// does not arrive or is not answered; of what others do, a cancel say, it hears nothing. The process runs
    /// on; the one after a [`restart`](Self::restart) is not cut off. Nothing happens when there is none.
    pub fn partition(&self) {
        self.cut_off(true, "was cut off from its store");
    }

    /// Ends a [`partition`](Self::partition).
    pub fn heal(&self) {
        self.cut_off(false, "reaches its store again");
    }

    fn cut_off(&self, cut_off: bool, what: &'static str) {
        let life = match &*self.inner.process.lock() {
            Some(Process { life, jobs: Some(_), .. }) => life.clone(),
            _ => return,
        };
        life.cut_off(cut_off);
        self.inner.note(what);
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("name", &self.inner.name)
            .field("is_up", &self.is_up())
            .finish_non_exhaustive()
    }
}

impl NodeInner {
    /// Starts a process; says whether it lives. It may have crashed meanwhile.
    async fn start_process(&self) -> bool {
        let Some(kit) = self.kit.upgrade() else { return false };
        let life = Life::of_node(&self.name);
        let count = self.lives.fetch_add(1, Ordering::SeqCst);
        let env = kit.env_of(&life, self.skew, seed_of(kit.surroundings.seed, &self.name, count));
        let jobs = kit.build_in((self.make)(), env, &life);
        let process = Process { life: life.clone(), manager: jobs.manager(), jobs: Some(jobs.clone()) };
        // There from its first moment on, so that it can crash while it starts.
        let before = self.process.lock().replace(process);
        drop(before);
        let starting = Starting { node: self, life: &life };
        match jobs.start().await {
            Ok(()) => std::mem::forget(starting),
            Err(error) if life.is_alive() => panic!("{error}"),
            Err(_) => {}
        }
        life.is_alive()
    }

    /// As [`start_process`](Self::start_process), of a node that had one before.
    async fn start_again(&self) {
        if self.start_process().await {
            self.note("was started again");
        }
    }

    /// Ends the process where it stands; says whether there was one.
    pub(crate) fn crash(&self) -> bool {
        let Some(kit) = self.kit.upgrade() else { return false };
        let taken = {
            let mut process = self.process.lock();
            process.as_mut().and_then(|process| Some((process.life.clone(), process.jobs.take()?)))
        };
        let Some((life, jobs)) = taken else { return false };
        life.crash(&kit.steps);
        kit.history.crashed(&self.name);
        kit.retire(&jobs);
        drop(jobs);
        true
    }

    /// Ends the process where it stands, and has another started as soon as the scheduler comes to it.
    pub(crate) fn crash_and_restart(self: &Arc<Self>) {
        if !self.crash() {
            return;
        }
        let Some(kit) = self.kit.upgrade() else { return };
        let node = self.clone();
        let restart = async move {
            // Unless the test was faster.
            if node.is_down() {
                node.start_again().await;
            }
        };
        kit.steps.spawn(TaskKind::Work, format!("restart of {}", self.name), Box::pin(restart));
    }

    pub(crate) fn is_life(&self, life: &Arc<Life>) -> bool {
        self.process.lock().as_ref().is_some_and(|process| Arc::ptr_eq(&process.life, life))
    }

    fn note(&self, what: &'static str) {
        if let Some(kit) = self.kit.upgrade() {
            kit.history.node(&self.name, what);
        }
    }

    fn is_down(&self) -> bool {
        self.process.lock().as_ref().is_none_or(|process| process.jobs.is_none())
    }

    /// What an enqueue answers while there is no process. Those who ask it cannot know whether there is one.
    fn unreachable(&self, job: &JobDraft) -> EnqueueError {
        let message = format!("{} has crashed under the test kit; nothing was done", self.name);
        EnqueueError::Prepare {
            kind: job.kind.to_string(),
            source: StoreError::new(StoreOperation::Insert, StoreErrorKind::Unavailable, message),
        }
    }

    fn manager(&self) -> Arc<dyn JobManager> {
        let process = self.process.lock();
        process.as_ref().expect("a node that can be reached was started").manager.clone()
    }
}

/// A process that starts. One whose start fails or is dropped on the way is no process.
struct Starting<'a> {
    node: &'a NodeInner,
    life: &'a Arc<Life>,
}

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        if self.node.is_life(self.life) {
            self.node.crash();
        }
    }
}

/// Ids of two processes must differ, and those of one process be the same in each run.
fn seed_of(seed: Option<u64>, name: &str, life: u64) -> u64 {
    let hash = fnv_1a(name.bytes().chain(life.to_le_bytes()));
    seed.unwrap_or(0).wrapping_add(hash)
}

/// Calls whatever process its node has.
struct NodeManager(Arc<NodeInner>);

impl fmt::Debug for NodeManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NodeManager").field(&self.0.name).finish()
    }
}

#[async_trait]
impl JobManager for NodeManager {
    async fn submit(&self, jobs: Vec<JobDraft>) -> Result<Vec<Enqueued>, SubmitError> {
        if let Some(first) = jobs.first().filter(|_| self.0.is_down()) {
            return Err(SubmitError { index: 0, source: self.0.unreachable(first) });
        }
        self.0.manager().submit(jobs).await
    }

    async fn submit_one(&self, job: JobDraft) -> Result<Enqueued, EnqueueError> {
        if self.0.is_down() {
            return Err(self.0.unreachable(&job));
        }
        self.0.manager().submit_one(job).await
    }

    fn to_insert(&self, jobs: Vec<JobDraft>) -> Option<Result<InsertJobs, SubmitError>> {
        match jobs.first().filter(|_| self.0.is_down()) {
            Some(first) => Some(Err(SubmitError { index: 0, source: self.0.unreachable(first) })),
            None => self.0.manager().to_insert(jobs),
        }
    }

    async fn cancel(&self, id: JobId) -> Result<CancelStatus, StoreError> {
        self.0.manager().cancel(id).await
    }

    async fn get(&self, id: JobId) -> Result<Option<JobRecord>, StoreError> {
        self.0.manager().get(id).await
    }

    async fn requeue(&self, id: JobId) -> Result<RequeueStatus, StoreError> {
        self.0.manager().requeue(id).await
    }

    async fn explain(&self, id: JobId) -> Result<Explanation, StoreError> {
        self.0.manager().explain(id).await
    }

    async fn wait(&self, id: JobId, limit: Duration) -> Result<JobState, WaitError> {
        self.0.manager().wait(id, limit).await
    }
}
