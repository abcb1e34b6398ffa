//! Tasks and chance of a real program: tokio's tasks, a random seed.

use fastrand::Rng;

use super::AbortTask;
use crate::BoxFuture;

#[expect(clippy::disallowed_methods, reason = "this is where tasks really start and end")]
pub(super) fn spawn(task: BoxFuture<'static, ()>) -> AbortTask {
    let handle = tokio::spawn(task);
    Box::new(move || handle.abort())
}

/// On the blocking pool; on a thread of its own where there is no runtime, which happens only under a kit.
#[expect(clippy::disallowed_methods, reason = "this is where blocking calls really start")]
pub(super) fn spawn_blocking(call: Box<dyn FnOnce() + Send>) {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn_blocking(call)),
        Err(_) => drop(std::thread::spawn(call)),
    }
}

#[expect(clippy::disallowed_methods, reason = "a real program is not repeatable, so its seed is random")]
pub(super) fn random() -> Rng {
    Rng::new()
}
