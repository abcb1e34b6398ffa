//! Services that are started and stopped with the program: alone, beside jobs, or inside a web application.
//!
//! A [`Host`] starts [services](HostedService) in order, watches over [those that work on](BackgroundService), and
//! stops them in reverse, in a time that all share. Ready-made services: [`BackgroundJobs`](crate::BackgroundJobs),
//! [`TimedService`], [`TaskQueue`] and [`Refreshing`]. The chapter is `docs/hosting.md`.
//!
//! ```
//! use std::time::Duration;
//! use backgroundjobs_core::hosting::{Host, Stopping};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let host = Host::builder()
//!     .background_fn("greeter", async |stopping: Stopping| {
//!         while stopping.sleep(Duration::from_secs(1)).await.has_elapsed() {
//!             println!("hello");
//!         }
//!         Ok(())
//!     })
//!     .build()?;
//! host.run(async { /* until the program shall end */ }).await?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod build_error;
mod builder;
mod cell;
mod failure;
mod functions;
mod health;
mod host;
mod jobs;
mod join;
mod policy;
mod queue;
mod queue_workers;
mod refresher;
mod refreshing;
mod run;
mod runner;
mod schedule;
mod service;
#[cfg(feature = "signals")]
mod signals;
mod start;
mod stop;
mod stopping;
mod timed;

pub use build_error::{HostBuildError, HostBuildProblem};
pub use builder::HostBuilder;
pub use failure::{During, FailureCause, HostError, ServiceFailure};
pub use functions::ServiceFuture;
pub use health::{HostHealth, HostPhase, ServiceHealth, ServiceReport, ServiceState};
pub use host::Host;
pub use policy::{OnFailure, RestartPolicy};
pub use queue::{TaskQueue, TaskQueueError, WhenFull};
pub use queue_workers::QueueWorkers;
pub use refresher::Refresher;
pub use refreshing::{Fresh, RefreshError, Refreshing};
pub use schedule::Missed;
pub use service::{BackgroundService, HostedService, ServiceError, ServiceResult};
#[cfg(feature = "signals")]
pub use signals::signals;
pub use stopping::{Slept, Stopping};
pub use timed::{Tick, TimedService, TimedTask, Timer};
