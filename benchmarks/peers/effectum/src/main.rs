//! The same jobs on effectum: `peer-effectum ROW JOBS FILE` prints the seconds.
//!
//! Its file has its own settings, `synchronous = NORMAL` among them: its commits do not wait for the disk.

#[path = "../../common.rs"]
mod common;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{BATCH, Marks, Notice, Task, text};
use effectum::{Error, Job, JobRunner, Queue, RunningJob, Worker};

const KIND: &str = "notice";
const SLOTS: u16 = 1_000;
const LIMIT: Duration = Duration::from_secs(600);

#[tokio::main]
async fn main() -> ExitCode {
    let run = tokio::spawn(async {
        let task = Task::from_arguments()?;
        match task.row.as_str() {
            "end-to-end" => end_to_end(&task).await,
            "one-task" => one_by_one(&task, 1).await,
            "singles" => one_by_one(&task, 32).await,
            _ => Err(task.unknown_row()),
        }
    });
    common::end(run.await.map_err(text).and_then(|took| took))
}

async fn run(job: RunningJob, marks: Arc<Marks>) -> Result<(), Error> {
    marks.mark(&job.json_payload()?);
    Ok(())
}

fn job(number: usize) -> Result<Job, String> {
    Ok(Job::builder(KIND).json_payload(&Notice::new(number)).map_err(text)?.build())
}

async fn end_to_end(task: &Task) -> Result<Duration, String> {
    let queue = Queue::new(&task.file).await.map_err(text)?;
    let marks = Arc::new(Marks::new(task.jobs));
    let begun = Instant::now();
    for first in (0..task.jobs).step_by(BATCH) {
        let jobs = (first..(first + BATCH).min(task.jobs)).map(job).collect::<Result<_, _>>()?;
        queue.add_jobs(jobs).await.map_err(text)?;
    }
    let worker = Worker::builder(&queue, marks.clone()).max_concurrency(SLOTS).min_concurrency(SLOTS / 2);
    let _worker = worker.jobs([JobRunner::builder(KIND, run).build()]).build().await.map_err(text)?;
    loop {
        let left = queue.num_active_jobs().await.map_err(text)?;
        let left = left.pending + left.running;
        if left == 0 {
            break;
        }
        if begun.elapsed() > LIMIT {
            return Err(format!("{left} jobs were left after {LIMIT:?}"));
        }
        // Counting is work for the file, too.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let took = begun.elapsed();
    marks.each_once()?;
    Ok(took)
}

async fn one_by_one(task: &Task, tasks: usize) -> Result<Duration, String> {
    let queue = Arc::new(Queue::new(&task.file).await.map_err(text)?);
    let begun = Instant::now();
    let mut running = Vec::new();
    for numbers in common::shares(task.jobs, tasks) {
        let queue = queue.clone();
        running.push(tokio::spawn(async move {
            for number in numbers {
                queue.add_job(job(number)?).await.map_err(text)?;
            }
            Ok::<(), String>(())
        }));
    }
    for task in running {
        task.await.map_err(text)??;
    }
    Ok(begun.elapsed())
}
