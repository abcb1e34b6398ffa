//! [`SqliteRow`]: what is measured of the SQLite store, once, on a file of its own.

use std::path::Path;
use std::time::Duration;

use backgroundjobs_sqlite::SqliteStore;

use crate::NewFile;
use crate::ours::{self, How, Shape};

/// Slots of the worker: more than jobs that are ready at once would fill on two cores, as a program has that waits for
/// others most of the time.
const SLOTS: usize = 1_000;
/// Tasks that enqueue one by one.
const SINGLE_TASKS: usize = 32;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SqliteRow {
    /// Two tasks enqueue many at once to a worker that runs, until all are settled.
    EndToEnd,
    /// The same, but the worker starts when all are enqueued.
    OneAfterTheOther,
    /// Two tasks enqueue many at once, and nothing runs.
    Many,
    /// Thirty-two tasks enqueue one by one, each awaited, and nothing runs.
    Singles,
    /// One task enqueues one by one, each awaited, and nothing runs.
    OneTask,
}

/// What a row took.
pub type Took = Result<Duration, String>;

impl SqliteRow {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::EndToEnd, Self::OneAfterTheOther, Self::Many, Self::Singles, Self::OneTask];

    /// The word by which it is asked for.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::EndToEnd => "end-to-end",
            Self::OneAfterTheOther => "one-after-the-other",
            Self::Many => "many",
            Self::Singles => "singles",
            Self::OneTask => "one-task",
        }
    }

    /// What stands in a table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EndToEnd => "end to end, 1,000 slots",
            Self::OneAfterTheOther => "enqueue all, then run all, 1,000 slots",
            Self::Many => "enqueue alone, many",
            Self::Singles => "enqueue alone, one by one, 32 tasks",
            Self::OneTask => "enqueue alone, one by one, 1 task",
        }
    }

    /// Runs it with so many jobs on a new file at `file`, which is gone afterwards.
    ///
    /// # Errors
    /// The first call that failed, or what is wrong with what became of the jobs.
    pub async fn run(self, jobs: usize, file: &Path) -> Took {
        let file = NewFile::at(file)?;
        let store = SqliteStore::new(file.path());
        let shape = Shape { slots: SLOTS, how: How::Many, tasks: 2, keeps_all: true, by_stats: true };
        let one_by_one = |tasks| Shape { how: How::OneByOne, tasks, ..shape };
        match self {
            Self::EndToEnd => ours::end_to_end(store, jobs, shape).await,
            Self::OneAfterTheOther => ours::one_after_the_other(store, jobs, shape).await,
            Self::Many => ours::enqueue_alone(store, jobs, shape).await,
            Self::Singles => ours::enqueue_alone(store, jobs, one_by_one(SINGLE_TASKS)).await,
            Self::OneTask => ours::enqueue_alone(store, jobs, one_by_one(1)).await,
        }
    }
}
