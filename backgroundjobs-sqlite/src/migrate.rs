//! Bringing a file to this crate's schema: harmless when repeated, and from several processes at once.

use backgroundjobs_core::StoreErrorKind;

use crate::db::{Answer, Args, Db, InTransaction};
use crate::error::Failed;
use crate::schema;
use crate::sql::Sql;

/// To SQLite a table has the same name in capitals and in small letters.
const LOOK: &str =
    "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = '{p}meta' COLLATE NOCASE)";
const LOOK_AT_VERSION: &str = "SELECT value FROM {p}meta WHERE name = 'schema_version'";
/// How often the mode of the file is asked for while others change it.
const MODE_TRIES: usize = 20;

/// Makes the file ready for this crate.
pub(crate) async fn bring_up_to_date(db: &mut Db, sql: &Sql) -> Result<(), Failed> {
    check_encoding(db, sql).await?;
    migrate(db, sql).await?;
    forget_statistics(db, sql).await
}

/// Makes or changes what is missing, in one transaction.
async fn migrate(db: &mut Db, sql: &Sql) -> Result<(), Failed> {
    if version_of(&mut Plain(db), sql).await? == schema::VERSION && is_wal(db, sql).await? {
        return Ok(());
    }
    set_mode(db, sql).await?;
    let mut change = db.change().await?;
    // From here on no other process changes anything: what it did before is seen.
    change.run(&sql.text("BEGIN IMMEDIATE"), Args::new()).await?;
    let found = version_of(&mut change, sql).await?;
    if found > schema::VERSION {
        return Err(newer(found, sql.prefix()));
    }
    let mut steps: String = schema::STEPS[usize::try_from(found).unwrap_or_default()..].concat();
    if !steps.is_empty() {
        steps.push_str(&schema::set_version(schema::VERSION));
    }
    steps.push_str("COMMIT");
    change.run_last(&sql.text(&steps), Args::new()).await?;
    Ok(())
}

fn newer(found: i64, prefix: &str) -> Failed {
    Failed::rejected(format!(
        "the tables {prefix}* are of schema version {found} and this program knows versions up to {}: it was made with \
         an older backgroundjobs-sqlite than the program that changed them; update this program",
        schema::VERSION
    ))
}

/// Where a statement can be run.
trait Runs {
    async fn answer(&mut self, sql: &Sql, text: &str) -> Result<Answer, sqlx::Error>;
}

struct Plain<'a>(&'a mut Db);

impl Runs for Plain<'_> {
    async fn answer(&mut self, sql: &Sql, text: &str) -> Result<Answer, sqlx::Error> {
        Ok(self.0.run(&sql.text(text), Args::new()).await?.pop().unwrap_or_default())
    }
}

impl Runs for crate::db::Change<'_> {
    async fn answer(&mut self, sql: &Sql, text: &str) -> Result<Answer, sqlx::Error> {
        Ok(self.run(&sql.text(text), Args::new()).await?.pop().unwrap_or_default())
    }
}

/// The version of the tables; 0 where there are none.
async fn version_of(runs: &mut impl Runs, sql: &Sql) -> Result<i64, Failed> {
    if runs.answer(sql, LOOK).await?.number()? == 0 {
        return Ok(0);
    }
    let version = runs.answer(sql, LOOK_AT_VERSION).await?.optional_number()?;
    version.filter(|version| *version > 0).ok_or_else(|| {
        let prefix = sql.prefix();
        Failed::corrupt(format!(
            "there is a table {prefix}meta that does not say its schema version: it is another program's, or damaged; \
             name another SqliteOptions::table_prefix, or restore the file"
        ))
    })
}

/// Forgets what an `ANALYZE` of the user's has noted of this store's tables. They are full one hour and empty the next,
/// and a planner that takes them for small goes through all of them. Without notes it takes every table for large, for
/// which the statements are written.
async fn forget_statistics(db: &mut Db, sql: &Sql) -> Result<(), Failed> {
    let mut forgotten = false;
    for table in ["sqlite_stat1", "sqlite_stat4"] {
        let there = format!("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = '{table}')");
        if Plain(db).answer(sql, &there).await?.number()? == 0 {
            continue;
        }
        let notes = format!("FROM {table} WHERE substr(tbl, 1, length('{{p}}')) = '{{p}}' COLLATE NOCASE");
        if Plain(db).answer(sql, &format!("SELECT EXISTS (SELECT 1 {notes})")).await?.number()? != 0 {
            let text = sql.text(&format!("BEGIN IMMEDIATE; DELETE {notes}; COMMIT"));
            db.change().await?.run_last(&text, Args::new()).await?;
            forgotten = true;
        }
    }
    if forgotten {
        // Reads the notes again, and looks at no table.
        Plain(db).answer(sql, "ANALYZE sqlite_schema").await?;
    }
    Ok(())
}

/// Texts are cut by their length in bytes of UTF-8.
async fn check_encoding(db: &mut Db, sql: &Sql) -> Result<(), Failed> {
    let answer = Plain(db).answer(sql, "PRAGMA encoding").await?;
    match answer.text()? {
        Some("UTF-8") => Ok(()),
        other => Err(Failed::rejected(format!(
            "the file keeps texts as {}, and only UTF-8 will do; name another file",
            other.unwrap_or("nothing known")
        ))),
    }
}

async fn is_wal(db: &mut Db, sql: &Sql) -> Result<bool, Failed> {
    let answer = Plain(db).answer(sql, "PRAGMA journal_mode").await?;
    Ok(answer.text()?.is_some_and(|mode| mode.eq_ignore_ascii_case("wal")))
}

/// Changing the mode takes the file for itself, and SQLite does not wait for that. So whoever finds it taken waits for
/// its turn to write, which SQLite does wait for, and looks again.
async fn set_mode(db: &mut Db, sql: &Sql) -> Result<(), Failed> {
    // Lets others read while one writes; a property of the file, so it is set once.
    for _ in 0..MODE_TRIES {
        if is_wal(db, sql).await? {
            return Ok(());
        }
        match Plain(db).answer(sql, "PRAGMA journal_mode = WAL").await.map_err(Failed::from) {
            Ok(answer) if answer.text()?.is_some_and(|mode| mode.eq_ignore_ascii_case("wal")) => {
                return Ok(());
            }
            Ok(answer) => return Err(without_wal(answer.text()?.unwrap_or("unknown"))),
            Err(error) if error.is_busy() => {
                db.run(&sql.text("BEGIN IMMEDIATE; COMMIT"), Args::new()).await?;
            }
            Err(error) => return Err(error),
        }
    }
    Err(Failed::Own(
        StoreErrorKind::Unavailable,
        "others keep the file from being brought to WAL mode".into(),
    ))
}

fn without_wal(mode: &str) -> Failed {
    Failed::rejected(match mode {
        "memory" => {
            "the database is in memory, where no other connection sees it; name a file, or use the store of \
                     backgroundjobs-memory"
                .to_owned()
        }
        mode => format!(
            "the file stays in journal mode {mode} where WAL was asked for: SQLite cannot share it on this file system; \
             use a local disk"
        ),
    })
}
