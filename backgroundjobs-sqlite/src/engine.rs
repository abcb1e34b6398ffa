//! [`Engine`]: the connections to one file, shared by the handles that were cloned from each other.
//!
//! One connection writes, so that the writes of these handles wait for each other in order and not, by trial and error,
//! for SQLite's lock; two read.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use backgroundjobs_core::{StoreError, StoreErrorKind, StoreOperation};
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};

use crate::connect::ConnectTo;
use crate::db::{Args, Db};
use crate::error::Failed;
use crate::group::Group;
use crate::home::Home;
use crate::lanes::{Lane, Lanes};
use crate::migrate;
use crate::options::SqliteOptions;
use crate::schema;
use crate::sql::Sql;
use crate::wakes;

const READERS: usize = 2;

pub(crate) struct Engine {
    pub(crate) options: SqliteOptions,
    path: PathBuf,
    pub(crate) sql: Sql,
    pub(crate) lanes: Lanes,
    pub(crate) group: Group,
    pub(crate) home: Arc<Home>,
    writes_to: ConnectTo,
    reads_from: ConnectTo,
    writer: Mutex<Option<Db>>,
    readers: [Mutex<Option<Db>>; READERS],
    next_reader: AtomicUsize,
    /// Handles that were not closed.
    open_handles: AtomicUsize,
}

/// A connection that was opened, held for one call.
pub(crate) type Held<'a> = MappedMutexGuard<'a, Db>;

impl Engine {
    pub(crate) fn new(options: SqliteOptions) -> Self {
        let path = options.connect.get_filename().to_owned();
        Self {
            sql: Sql::new(&options.prefix),
            lanes: Lanes::default(),
            group: Group::default(),
            home: Home::of(&path, &options.prefix),
            writes_to: ConnectTo::writer(&options),
            reads_from: ConnectTo::reader(&options),
            writer: Mutex::new(None),
            readers: Default::default(),
            next_reader: AtomicUsize::new(0),
            open_handles: AtomicUsize::new(0),
            path,
            options,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// An error as the caller is told.
    pub(crate) fn told(&self, operation: StoreOperation) -> impl FnOnce(Failed) -> StoreError {
        move |failed| failed.told(operation, &self.path)
    }

    pub(crate) fn handle_opened(&self) {
        self.open_handles.fetch_add(1, Ordering::AcqRel);
    }

    /// Answers whether it was the last one.
    pub(crate) fn handle_closed(&self) -> bool {
        self.open_handles.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// The connection that writes, once it is this caller's turn; opened, and the schema brought up to date, if it is not.
    pub(crate) async fn writer(&self) -> Result<Held<'_>, Failed> {
        let mut place = self.writer.lock().await;
        if place.as_ref().is_none_or(Db::is_broken) {
            self.ensure_open()?;
            *place = None;
            schema::check_prefix(&self.options.prefix)?;
            let mut db = Db::open(&self.writes_to).await?;
            migrate::bring_up_to_date(&mut db, &self.sql).await?;
            // From here on every commit of others is one to hear of.
            wakes::has_changed(&mut db, &self.sql).await?;
            *place = Some(db);
        }
        self.opened(place)
    }

    /// The connection that writes, unless somebody has it or it is not open.
    pub(crate) fn idle_writer(&self) -> Option<Held<'_>> {
        let place = self.writer.try_lock().ok()?;
        if place.as_ref().is_none_or(Db::is_broken) {
            return None;
        }
        self.opened(place).ok()
    }

    /// A connection that reads: one that nobody has, if there is one.
    pub(crate) async fn reader(&self) -> Result<Held<'_>, Failed> {
        let first = self.next_reader.fetch_add(1, Ordering::Relaxed) % READERS;
        let free = (0..READERS).find_map(|more| self.readers[(first + more) % READERS].try_lock().ok());
        let mut place = match free {
            Some(place) => place,
            None => self.readers[first].lock().await,
        };
        if place.as_ref().is_none_or(Db::is_broken) {
            *place = None;
            // Makes the file and its tables.
            drop(self.writer().await?);
            *place = Some(Db::open(&self.reads_from).await?);
        }
        self.opened(place)
    }

    fn ensure_open(&self) -> Result<(), Failed> {
        if self.open_handles.load(Ordering::Acquire) == 0 {
            return Err(Failed::Own(StoreErrorKind::Closed, "every handle on it was closed".into()));
        }
        Ok(())
    }

    fn opened<'a>(&self, place: MutexGuard<'a, Option<Db>>) -> Result<Held<'a>, Failed> {
        self.ensure_open()?;
        Ok(MutexGuard::map(place, |place| place.as_mut().expect("it was opened just now")))
    }

    /// Closes the connections, each after the call that has it.
    pub(crate) async fn close(&self) -> Result<(), Failed> {
        let mut ended = Ok(());
        for place in self.readers.iter().chain([&self.writer]) {
            let db = place.lock().await.take();
            if let Some(db) = db
                && let Err(error) = db.close().await
            {
                ended = Err(error.into());
            }
        }
        ended
    }

    /// Takes in the lanes that other handles and processes have made since.
    pub(crate) fn learn(&self, rows: &[sqlx::sqlite::SqliteRow]) -> Result<(), Failed> {
        let lanes = rows.iter().map(lane_of).collect::<Result<Vec<_>, Failed>>()?;
        self.lanes.learn(lanes);
        Ok(())
    }

    /// Sees to it that a number is known of each of these lanes.
    pub(crate) async fn ensure_lanes(&self, db: &mut Db, lanes: &[Lane]) -> Result<(), Failed> {
        if lanes.is_empty() {
            return Ok(());
        }
        let named: Vec<_> = lanes
            .iter()
            .map(|lane| (lane.queue.as_str(), lane.kind.as_str(), lane.priority.level()))
            .collect();
        let named = serde_json::to_string(&named).expect("texts and numbers can be written");
        let args = Args::new().with(named).with(self.lanes.latest());
        let answers = db.change().await?.run_last(&self.sql.text(ENSURE_LANES), args).await?;
        self.learn(&answers[2].rows)
    }
}

pub(crate) const ENSURE_LANES: &str = "\
BEGIN IMMEDIATE;
INSERT INTO {p}lanes (queue, kind, priority)
    SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each($1) WHERE true
    ON CONFLICT DO NOTHING;
SELECT lane, queue, kind, priority FROM {p}lanes WHERE lane > $2 ORDER BY lane;
COMMIT";

/// The lanes with a higher number than `$1`.
pub(crate) const NEW_LANES: &str =
    "SELECT lane, queue, kind, priority FROM {p}lanes WHERE lane > $1 ORDER BY lane";

pub(crate) fn lane_of(row: &sqlx::sqlite::SqliteRow) -> Result<(i64, Lane), Failed> {
    use backgroundjobs_core::{Kind, Priority, QueueName};
    use sqlx::Row;
    let (number, queue, kind): (i64, &str, &str) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let priority: i64 = row.try_get(3)?;
    let damaged =
        || Failed::corrupt(format!("lane {number} has a queue, a kind or a priority that cannot be"));
    let lane = Lane {
        queue: QueueName::new(queue).map_err(|_| damaged())?,
        kind: Kind::new(kind).map_err(|_| damaged())?,
        priority: u8::try_from(priority).ok().and_then(Priority::new).ok_or_else(damaged)?,
    };
    Ok((number, lane))
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use crate::test_file::TestFile;

    /// A count of millions takes seconds, and between two prunes a worker takes back the jobs of dead ones.
    #[tokio::test]
    async fn nobody_waits_for_a_reader_that_is_at_work_beside_an_idle_one() {
        let file = TestFile::new();
        let idle = file.engine.reader().await.expect("a connection");
        let _at_work = file.engine.reader().await.expect("a connection");
        drop(idle);
        for _ in 0..3 {
            let reader = pin!(file.engine.reader());
            assert!(reader.poll(&mut Context::from_waker(Waker::noop())).is_ready());
        }
    }
}
