//! One seed is one order of events, on every runtime and however long the outside takes.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use backgroundjobs_core::{Clock, Hooks, Timestamp};
use backgroundjobs_testing::{StepScheduler, TraceLog, VirtualClock};
use parking_lot::Mutex;
use support::{four_threads, in_handler, in_store_call, millis, one_thread, real_answer, seconds, some_time};
use tokio::runtime::Runtime;
use tokio::sync::Notify;

/// Job number → when it is due (none when done), and how often it ran.
type Rows = Arc<Mutex<BTreeMap<u64, (Option<Timestamp>, u32)>>>;

#[derive(Clone)]
struct Worker {
    hooks: Arc<dyn Hooks>,
    clock: VirtualClock,
    log: TraceLog,
    rows: Rows,
    wake: Arc<Notify>,
    /// Whether the store is real, answered by threads.
    real: bool,
    number: usize,
}

impl Worker {
    async fn store_answers(&self) {
        if self.real {
            real_answer(some_time()).await;
        }
    }

    async fn claim(&self) -> Option<u64> {
        self.store_answers().await;
        let mut rows = self.rows.lock();
        let now = self.clock.now();
        let (job, row) = rows.iter_mut().find(|(_, row)| row.0.is_some_and(|due| due <= now))?;
        *row = (None, row.1 + 1);
        Some(*job)
    }

    async fn settle(&self, job: u64, retry: Option<Timestamp>) {
        self.store_answers().await;
        self.rows.lock().get_mut(&job).expect("a known job").0 = retry;
    }

    async fn work(self) {
        loop {
            let Some(job) = in_store_call(&self.hooks, self.claim()).await else {
                tokio::select! {
                    biased;
                    () = self.wake.notified() => {}
                    () = self.clock.sleep_until(self.clock.now() + millis(250)) => {}
                }
                continue;
            };
            let attempt = self.rows.lock()[&job].1;
            self.log.log(format!("*{} runs {job}, attempt {attempt}", self.number));
            in_handler(&self.hooks, "job", async {
                if job == 6 {
                    self.clock.sleep_until(self.clock.now() + millis(250)).await;
                }
            })
            .await;
            let retry = (job % 4 == 0 && attempt == 1).then(|| self.clock.now() + seconds(1));
            in_store_call(&self.hooks, self.settle(job, retry)).await;
            self.log.log(format!("*{} has run {job}", self.number));
        }
    }
}

/// 3 workers that poll and are woken, 12 jobs, of which 3 fail once and one sleeps: 4 virtual seconds.
fn trace(runtime: &Runtime, seed: Option<u64>, real: bool) -> u64 {
    runtime.block_on(async {
        let builder = StepScheduler::builder().store_patience(seconds(600));
        let scheduler = seed.map_or(builder.clone(), |seed| builder.seed(seed)).build();
        let (rows, wake) = (Rows::default(), Arc::new(Notify::new()));
        for number in 0..3 {
            let (hooks, clock, log) = (scheduler.hooks(), scheduler.clock(), scheduler.trace_log());
            let worker = Worker { hooks, clock, log, rows: rows.clone(), wake: wake.clone(), real, number };
            _ = scheduler.spawn(format!("worker-{number}"), worker.work());
        }
        scheduler.settle().await.expect_clean();
        for job in 0..12 {
            rows.lock().insert(job, (Some(scheduler.now() + millis(job % 4 * 500)), 0));
            wake.notify_one();
        }
        let report = scheduler.advance(seconds(4)).await;
        assert!(report.timers_fired > 25, "{report}");
        report.expect_clean();
        for (job, (due, runs)) in rows.lock().iter() {
            assert_eq!((*due, *runs), (None, if job % 4 == 0 { 2 } else { 1 }), "job {job}");
        }
        assert_eq!(support::logged(&scheduler).len(), 2 * 15, "12 jobs and 3 retries begin and end");
        scheduler.trace_hash()
    })
}

#[test]
fn one_seed_is_one_trace_on_every_runtime_though_real_threads_answer() {
    let mut traces: BTreeSet<u64> = (0..200).map(|_| trace(&four_threads(), Some(7), true)).collect();
    traces.extend((0..50).map(|_| trace(&one_thread(), Some(7), true)));
    assert_eq!(traces.len(), 1);
    let quick = trace(&one_thread(), Some(7), false);
    assert!(traces.contains(&quick), "a store that answers at once makes no difference either");
}

#[test]
fn without_a_seed_there_is_one_trace_too() {
    let mut traces: BTreeSet<u64> = (0..50).map(|_| trace(&four_threads(), None, true)).collect();
    traces.extend((0..50).map(|_| trace(&one_thread(), None, false)));
    assert_eq!(traces.len(), 1);
}

#[test]
fn many_seeds_are_many_traces() {
    let runtime = one_thread();
    let traces: BTreeSet<u64> = (0..200).map(|seed| trace(&runtime, Some(seed), false)).collect();
    assert!(traces.len() > 100, "200 seeds gave {} traces", traces.len());
}

#[test]
fn a_race_between_two_steps_is_found_by_some_seed_and_found_again_by_the_same() {
    let runtime = one_thread();
    let found = |seed| {
        runtime.block_on(async {
            let scheduler = StepScheduler::builder().seed(seed).build();
            let seats = Arc::new(Mutex::new((1, 0)));
            for number in 0..2 {
                let seats = seats.clone();
                _ = scheduler.spawn(format!("guest-{number}"), async move {
                    for _ in 0..number {
                        support::step_aside().await;
                    }
                    let free = seats.lock().0;
                    support::step_aside().await;
                    if free > 0 {
                        let (free, sold) = &mut *seats.lock();
                        (*free, *sold) = (0, *sold + 1);
                    }
                });
            }
            scheduler.settle().await.expect_clean();
            let (_, sold) = *seats.lock();
            (sold == 2, scheduler.trace_hash())
        })
    };
    let results: Vec<_> = (0..50).map(found).collect();
    let sold_twice = results.iter().filter(|(twice, _)| *twice).count();
    assert!(sold_twice > 0 && sold_twice < 50, "{sold_twice} of 50 seeds found it");
    assert_eq!((0..50).map(found).collect::<Vec<_>>(), results);
}
