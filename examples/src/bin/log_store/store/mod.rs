//! A store that keeps its jobs in a file that only grows: each call adds what it changed, and answers when that is on
//! the disk. Everything is in memory as well, read back when the log is opened.
//!
//! What that costs: memory for every job, and one sync of the disk for each write, on the thread of the runtime that
//! makes it. Calls that come meanwhile wait without a thread, and their changes go to the disk together. Opening reads
//! the whole file, and rewriting it (when it is eight times what is alive) writes it, on that thread, too. A program
//! whose handlers must not stand still for so long wants a thread for its log.

mod calls;
mod change;
mod log;
mod operators;
mod rules;
mod state;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use backgroundjobs_core::*;
use calls::Draft;
use log::Log;
use parking_lot::Mutex;
use state::State;
use tokio::sync::Notify;

/// The log is not written anew while it is smaller.
const COMPACT_ABOVE: u64 = 1 << 20;
/// Calls whose changes wait for the disk. A caller that gives up leaves them there, so callers alone are no bound.
const MOST_UNWRITTEN: usize = 10_000;

/// Jobs in a log file. One at a time may have it open; who shares it in a process shares an `Arc` of this.
#[derive(Debug)]
pub(crate) struct LogStore {
    path: PathBuf,
    compact_above: u64,
    hub: WakeHub,
    file: Mutex<LogFile>,
}

#[derive(Debug)]
enum LogFile {
    Unopened,
    Open(Arc<Data>),
    Closed,
}

/// An open log.
#[derive(Debug)]
struct Data {
    memory: Mutex<Memory>,
    /// Only ever tried, not waited for: who finds it taken waits for `turned` instead, and without a thread. An async
    /// lock would be handed to the one who waits longest, and if nobody polls that one any more, all would wait.
    log: Mutex<Log>,
    /// Told whenever the log is free again.
    turned: Notify,
    /// How many of the calls that changed something are on the disk.
    written: AtomicU64,
}

#[derive(Debug)]
struct Memory {
    state: State,
    /// Calls that changed something, counted.
    calls: u64,
    /// What the last of them changed, as text: not yet on the disk.
    unwritten: VecDeque<Vec<u8>>,
    /// Why memory is not to be believed any more: a write failed.
    stopped: Option<String>,
}

impl LogStore {
    /// The jobs in the file at `path`. Nothing is opened yet: the start of the jobs does that, or the first call.
    pub(crate) fn open(path: impl Into<PathBuf>) -> Self {
        Self::with_compaction(path, COMPACT_ABOVE)
    }

    /// With a log that may be written anew when it has more than so many bytes.
    pub(crate) fn with_compaction(path: impl Into<PathBuf>, compact_above: u64) -> Self {
        let (path, hub, file) = (path.into(), WakeHub::new(), Mutex::new(LogFile::Unopened));
        Self { path, compact_above, hub, file }
    }

    fn data(&self, operation: StoreOperation) -> Result<Arc<Data>, StoreError> {
        let mut file = self.file.lock();
        match &*file {
            LogFile::Open(data) => Ok(data.clone()),
            LogFile::Unopened => {
                let (log, state) = Log::open(&self.path, self.compact_above, operation)?;
                let data = Arc::new(Data::new(log, state));
                *file = LogFile::Open(data.clone());
                Ok(data)
            }
            LogFile::Closed => {
                let message = format!("this store was closed; open {} with another", self.path.display());
                Err(StoreError::new(operation, StoreErrorKind::Closed, message))
            }
        }
    }

    /// Does a call in memory, and answers when it, and all that it may have seen, is on the disk.
    async fn call<T>(
        &self,
        operation: StoreOperation,
        call: impl FnOnce(&mut Draft<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let data = self.data(operation)?;
        // Callers that gave up have left their changes behind: those are written before more come.
        while let Some(calls) = data.backlog() {
            data.write(calls).await.map_err(|why| unavailable(operation, &why))?;
        }
        let (answer, calls) = data.memory.lock().run(operation, call)?;
        data.write(calls).await.map_err(|why| unavailable(operation, &why))?;
        Ok(answer)
    }
}

impl Memory {
    /// Answers with the number of calls that have to be on the disk before the answer may go out: also those before,
    /// since an answer may come of what they changed.
    fn run<T>(
        &mut self,
        operation: StoreOperation,
        call: impl FnOnce(&mut Draft<'_>) -> Result<T, StoreError>,
    ) -> Result<(T, u64), StoreError> {
        if let Some(why) = &self.stopped {
            return Err(unavailable(operation, why));
        }
        let mut draft = Draft::new(&mut self.state);
        let answer = match call(&mut draft) {
            Ok(answer) => answer,
            Err(error) => {
                draft.undo();
                return Err(error);
            }
        };
        let mut changes = Vec::new();
        draft.done().iter().for_each(|change| log::add(&mut changes, change));
        if changes.len() > log::MAX_LINE_BYTES {
            let message =
                format!("it takes {} bytes in the log, {} are allowed", changes.len(), log::MAX_LINE_BYTES);
            draft.undo();
            return Err(StoreError::new(operation, StoreErrorKind::Rejected, message));
        }
        if !changes.is_empty() {
            self.unwritten.push_back(changes);
            self.calls += 1;
        }
        Ok((answer, self.calls))
    }

    /// What of the unwritten fits in one line, and how many calls that is.
    fn next_line(&mut self) -> (Vec<u8>, u64) {
        let (mut line, mut calls) = (self.unwritten.pop_front().unwrap_or_default(), 1);
        while let Some(next) =
            self.unwritten.pop_front_if(|next| line.len() + next.len() < log::MAX_LINE_BYTES)
        {
            line.push(b',');
            line.extend(next);
            calls += 1;
        }
        (line, calls)
    }
}

impl Data {
    fn new(log: Log, state: State) -> Self {
        let memory = Memory { state, calls: 0, unwritten: VecDeque::new(), stopped: None };
        let (memory, log) = (Mutex::new(memory), Mutex::new(log));
        Self { memory, log, turned: Notify::new(), written: AtomicU64::new(0) }
    }

    /// The number of calls to be on the disk before there may be more; `None` when few wait for it.
    fn backlog(&self) -> Option<u64> {
        let memory = self.memory.lock();
        (memory.unwritten.len() >= MOST_UNWRITTEN).then_some(memory.calls)
    }

    /// Waits until so many calls are on the disk; who comes to the log first writes for all. A caller that gives up here
    /// has changed memory all the same, and the next one writes that, too.
    async fn write(&self, calls: u64) -> Result<(), String> {
        if self.written.load(Ordering::Acquire) >= calls {
            return Ok(());
        }
        loop {
            let turned = self.turned.notified(); // hears of every turn from here on
            if let Some(written) = self.try_write(calls) {
                return written;
            }
            turned.await;
        }
    }

    /// `None`: somebody else writes. Nothing is awaited here, so nobody can be dropped between two steps.
    fn try_write(&self, calls: u64) -> Option<Result<(), String>> {
        let mut log = self.log.try_lock()?;
        let written = self.write_lines(&mut log, calls);
        drop(log);
        self.turned.notify_waiters();
        Some(written)
    }

    fn write_lines(&self, log: &mut Log, calls: u64) -> Result<(), String> {
        while self.written.load(Ordering::Acquire) < calls {
            if let Some(why) = &self.memory.lock().stopped {
                return Err(why.clone());
            }
            self.write_line(log).map_err(|error| {
                let why = format!(
                    "the log could not be written ({error}); what it has is not known, so nothing is \
                     answered until it is opened anew: make room, then start the program again"
                );
                self.memory.lock().stopped = Some(why.clone());
                why
            })?;
        }
        Ok(())
    }

    fn write_line(&self, log: &mut Log) -> std::io::Result<()> {
        let (line, calls) = self.memory.lock().next_line();
        log.append(&line)?;
        self.written.fetch_add(calls, Ordering::AcqRel);
        if log.is_overgrown() {
            let (contents, calls) = {
                let memory = self.memory.lock();
                (log::rewritten(&memory.state), memory.calls)
            };
            if log.replace(&contents)? {
                // The new file has them already, those that came while it was written not.
                let mut memory = self.memory.lock();
                let new = calls - self.written.swap(calls, Ordering::AcqRel);
                memory.unwritten.drain(..usize::try_from(new).unwrap_or(usize::MAX));
            }
        }
        Ok(())
    }
}

fn unavailable(operation: StoreOperation, why: &str) -> StoreError {
    StoreError::new(operation, StoreErrorKind::Unavailable, why)
}

#[async_trait]
impl JobStore for LogStore {
    fn profile(&self) -> StoreProfile {
        let keep = Keep::latest(10_000);
        StoreProfile::in_process("log").lasting().retention(Retention {
            succeeded: keep,
            failed: keep,
            cancelled: keep,
        })
    }

    async fn prepare(&self) -> Result<(), StoreError> {
        self.data(StoreOperation::Prepare).map(drop)
    }

    async fn close(&self) -> Result<(), StoreError> {
        // Calls that were dropped may be in memory alone. Nobody was told of them, so they may go.
        *self.file.lock() = LogFile::Closed;
        Ok(())
    }

    async fn insert(&self, request: &InsertJobs) -> Result<InsertedJobs, StoreError> {
        let now = request.now;
        let jobs = self.call(StoreOperation::Insert, |draft| draft.insert(&request.jobs, now)).await?;
        Ok(InsertedJobs { store_now: now, jobs })
    }

    async fn claim(&self, request: &ClaimJobs) -> Result<ClaimedJobs, StoreError> {
        self.call(StoreOperation::Claim, |draft| Ok(draft.claim(request, request.now))).await
    }

    async fn renew(&self, request: &RenewLeases) -> Result<RenewedLeases, StoreError> {
        self.call(StoreOperation::Renew, |draft| Ok(draft.renew(request, request.now))).await
    }

    async fn settle(&self, request: &SettleJobs) -> Result<SettledJobs, StoreError> {
        self.call(StoreOperation::Settle, |draft| Ok(draft.settle(request, request.now))).await
    }

    async fn recover(&self, request: &RecoverJobs) -> Result<RecoveredJobs, StoreError> {
        self.call(StoreOperation::Recover, |draft| Ok(draft.recover(request, request.now))).await
    }

    async fn cancel(&self, request: &CancelJobs) -> Result<Vec<CancelStatus>, StoreError> {
        self.call(StoreOperation::Cancel, |draft| Ok(draft.cancel(&request.ids, request.now))).await
    }

    async fn get(&self, ids: &[JobId]) -> Result<Vec<Option<JobRecord>>, StoreError> {
        let get = |draft: &mut Draft<'_>| Ok(ids.iter().map(|id| draft.state.job(*id).cloned()).collect());
        self.call(StoreOperation::Get, get).await
    }

    async fn prune(&self, request: &PruneJobs) -> Result<PrunedJobs, StoreError> {
        self.call(StoreOperation::Prune, |draft| Ok(draft.prune(request, request.now))).await
    }

    fn local_hub(&self) -> Option<&WakeHub> {
        Some(&self.hub)
    }

    fn remote_wakes(&self) -> Option<&dyn RemoteWakes> {
        None // no other process may have it open
    }

    fn inspect(&self) -> Option<&dyn InspectStore> {
        Some(self)
    }

    fn control(&self) -> Option<&dyn ControlStore> {
        Some(self)
    }
}
