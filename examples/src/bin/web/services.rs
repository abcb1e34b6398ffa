//! What this program does beside answering requests: its host, with jobs, a timer, a queue, a value that is kept
//! fresh, and the web server itself.

use std::future::IntoFuture;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use axum::Router;
use backgroundjobs_core::hosting::{
    BackgroundService, Fresh, Host, HostBuilder, Refresher, Refreshing, ServiceResult, Stopping, TaskQueue,
    Tick, TimedService, WhenFull,
};
use backgroundjobs_core::prelude::*;
use parking_lot::Mutex;
use tokio::net::TcpListener;

use super::Users;

/// What requests under way are given, before the program ends without them. Jobs have the rest of the host's time.
const DRAIN: Duration = Duration::from_secs(5);

/// How often users are counted.
const CENSUS: Duration = Duration::from_secs(1);

/// How long a motto lives.
const MOTTO: Duration = Duration::from_secs(10);

/// What the routes use of the services.
#[derive(Clone)]
pub(crate) struct Services {
    /// Letters are written one after another; who wants one while ten wait is told to come back.
    pub(crate) letters: TaskQueue,
    pub(crate) written: Arc<AtomicU64>,
    /// The users at the last census.
    pub(crate) counted: Arc<AtomicU64>,
    pub(crate) motto: Refreshing<String>,
    /// How the host stands; set once it is built. It holds the routes, so they hold it weakly.
    pub(crate) host: Arc<OnceLock<Weak<Host>>>,
}

impl Services {
    /// The services over these jobs and users, and the host that runs them.
    pub(crate) fn new(jobs: Arc<BackgroundJobs>, users: Users) -> (Self, HostBuilder) {
        let mottos = AtomicU64::new(0);
        let refresher = Refresher::new(move || {
            let number = mottos.fetch_add(1, Ordering::Relaxed) + 1;
            async move { Ok(Fresh::new(format!("motto {number}"), MOTTO)) }
        });
        let services = Self {
            letters: TaskQueue::new(10, WhenFull::Reject),
            written: Arc::default(),
            counted: Arc::default(),
            motto: refresher.value(),
            host: Arc::default(),
        };
        let host = Host::builder()
            .shared_service("jobs", jobs)
            .background("census", census(users, services.counted.clone()))
            .background("letters", services.letters.workers(1))
            .background("motto", refresher)
            .on_report(|report| eprintln!("{} of {} failed: {}", report.what, report.service, report.error));
        (services, host)
    }
}

fn census(users: Users, counted: Arc<AtomicU64>) -> TimedService {
    TimedService::every(CENSUS).run_fn_with(
        (users, counted),
        async |(users, counted): (Users, Arc<AtomicU64>), _: Tick| {
            counted.store(users.counts().await?.len() as u64, Ordering::Relaxed);
            Ok(())
        },
    )
}

/// The web server. Added to the host last, so that it stops first: then nobody asks for more.
pub(crate) struct Server {
    listener: Mutex<Option<TcpListener>>,
    routes: Router,
}

impl Server {
    pub(crate) fn new(listener: TcpListener, routes: Router) -> Self {
        Self { listener: Mutex::new(Some(listener)), routes }
    }
}

impl BackgroundService for Server {
    /// Serves until the program is asked to stop and the requests under way are answered.
    async fn execute(&self, stopping: Stopping) -> ServiceResult {
        let listener = self.listener.lock().take();
        let listener = listener.ok_or_else(|| io::Error::other("the server is started once"))?;
        let asked = stopping.clone();
        let server = axum::serve(listener, self.routes.clone()).with_graceful_shutdown(async move {
            asked.cancelled().await;
            println!("draining: no new requests, then no new jobs");
        });
        tokio::select! {
            ended = server.into_future() => Ok(ended?),
            () = async {
                stopping.cancelled().await;
                // Somebody may hold a connection open for as long as they like.
                tokio::time::sleep(DRAIN).await;
            } => {
                eprintln!("some requests were not finished within {DRAIN:?} and are cut off");
                Ok(())
            }
        }
    }
}
