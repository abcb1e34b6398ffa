//! The task queue: in which order tasks run, what a full one does, and what a stop leaves.

#[path = "support/services.rs"]
mod services;

use std::future::pending;

use backgroundjobs_core::Env;
use backgroundjobs_core::hosting::{
    Host, ServiceResult, ServiceState, Stopping, TaskQueue, TaskQueueError, WhenFull,
};
use backgroundjobs_testing::{TestKit, explore};
use services::{Act, Log, SECOND, failures};

/// Notes its start, does so, and notes its end.
fn task(
    log: &Log,
    env: &Env,
    name: &'static str,
    act: Act,
) -> impl FnOnce(Stopping) -> std::pin::Pin<Box<dyn Future<Output = ServiceResult> + Send>> + Send + 'static {
    let (log, env) = (log.clone(), env.clone());
    move |_| {
        Box::pin(async move {
            log.note(format!("{name} begins"));
            act.act(&env).await?;
            log.note(format!("{name} ends"));
            Ok(())
        })
    }
}

async fn host_of(kit: &TestKit, log: &Log, queue: &TaskQueue, workers: usize) -> Host {
    kit.start_host(Host::builder().background("queue", queue.workers(workers)).on_report(log.reports())).await
}

#[tokio::test]
async fn one_worker_runs_tasks_one_after_another_in_their_order_and_several_run_as_many() {
    let names = ["a", "b", "c", "d"];
    for (workers, seconds, order) in [
        (1, 4, ["a begins", "a ends", "b begins", "b ends", "c begins", "c ends", "d begins", "d ends"]),
        (2, 2, ["a begins", "b begins", "a ends", "c begins", "b ends", "d begins", "c ends", "d ends"]),
    ] {
        let (kit, log) = (TestKit::new(), Log::default());
        let queue = TaskQueue::new(10, WhenFull::Wait);
        for name in names {
            let task = task(&log, &kit.env(), name, Act::Take(SECOND));
            queue.enqueue(name, task).await.expect("it may be filled before the start");
        }
        assert_eq!(queue.len(), 4);
        let host = host_of(&kit, &log, &queue, workers).await;
        _ = kit.advance(SECOND * seconds).await;
        assert_eq!(log.take(), order, "{workers} workers");
        assert!(queue.is_empty());
        kit.run(host.stop()).await.expect("it stops well");
        kit.finish().await;
    }
}

#[tokio::test]
async fn a_task_that_fails_or_panics_is_reported_by_name_and_the_rest_goes_on() {
    let (kit, log) = (TestKit::new(), Log::default());
    let queue = TaskQueue::new(10, WhenFull::Wait);
    let host = host_of(&kit, &log, &queue, 1).await;
    for (name, act) in [("a", Act::Fail("no route")), ("b", Act::Panic("fell over")), ("c", Act::Well)] {
        queue.enqueue(name, task(&log, &kit.env(), name, act)).await.expect("there is room");
    }
    let no_future = |_: Stopping| -> std::future::Ready<ServiceResult> { panic!("no future") };
    queue.try_enqueue("d", no_future).expect("there is room");
    _ = kit.settle().await;
    let lines = [
        "a begins",
        "queue: task a: no route",
        "b begins",
        "queue: task b: it panicked: fell over",
        "c begins",
        "c ends",
        "queue: task d: it panicked: no future",
    ];
    assert_eq!(log.take(), lines);
    assert_eq!(host.health().services[0].reports, 3);
    kit.run(host.stop()).await.expect("tasks that failed are no failed service");
    kit.finish().await;
}

#[tokio::test]
async fn a_full_queue_has_its_callers_wait_in_order() {
    let (kit, log) = (TestKit::new(), Log::default());
    let queue = TaskQueue::new(1, WhenFull::Wait);
    let host = host_of(&kit, &log, &queue, 1).await;
    let (begun, env) = (kit.now(), kit.env());
    kit.run(async {
        for name in ["a", "b", "c", "d"] {
            queue.enqueue(name, task(&log, &env, name, Act::Take(SECOND))).await.expect("room comes");
            // The worker takes the first one before the others come.
            env.sleep(SECOND / 100).await;
        }
    })
    .await;
    assert!(kit.now().since(begun) >= SECOND * 2, "c waited for a to end, and d for b");
    let full = queue.try_enqueue("e", async |_: Stopping| Ok(()));
    assert_eq!(
        full.expect_err("d waits").to_string(),
        "the task \"e\" was not enqueued: the queue is full, with room for 1; try again later, or let it be larger or \
         have more workers"
    );
    _ = kit.advance(SECOND * 4).await;
    let ends: Vec<String> = log.take().into_iter().filter(|line| line.ends_with("ends")).collect();
    assert_eq!(ends, ["a ends", "b ends", "c ends", "d ends"]);
    kit.run(host.stop()).await.expect("it stops well");
    kit.finish().await;
}

#[tokio::test]
async fn an_enqueue_that_is_dropped_while_it_waits_enqueues_nothing() {
    let (kit, log) = (TestKit::new(), Log::default());
    let (queue, env) = (TaskQueue::new(1, WhenFull::Wait), kit.env());
    queue.enqueue("a", task(&log, &env, "a", Act::Well)).await.expect("there is room");
    kit.run(async {
        tokio::select! {
            biased;
            _ = queue.enqueue("b", task(&log, &env, "b", Act::Well)) => panic!("it is full"),
            () = env.sleep(SECOND) => {}
        }
    })
    .await;
    let host = host_of(&kit, &log, &queue, 1).await;
    _ = kit.settle().await;
    queue.try_enqueue("c", task(&log, &env, "c", Act::Well)).expect("its room was not kept");
    _ = kit.settle().await;
    assert_eq!(log.take(), ["a begins", "a ends", "c begins", "c ends"]);
    kit.run(host.stop()).await.expect("it stops well");
    kit.finish().await;
}

#[tokio::test]
async fn a_full_queue_refuses_or_drops_the_oldest_by_name() {
    let (kit, log) = (TestKit::new(), Log::default());
    let (refuses, drops) = (TaskQueue::new(2, WhenFull::Reject), TaskQueue::new(2, WhenFull::DropOldest));
    let builder =
        Host::builder().background("refuses", refuses.workers(1)).background("drops", drops.workers(1));
    let host = kit.start_host(builder.on_report(log.reports())).await;
    for queue in [&refuses, &drops] {
        queue
            .enqueue("long", task(&log, &kit.env(), "long", Act::Take(SECOND)))
            .await
            .expect("there is room");
    }
    _ = kit.settle().await;
    assert_eq!(log.take(), ["long begins", "long begins"]);
    let mut refused = Vec::new();
    for name in ["a", "b", "c", "d"] {
        refused.extend(refuses.enqueue(name, task(&log, &kit.env(), name, Act::Well)).await.err());
    }
    let full = |task: &str| TaskQueueError::Full { task: task.to_owned(), capacity: 2 };
    assert_eq!(refused, [full("c"), full("d")]);
    for name in ["e", "f", "g", "h"] {
        drops.enqueue(name, task(&log, &kit.env(), name, Act::Well)).await.expect("it never refuses");
    }
    let dropped = |name| {
        format!("drops: task {name}: it was dropped before it ran: the queue is full, and newer tasks came")
    };
    assert_eq!(log.take(), [dropped("e"), dropped("f")]);
    _ = kit.advance(SECOND).await;
    let ends: Vec<String> = log.take().into_iter().filter(|line| line.ends_with("ends")).collect();
    assert_eq!(ends, ["long ends", "a ends", "b ends", "long ends", "g ends", "h ends"]);
    kit.run(host.stop()).await.expect("they stop well");
    kit.finish().await;
}

#[tokio::test]
async fn a_stop_runs_what_is_queued_and_refuses_what_comes_later() {
    let (kit, log) = (TestKit::new(), Log::default());
    let queue = TaskQueue::new(3, WhenFull::Wait);
    let host = host_of(&kit, &log, &queue, 1).await;
    for name in ["a", "b", "c", "d"] {
        queue.enqueue(name, task(&log, &kit.env(), name, Act::Take(SECOND))).await.expect("there is room");
        // The first is taken before the others come.
        _ = kit.settle().await;
    }
    let (begun, env) = (kit.now(), kit.env());
    let stopped = |name: &str| TaskQueueError::Stopped { task: name.to_owned() };
    let (ended, waited, late) = kit
        .run(async {
            tokio::join!(
                host.stop(),
                async {
                    let waited = queue.enqueue("waits", task(&log, &env, "waits", Act::Well)).await;
                    assert_eq!(env.now(), begun, "it does not wait for a task to end");
                    waited
                },
                async {
                    env.sleep(SECOND / 2).await;
                    queue.enqueue("late", task(&log, &env, "late", Act::Well)).await
                }
            )
        })
        .await;
    ended.expect("all were run");
    assert_eq!(kit.now().since(begun), SECOND * 4);
    assert_eq!(waited.expect_err("it waited for room"), stopped("waits"));
    let late = late.expect_err("the queue is closed");
    assert_eq!(late, stopped("late"));
    assert_eq!(
        late.to_string(),
        "the task \"late\" was not enqueued: the queue is stopping with its host, and nobody would run it"
    );
    let ends: Vec<String> = log.take().into_iter().filter(|line| line.ends_with("ends")).collect();
    assert_eq!(ends, ["a ends", "b ends", "c ends", "d ends"]);
    assert_eq!(queue.try_enqueue("after", async |_: Stopping| Ok(())), Err(stopped("after")));
    let rejects = TaskQueue::new(3, WhenFull::Reject);
    let host = host_of(&kit, &log, &rejects, 1).await;
    let (ended, at_once) = kit
        .run(async {
            // The queue's own task has not had its turn between the two.
            tokio::join!(host.stop(), rejects.enqueue("at once", async |_: Stopping| Ok(())))
        })
        .await;
    ended.expect("it stops well");
    assert_eq!(at_once, Err(stopped("at once")));
    assert_eq!(rejects.try_enqueue("after", async |_: Stopping| Ok(())), Err(stopped("after")));
    kit.finish().await;
}

#[tokio::test]
async fn what_is_left_when_the_time_is_over_is_named() {
    let (kit, log) = (TestKit::new(), Log::default());
    let queue = TaskQueue::new(10, WhenFull::Wait);
    let builder = Host::builder().background("queue", queue.workers(2)).on_report(log.reports());
    let host = kit.start_host(builder.stop_timeout(SECOND * 10)).await;
    for (name, act) in [
        ("a", Act::Take(SECOND * 3)),
        ("b", Act::Hang),
        ("c", Act::Take(SECOND * 30)),
        ("d", Act::Well),
        ("e", Act::Well),
    ] {
        queue.enqueue(name, task(&log, &kit.env(), name, act)).await.expect("there is room");
    }
    _ = kit.settle().await;
    let begun = kit.now();
    let failed = failures(kit.run(host.stop()).await);
    assert_eq!(
        failed,
        [
            "queue failed as it was stopped: tasks were left in its queue when the time was over, and are lost: b, c, d, e"
        ]
    );
    assert_eq!(kit.now().since(begun), SECOND * 9, "it ends by itself before it is dropped");
    assert_eq!(log.take(), ["a begins", "b begins", "a ends", "c begins"]);
    assert_eq!(host.health().services[0].state, ServiceState::Failed);
    kit.finish().await;
}

#[tokio::test]
async fn what_is_left_by_an_interrupt_is_named_in_reports() {
    let (kit, log) = (TestKit::new(), Log::default());
    let queue = TaskQueue::new(10, WhenFull::Wait);
    let host = kit.host(Host::builder().background("queue", queue.workers(1)).on_report(log.reports()));
    for name in ["a", "b"] {
        queue.enqueue(name, task(&log, &kit.env(), name, Act::Hang)).await.expect("there is room");
    }
    let (env, later) = (kit.env(), kit.env());
    kit.run(host.run_until(env.sleep(SECOND), later.sleep(SECOND))).await.expect_err("it was interrupted");
    _ = kit.settle().await;
    let lines = [
        "a begins",
        "queue: task a: it was left when the host's time was over",
        "queue: task b: it was left when the host's time was over",
    ];
    assert_eq!(log.take(), lines);
    kit.finish().await;
}

#[tokio::test]
async fn in_any_order_each_task_runs_once_or_is_named() {
    let seen = explore(0..200, async |kit| {
        let log = Log::default();
        let queue = TaskQueue::new(2, WhenFull::Wait);
        let host = kit.host(Host::builder().background("queue", queue.workers(3)).stop_timeout(SECOND * 5));
        let env = kit.env();
        let (stopped, taken) = kit
            .run(async {
                tokio::join!(host.run(env.sleep(SECOND * 2)), async {
                    let mut taken = 0;
                    for name in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m"] {
                        let act = if name == "f" { Act::Hang } else { Act::Take(SECOND) };
                        taken += usize::from(queue.enqueue(name, task(&log, &env, name, act)).await.is_ok());
                    }
                    taken
                })
            })
            .await;
        let ran = log.take().iter().filter(|line| line.ends_with("ends")).count();
        let failed = failures(stopped);
        assert_eq!(failed.len(), 1, "f is left");
        let left = failed[0].rsplit(": ").next().unwrap_or_default().split(", ").count();
        assert_eq!(ran + left, taken, "{failed:?}");
        assert!(taken < 13 && ran > 3, "{taken} were taken, {ran} ran");
        kit.finish().await;
    })
    .await;
    assert_eq!(seen.seeds, 200);
}

#[tokio::test]
async fn a_queue_without_a_host_holds_what_it_can() {
    let (kit, log) = (TestKit::new(), Log::default());
    let queue = TaskQueue::new(1, WhenFull::DropOldest);
    for name in ["a", "b"] {
        queue.try_enqueue(name, task(&log, &kit.env(), name, Act::Well)).expect("the oldest makes room");
    }
    let host = kit.host(Host::builder().background("queue", queue.workers(1)));
    let env = kit.env();
    kit.run(host.run_until(env.sleep(SECOND), pending())).await.expect("it stops well");
    assert_eq!(log.take(), ["b begins", "b ends"]);
    kit.finish().await;
}
