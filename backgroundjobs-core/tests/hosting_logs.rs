//! What a host says in the log. Every test of this file listens: others could keep these from hearing.

#[path = "support/log_lines.rs"]
mod log_lines;
#[path = "support/services.rs"]
mod services;

use std::future::pending;

use backgroundjobs_core::hosting::{Host, OnFailure, Stopping, TaskQueue, TaskQueueError, WhenFull};
use backgroundjobs_testing::TestKit;
use log_lines::LogLines;
use services::{Act, Log, SECOND, Scripted, Works, failures, noted};

#[tokio::test]
async fn what_goes_wrong_is_in_the_log() {
    let (lines, _guard) = LogLines::listen();
    let (kit, log) = (TestKit::new(), Log::default());
    let host = kit.host(
        Host::builder()
            .service("stuck", noted(&kit, &log, "stuck").on_stop(Act::Fail("disk full")))
            .background("ignored", Scripted::always(Act::Fail("no route")))
            .on_failure(OnFailure::Ignore)
            .background("faulty", Scripted::new([(SECOND, Act::Panic("fell over"))])),
    );
    assert_eq!(failures(kit.run(host.run(pending())).await).len(), 2);
    let cannot_start = Host::builder().service("one", noted(&kit, &log, "one").on_start(Act::Fail("no")));
    assert_eq!(failures(kit.run(kit.host(cannot_start).start()).await).len(), 1);
    let works = Works { name: "one", log: log.clone() };
    drop(kit.start_host(Host::builder().background("one", works)).await);
    let told = [
        "ERROR a hosted service reports trouble, and goes on service=\"ignored\" what=\"execute\" error=ignored failed \
         while it ran: no route",
        "ERROR a hosted service failed; the host stops service=\"faulty\" error=faulty panicked while it ran: fell over \
         restarts=0",
        "ERROR a hosted service did not stop well; the stop goes on error=stuck failed as it was stopped: disk full",
        "ERROR a host does not start error=one failed as it was started: no",
        "WARN a host was dropped without stop(): its services are told to stop, and nobody waits for them; call \
         host.run(..).await, or host.stop().await before",
    ];
    assert_eq!(lines.take(), told);
    kit.finish().await;
}

#[tokio::test]
async fn a_queue_whose_workers_are_gone_refuses_and_says_what_never_ran() {
    let (lines, _guard) = LogLines::listen();
    let kit = TestKit::new();
    let queue = TaskQueue::new(1, WhenFull::Wait);
    let host = kit.host(Host::builder().background("queue", queue.workers(1)));
    queue.try_enqueue("a", async |_: Stopping| Ok(())).expect("there is room");
    drop(host);
    let refused = queue.enqueue("b", async |_: Stopping| Ok(())).await;
    assert_eq!(refused, Err(TaskQueueError::Stopped { task: "b".to_owned() }));
    assert!(lines.take().is_empty());
    drop(queue);
    assert_eq!(
        lines.take(),
        [
            "WARN a task queue was dropped with tasks that never ran: let a host run its workers, and stop the host \
          tasks=[\"a\"]"
        ]
    );
    kit.finish().await;
}
