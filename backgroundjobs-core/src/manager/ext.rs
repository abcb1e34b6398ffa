//! [`JobManagerExt`]: the typed verbs that every manager has.

use std::future::Future;
use std::time::Duration;

use super::{EnqueueError, EnqueueManyError, EnqueueOptions, Enqueued, JobDraft, JobManager, SubmitError};
use crate::limits::{INSERT_CHUNK, INSERT_CHUNK_BYTES};
use crate::{JobArgs, Timestamp};

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
    /// all or nothing. The iterator is asked for the next chunk while one is being stored.
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
        let mut args = args.into_iter();
        let total = args.size_hint().1;
        async move {
            // An iterator may promise more than there is memory for.
            let mut stored = Vec::with_capacity(args.size_hint().0.min(INSERT_CHUNK));
            let mut next = next_chunk(&mut args);
            loop {
                let chunk = match next {
                    Ok(chunk) if chunk.is_empty() => return Ok(stored),
                    Ok(chunk) => chunk,
                    Err((index, source)) => return Err(stopped_at(stored, index, source)),
                };
                // While the store is at work on one chunk, the next is written as JSON.
                let (submitted, drafted) =
                    tokio::join!(biased; self.submit(chunk), async { next_chunk(&mut args) });
                match submitted {
                    Ok(enqueued) => stored.extend(enqueued),
                    Err(SubmitError { index, source }) => return Err(stopped_at(stored, index, source)),
                }
                progress(stored.len(), total);
                next = drafted;
            }
        }
    }
}

impl<M: JobManager + ?Sized> JobManagerExt for M {}

fn draft<A: JobArgs>(args: &A, options: EnqueueOptions) -> Result<JobDraft, EnqueueError> {
    JobDraft::of(args, options).map_err(|source| EnqueueError::Args { kind: A::KIND.to_owned(), source })
}

/// The drafts of the next chunk; empty at the end.
fn next_chunk<A: JobArgs>(
    args: &mut (impl Iterator<Item = A> + Send),
) -> Result<Vec<JobDraft>, (usize, EnqueueError)> {
    // An iterator may promise more than comes.
    let (mut chunk, mut bytes) = (Vec::with_capacity(args.size_hint().0.min(INSERT_CHUNK)), 0);
    while chunk.len() < INSERT_CHUNK && bytes < INSERT_CHUNK_BYTES {
        let Some(args) = args.next() else { break };
        let draft = draft(&args, EnqueueOptions::new()).map_err(|error| (chunk.len(), error))?;
        bytes += draft.args.as_str().len();
        chunk.push(draft);
    }
    Ok(chunk)
}

fn stopped_at(stored: Vec<Enqueued>, index: usize, source: EnqueueError) -> EnqueueManyError {
    EnqueueManyError { index: stored.len() + index, stored, source }
}
