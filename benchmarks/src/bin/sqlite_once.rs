//! One row of the SQLite store, once: `sqlite_once ROW JOBS FILE`; prints the seconds that it took.
//!
//! A program of its own, so that `cargo xtask peers` can run it in turns with other programs, some of which bring another
//! SQLite.

use std::path::Path;
use std::process::ExitCode;

use benchmarks::SqliteRow;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(seconds) => {
            println!("{seconds}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("sqlite_once: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<f64, String> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [row, jobs, file] = words.as_slice() else {
        return Err("usage: sqlite_once ROW JOBS FILE".to_owned());
    };
    let Some(row) = SqliteRow::ALL.into_iter().find(|one| one.word() == row) else {
        let rows = SqliteRow::ALL.map(SqliteRow::word).join(", ");
        return Err(format!("there is no row {row:?}; there are {rows}"));
    };
    let jobs = jobs.parse().map_err(|_| format!("{jobs:?} is no number of jobs"))?;
    let file = Path::new(file).to_owned();
    let took = tokio::spawn(async move { row.run(jobs, &file).await });
    Ok(took.await.map_err(|error| error.to_string())??.as_secs_f64())
}
