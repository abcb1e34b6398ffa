//! What a program may do on any thread: every future of the public API may be spawned.

use std::time::Duration;

use backgroundjobs_core::hosting::{
    Fresh, Host, Refresher, Refreshing, Stopping, TaskQueue, TimedService, WhenFull,
};
use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{Admin, JobFilter};
use backgroundjobs_memory::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Work;

impl JobArgs for Work {
    const KIND: &'static str = "work";
}

fn may_be_spawned<T: Send>(future: impl Future<Output = T> + Send) {
    drop(future);
}

fn is_shared<T: Send + Sync + 'static>() {}

#[test]
fn every_future_may_be_spawned() {
    let jobs = BackgroundJobs::builder(|options| options.use_in_memory())
        .register_fn(async |_: Work, _: JobContext| Ok(()))
        .build()
        .expect("built");
    let (manager, admin) = (jobs.manager(), jobs.admin().expect("there"));
    let (second, id) = (Duration::from_secs(1), JobId::from_uuid(uuid::Uuid::nil()));
    may_be_spawned(jobs.start());
    may_be_spawned(jobs.stop(second));
    may_be_spawned(jobs.wait_until_idle(second));
    may_be_spawned(jobs.explain(id));
    may_be_spawned(manager.enqueue(Work));
    may_be_spawned(manager.enqueue_in(Work, second));
    may_be_spawned(manager.enqueue_at(Work, Timestamp::UNIX_EPOCH));
    may_be_spawned(manager.enqueue_many([Work]));
    may_be_spawned(manager.enqueue_many_with([Work], |_, _| ()));
    may_be_spawned(manager.cancel(id));
    may_be_spawned(manager.requeue(id));
    may_be_spawned(manager.wait(id, second));
    may_be_spawned(BackgroundJobManager::enqueue(Work));
    may_be_spawned(BackgroundJobManager::enqueue_many([Work]));
    may_be_spawned(BackgroundJobManager::scope(manager.clone(), manager.enqueue(Work)));
    may_be_spawned(admin.pause("default"));
    may_be_spawned(admin.resume("default"));
    may_be_spawned(admin.list(JobFilter::all(), None));
    may_be_spawned(admin.requeue_where(JobFilter::all(), 1));
    let queue = TaskQueue::new(1, WhenFull::Wait);
    let refresher = Refresher::new(async || Ok(Fresh::new(1_u8, Duration::from_secs(1))));
    let value = refresher.value();
    let host = Host::builder().background("queue", queue.workers(1)).background("value", refresher);
    let host = host.build().expect("built");
    may_be_spawned(host.start());
    may_be_spawned(host.run(async {}));
    may_be_spawned(host.run_until(async {}, async {}));
    may_be_spawned(host.stop());
    may_be_spawned(host.stop_requested());
    may_be_spawned(queue.enqueue("one", async |_: Stopping| Ok(())));
    may_be_spawned(value.get());
    may_be_spawned(value.refresh());
    is_shared::<Host>();
    is_shared::<Stopping>();
    is_shared::<TaskQueue>();
    is_shared::<TimedService>();
    is_shared::<Refreshing<u8>>();
    is_shared::<BackgroundJobs>();
    is_shared::<Admin>();
    is_shared::<JobContext>();
}
