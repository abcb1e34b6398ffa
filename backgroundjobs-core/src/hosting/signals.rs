//! [`signals`]: what ends a program from outside.

use std::future::Future;
use std::io;
use std::sync::Arc;

use tokio::sync::Mutex;

/// A pair for [`Host::run_until`](super::Host::run_until): the first ends at SIGTERM or Ctrl-C, the second when one of
/// them comes again. Where there is no SIGTERM, Ctrl-C alone counts.
///
/// From this call on neither ends the process by itself any more, for as long as the process lives.
///
/// ```
/// # use std::time::Duration;
/// # use backgroundjobs_core::hosting::{Host, Stopping, signals};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # let host = Host::builder()
/// #     .background_fn("done at once", async |stopping: Stopping| {
/// #         stopping.stop_host();
/// #         stopping.cancelled().await;
/// #         Ok(())
/// #     })
/// #     .build()?;
/// let (stop, stop_now) = signals()?;
/// host.run_until(stop, stop_now).await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// The operating system does not let the program listen.
///
/// # Panics
/// Outside a tokio runtime with its drivers enabled, as `#[tokio::main]` has it.
pub fn signals() -> io::Result<(impl Future<Output = ()> + Send, impl Future<Output = ()> + Send)> {
    // One ear for both: a signal that comes between the two waits is not lost, and none counts twice.
    let ear = Arc::new(Mutex::new(Ear::new()?));
    let hear = |ear: Arc<Mutex<Ear>>| async move { ear.lock().await.hear().await };
    Ok((hear(ear.clone()), hear(ear)))
}

#[cfg(unix)]
struct Ear {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Ear {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn hear(&mut self) {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(windows)]
struct Ear(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Ear {
    fn new() -> io::Result<Self> {
        Ok(Self(tokio::signal::windows::ctrl_c()?))
    }

    async fn hear(&mut self) {
        _ = self.0.recv().await;
    }
}
