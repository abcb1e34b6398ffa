//! Keeps tokio's paused clock from running away while a store really works.
//!
//! A paused runtime that has nothing to do jumps to its next timer, and knows nothing of what a store waits for: a
//! client's own timeout then fires at once. While a call runs on its blocking pool it does not jump.

use std::sync::mpsc::{Sender, channel};

use tokio::runtime::{Handle, RuntimeFlavor};

use crate::layer::{Seam, within};

/// While it lives, the current runtime's clock does not jump. Costs some 15 µs.
pub(crate) struct Inhibitor {
    _release: Sender<()>,
}

impl Inhibitor {
    /// None where no clock could jump: outside tokio, and on runtimes of several threads.
    #[expect(clippy::disallowed_methods, reason = "the call only stands there, and nobody waits for it")]
    pub(crate) fn start() -> Option<Self> {
        let runtime = Handle::try_current().ok()?;
        if runtime.runtime_flavor() != RuntimeFlavor::CurrentThread {
            return None;
        }
        let (release, released) = channel();
        // Ends when the other side is dropped.
        drop(runtime.spawn_blocking(move || released.recv()));
        Some(Self { _release: release })
    }

    /// Awaits a look of the kit's own at a store.
    pub(crate) async fn over_a_look<T>(look: impl Future<Output = T>) -> T {
        let _inhibitor = Self::start();
        within(Seam::Looks, look).await
    }
}
