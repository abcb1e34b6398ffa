//! The forms in which a service may be written.

use backgroundjobs_core::hosting::{
    BackgroundService, Fresh, Host, HostedService, Refresher, ServiceResult, Stopping, TaskQueue, Tick, TimedService,
    TimedTask, WhenFull,
};
use std::sync::Arc;
use std::time::Duration;

async fn function(stopping: Stopping) -> ServiceResult {
    stopping.cancelled().await;
    Ok(())
}

async fn function_with(greeting: String, stopping: Stopping) -> ServiceResult {
    println!("{greeting}");
    function(stopping).await
}

struct Pool;

impl HostedService for Pool {
    async fn start(&self, _: Stopping) -> ServiceResult {
        Ok(())
    }

    async fn stop(&self, _: Duration) -> ServiceResult {
        Ok(())
    }
}

impl BackgroundService for Pool {
    async fn execute(&self, stopping: Stopping) -> ServiceResult {
        function(stopping).await
    }
}

impl TimedTask for Pool {
    async fn tick(&self, tick: Tick) -> ServiceResult {
        if tick.number() == 1 { Err("not yet".into()) } else { Ok(()) }
    }
}

fn main() {
    let (pool, queue) = (Arc::new(Pool), TaskQueue::new(1, WhenFull::Wait));
    let _ = queue.try_enqueue("borrows nothing", async |_: Stopping| Ok(()));
    let name = String::from("masa");
    let _ = queue.try_enqueue("takes its own", async move |_: Stopping| {
        println!("{name}");
        Ok(())
    });
    let every = || TimedService::every(Duration::from_secs(1));
    let captured = pool.clone();
    let _ = Host::builder()
        .service("a", Pool)
        .shared_service("b", pool.clone())
        .service_fn("c", async |_: Stopping| Ok(()), async |_: Duration| Ok(()))
        .background("d", Pool)
        .shared_background("e", pool.clone())
        .background_fn("f", function)
        .background_fn("g", async |stopping: Stopping| function(stopping).await)
        .background_fn("h", |stopping| async move { function(stopping).await })
        .background_fn("i", move |stopping| {
            let pool = captured.clone();
            async move { BackgroundService::execute(&*pool, stopping).await }
        })
        .background_fn_with("j", String::from("hello"), function_with)
        .background("k", every().run(Pool))
        .background("l", every().run(pool))
        .background("m", every().run_fn(async |_: Tick| Ok(())))
        .background("n", every().run_fn_with(1, async |_: i32, _: Tick| Ok(())))
        .background("o", every().run_scoped(async || Ok(Pool)))
        .background("p", queue.workers(1))
        .background("q", Refresher::new(async || Ok(Fresh::new(1, Duration::from_secs(1)))))
        .on_started(async || Ok(()));
}
