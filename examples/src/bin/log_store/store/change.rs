//! What a call does to the data: this is what lies in the log, and the one way in which memory changes.

use std::time::Duration;

use backgroundjobs_core::*;
use serde::{Deserialize, Serialize};

/// One thing, as it is after a call. To do it again the rules that led there are not needed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Change {
    /// A whole row: a new job's, or anybody's in a log that was written anew.
    Job(Box<Row>),
    /// Where a job stands after a step; its args, and what else never changes, are not written again.
    Step(Standing),
    /// This job's row is gone.
    Gone(JobId),
    /// Who holds a key now; nobody, when it is free.
    Key(String, Option<Held>),
    /// Since when a queue is paused; `None` when it is not.
    Paused(Queue, Option<Timestamp>),
}

/// Who holds a key, and up to when, if only for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Held {
    pub job: JobId,
    pub until: Option<Timestamp>,
}

/// The part of a row that steps change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Standing {
    pub id: JobId,
    pub state: JobState,
    pub run_at: Timestamp,
    pub attempts: u16,
    pub crashes: u16,
    pub generation: u64,
    pub settled: u64,
    pub lease: Option<Holder>,
    pub cancel_requested: bool,
    pub claimed_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    /// What the step adds to the failures.
    pub failed: Option<Failed>,
}

impl Standing {
    pub(super) fn of(job: &JobRecord) -> Self {
        Self {
            id: job.id,
            state: job.state,
            run_at: job.run_at,
            attempts: job.attempts,
            crashes: job.crashes,
            generation: job.generation,
            settled: job.settled,
            lease: job.lease.clone().map(Holder),
            cancel_requested: job.cancel_requested,
            claimed_at: job.claimed_at,
            finished_at: job.finished_at,
            failed: None,
        }
    }

    pub(super) fn write_to(self, job: &mut JobRecord) {
        job.state = self.state;
        job.run_at = self.run_at;
        job.attempts = self.attempts;
        job.crashes = self.crashes;
        job.generation = self.generation;
        job.settled = self.settled;
        job.lease = self.lease.map(|Holder(lease)| lease);
        job.cancel_requested = self.cancel_requested;
        job.claimed_at = self.claimed_at;
        job.finished_at = self.finished_at;
        job.failures.extend(self.failed.map(|Failed(failure)| failure));
        let surplus = job.failures.len().saturating_sub(limits::MAX_ERRORS_PER_JOB);
        job.failures.drain(..surplus);
    }
}

// Types of core that have no form of their own on the disk.

/// A whole row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "RowForm", try_from = "RowForm")]
pub(super) struct Row(pub JobRecord);

/// A lease.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "LeaseForm", try_from = "LeaseForm")]
pub(super) struct Holder(pub Lease);

/// A failure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "FailureForm", try_from = "FailureForm")]
pub(super) struct Failed(pub RecordedFailure);

/// The name of a queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(super) struct Queue(pub QueueName);

#[derive(Serialize, Deserialize)]
struct RowForm {
    kind: String,
    queue: Queue,
    /// JSON as text within JSON: byte for byte as it was given.
    args: String,
    priority: u8,
    max_attempts: u16,
    max_crashes: u16,
    key: Option<(String, HoldForm)>,
    metadata: Metadata,
    created_at: Timestamp,
    standing: Standing,
    failures: Vec<Failed>,
}

#[derive(Serialize, Deserialize)]
enum HoldForm {
    UntilFinished,
    UntilStarted,
    For(Duration),
}

/// Of ids only that of a job has a form as text, and all are UUIDs: here it stands for the others.
#[derive(Serialize, Deserialize)]
struct LeaseForm {
    worker: JobId,
    claim: JobId,
    until: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct FailureForm {
    at: Timestamp,
    attempt: u16,
    kind: String,
    text: String,
}

impl From<Row> for RowForm {
    fn from(Row(job): Row) -> Self {
        let hold = |hold| match hold {
            KeyHold::UntilFinished => HoldForm::UntilFinished,
            KeyHold::UntilStarted => HoldForm::UntilStarted,
            KeyHold::For(time) => HoldForm::For(time),
        };
        Self {
            standing: Standing::of(&job),
            kind: job.kind.as_str().to_owned(),
            queue: Queue(job.queue),
            args: job.args.as_str().to_owned(),
            priority: job.priority.level(),
            max_attempts: job.max_attempts,
            max_crashes: job.max_crashes,
            key: job.unique.map(|unique| (unique.key.as_ref().to_owned(), hold(unique.hold))),
            metadata: job.metadata,
            created_at: job.created_at,
            failures: job.failures.into_iter().map(Failed).collect(),
        }
    }
}

impl TryFrom<RowForm> for Row {
    type Error = String;

    fn try_from(form: RowForm) -> Result<Self, String> {
        let kind = Kind::new(form.kind).map_err(|error| error.to_string())?;
        let new = NewJob::new(form.standing.id, kind, form.queue.0, Payload::from_store(form.args));
        let mut job = JobRecord::inserted(new, form.created_at);
        job.priority = Priority::new(form.priority).ok_or("a priority above 9")?;
        job.max_attempts = form.max_attempts;
        job.max_crashes = form.max_crashes;
        let hold = |hold| match hold {
            HoldForm::UntilFinished => KeyHold::UntilFinished,
            HoldForm::UntilStarted => KeyHold::UntilStarted,
            HoldForm::For(time) => KeyHold::For(time),
        };
        job.unique = form.key.map(|(key, form)| UniqueKey { key: key.into(), hold: hold(form) });
        job.metadata = form.metadata;
        job.failures = form.failures.into_iter().map(|Failed(failure)| failure).collect();
        form.standing.write_to(&mut job);
        Ok(Self(job))
    }
}

impl From<Holder> for LeaseForm {
    fn from(Holder(lease): Holder) -> Self {
        let (worker, claim) = (lease.worker.as_uuid(), lease.claim_id.as_uuid());
        Self { worker: JobId::from_uuid(worker), claim: JobId::from_uuid(claim), until: lease.until }
    }
}

impl From<LeaseForm> for Holder {
    fn from(form: LeaseForm) -> Self {
        let (worker, claim) = (form.worker.as_uuid(), form.claim.as_uuid());
        Self(Lease::new(WorkerId::from_uuid(worker), ClaimId::from_uuid(claim), form.until))
    }
}

impl From<Failed> for FailureForm {
    fn from(Failed(RecordedFailure { at, attempt, failure, .. }): Failed) -> Self {
        let (kind, text) = (failure.kind.as_str().to_owned(), failure.text.as_str().to_owned());
        Self { at, attempt, kind, text }
    }
}

impl TryFrom<FailureForm> for Failed {
    type Error = String;

    fn try_from(FailureForm { at, attempt, kind, text }: FailureForm) -> Result<Self, String> {
        use FailureKind::{Cancel, Crash, Error, Panic, Timeout};
        let kinds = [Error, Panic, Timeout, Crash, Cancel];
        let known = kinds.into_iter().find(|known| known.as_str() == kind);
        let kind = known.ok_or_else(|| format!("no kind of failure is called {kind:?}"))?;
        Ok(Self(RecordedFailure::new(at, attempt, Failure::new(kind, text.as_str()))))
    }
}

impl From<Queue> for String {
    fn from(Queue(name): Queue) -> Self {
        name.as_str().to_owned()
    }
}

impl TryFrom<String> for Queue {
    type Error = NameError;

    fn try_from(name: String) -> Result<Self, NameError> {
        QueueName::new(name).map(Self)
    }
}
