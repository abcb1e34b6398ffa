//! From SQLite's errors to the store's, which say what to do.

use std::path::Path;
use std::sync::Arc;

use backgroundjobs_core::{StoreError, StoreErrorKind, StoreOperation};

/// Why a step failed inside the store. Several callers may be told of one.
#[derive(Clone, Debug)]
pub(crate) enum Failed {
    /// SQLite, or the way to it.
    Sql(Arc<sqlx::Error>),
    /// This store, with the kind that the caller is told.
    Own(StoreErrorKind, String),
}

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(Arc::new(error))
    }
}

impl Failed {
    /// What lies in a row cannot be read.
    pub(crate) fn corrupt(what: impl Into<String>) -> Self {
        Self::Own(StoreErrorKind::Corrupt, what.into())
    }

    pub(crate) fn rejected(what: impl Into<String>) -> Self {
        Self::Own(StoreErrorKind::Rejected, what.into())
    }

    /// The result code of SQLite, the primary one.
    pub(crate) fn code(&self) -> Option<i32> {
        match self {
            Self::Sql(error) => Some(error.as_database_error()?.code()?.parse::<i32>().ok()? & 0xff),
            Self::Own(..) => None,
        }
    }

    /// Whether another connection is writing, and the wait for it was in vain.
    pub(crate) fn is_busy(&self) -> bool {
        matches!(self.code(), Some(BUSY | LOCKED))
    }

    /// Whether a row was there already.
    pub(crate) fn is_constraint(&self) -> bool {
        self.code() == Some(CONSTRAINT)
    }

    /// Whether what was asked for is at fault, and not the file or its surroundings.
    pub(crate) fn is_of_the_request(&self) -> bool {
        matches!(self.code(), Some(TOOBIG | CONSTRAINT))
    }

    /// As the caller is told.
    pub(crate) fn told(self, operation: StoreOperation, path: &Path) -> StoreError {
        let code = self.code();
        match self {
            Self::Own(kind, message) => StoreError::new(operation, kind, message),
            Self::Sql(error) => {
                let (kind, retryable, message) = explain(&error, code, path);
                StoreError::new(operation, kind, message).retryable(retryable).with_source(error)
            }
        }
    }
}

const PERM: i32 = 3;
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const READONLY: i32 = 8;
const IOERR: i32 = 10;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const CANTOPEN: i32 = 14;
const TOOBIG: i32 = 18;
const CONSTRAINT: i32 = 19;
const NOTADB: i32 = 26;

fn explain(error: &sqlx::Error, code: Option<i32>, path: &Path) -> (StoreErrorKind, bool, String) {
    use StoreErrorKind::{Corrupt, Other, Rejected, Unavailable};
    let file = path.display();
    match code {
        Some(BUSY | LOCKED) => (
            Unavailable,
            true,
            format!(
                "{file} is locked by another program, or by a transaction that stays open; end it, or raise \
                 SqliteOptions::busy_timeout"
            ),
        ),
        Some(FULL) => (
            Unavailable,
            true,
            format!("there is no room for {file}: the disk is full, or max_page_count is reached; make room"),
        ),
        Some(READONLY | PERM) => (
            Rejected,
            false,
            format!("{file} may not be written; let this user write the file and its folder"),
        ),
        Some(NOTADB) => {
            (Rejected, false, format!("{file} is not a SQLite database, or is encrypted; name another file"))
        }
        Some(CORRUPT) => (
            Corrupt,
            false,
            format!(
                "{file} is damaged; stop all that use it and restore it from a copy (PRAGMA integrity_check)"
            ),
        ),
        Some(CANTOPEN) => (Unavailable, true, cannot_open(path)),
        Some(IOERR) => (Unavailable, true, format!("{file} could not be read or written; look at its disk")),
        Some(TOOBIG) => (Rejected, false, "a text is larger than SQLite takes, about a billion bytes".into()),
        _ if matches!(error, sqlx::Error::WorkerCrashed) => {
            (Unavailable, true, format!("the thread that works on {file} has ended"))
        }
        _ => (Other, true, format!("SQLite refused a statement on {file}")),
    }
}

fn cannot_open(path: &Path) -> String {
    let file = path.display();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if !folder.exists() => {
            format!("{file} cannot be opened: there is no folder {}; create it", folder.display())
        }
        _ if path.is_dir() => format!("{file} cannot be opened: it is a folder; name a file"),
        _ if !path.exists() => format!(
            "{file} cannot be opened: it is not there and was not to be created, or this user may not create it"
        ),
        _ => format!("{file} cannot be opened; let this user read and write the file and its folder"),
    }
}
