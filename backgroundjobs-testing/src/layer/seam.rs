//! What a store call that is polled on this thread is to a kit: a look of the kit's own, or a program's call that
//! the kit writes down.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Exchange;
use crate::history::History;

thread_local! {
    static SEAM: RefCell<Option<Seam>> = const { RefCell::new(None) };
}

/// What a store call is to a kit.
#[derive(Clone)]
pub(crate) enum Seam {
    /// The kit itself looks: nothing may come between.
    Looks,
    /// A program calls.
    Notes(Arc<Noting>),
}

/// One call of a program, to be written down once, as near to the store as somebody stands who can tell: a reply
/// that gets lost above the store was given all the same.
pub(crate) struct Noting {
    history: History,
    node: Arc<str>,
    is_noted: AtomicBool,
}

impl Noting {
    pub(crate) fn new(history: History, node: Arc<str>) -> Arc<Self> {
        Arc::new(Self { history, node, is_noted: AtomicBool::new(false) })
    }

    /// Writes the exchange down, if nobody nearer to the store has.
    pub(crate) fn note(&self, exchange: &Exchange<'_>) {
        if !self.is_noted.swap(true, Ordering::SeqCst) {
            self.history.exchanged(exchange, &self.node);
        }
    }
}

impl Seam {
    /// That of the call which this thread polls.
    pub(crate) fn current() -> Option<Self> {
        SEAM.with_borrow(Clone::clone)
    }
}

/// Polls `call` as what `seam` says.
pub(crate) async fn within<T>(seam: Seam, call: impl Future<Output = T>) -> T {
    let mut call = pin!(call);
    poll_fn(|cx| {
        let _restore = Restore(SEAM.replace(Some(seam.clone())));
        call.as_mut().poll(cx)
    })
    .await
}

/// Restores what was before, in a panic too.
struct Restore(Option<Seam>);

impl Drop for Restore {
    fn drop(&mut self) {
        SEAM.set(self.0.take());
    }
}
