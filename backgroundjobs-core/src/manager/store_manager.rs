//! The manager over a store: checks what comes in, stores it, wakes whoever runs it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::OnceCell;

use super::{EnqueueError, Enqueued, JobDraft, JobManager, SubmitError};
use crate::limits::{MAX_ARGS_BYTES, MAX_METADATA_BYTES, MAX_UNIQUE_KEY_BYTES};
use crate::manager::draft::Unique;
use crate::name::DEFAULT_QUEUE;
use crate::nearest::nearest;
use crate::registry::Registry;
use crate::store::{
    CancelJobs, CancelStatus, InsertJobs, Inserted, RequeueStatus, StoreError, StoreErrorKind, Wake,
};
use crate::store_door::StoreDoor;
use crate::{Env, JobId, JobRecord, Kind, NewJob, Priority, QueueName, Timestamp, UniqueKey};

/// What this program may enqueue, and with which defaults.
#[derive(Debug)]
pub(crate) struct Producing {
    pub(crate) registry: Arc<Registry>,
    /// Kinds declared as run elsewhere.
    pub(crate) produced: Vec<Kind>,
    /// Queues served or declared here.
    pub(crate) queues: Vec<QueueName>,
    /// Every kind and queue may be enqueued.
    pub(crate) producer_only: bool,
    /// Attempts of a job that nothing else says of.
    pub(crate) max_attempts: u16,
    /// Lost leases in a row that end a job.
    pub(crate) max_crashes: u16,
}

/// The manager over a store.
pub(crate) struct StoreManager {
    door: StoreDoor,
    producing: Producing,
    prepared: OnceCell<()>,
    stopped: AtomicBool,
}

impl StoreManager {
    pub(crate) fn new(door: StoreDoor, producing: Producing) -> Self {
        Self { door, producing, prepared: OnceCell::new(), stopped: AtomicBool::new(false) }
    }

    /// Prepares the store, once.
    pub(crate) async fn prepare(&self) -> Result<(), StoreError> {
        self.prepared.get_or_try_init(|| self.door.prepare()).await.copied()
    }

    /// From now on an enqueue is refused where nothing else can run the job.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    fn env(&self) -> &Env {
        self.door.env()
    }

    /// Checks a draft and fills in what it leaves open.
    fn resolve(
        &self,
        draft: JobDraft,
        ids: &mut impl Iterator<Item = JobId>,
    ) -> Result<NewJob, EnqueueError> {
        let JobDraft { kind: name, args, defaults, options } = draft;
        if self.stopped.load(Ordering::Acquire) && self.door.profile().poll_interval.is_none() {
            return Err(EnqueueError::Stopped { kind: name.into(), store: self.door.profile().name });
        }
        let kind = self.kind(&name)?;
        let registration = self.producing.registry.find(&kind);
        let queue =
            self.queue(&kind, options.queue.or(defaults.queue).as_deref().unwrap_or(DEFAULT_QUEUE))?;
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

    /// The kind of this name, if it may be enqueued here.
    fn kind(&self, name: &str) -> Result<Kind, EnqueueError> {
        let Producing { registry, produced, producer_only, .. } = &self.producing;
        if let Some(known) = registry.name(name).or_else(|| produced.iter().find(|kind| *kind == name)) {
            return Ok(known.clone());
        }
        let kind = Kind::new(name).map_err(|source| EnqueueError::Name {
            what: "kind",
            kind: name.to_owned(),
            source,
        })?;
        if *producer_only {
            return Ok(kind);
        }
        let known: Vec<String> = registry.names().iter().chain(produced).map(Kind::to_string).collect();
        Err(EnqueueError::UnknownKind { nearest: nearest(name, &known), kind: kind.to_string(), known })
    }

    /// The queue of this name, if jobs may be enqueued into it here.
    fn queue(&self, kind: &Kind, name: &str) -> Result<QueueName, EnqueueError> {
        let Producing { queues, producer_only, .. } = &self.producing;
        if let Some(known) = queues.iter().find(|queue| *queue == name) {
            return Ok(known.clone());
        }
        let queue = QueueName::new(name).map_err(|source| EnqueueError::Name {
            what: "queue",
            kind: kind.to_string(),
            source,
        })?;
        if *producer_only {
            return Ok(queue);
        }
        let known: Vec<String> = queues.iter().map(QueueName::to_string).collect();
        Err(EnqueueError::UnknownQueue {
            kind: kind.to_string(),
            nearest: nearest(name, &known),
            queue: queue.to_string(),
            known,
        })
    }

    /// Tells this process's workers when the first of these jobs of each queue falls due.
    fn announce<'a>(&self, jobs: impl Iterator<Item = &'a NewJob>, store_now: Timestamp) {
        let Some(hub) = self.door.hub() else { return };
        let mut due: Vec<(&QueueName, Duration)> = Vec::with_capacity(1);
        for job in jobs {
            let delay = job.run_at.instant(store_now).since(store_now);
            match due.iter_mut().find(|(queue, _)| *queue == &job.queue) {
                Some((_, earliest)) => *earliest = delay.min(*earliest),
                None => due.push((&job.queue, delay)),
            }
        }
        for (queue, delay) in due {
            hub.announce(Wake::Due { queue, delay });
        }
    }
}

/// The flat key that stores compare.
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
        let without_id = drafts.iter().filter(|draft| draft.options.id.is_none()).count();
        let mut now = self.env().now();
        let mut ids = self.env().job_ids(now, without_id).into_iter();
        let jobs = drafts
            .into_iter()
            .enumerate()
            .map(|(index, draft)| {
                self.resolve(draft, &mut ids).map_err(|source| SubmitError { index, source })
            })
            .collect::<Result<Vec<NewJob>, SubmitError>>()?;
        let Some(first) = jobs.first() else { return Ok(Vec::new()) };
        if !self.prepared.initialized() {
            self.prepare().await.map_err(|source| SubmitError {
                index: 0,
                source: EnqueueError::Prepare { kind: first.kind.to_string(), source },
            })?;
            now = self.env().now();
        }
        let request = InsertJobs::new(now, jobs);
        let mut doubt = Doubt { manager: self, request: &request, resolved: false };
        let inserted = self.door.insert(&request).await.map_err(|error| not_stored(&request.jobs, error))?;
        doubt.resolved = true;
        let new = request.jobs.iter().zip(&inserted.jobs).filter(|(_, answer)| **answer == Inserted::New);
        self.announce(new.map(|(job, _)| job), inserted.store_now);
        Ok(request
            .jobs
            .iter()
            .zip(&inserted.jobs)
            .map(|(job, answer)| match answer {
                Inserted::New => Enqueued { id: job.id, is_new: true },
                Inserted::Existing(id) => Enqueued { id: *id, is_new: false },
            })
            .collect())
    }

    async fn cancel(&self, id: JobId) -> Result<CancelStatus, StoreError> {
        self.prepare().await?;
        let statuses = self.door.cancel(&CancelJobs::new(self.env().now(), vec![id])).await?;
        let status = statuses.first().copied().unwrap_or(CancelStatus::Unknown);
        if let Some(hub) = self.door.hub() {
            match status {
                CancelStatus::Requested => hub.announce(Wake::CancelRequested(&[id])),
                CancelStatus::Cancelled => hub.announce_progress(),
                CancelStatus::Finished(_) | CancelStatus::Unknown => {}
            }
        }
        Ok(status)
    }

    async fn get(&self, id: JobId) -> Result<Option<JobRecord>, StoreError> {
        self.prepare().await?;
        Ok(self.door.get(&[id]).await?.pop().flatten())
    }

    async fn requeue(&self, id: JobId) -> Result<RequeueStatus, StoreError> {
        self.prepare().await?;
        let mut answer = self.door.requeue(&[id]).await?;
        let status = answer.jobs.pop().unwrap_or(RequeueStatus::Unknown);
        if let (Some(hub), RequeueStatus::Requeued(queue)) = (self.door.hub(), &status) {
            hub.announce(Wake::Due { queue, delay: Duration::ZERO });
        }
        Ok(status)
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
