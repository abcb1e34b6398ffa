//! Queued work: letters are sent by one service, one after another, while the program goes on. One fails and is
//! reported by its name. Ends by itself when the last letter was sent; SIGTERM and Ctrl-C end it before, and letters
//! that wait are sent first.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use backgroundjobs_core::hosting::{Host, Stopping, TaskQueue, TaskQueueError, WhenFull, signals};

const LETTERS: u32 = 20;

/// Puts a letter into the queue; waits while the queue is full.
async fn send(queue: &TaskQueue, sent: &Arc<AtomicU32>, number: u32) -> Result<(), TaskQueueError> {
    let sent = sent.clone();
    queue
        .enqueue(format!("letter {number}"), async move |stopping: Stopping| {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if number == 7 {
                return Err("the address is unknown".into());
            }
            println!("letter {number} is sent");
            sent.fetch_add(1, Ordering::Relaxed);
            if number == LETTERS {
                stopping.stop_host();
            }
            Ok(())
        })
        .await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Five may wait. Whoever has more to send then waits, too.
    let queue = TaskQueue::new(5, WhenFull::Wait);
    let host = Host::builder()
        .background("post office", queue.workers(1))
        .on_report(|report| println!("{} of {} failed: {}", report.what, report.service, report.error))
        .build()?;
    let (stop, stop_now) = signals()?;
    let sent = Arc::new(AtomicU32::new(0));
    let enqueue_all = async {
        for number in 1..=LETTERS {
            if let Err(stopped) = send(&queue, &sent, number).await {
                println!("{stopped}");
                return;
            }
        }
    };
    let (ended, ()) = tokio::join!(host.run_until(stop, stop_now), enqueue_all);
    ended?;
    println!("stopped; {} letters were sent, {} wait", sent.load(Ordering::Relaxed), queue.len());
    Ok(())
}
