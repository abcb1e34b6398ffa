//! Time that users write: the kit's own, tokio's, and none at all.

mod support;

use std::future::pending;
use std::time::Duration;

use backgroundjobs_core::prelude::*;
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::TestKit;
use serde::{Deserialize, Serialize};
use support::real_store::{RealStore, real_store};
use support::{four_threads, millis, one_thread, panic_text, seconds};
use tokio::runtime::Runtime;

const HOUR: Duration = Duration::from_secs(3_600);

#[derive(Serialize, Deserialize)]
enum Work {
    /// On the kit's clock.
    Sleep(u64),
    /// On tokio's, in milliseconds.
    SleepOnTokio(u64),
    Hang,
}

impl JobArgs for Work {
    const KIND: &'static str = "work";
}

#[expect(clippy::disallowed_methods, reason = "what users write, too")]
async fn work(work: Work, ctx: JobContext) -> JobResult {
    match work {
        Work::Sleep(time) => ctx.sleep(seconds(time)).await,
        Work::SleepOnTokio(time) => tokio::time::sleep(millis(time)).await,
        Work::Hang => pending().await,
    }
    Ok(())
}

fn paused() -> Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime")
}

async fn start(kit: &TestKit, jobs: impl IntoIterator<Item = Work> + Send) -> std::sync::Arc<BackgroundJobs> {
    let builder = BackgroundJobs::builder(|options| options.use_in_memory().queue("default", 4));
    let running = kit.start(builder.register_fn(work)).await;
    for job in jobs {
        let _ = running.manager().enqueue(job).await.expect("enqueued");
    }
    running
}

#[test]
fn a_sleep_of_the_context_takes_virtual_time_and_no_other() {
    one_thread().block_on(async {
        let kit = TestKit::new();
        let _jobs = start(&kit, [Work::Sleep(7_200)]).await;
        assert_eq!(kit.advance(HOUR * 2 - Duration::from_micros(1)).await.running.len(), 1);
        assert_eq!(kit.advance(Duration::from_micros(1)).await.succeeded, 1);
        kit.finish().await;
    });
}

#[test]
fn a_sleep_of_tokio_is_waited_for_in_real_time_and_takes_no_virtual_time() {
    for runtime in [one_thread(), four_threads()] {
        runtime.block_on(async {
            let kit = TestKit::new();
            // Longer than a handler is waited for when others could go on.
            let _jobs = start(&kit, [Work::SleepOnTokio(300)]).await;
            let begun = kit.now();
            assert_eq!(kit.settle().await.succeeded, 1);
            assert_eq!(kit.now(), begun);
            kit.finish().await;
        });
    }
}

#[test]
fn a_sleep_of_tokio_is_skipped_where_tokios_time_is_paused() {
    paused().block_on(async {
        let kit = TestKit::new();
        let _jobs = start(&kit, [Work::SleepOnTokio(3_600_000)]).await;
        let begun = kit.now();
        assert_eq!(kit.settle().await.succeeded, 1);
        assert_eq!(kit.now(), begun);
        kit.finish().await;
    });
}

#[test]
fn a_handler_that_never_ends_is_named_with_its_job_its_attempt_and_the_armed_timers() {
    let kit = TestKit::builder().watchdog(millis(300)).build();
    let text = panic_text(|| {
        one_thread().block_on(async {
            let _jobs = start(&kit, [Work::Hang]).await;
            let report = kit.advance(HOUR).await;
            panic!("it went on: {report}");
        });
    });
    kit.abandon();
    for part in [
        "nothing happened for 300ms of real time, at virtual 2030-01-01T00:00:00Z",
        "handler of work 01b8",
        ", attempt 1 in task slot default/",
        "waits for something outside, since virtual 2030-01-01T00:00:00Z",
        "(a handler that sleeps must sleep through its context: tokio's time is real time)",
        "armed timers: ",
        "leases in 10s",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_handler_that_waits_while_others_sleep_is_left_behind_and_the_report_says_so() {
    one_thread().block_on(async {
        let kit = TestKit::new();
        let _jobs = start(&kit, [Work::Hang, Work::Sleep(60)]).await;
        let report = kit.advance(HOUR).await;
        assert_eq!((report.succeeded, report.running.len()), (1, 1), "{report}");
        let doubts = report.steps.nondeterministic.concat();
        assert!(
            doubts.contains("handler of work") && doubts.contains("others went on without it"),
            "{doubts}"
        );
        kit.abandon();
    });
}

/// Calls a store that answers in real time, under a client's own timeout of 30 s of tokio's time.
#[derive(Debug)]
struct ImpatientStore(RealStore);

macro_rules! forward {
    ($($method:ident($request:ty) -> $reply:ty;)*) => {
        #[backgroundjobs_core::async_trait]
        impl backgroundjobs_core::JobStore for ImpatientStore {
            fn profile(&self) -> backgroundjobs_core::StoreProfile {
                self.0.profile()
            }
            async fn prepare(&self) -> Result<(), backgroundjobs_core::StoreError> {
                self.0.prepare().await
            }
            async fn close(&self) -> Result<(), backgroundjobs_core::StoreError> {
                self.0.close().await
            }
            fn local_hub(&self) -> Option<&backgroundjobs_core::WakeHub> {
                self.0.local_hub()
            }
            fn remote_wakes(&self) -> Option<&dyn backgroundjobs_core::RemoteWakes> {
                None
            }
            fn inspect(&self) -> Option<&dyn backgroundjobs_core::InspectStore> {
                self.0.inspect()
            }
            fn control(&self) -> Option<&dyn backgroundjobs_core::ControlStore> {
                self.0.control()
            }
            $(
                #[expect(clippy::disallowed_methods, reason = "as a pool of connections does it")]
                async fn $method(&self, request: &$request) -> Result<$reply, backgroundjobs_core::StoreError> {
                    tokio::time::timeout(seconds(30), self.0.$method(request)).await.expect("in time")
                }
            )*
        }
    };
}

forward! {
    insert(backgroundjobs_core::InsertJobs) -> backgroundjobs_core::InsertedJobs;
    claim(backgroundjobs_core::ClaimJobs) -> backgroundjobs_core::ClaimedJobs;
    renew(backgroundjobs_core::RenewLeases) -> backgroundjobs_core::RenewedLeases;
    settle(backgroundjobs_core::SettleJobs) -> backgroundjobs_core::SettledJobs;
    recover(backgroundjobs_core::RecoverJobs) -> backgroundjobs_core::RecoveredJobs;
    cancel(backgroundjobs_core::CancelJobs) -> Vec<backgroundjobs_core::CancelStatus>;
    get([backgroundjobs_core::JobId]) -> Vec<Option<backgroundjobs_core::JobRecord>>;
    prune(backgroundjobs_core::PruneJobs) -> backgroundjobs_core::PrunedJobs;
}

#[test]
fn a_clients_timeout_on_paused_time_does_not_fire_while_the_store_works() {
    paused().block_on(async {
        let kit = TestKit::new();
        let store = ImpatientStore(real_store(MemoryStore::new()));
        let builder = BackgroundJobs::builder(|options| options.use_store(store));
        let jobs = kit.run(kit.start(builder.register_fn(work))).await;
        for _ in 0..20 {
            let _ = kit.run(jobs.manager().enqueue(Work::SleepOnTokio(3_600_000))).await.expect("enqueued");
        }
        let _ = kit.settle().await;
        assert_eq!((jobs.stats().succeeded, jobs.stats().store_errors), (20, 0));
        kit.jobs().await.assert_ran::<Work>().times(20);
        kit.finish().await;
    });
}

#[test]
fn a_wait_that_no_verb_moves_fails_and_says_where_it_belongs() {
    let kit = TestKit::builder().watchdog(millis(100)).build();
    let jobs = one_thread().block_on(start(&kit, [Work::Sleep(60)]));
    let text = panic_text(|| {
        one_thread().block_on(async {
            jobs.wait_until_idle(HOUR).await.expect("it hangs instead");
        });
    });
    assert!(text.contains("outside of every verb of the test kit"), "{text}");
    assert!(text.contains("await it inside kit.run(..), or together with a verb by tokio::join!"), "{text}");
    one_thread().block_on(async {
        assert_eq!(kit.drain(backgroundjobs_testing::Limits::new()).await.succeeded, 1, "the kit goes on");
        kit.finish().await;
    });
}

#[test]
fn a_wait_beside_a_verb_ends_when_its_time_has_come() {
    let kit = TestKit::builder().watchdog(millis(500)).build();
    one_thread().block_on(async {
        let jobs = start(&kit, [Work::Sleep(60)]).await;
        let (idle, report) = tokio::join!(jobs.wait_until_idle(HOUR), kit.advance(HOUR));
        assert!(idle.is_ok());
        assert_eq!(report.succeeded, 1);
        kit.finish().await;
    });
}
