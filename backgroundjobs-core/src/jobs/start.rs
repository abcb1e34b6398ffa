//! Starting: prepares the store, then starts the worker.

use std::sync::Arc;

use super::{BackgroundJobs, Phase};
use crate::readable::debug_is_text;
use crate::store::StoreError;
use crate::worker::{Worker, WorkerParts};

impl BackgroundJobs {
    /// Prepares the store and starts running jobs. Needs a tokio runtime with time enabled, and runs on it.
    ///
    /// Cancel safety: dropped before its end, nothing was started and it may be called again.
    ///
    /// # Errors
    /// [`StartError`]: the store cannot be prepared, it was started before, or there is no runtime.
    pub async fn start(&self) -> Result<(), StartError> {
        if !self.door.env().can_spawn() {
            return Err(StartError::NoRuntime);
        }
        let starting = Starting::begin(self)?;
        if let Some(warning) = abort_warning(cfg!(panic = "abort")) {
            tracing::warn!("{warning}");
        }
        self.manager
            .prepare()
            .await
            .map_err(|source| StartError::Prepare { store: self.door.profile().name, source })?;
        starting.finish()
    }

    fn worker_parts(&self) -> WorkerParts {
        WorkerParts {
            door: self.door.clone(),
            registry: self.registry.clone(),
            executor: self.executor.clone(),
            manager: self.manager.clone(),
            queues: self.queues.clone(),
            retry: self.retry,
            retention: self.retention,
            times: self.times,
            on_finished: self.on_finished.clone(),
            on_drain: self.on_drain.clone(),
        }
    }
}

/// A start under way; undone when it is dropped before its end.
struct Starting<'a> {
    jobs: &'a BackgroundJobs,
}

impl<'a> Starting<'a> {
    fn begin(jobs: &'a BackgroundJobs) -> Result<Self, StartError> {
        let mut phase = jobs.phase.lock();
        match *phase {
            Phase::Built => {
                *phase = Phase::Starting;
                Ok(Self { jobs })
            }
            Phase::Starting | Phase::Started(_) => Err(StartError::Twice),
            Phase::Stopped(_) => Err(StartError::Stopped),
        }
    }

    /// A stop that came meanwhile wins: then nothing is started.
    fn finish(self) -> Result<(), StartError> {
        let mut phase = self.jobs.phase.lock();
        if let Phase::Stopped(_) = *phase {
            return Err(StartError::Stopped);
        }
        let worker = Worker::start(self.jobs.worker_parts());
        self.jobs.manager.attach(worker.as_seen_from_outside());
        *phase = Phase::Started(Arc::new(worker));
        Ok(())
    }
}

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        let mut phase = self.jobs.phase.lock();
        if matches!(*phase, Phase::Starting) {
            *phase = Phase::Built;
        }
    }
}

/// What is to be said of a program that cannot survive a panic.
const fn abort_warning(panics_abort: bool) -> Option<&'static str> {
    if !panics_abort {
        return None;
    }
    Some(
        "this program is built with panic = \"abort\": a handler that panics ends the whole process, and its job \
         runs again when its lease ends; build with panic = \"unwind\" in the profile in Cargo.toml",
    )
}

/// Why jobs could not be started.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// `start` was called before.
    #[error("these jobs are started already: call start() once")]
    Twice,
    /// They were stopped.
    #[error("these jobs were stopped and cannot be started again: build new ones")]
    Stopped,
    /// There is no tokio runtime.
    #[error("there is no tokio runtime here: call start() inside #[tokio::main] or Runtime::block_on")]
    NoRuntime,
    /// The store cannot be prepared.
    #[error("the {store} store could not be prepared")]
    Prepare {
        /// What the store is called.
        store: &'static str,
        /// What it says.
        source: StoreError,
    },
}

debug_is_text!(StartError);

#[cfg(test)]
mod tests {
    use super::abort_warning;

    #[test]
    fn a_program_that_aborts_on_panic_is_told_what_to_write() {
        assert_eq!(abort_warning(false), None);
        assert!(abort_warning(true).is_some_and(|text| text.contains("panic = \"unwind\" in the profile")));
    }
}
