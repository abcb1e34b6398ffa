//! Real threads on the real clock: what one task at a time cannot show. Two workers on one store, one stopped in
//! the middle of the work; every job runs once and every stop is clean.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use backgroundjobs_core::Retention;
use backgroundjobs_core::hosting::{
    Host, HostError, HostPhase, HostedService, ServiceResult, Stopping, TaskQueue, TaskQueueError, WhenFull,
};
use backgroundjobs_core::prelude::*;
use backgroundjobs_memory::prelude::*;
use serde::{Deserialize, Serialize};
use tokio::runtime::Builder;
use tokio::sync::Semaphore;

const ROUNDS: u32 = 60;

#[derive(Serialize, Deserialize)]
struct Work {
    number: u64,
}

impl JobArgs for Work {
    const KIND: &'static str = "work";
}

/// One at a time: who comes second waits, and is woken by the thread of the first.
type Gate = Arc<Semaphore>;

async fn handler((ran, gate): (Arc<AtomicU64>, Gate), work: Work, _: JobContext) -> JobResult {
    if work.number.is_multiple_of(3) {
        drop(gate.acquire().await?);
    }
    ran.fetch_add(1, Ordering::SeqCst);
    Ok(())
}

/// Jobs enqueued, and jobs that the worker stopped in mid-work had run by then.
async fn round(round: u32) -> (u64, u64) {
    let (store, ran, gate) = (MemoryStore::new(), Arc::new(AtomicU64::new(0)), Gate::new(Semaphore::new(1)));
    let build = |slots| {
        BackgroundJobs::builder(|options| {
            options.use_store(store.clone()).queue("default", slots).retention(Retention::FOREVER)
        })
        .register_fn_with((ran.clone(), gate.clone()), handler)
        .build()
        .expect("built")
    };
    let (stays, stops) = (build(1 + round as usize % 9), build(3));
    let jobs = 50 + u64::from(round) * 7 % 500;
    let manager = stays.manager();
    stops.start().await.expect("started");
    assert!(manager.enqueue(Work { number: 1 }).await.expect("enqueued").is_new);
    stops.wait_until_idle(Duration::from_secs(60)).await.expect("idle");
    stays.start().await.expect("started");
    for number in 0..jobs {
        assert!(manager.enqueue(Work { number }).await.expect("enqueued").is_new);
        if number == jobs / 2 {
            let report = stops.stop(Duration::from_secs(10)).await.expect("stopped");
            assert!(report.is_clean(), "round {round}: {report:?}");
        }
    }
    let many = (0..jobs).map(|number| Work { number });
    assert_eq!(manager.enqueue_many(many).await.expect("enqueued").len() as u64, jobs);
    stays.wait_until_idle(Duration::from_secs(60)).await.expect("idle");
    assert!(stays.stop(Duration::from_secs(10)).await.expect("stopped").is_clean());
    let (one, two) = (stays.stats(), stops.stats());
    let all = jobs * 2 + 1;
    assert_eq!(one.succeeded + two.succeeded, all, "round {round}: {one:?} {two:?}");
    assert_eq!(one.lost + two.lost + one.recovered + two.recovered, 0, "round {round}");
    assert_eq!(ran.load(Ordering::SeqCst), all, "round {round}: each job runs once");
    (all, two.succeeded)
}

/// Enqueues until the queue is closed; asks the host to stop once 500 tasks were taken.
async fn enqueue(host: &Host, queue: &TaskQueue, taken: &AtomicU64, ran: &Arc<AtomicU64>) {
    loop {
        let ran = ran.clone();
        let task = async move |_: Stopping| {
            ran.fetch_add(1, Ordering::SeqCst);
            Ok(())
        };
        match queue.enqueue("task", task).await {
            Ok(()) if taken.fetch_add(1, Ordering::SeqCst) == 500 => host.request_stop(),
            Ok(()) | Err(TaskQueueError::Full { .. }) => {}
            Err(_) => return,
        }
        next_turn().await;
    }
}

/// Lets the other parts of this task have their turn.
async fn next_turn() {
    let mut is_again = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut is_again, true) {
            return std::task::Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

/// Tasks that were taken, and how many ran, of a host that stops while others enqueue.
async fn queue_round(round: u32) -> (u64, u64) {
    let when_full = [WhenFull::Wait, WhenFull::Reject][round as usize % 2];
    let queue = TaskQueue::new(1 + round as usize % 20, when_full);
    let builder = Host::builder().background("queue", queue.workers(1 + round as usize % 5));
    let host = builder.build().expect("built");
    let (taken, ran) = (AtomicU64::new(0), Arc::new(AtomicU64::new(0)));
    let (stopped, ..) = tokio::join!(
        host.run(std::future::pending()),
        enqueue(&host, &queue, &taken, &ran),
        enqueue(&host, &queue, &taken, &ran),
        enqueue(&host, &queue, &taken, &ran),
    );
    stopped.expect("nothing is left");
    (taken.load(Ordering::SeqCst), ran.load(Ordering::SeqCst))
}

#[test]
fn every_task_that_a_queue_took_has_run_when_its_host_has_stopped() {
    for number in 0..ROUNDS {
        let threads = 1 + number as usize % 4;
        let runtime = Builder::new_multi_thread().worker_threads(threads).enable_all().build();
        let (taken, ran) = runtime.expect("a runtime").block_on(queue_round(number));
        assert!(taken > 500 && taken == ran, "round {number}: {taken} were taken, {ran} ran");
    }
}

/// Counts its starts and its stops.
#[derive(Default)]
struct Counted {
    /// Its start does not end before this is over.
    held_up: Arc<AtomicBool>,
    started: AtomicU64,
    stopped: AtomicU64,
}

impl HostedService for Counted {
    async fn start(&self, _: Stopping) -> ServiceResult {
        while self.held_up.load(Ordering::SeqCst) {
            next_turn().await;
        }
        // Long enough for the stop to come in between.
        for _ in 0..100 {
            next_turn().await;
        }
        self.started.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn stop(&self, _: Duration) -> ServiceResult {
        next_turn().await;
        self.stopped.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

#[test]
fn a_stop_from_another_thread_stops_exactly_what_was_started() {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let (mut whole, mut partly) = (0, 0);
    for round in 0..120 {
        // In every other round one start waits for the stop to come.
        let held_up = Arc::new(AtomicBool::new(round % 2 == 0));
        let services: Vec<Arc<Counted>> = (0..6)
            .map(|number| {
                let held_up = if number == round / 2 % 6 { held_up.clone() } else { Arc::default() };
                Arc::new(Counted { held_up, ..Counted::default() })
            })
            .collect();
        let running = Arc::new(AtomicU64::new(0));
        let mut builder = Host::builder();
        for (number, service) in services.iter().enumerate() {
            let running = running.clone();
            builder = builder.shared_service(format!("hosted {number}"), service.clone()).background_fn(
                format!("background {number}"),
                move |stopping: Stopping| {
                    let running = running.clone();
                    running.fetch_add(1, Ordering::SeqCst);
                    async move {
                        stopping.cancelled().await;
                        running.fetch_sub(1, Ordering::SeqCst);
                        Ok(())
                    }
                },
            );
        }
        let counts = |of: fn(&Counted) -> &AtomicU64| -> u64 {
            services.iter().map(|service| of(service).load(Ordering::SeqCst)).sum()
        };
        let host = builder.build().expect("built");
        let (started, stopped) = std::thread::scope(|scope| {
            let start = scope.spawn(|| runtime.block_on(host.start()));
            while host.health().phase == HostPhase::Starting && !held_up.load(Ordering::SeqCst)
                || host.health().phase == HostPhase::Built
            {
                std::thread::yield_now();
            }
            held_up.store(false, Ordering::SeqCst);
            let stopped = runtime.block_on(host.stop());
            let left = running.load(Ordering::SeqCst);
            assert_eq!((counts(|it| &it.started), left), (counts(|it| &it.stopped), 0), "round {round}");
            (start.join().expect("no panic"), stopped)
        });
        stopped.expect("every service stops well");
        assert!(matches!(started, Ok(()) | Err(HostError::Stopped)), "{started:?}");
        let (started, stopped) = (counts(|it| &it.started), counts(|it| &it.stopped));
        assert_eq!((started, running.load(Ordering::SeqCst)), (stopped, 0), "round {round}");
        whole += u64::from(started == 6);
        partly += u64::from(started < 6);
    }
    assert!(whole > 10 && partly > 10, "{whole} starts came to their end, {partly} were cut short");
}

#[test]
fn a_start_that_outlasts_the_stop_is_stopped_when_it_ends() {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let (held_up, has_begun) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
    let (blocks, begins, stops) = (held_up.clone(), has_begun.clone(), Arc::new(AtomicU64::new(0)));
    let stopped = stops.clone();
    // It blocks its thread, so a stop cannot drop it.
    let start = move |_: Stopping| {
        let (blocks, begins) = (blocks.clone(), begins.clone());
        async move {
            begins.store(true, Ordering::SeqCst);
            while blocks.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            Ok(())
        }
    };
    let stop = move |_| {
        stopped.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Ok(()))
    };
    let builder = Host::builder().service_fn("blocks", start, stop).stop_timeout(Duration::from_millis(20));
    let host = builder.build().expect("built");
    std::thread::scope(|scope| {
        let starting = scope.spawn(|| runtime.block_on(host.start()));
        while !has_begun.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        runtime.block_on(host.stop()).expect("there is nothing to stop");
        assert_eq!(stops.load(Ordering::SeqCst), 0);
        held_up.store(false, Ordering::SeqCst);
        assert!(matches!(starting.join().expect("no panic"), Err(HostError::Stopped)));
    });
    assert_eq!((stops.load(Ordering::SeqCst), host.health().phase), (1, HostPhase::Stopped));
}

#[test]
fn every_job_runs_once_while_workers_come_and_go() {
    let (mut jobs, mut by_the_stopped) = (0, 0);
    for number in 0..ROUNDS {
        let threads = 1 + number as usize % 4;
        let runtime = Builder::new_multi_thread().worker_threads(threads).enable_all().build();
        let (all, stopped) = runtime.expect("a runtime").block_on(round(number));
        jobs += all;
        by_the_stopped += stopped;
    }
    let least = u64::from(ROUNDS);
    assert!(jobs > 20_000 && by_the_stopped >= least, "{jobs} jobs, {by_the_stopped} by the stopped workers");
}
