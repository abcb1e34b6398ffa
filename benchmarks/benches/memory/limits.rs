//! What the machine can do at best: the same text through bare channels, and bare tasks.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use benchmarks::{Marks, Notice, shares};
use tokio::sync::mpsc;

const CHANNELS: usize = 8;
const CAPACITY: usize = 1_024;

/// The JSON of each notice written, sent to one of eight consumers, and read there; nothing else.
pub(crate) async fn channels(jobs: usize, senders: usize) -> Result<Duration, String> {
    let marks = Arc::new(Marks::new(jobs));
    let mut ends = Vec::new();
    let mut consumers = Vec::new();
    for _ in 0..CHANNELS {
        let (sender, receiver) = mpsc::channel(CAPACITY);
        ends.push(sender);
        consumers.push(consume(receiver, marks.clone()));
    }
    let begun = Instant::now();
    let consumers: Vec<_> = consumers.into_iter().map(tokio::spawn).collect();
    let send = |numbers: Range<usize>| {
        let ends = ends.clone();
        tokio::spawn(async move {
            for number in numbers {
                let text = serde_json::to_string(&Notice::new(number)).map_err(|error| error.to_string())?;
                let end = &ends[number % CHANNELS];
                end.send(text).await.map_err(|_| "a consumer has ended".to_owned())?;
            }
            Ok::<(), String>(())
        })
    };
    let producers: Vec<_> = shares(jobs, senders).into_iter().map(send).collect();
    drop(ends);
    for producer in producers {
        producer.await.map_err(|error| error.to_string())??;
    }
    for consumer in consumers {
        consumer.await.map_err(|error| error.to_string())??;
    }
    let took = begun.elapsed();
    marks.each_once()?;
    Ok(took)
}

async fn consume(mut receiver: mpsc::Receiver<String>, marks: Arc<Marks>) -> Result<(), String> {
    while let Some(text) = receiver.recv().await {
        marks.mark(&serde_json::from_str(&text).map_err(|error| error.to_string())?);
    }
    Ok(())
}

/// A task that does nothing for each job, awaited to its end.
pub(crate) async fn spawns(jobs: usize, spawners: usize) -> Result<Duration, String> {
    let begun = Instant::now();
    let spawn = |numbers: Range<usize>| {
        tokio::spawn(async move {
            let tasks: Vec<_> = numbers.map(|_| tokio::spawn(async {})).collect();
            let mut ended = 0;
            for task in tasks {
                task.await.map_err(|error| error.to_string())?;
                ended += 1;
            }
            Ok::<usize, String>(ended)
        })
    };
    let spawners: Vec<_> = shares(jobs, spawners).into_iter().map(spawn).collect();
    let mut ended = 0;
    for spawner in spawners {
        ended += spawner.await.map_err(|error| error.to_string())??;
    }
    let took = begun.elapsed();
    if ended == jobs { Ok(took) } else { Err(format!("{ended} tasks of {jobs} ended")) }
}
