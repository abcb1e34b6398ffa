//! [`Db`]: one connection, and how commands run on it.
//!
//! sqlx works each connection on a thread of its own, and each command goes there and back through channels. So a
//! command here is as many statements as can be sent at once, often a whole transaction, and what comes back is
//! packed into few rows.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, ConnectOptions, Connection, Either, Executor, Row};

use crate::connect::ConnectTo;

/// What one statement of a command answered.
#[derive(Default)]
pub(crate) struct Answer {
    pub(crate) rows: Vec<SqliteRow>,
    /// Rows inserted, updated or deleted.
    pub(crate) affected: u64,
}

impl Answer {
    /// The first column of the only row, where there is one and it is not null.
    pub(crate) fn text(&self) -> Result<Option<&str>, sqlx::Error> {
        self.rows.first().map_or(Ok(None), |row| row.try_get(0))
    }

    /// The first column of the only row, as a number; 0 where there is none.
    pub(crate) fn number(&self) -> Result<i64, sqlx::Error> {
        Ok(self.optional_number()?.unwrap_or_default())
    }

    pub(crate) fn optional_number(&self) -> Result<Option<i64>, sqlx::Error> {
        self.rows.first().map_or(Ok(None), |row| row.try_get(0))
    }
}

/// What a command binds, in order: `$1` of each of its statements is the first. Not `?1`: of a statement that leaves out
/// a number sqlx binds the wrong ones.
#[derive(Default)]
pub(crate) struct Args(SqliteArguments);

impl Args {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn push<'t, T>(&mut self, value: T)
    where
        T: sqlx::Encode<'t, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
    {
        self.0.add(value).expect("numbers, texts and bytes are always encoded");
    }

    #[must_use]
    pub(crate) fn with<'t, T>(mut self, value: T) -> Self
    where
        T: sqlx::Encode<'t, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
    {
        self.push(value);
        self
    }
}

/// One connection.
pub(crate) struct Db {
    connection: SqliteConnection,
    /// A transaction may be open that nobody will end.
    in_doubt: bool,
    /// The connection's thread is gone; it must be opened anew.
    broken: bool,
    /// The `data_version` that was seen last.
    pub(crate) seen_version: Option<i64>,
}

impl Db {
    pub(crate) async fn open(to: &ConnectTo) -> Result<Self, sqlx::Error> {
        let connection = to.options().connect().await?;
        Ok(Self { connection, in_doubt: false, broken: false, seen_version: None })
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Runs a command that opens no transaction.
    pub(crate) async fn run(&mut self, sql: &Arc<str>, args: Args) -> Result<Vec<Answer>, sqlx::Error> {
        self.settle_doubt().await?;
        self.send(sql, args).await
    }

    /// Begins a change: what is run in it stands once [`Change::run_last`] has returned, and is undone if the change is
    /// dropped before, wherever it is.
    pub(crate) async fn change(&mut self) -> Result<Change<'_>, sqlx::Error> {
        self.settle_doubt().await?;
        Ok(Change { db: self })
    }

    /// Takes back what a dropped change may have left open.
    async fn settle_doubt(&mut self) -> Result<(), sqlx::Error> {
        if self.in_doubt {
            match self.send(&rollback(), Args::new()).await {
                // Most often it was undone as the change was dropped: then there is no transaction.
                Ok(_) | Err(sqlx::Error::Database(_)) => self.in_doubt = false,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn send(&mut self, sql: &Arc<str>, args: Args) -> Result<Vec<Answer>, sqlx::Error> {
        let ended = send(&mut self.connection, sql, args).await;
        if let Err(sqlx::Error::WorkerCrashed | sqlx::Error::Io(_)) = &ended {
            self.broken = true;
        }
        ended
    }

    /// Sends a rollback and does not wait for it: the thread takes commands in order, so it comes before whatever is
    /// sent next, and lets the file go at once.
    fn undo(&mut self) {
        let mut sent = (&mut self.connection).execute(sqlx::raw_sql("ROLLBACK"));
        // One step hands the command over, unless the thread has more commands before it than its channel holds. The
        // doubt stays either way.
        let step = sent.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        drop(sent);
        self.broken |= matches!(step, Poll::Ready(Err(sqlx::Error::WorkerCrashed)));
    }

    #[cfg(test)]
    pub(crate) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }

    pub(crate) async fn close(self) -> Result<(), sqlx::Error> {
        self.connection.close().await
    }
}

async fn send(
    connection: &mut SqliteConnection,
    sql: &Arc<str>,
    args: Args,
) -> Result<Vec<Answer>, sqlx::Error> {
    let query = sqlx::query_with(AssertSqlSafe(sql.clone()), args.0);
    let mut results = connection.fetch_many(query);
    let (mut answers, mut answer) = (Vec::new(), Answer::default());
    while let Some(result) = poll_fn(|cx| results.as_mut().poll_next(cx)).await {
        match result? {
            Either::Right(row) => answer.rows.push(row),
            Either::Left(done) => {
                answer.affected = done.rows_affected();
                answers.push(std::mem::take(&mut answer));
            }
        }
    }
    Ok(answers)
}

fn rollback() -> Arc<str> {
    "ROLLBACK".into()
}

/// Where commands of a transaction are run.
pub(crate) trait InTransaction {
    /// Runs a command that leaves the transaction open, unless it commits.
    async fn run(&mut self, sql: &Arc<str>, args: Args) -> Result<Vec<Answer>, sqlx::Error>;
}

/// A transaction of the user's.
pub(crate) struct Theirs<'a>(pub(crate) &'a mut SqliteConnection);

impl InTransaction for Theirs<'_> {
    async fn run(&mut self, sql: &Arc<str>, args: Args) -> Result<Vec<Answer>, sqlx::Error> {
        send(self.0, sql, args).await
    }
}

/// A transaction in the making; its first command begins it in SQL.
pub(crate) struct Change<'a> {
    db: &'a mut Db,
}

impl InTransaction for Change<'_> {
    async fn run(&mut self, sql: &Arc<str>, args: Args) -> Result<Vec<Answer>, sqlx::Error> {
        self.db.in_doubt = true;
        self.db.send(sql, args).await
    }
}

impl Change<'_> {
    /// Runs a command whose last statement commits.
    pub(crate) async fn run_last(mut self, sql: &Arc<str>, args: Args) -> Result<Vec<Answer>, sqlx::Error> {
        let answers = self.run(sql, args).await?;
        self.committed();
        Ok(answers)
    }

    /// A command that was run has committed.
    pub(crate) fn committed(self) {
        self.db.in_doubt = false;
    }

    /// Ends the transaction without a trace.
    pub(crate) async fn take_back(mut self) -> Result<(), sqlx::Error> {
        self.run(&rollback(), Args::new()).await?;
        self.committed();
        Ok(())
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        if self.db.in_doubt {
            self.db.undo();
        }
    }
}
