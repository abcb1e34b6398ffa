//! Hosts under a kit: services that wait for what the kit cannot see, one trace for one seed, and the end of a test.

mod support;

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use backgroundjobs_core::hosting::{
    Fresh, Host, HostBuilder, HostedService, Refresher, ServiceResult, ServiceState, Stopping, TaskQueue,
    Tick, TimedService, WhenFull,
};
use backgroundjobs_core::prelude::*;
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::TestKit;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use support::real_store::real_store;
use support::{four_threads, millis, one_thread, panic_text, real_answer, seconds};

/// Longer than anybody is waited for when others could go on.
const LONG: Duration = millis(150);

/// Asks somebody outside as it starts and as it stops.
struct Client;

impl HostedService for Client {
    async fn start(&self, _: Stopping) -> ServiceResult {
        real_answer(LONG).await;
        Ok(())
    }

    async fn stop(&self, _: Duration) -> ServiceResult {
        real_answer(LONG / 3).await;
        Ok(())
    }
}

fn asks_outside(queue: &TaskQueue, seen: &Arc<Mutex<Vec<&'static str>>>) -> HostBuilder {
    let (by_tick, by_loop) = (seen.clone(), seen.clone());
    let tick = move |_: Tick| {
        let seen = by_tick.clone();
        async move {
            real_answer(LONG).await;
            seen.lock().push("tick");
            Ok(())
        }
    };
    let refresh = async || {
        real_answer(LONG).await;
        Ok(Fresh::new((), seconds(3_600)))
    };
    Host::builder()
        .service("client", Client)
        .background("timer", TimedService::every(seconds(10)).run_fn(tick))
        .background("queue", queue.workers(1))
        .background("token", Refresher::new(refresh))
        .background_fn("loop", move |stopping: Stopping| {
            let seen = by_loop.clone();
            async move {
                while stopping.sleep(seconds(7)).await.has_elapsed() {
                    stopping.outside(real_answer(LONG / 3)).await;
                    seen.lock().push("loop");
                }
                Ok(())
            }
        })
}

#[test]
fn what_a_service_waits_for_outside_takes_no_virtual_time() {
    for runtime in [one_thread(), four_threads()] {
        runtime.block_on(async {
            // Others sleep beside each wait, and must not go on without it however slow the machine is.
            let kit = TestKit::builder().handler_patience(seconds(5)).build();
            let (queue, seen) = (TaskQueue::new(10, WhenFull::Wait), Arc::default());
            let begun = kit.now();
            let host = kit.start_host(asks_outside(&queue, &seen)).await;
            let task = seen.clone();
            queue
                .try_enqueue("task", async move |_: Stopping| {
                    real_answer(LONG).await;
                    task.lock().push("task");
                    Ok(())
                })
                .expect("there is room");
            let report = kit.settle().await;
            assert_eq!((seen.lock().as_slice(), kit.now()), (["task"].as_slice(), begun));
            assert!(report.steps.nondeterministic.is_empty(), "{report}");
            let report = kit.advance(seconds(14)).await;
            assert_eq!(seen.lock()[1..], ["loop", "tick", "loop"]);
            assert!(report.steps.nondeterministic.is_empty(), "{report}");
            let before = kit.now();
            kit.run(host.stop()).await.expect("all stop well");
            assert_eq!(kit.now(), before);
            kit.finish().await;
        });
    }
}

#[test]
fn a_service_that_waits_for_another_of_the_program_holds_nobody_up() {
    one_thread().block_on(async {
        let kit = TestKit::new();
        let (sender, receiver) = tokio::sync::mpsc::channel::<u32>(1);
        let (receiver, heard) = (Arc::new(tokio::sync::Mutex::new(receiver)), Arc::new(Mutex::new(0)));
        let sum = heard.clone();
        let builder = Host::builder()
            .background_fn("reader", move |stopping: Stopping| {
                let (receiver, sum) = (receiver.clone(), sum.clone());
                async move {
                    let mut receiver = receiver.lock().await;
                    loop {
                        tokio::select! {
                            biased;
                            () = stopping.cancelled() => return Ok(()),
                            number = receiver.recv() => *sum.lock() += number.unwrap_or_default(),
                        }
                    }
                }
            })
            .background(
                "writer",
                TimedService::every(seconds(1)).run_fn_with(
                    sender,
                    async |sender: tokio::sync::mpsc::Sender<u32>, _: Tick| {
                        sender.send(2).await?;
                        Ok(())
                    },
                ),
            );
        let host = kit.start_host(builder).await;
        let report = kit.advance(seconds(10)).await;
        assert_eq!(*heard.lock(), 20);
        assert!(report.steps.nondeterministic.is_empty(), "{report}");
        kit.run(host.stop()).await.expect("all stop well");
        kit.finish().await;
    });
}

#[test]
fn a_tick_that_never_ends_is_named_with_its_service() {
    let kit = TestKit::builder().watchdog(millis(300)).build();
    let text = panic_text(|| {
        one_thread().block_on(async {
            let timer = TimedService::every(seconds(10)).run_fn(async |_: Tick| pending().await);
            let _host = kit.start_host(Host::builder().background("timer", timer)).await;
            let report = kit.advance(seconds(60)).await;
            panic!("it went on: {report}");
        });
    });
    kit.abandon();
    for part in [
        "nothing happened for 300ms of real time, at virtual 2030-01-01T00:00:10Z",
        "tick of service timer in task timer waits for something outside",
        "(a service that sleeps must sleep through stopping.sleep(..): tokio's time is real time)",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[derive(Serialize, Deserialize)]
struct Work;

impl JobArgs for Work {
    const KIND: &'static str = "work";
}

fn program() -> Builder {
    BackgroundJobs::builder(|options| options.use_store(real_store(MemoryStore::new()))).register_fn(
        async |_: Work, ctx: JobContext| {
            ctx.sleep(seconds(1)).await;
            Ok(())
        },
    )
}

/// Jobs, timers at the same instants, a queue and a value, over a store that real threads answer when they like.
async fn everything(kit: &TestKit) -> u64 {
    let jobs = kit.build(program());
    let queue = TaskQueue::new(3, WhenFull::DropOldest);
    let enqueue = |queue: TaskQueue| async move {
        for number in 0..5 {
            queue.try_enqueue(format!("task {number}"), async |stopping: Stopping| {
                BackgroundJobManager::enqueue(Work).await?;
                _ = stopping.sleep(seconds(1)).await;
                Ok(())
            })?;
        }
        Ok(())
    };
    let timer = || TimedService::every(seconds(5)).jitter(0.1);
    let for_queue = queue.clone();
    let builder = Host::builder()
        .shared_service("jobs", jobs.clone())
        .background("queue", queue.workers(2))
        .background("filler", timer().run_fn(move |_: Tick| enqueue(for_queue.clone())))
        .background(
            "feeder",
            timer().run_fn(async |_: Tick| {
                BackgroundJobManager::enqueue(Work).await?;
                Ok(())
            }),
        )
        .background("token", Refresher::new(async || Ok(Fresh::new((), seconds(20)))));
    let host = kit.start_host(builder).await;
    let report = kit.advance(seconds(30)).await;
    assert!(report.steps.nondeterministic.is_empty(), "{report}");
    kit.run(host.stop()).await.expect("all stop well");
    assert!(jobs.stats().succeeded > 15, "{:?}", jobs.stats());
    kit.abandon();
    kit.scheduler().trace_hash()
}

#[test]
fn one_seed_is_one_trace_of_a_whole_host_on_any_number_of_threads() {
    let trace = |seed: u64, runtime: tokio::runtime::Runtime| {
        let kit = TestKit::builder().seed(seed).jitter(true).build();
        runtime.block_on(everything(&kit))
    };
    let first = trace(1, one_thread());
    for _ in 0..10 {
        assert_eq!(trace(1, four_threads()), first);
        assert_eq!(trace(1, one_thread()), first);
    }
    assert_ne!(trace(2, one_thread()), first);
}

#[test]
fn a_host_that_stopped_without_running_a_job_leaves_it_to_the_end_of_the_test() {
    let kit = TestKit::new();
    let text = panic_text(|| {
        one_thread().block_on(async {
            let jobs = kit.build(program());
            let host = kit.start_host(Host::builder().shared_service("jobs", jobs.clone())).await;
            jobs.manager().enqueue_in(Work, seconds(60)).await.expect("enqueued");
            kit.run(host.stop()).await.expect("all stop well");
            assert_eq!(host.health().services[0].state, ServiceState::Stopped);
            kit.finish().await;
        });
    });
    assert!(text.contains("1 job is left that nobody could ever run"), "{text}");
}

#[test]
fn a_host_that_cannot_be_built_or_started_panics_with_its_reason() {
    let kit = TestKit::new();
    let built = panic_text(|| _ = kit.host(Host::builder()));
    assert!(built.starts_with("the host cannot be built: there is no service"), "{built}");
    let started = panic_text(|| {
        one_thread().block_on(async {
            let fails = |_: Stopping| async { Err("no route".into()) };
            _ = kit.start_host(Host::builder().service_fn("pool", fails, async |_| Ok(()))).await;
        });
    });
    assert_eq!(started, "the host has failed: pool failed as it was started: no route");
    kit.abandon();
}
