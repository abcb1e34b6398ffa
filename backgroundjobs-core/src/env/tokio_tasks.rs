//! Tasks and chance of a real program: tokio's tasks, a random seed.

use fastrand::Rng;

use super::AbortTask;
use crate::BoxFuture;

#[expect(clippy::disallowed_methods, reason = "this is where tasks really start and end")]
pub(super) fn spawn(task: BoxFuture<'static, ()>) -> AbortTask {
    let handle = tokio::spawn(task);
    Box::new(move || handle.abort())
}

#[expect(clippy::disallowed_methods, reason = "a real program is not repeatable, so its seed is random")]
pub(super) fn random() -> Rng {
    Rng::new()
}
