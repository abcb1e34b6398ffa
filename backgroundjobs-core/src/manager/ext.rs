//! [`JobManagerExt`]: the typed verbs that every manager has.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use super::{EnqueueError, EnqueueManyError, EnqueueOptions, Enqueued, JobDraft, JobManager, SubmitError};
use crate::limits::{INSERT_CHUNK, INSERT_CHUNK_BYTES};
use crate::{JobArgs, Timestamp, step_aside};

/// The typed verbs that every manager has; in the prelude.
///
/// Cancel safety, for all of them: dropped before its end, an enqueue may or may not have stored its jobs
/// (of `enqueue_many`, whole chunks).
pub trait JobManagerExt: JobManager {
    /// Enqueues a job to run as soon as a slot is free.
    ///
    /// # Errors
    /// [`EnqueueError`] says why not, and what to do.
    fn enqueue<A: JobArgs>(&self, args: A) -> impl Future<Output = Result<Enqueued, EnqueueError>> + Send {
        self.enqueue_with(args, EnqueueOptions::new())
    }

    /// Enqueues a job to run after `delay`. A delay beyond what an instant can hold means never.
    ///
    /// # Errors
    /// [`EnqueueError`] says why not, and what to do.
    fn enqueue_in<A: JobArgs>(
        &self,
        args: A,
        delay: Duration,
    ) -> impl Future<Output = Result<Enqueued, EnqueueError>> + Send {
        self.enqueue_with(args, EnqueueOptions::new().delay(delay))
    }

    /// Enqueues a job to run at `instant`; at once when it is past.
    ///
    /// # Errors
    /// [`EnqueueError`] says why not, and what to do.
    fn enqueue_at<A: JobArgs>(
        &self,
        args: A,
        instant: Timestamp,
    ) -> impl Future<Output = Result<Enqueued, EnqueueError>> + Send {
        self.enqueue_with(args, EnqueueOptions::new().at(instant))
    }

    /// Enqueues a job with options of its own.
    ///
    /// # Errors
    /// [`EnqueueError`] says why not, and what to do.
    fn enqueue_with<A: JobArgs>(
        &self,
        args: A,
        options: EnqueueOptions,
    ) -> impl Future<Output = Result<Enqueued, EnqueueError>> + Send {
        let draft = draft(&args, options);
        async move { self.submit_one(draft?).await }
    }

    /// Enqueues a job for each args, in chunks of 1,000 (fewer where their args come to 16 MiB) that are stored
    /// all or nothing. While one is being stored, the iterator is asked for jobs of the next, one at a time. It must not
    /// block: whoever else waits for the store would wait for it.
    ///
    /// # Panics
    /// When the iterator does; of the chunk that was being stored it is then not known whether it is there.
    ///
    /// # Errors
    /// [`EnqueueManyError`] has what was stored before, and which job failed why.
    fn enqueue_many<A, I>(
        &self,
        args: I,
    ) -> impl Future<Output = Result<Vec<Enqueued>, EnqueueManyError>> + Send
    where
        A: JobArgs,
        I: IntoIterator<Item = A>,
        I::IntoIter: Send,
    {
        self.enqueue_many_with(args, |_, _| ())
    }

    /// As [`enqueue_many`](Self::enqueue_many); calls `progress(done, total)` after each chunk: jobs enqueued so
    /// far, and jobs in all at most, `None` when the iterator cannot say.
    ///
    /// # Errors
    /// [`EnqueueManyError`] has what was stored before, and which job failed why.
    fn enqueue_many_with<A, I, P>(
        &self,
        args: I,
        mut progress: P,
    ) -> impl Future<Output = Result<Vec<Enqueued>, EnqueueManyError>> + Send
    where
        A: JobArgs,
        I: IntoIterator<Item = A>,
        I::IntoIter: Send,
        P: FnMut(usize, Option<usize>) + Send,
    {
        let mut args = args.into_iter().fuse();
        let total = args.size_hint().1;
        async move {
            // An iterator may promise more than there is memory for.
            let mut stored = Vec::with_capacity(args.size_hint().0.min(INSERT_CHUNK));
            let mut next = Chunk::default();
            loop {
                while next.draws_one(&mut args) {}
                let Chunk { drafts, failed, .. } = std::mem::take(&mut next);
                if let Some(source) = failed {
                    return Err(stopped_at(stored, drafts.len(), source));
                }
                if drafts.is_empty() {
                    return Ok(stored);
                }
                match while_working(self.submit(drafts), || next.draws_one(&mut args)).await {
                    Ok(enqueued) => stored.extend(enqueued),
                    Err(SubmitError { index, source }) => return Err(stopped_at(stored, index, source)),
                }
                progress(stored.len(), total);
                // A store may never have to wait, and an iterator may never end.
                step_aside().await;
            }
        }
    }
}

impl<M: JobManager + ?Sized> JobManagerExt for M {}

fn draft<A: JobArgs>(args: &A, options: EnqueueOptions) -> Result<JobDraft, EnqueueError> {
    JobDraft::of(args, options).map_err(|source| EnqueueError::Args { kind: A::KIND.to_owned(), source })
}

/// Jobs that are stored together, drafted one by one.
#[derive(Default)]
struct Chunk {
    drafts: Vec<JobDraft>,
    bytes: usize,
    /// Why the one that comes next cannot be stored.
    failed: Option<EnqueueError>,
}

impl Chunk {
    /// Drafts one more; `false` when it is full or there is none.
    fn draws_one<A: JobArgs>(&mut self, args: &mut impl Iterator<Item = A>) -> bool {
        if self.drafts.len() >= INSERT_CHUNK || self.bytes >= INSERT_CHUNK_BYTES || self.failed.is_some() {
            return false;
        }
        let Some(args) = args.next() else { return false };
        match draft(&args, EnqueueOptions::new()) {
            Ok(draft) => {
                self.bytes += draft.args.as_str().len();
                self.drafts.push(draft);
            }
            Err(error) => self.failed = Some(error),
        }
        true
    }
}

/// The answer of a call; works while there is none and there is work. The call is polled between two pieces of it, for it
/// may hold what others wait for.
async fn while_working<T>(call: impl Future<Output = T>, mut works: impl FnMut() -> bool) -> T {
    let mut call = pin!(call);
    poll_fn(|cx| {
        loop {
            if let Poll::Ready(answer) = call.as_mut().poll(cx) {
                return Poll::Ready(answer);
            }
            if !works() {
                return Poll::Pending;
            }
        }
    })
    .await
}

fn stopped_at(stored: Vec<Enqueued>, index: usize, source: EnqueueError) -> EnqueueManyError {
    EnqueueManyError { index: stored.len() + index, stored, source }
}
