//! The five ways in which a scheduler of this kind goes wrong first.

mod support;

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use backgroundjobs_testing::{StepScheduler, TraceLog};
use support::{four_threads, in_handler, logged, one_thread, seconds};

#[test]
fn a_handler_that_sleeps_on_the_virtual_clock_inside_its_guard() {
    four_threads().block_on(async {
        // Patience that never ends: the guard must be suspended, not given up.
        let scheduler = StepScheduler::builder().handler_patience(Duration::MAX).build();
        let (hooks, env, log) = (scheduler.hooks(), scheduler.env(1), scheduler.trace_log());
        _ = scheduler.spawn("slot", async move {
            in_handler(&hooks, "send", async {
                log.log("*begins");
                env.sleep(seconds(1)).await;
                log.log("*ends");
            })
            .await;
        });
        let report = scheduler.advance(seconds(2)).await;
        assert_eq!(logged(&scheduler), ["0 begins", "1000 ends"]);
        assert_eq!(report.timers_fired, 1);
        report.expect_clean();
    });
}

#[test]
fn a_loop_that_takes_500_ready_messages_from_a_tokio_channel() {
    // On a worker thread: only inside the runtime does tokio hold a busy task's wake back.
    let drain = || async {
        let scheduler = StepScheduler::new();
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        (0..500).for_each(|message| sender.send(message).expect("a receiver"));
        let taken = Arc::new(AtomicUsize::new(0));
        let counter = taken.clone();
        _ = scheduler.spawn("drain", async move {
            while receiver.recv().await.is_some() {
                counter.fetch_add(1, Ordering::SeqCst);
            }
        });
        scheduler.settle().await.expect_clean();
        assert_eq!(taken.load(Ordering::SeqCst), 500, "settle returned early");
    };
    (0..200).for_each(|_| support::on_a_worker(&four_threads(), drain()));
    (0..50).for_each(|_| one_thread().block_on(drain()));
}

#[test]
fn a_tracked_task_that_panics() {
    four_threads().block_on(async {
        let scheduler = StepScheduler::new();
        let (env, log) = (scheduler.env(1), scheduler.trace_log());
        _ = scheduler.spawn("bomb", async { panic!("boom {}", 7) });
        _ = scheduler.spawn("other", async move {
            env.sleep(seconds(1)).await;
            log.log("*lives");
        });
        let report = scheduler.advance(seconds(1)).await;
        assert_eq!(report.panicked.len(), 1);
        assert_eq!(report.panicked[0].task, "bomb");
        assert_eq!(report.panicked[0].message, "boom 7");
        assert_eq!(logged(&scheduler), ["1000 lives"]);
        assert!(support::texts(&scheduler).contains(&"panicked bomb: boom 7".to_owned()));
        scheduler.advance(seconds(1)).await.expect_clean();
    });
}

struct Dropped(TraceLog, usize);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.log(format!("*dropped {}", self.1));
    }
}

#[test]
fn tasks_ended_in_mid_wait() {
    let mut traces = BTreeSet::new();
    for _ in 0..200 {
        four_threads().block_on(async {
            let scheduler = StepScheduler::builder().seed(3).build();
            let ends: Vec<_> = (0..4)
                .map(|number| {
                    let dropped = Dropped(scheduler.trace_log(), number);
                    scheduler.spawn(format!("task-{number}"), async move {
                        let _dropped = dropped;
                        pending::<()>().await;
                    })
                })
                .collect();
            scheduler.settle().await.expect_clean();
            ends.iter().for_each(|end| end());
            assert!(logged(&scheduler).is_empty(), "an end is a step like any other");
            let report = scheduler.settle().await;
            assert_eq!(report.grants, 4);
            scheduler.log("*settled");
            // Harmless when it is over.
            ends.iter().for_each(|end| end());
            assert!(scheduler.settle().await.is_quiet());
            let mut lines = logged(&scheduler);
            assert_eq!(lines.pop().expect("a line"), "0 settled");
            lines.sort();
            assert_eq!(lines, ["0 dropped 0", "0 dropped 1", "0 dropped 2", "0 dropped 3"]);
            traces.insert(scheduler.trace_hash());
        });
    }
    assert_eq!(traces.len(), 1);
}

#[test]
fn a_handler_that_waits_for_another_handler() {
    four_threads().block_on(async {
        let scheduler = StepScheduler::new();
        let (done, is_done) = tokio::sync::oneshot::channel();
        let (hooks, log) = (scheduler.hooks(), scheduler.trace_log());
        _ = scheduler.spawn("slot-1", async move {
            in_handler(&hooks, "waits", async {
                is_done.await.expect("the other handler runs");
                log.log("*first ends");
            })
            .await;
        });
        let (hooks, log) = (scheduler.hooks(), scheduler.trace_log());
        _ = scheduler.spawn("slot-2", async move {
            in_handler(&hooks, "helps", async {
                log.log("*second ends");
                done.send(()).expect("the first waits");
            })
            .await;
        });
        let report = scheduler.settle().await;
        assert_eq!(logged(&scheduler), ["0 second ends", "0 first ends"]);
        let [reason] = report.nondeterministic.as_slice() else { panic!("one reason: {report}") };
        assert!(reason.contains("handler of waits"), "{reason}");
        assert!(reason.contains("attempt 1 in task slot-1"), "{reason}");
        scheduler.settle().await.expect_clean();
    });
}
