//! The manager over a store: checks what comes in, stores it, wakes whoever runs it.

use std::fmt;
use std::iter;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::OnceCell;

use super::watch::Watch;
use super::{EnqueueError, Enqueued, Explanation, JobDraft, JobManager, SubmitError, WaitError};
use crate::limits::{MAX_ARGS_BYTES, MAX_METADATA_BYTES, MAX_UNIQUE_KEY_BYTES};
use crate::local_worker::LocalWorker;
use crate::manager::draft::Unique;
use crate::name::DEFAULT_QUEUE;
use crate::nearest::nearest;
use crate::registry::Registry;
use crate::store::{
    CancelJobs, CancelStatus, ClaimedJob, InsertJobs, Inserted, RequeueStatus, StoreError, StoreErrorKind,
    Wake,
};
use crate::store_door::StoreDoor;
use crate::{
    Env, JobId, JobRecord, JobState, Kind, NameError, NewJob, Priority, QueueName, Timestamp, UniqueKey,
};

/// What this program may enqueue, and with which defaults.
#[derive(Debug)]
pub(crate) struct Producing {
    pub(crate) registry: Arc<Registry>,
    /// Kinds declared as run elsewhere.
    pub(crate) produced: Vec<Kind>,
    /// Queues served or declared here, with their slots.
    pub(crate) queues: Vec<(QueueName, usize)>,
    /// Every kind and queue may be enqueued.
    pub(crate) producer_only: bool,
    /// Attempts of a job that nothing else says of.
    pub(crate) max_attempts: u16,
    /// Lost leases in a row that end a job.
    pub(crate) max_crashes: u16,
}

impl Producing {
    /// Whether it was said that other programs run such jobs.
    pub(crate) fn is_left_to_others(&self, queue: &QueueName, kind: &Kind) -> bool {
        self.producer_only
            || self.produced.contains(kind)
            || self.queues.iter().any(|(declared, slots)| *slots == 0 && declared == queue)
    }

    /// Whether the worker that belongs to this runs such jobs.
    pub(super) fn is_run_here(&self, queue: &QueueName, kind: &Kind) -> bool {
        self.registry.find(kind).is_some()
            && self.queues.iter().any(|(served, slots)| *slots > 0 && served == queue)
    }
}

/// The manager over a store.
pub(crate) struct StoreManager {
    door: StoreDoor,
    producing: Producing,
    prepared: OnceCell<()>,
    stopped: AtomicBool,
    /// Set when it is started.
    worker: OnceLock<Weak<dyn LocalWorker>>,
    watch: Watch,
    /// For tasks that must not keep it alive.
    me: Weak<Self>,
}

impl StoreManager {
    pub(crate) fn new(door: StoreDoor, producing: Producing) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            door,
            producing,
            prepared: OnceCell::new(),
            stopped: AtomicBool::new(false),
            worker: OnceLock::new(),
            watch: Watch::default(),
            me: me.clone(),
        })
    }

    /// Whether the store was prepared.
    pub(crate) fn is_prepared(&self) -> bool {
        self.prepared.initialized()
    }

    /// Prepares the store, once.
    pub(crate) async fn prepare(&self) -> Result<(), StoreError> {
        self.prepared.get_or_try_init(|| self.door.prepare()).await.copied()
    }

    /// From now on an enqueue is refused where nothing else can run the job.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    /// Tells the workers of this process, those that it can reach, of a change.
    pub(crate) fn wake(&self, wake: Wake<'_>) {
        match (self.door.hub(), self.own_worker()) {
            (Some(hub), _) => hub.announce(wake),
            (None, Some(own)) => own.wake(wake),
            (None, None) => {}
        }
    }

    /// The worker of these jobs was started.
    pub(crate) fn attach(&self, worker: Weak<dyn LocalWorker>) {
        // Jobs are started once.
        _ = self.worker.set(worker);
    }

    pub(crate) fn door(&self) -> &StoreDoor {
        &self.door
    }

    pub(super) fn own_worker(&self) -> Option<Arc<dyn LocalWorker>> {
        self.worker.get().and_then(Weak::upgrade)
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    pub(super) fn has_started(&self) -> bool {
        self.worker.get().is_some()
    }

    /// Whether a call of `start()` would bring a worker that is not there.
    pub(super) fn has_worker_to_start(&self) -> bool {
        !self.producing.producer_only && !self.has_started()
    }

    pub(super) fn watch(&self) -> &Watch {
        &self.watch
    }

    pub(crate) fn producing(&self) -> &Producing {
        &self.producing
    }

    /// A handle that does not keep it alive.
    pub(super) fn weak(&self) -> Weak<Self> {
        self.me.clone()
    }

    fn env(&self) -> &Env {
        self.door.env()
    }

    /// A run of a job that is not stored, as its first claim would hand it out.
    pub(crate) fn new_run(&self, draft: JobDraft, attempt: u16) -> Result<ClaimedJob, EnqueueError> {
        let job = self.resolve(draft, &mut iter::empty())?;
        let record = JobRecord::inserted(job, self.env().now());
        let attempts = attempt.saturating_sub(1);
        Ok(ClaimedJob { generation: 1, attempts, ..ClaimedJob::from_record(&record) })
    }

    /// Says that there is no handler for this kind here.
    pub(crate) fn unhandled(&self, kind: &Kind) -> EnqueueError {
        unknown_kind(kind, self.producing.registry.names().iter())
    }

    /// Checks a draft and fills in what it leaves open.
    fn resolve(
        &self,
        draft: JobDraft,
        ids: &mut impl Iterator<Item = JobId>,
    ) -> Result<NewJob, EnqueueError> {
        let JobDraft { kind: name, args, defaults, options } = draft;
        let kind = self.kind(&name)?;
        let registration = self.producing.registry.find(&kind);
        let queue =
            self.queue(&kind, options.queue.or(defaults.queue).as_deref().unwrap_or(DEFAULT_QUEUE))?;
        if self.is_stopped() && !self.may_be_run_by_others(&queue, &kind) {
            return Err(EnqueueError::Stopped { kind: kind.to_string(), store: self.door.profile().name });
        }
        if args.as_str().len() > MAX_ARGS_BYTES {
            return Err(EnqueueError::ArgsTooLarge { kind: kind.to_string(), bytes: args.as_str().len() });
        }
        let bytes = options.metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes > MAX_METADATA_BYTES {
            return Err(EnqueueError::MetadataTooLarge { kind: kind.to_string(), bytes });
        }
        let unique = options.unique.map(|unique| unique_key(&kind, unique)).transpose()?;
        let id = options.id.or_else(|| ids.next()).unwrap_or_else(|| self.env().job_id());
        let mut job = NewJob::new(id, kind, queue, args);
        job.priority = options.priority.or(defaults.priority).unwrap_or(Priority::NORMAL);
        job.run_at = options.run_at;
        job.max_attempts = options
            .max_attempts
            .or_else(|| registration.and_then(|it| it.retry).and_then(|retry| retry.attempts()))
            .or(defaults.max_attempts)
            .unwrap_or(self.producing.max_attempts)
            .max(1);
        job.max_crashes = self.producing.max_crashes;
        job.unique = unique;
        job.metadata = options.metadata;
        Ok(job)
    }

    fn resolve_all(&self, drafts: Vec<JobDraft>) -> Result<InsertJobs, SubmitError> {
        let without_id = drafts.iter().filter(|draft| draft.options.id.is_none()).count();
        let now = self.env().now();
        let mut ids = self.env().job_ids(now, without_id).into_iter();
        let mut jobs = Vec::with_capacity(drafts.len());
        for (index, draft) in drafts.into_iter().enumerate() {
            jobs.push(self.resolve(draft, &mut ids).map_err(|source| SubmitError { index, source })?);
        }
        Ok(InsertJobs::new(now, jobs))
    }

    /// The kind of this name, if it may be enqueued here.
    fn kind(&self, name: &str) -> Result<Kind, EnqueueError> {
        let Producing { registry, produced, producer_only, .. } = &self.producing;
        if let Some(known) = registry.name(name).or_else(|| produced.iter().find(|kind| *kind == name)) {
            return Ok(known.clone());
        }
        let kind = Kind::new(name).map_err(|reason| EnqueueError::Name {
            what: "kind",
            kind: match &reason {
                // May be of any length, and the message goes to a log.
                NameError::TooLong { start, .. } => format!("{start}…"),
                _ => name.to_owned(),
            },
            reason,
        })?;
        if *producer_only {
            return Ok(kind);
        }
        Err(unknown_kind(&kind, registry.names().iter().chain(produced)))
    }

    /// The queue of this name, if jobs may be enqueued into it here.
    fn queue(&self, kind: &Kind, name: &str) -> Result<QueueName, EnqueueError> {
        let Producing { queues, producer_only, .. } = &self.producing;
        if let Some((known, _)) = queues.iter().find(|(queue, _)| queue == name) {
            return Ok(known.clone());
        }
        let queue = QueueName::new(name).map_err(|reason| EnqueueError::Name {
            what: "queue",
            kind: kind.to_string(),
            reason,
        })?;
        if *producer_only {
            return Ok(queue);
        }
        let known: Vec<String> = queues.iter().map(|(queue, _)| queue.to_string()).collect();
        Err(EnqueueError::UnknownQueue {
            kind: kind.to_string(),
            nearest: nearest(name, &known),
            queue: queue.to_string(),
            known,
        })
    }

    /// Puts finished jobs back and wakes whoever runs them.
    pub(crate) async fn requeue_all(&self, ids: &[JobId]) -> Result<Vec<RequeueStatus>, StoreError> {
        let doubt = LookEverywhere(self);
        let answers = self.door.requeue(ids).await?.jobs;
        doubt.resolve();
        let mut queues: Vec<&QueueName> = Vec::with_capacity(1);
        for answer in &answers {
            if let RequeueStatus::Requeued(queue) = answer
                && !queues.contains(&queue)
            {
                queues.push(queue);
            }
        }
        queues.iter().for_each(|queue| self.wake(Wake::Due { queue, delay: Duration::ZERO }));
        Ok(answers)
    }

    /// Stores jobs that are checked, at least one, and tells whoever is to know of them.
    async fn store_jobs(
        &self,
        mut now: Timestamp,
        jobs: Vec<NewJob>,
    ) -> Result<(InsertJobs, Vec<Inserted>), SubmitError> {
        if !self.is_prepared() {
            // Boxed, because it happens once and would make the future of every enqueue larger.
            Box::pin(self.prepare()).await.map_err(|source| SubmitError {
                index: 0,
                source: EnqueueError::Prepare { kind: jobs[0].kind.to_string(), source },
            })?;
            now = self.env().now();
        }
        let request = InsertJobs::new(now, jobs);
        let mut doubt = Doubt { manager: self, request: &request, resolved: false };
        let inserted = self.door.insert(&request).await.map_err(|error| not_stored(&request.jobs, error))?;
        doubt.resolved = true;
        drop(doubt);
        let new = request.jobs.iter().zip(&inserted.jobs).filter(|(_, answer)| **answer == Inserted::New);
        let new = new.map(|(job, _)| job);
        self.announce(new.clone(), inserted.store_now);
        self.watch_over(new);
        Ok((request, inserted.jobs))
    }

    /// Tells this process's workers when the first of these jobs of each queue falls due.
    fn announce<'a>(&self, jobs: impl Iterator<Item = &'a NewJob>, store_now: Timestamp) {
        let mut due: Vec<(&QueueName, Duration)> = Vec::with_capacity(1);
        for job in jobs {
            let delay = job.run_at.instant(store_now).since(store_now);
            match due.iter_mut().find(|(queue, _)| *queue == &job.queue) {
                Some((_, earliest)) => *earliest = delay.min(*earliest),
                None => due.push((&job.queue, delay)),
            }
        }
        for (queue, delay) in due {
            self.wake(Wake::Due { queue, delay });
        }
    }
}

/// What an enqueue of the job `id` answers.
fn enqueued(id: JobId, answer: Inserted) -> Enqueued {
    match answer {
        Inserted::New => Enqueued { id, is_new: true },
        Inserted::Existing(id) => Enqueued { id, is_new: false },
    }
}

/// The flat key that stores compare.
fn unknown_kind<'a>(kind: &Kind, known: impl Iterator<Item = &'a Kind>) -> EnqueueError {
    let known: Vec<String> = known.map(Kind::to_string).collect();
    EnqueueError::UnknownKind { nearest: nearest(kind.as_str(), &known), kind: kind.to_string(), known }
}

fn unique_key(kind: &Kind, unique: Unique) -> Result<UniqueKey, EnqueueError> {
    // A kind has no control character, so no two (kind, key) pairs can meet, nor a pair and a bare key.
    let key = if unique.across_kinds { unique.key.clone() } else { format!("{kind}\u{1f}{}", unique.key) };
    if unique.key.is_empty() || unique.key.chars().any(char::is_control) || key.len() > MAX_UNIQUE_KEY_BYTES {
        return Err(EnqueueError::UniqueKey { kind: kind.to_string(), bytes: key.len() });
    }
    Ok(UniqueKey { key: key.into(), hold: unique.hold })
}

#[async_trait]
impl JobManager for StoreManager {
    async fn submit(&self, drafts: Vec<JobDraft>) -> Result<Vec<Enqueued>, SubmitError> {
        let InsertJobs { now, jobs, .. } = self.resolve_all(drafts)?;
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        let (request, inserted) = self.store_jobs(now, jobs).await?;
        Ok(request.jobs.iter().zip(inserted).map(|(job, answer)| enqueued(job.id, answer)).collect())
    }

    async fn submit_one(&self, draft: JobDraft) -> Result<Enqueued, EnqueueError> {
        let now = self.env().now();
        let job = self.resolve(draft, &mut iter::from_fn(|| Some(self.env().job_id_at(now))))?;
        let id = job.id;
        let (_, inserted) = self.store_jobs(now, vec![job]).await.map_err(|error| error.source)?;
        Ok(enqueued(id, inserted[0]))
    }

    fn to_insert(&self, drafts: Vec<JobDraft>) -> Option<Result<InsertJobs, SubmitError>> {
        Some(self.resolve_all(drafts))
    }

    async fn cancel(&self, id: JobId) -> Result<CancelStatus, StoreError> {
        self.prepare().await?;
        let doubt = LookEverywhere(self);
        let statuses = self.door.cancel(&CancelJobs::new(self.env().now(), vec![id])).await?;
        doubt.resolve();
        let status = statuses.first().copied().unwrap_or(CancelStatus::Unknown);
        match (status, self.door.hub()) {
            (CancelStatus::Requested, _) => self.wake(Wake::CancelRequested(&[id])),
            (CancelStatus::Cancelled, Some(hub)) => hub.announce_ended([id]),
            _ => {}
        }
        Ok(status)
    }

    async fn get(&self, id: JobId) -> Result<Option<JobRecord>, StoreError> {
        self.prepare().await?;
        Ok(self.door.get(&[id]).await?.pop().flatten())
    }

    async fn requeue(&self, id: JobId) -> Result<RequeueStatus, StoreError> {
        self.prepare().await?;
        Ok(self.requeue_all(&[id]).await?.pop().unwrap_or(RequeueStatus::Unknown))
    }

    async fn explain(&self, id: JobId) -> Result<Explanation, StoreError> {
        self.prepare().await?;
        self.explain_job(id).await
    }

    async fn wait(&self, id: JobId, limit: Duration) -> Result<JobState, WaitError> {
        self.wait_for(id, limit).await
    }
}

/// An insert under way. If it is dropped, or answered with an error, the jobs may be stored all the same:
/// then workers are told, so that they look.
struct Doubt<'a> {
    manager: &'a StoreManager,
    request: &'a InsertJobs,
    resolved: bool,
}

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        if !self.resolved {
            self.manager.announce(self.request.jobs.iter(), self.request.now);
        }
    }
}

/// A call under way that may change what jobs wait or run. If it is dropped, or answered with an error, that may
/// have happened all the same: then workers are told to look.
pub(crate) struct LookEverywhere<'a>(pub(crate) &'a StoreManager);

impl LookEverywhere<'_> {
    /// The call was answered.
    pub(crate) fn resolve(self) {
        std::mem::forget(self);
    }
}

impl Drop for LookEverywhere<'_> {
    fn drop(&mut self) {
        self.0.wake(Wake::Anything);
        if let Some(hub) = self.0.door.hub() {
            hub.announce_progress();
        }
    }
}

fn not_stored(jobs: &[NewJob], error: StoreError) -> SubmitError {
    let index = match error.kind() {
        StoreErrorKind::Conflict { index } => index.min(jobs.len() - 1),
        _ => 0,
    };
    let (kind, id) = (jobs[index].kind.to_string(), jobs[index].id);
    let source = match error.kind() {
        StoreErrorKind::Conflict { .. } => EnqueueError::IdTaken { kind, id },
        _ => EnqueueError::Store { kind, id, source: error },
    };
    SubmitError { index, source }
}

impl fmt::Debug for StoreManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobManager").field("store", &self.door).finish_non_exhaustive()
    }
}
