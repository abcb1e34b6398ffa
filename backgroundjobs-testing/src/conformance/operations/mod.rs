//! What a check has asked its store so far: kept while the check runs, and shown by its failure.
//!
//! A store is watched by a wrapper of its own and not by a [`StoreLayer`](crate::StoreLayer), which does not see the
//! request of a call that is never answered: that is the one to be shown.

mod watched;
mod words;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;

use backgroundjobs_core::JobId;
use parking_lot::Mutex;

pub(super) use watched::Watched;
pub(super) use words::{at, id, reworded};

use crate::explore::SEEDS;

/// How many calls a failure shows, the latest.
const SHOWN: usize = 40;

/// How many calls are kept, for a failure that is about some jobs only.
const KEPT: usize = 4_000;

/// Stands between a message and the calls below it.
pub(super) const HEADING: &str = "\n\noperations so far";

/// The calls of one check. Clones are of the same.
#[derive(Clone, Default)]
pub(super) struct Operations(Arc<Mutex<Calls>>);

#[derive(Default)]
struct Calls {
    /// The number of the first that is kept.
    first: usize,
    kept: VecDeque<Call>,
    answers: u64,
    seed: Option<u64>,
    /// The jobs that a failure is about, as they are written.
    about: Vec<String>,
}

struct Call {
    asked: String,
    answered: Answered,
}

enum Answered {
    Not,
    Dropped,
    ByPanic,
    With(String),
}

/// A call that is not answered yet. Dropped, it says that the caller gave it up.
pub(super) struct Pending {
    operations: Operations,
    number: usize,
}

thread_local! {
    static CURRENT: RefCell<Option<Operations>> = const { RefCell::new(None) };
}

impl Operations {
    /// Those of the check that this thread runs now.
    pub(super) fn current() -> Option<Self> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// Polls `future` as a part of the check that these are of, on whatever thread.
    pub(super) async fn within<T>(self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        poll_fn(|cx| {
            let _restore = Restore(CURRENT.replace(Some(self.clone())));
            future.as_mut().poll(cx)
        })
        .await
    }

    /// Says that what follows was drawn from this seed.
    pub(super) fn drawn_from(&self, seed: u64) {
        self.0.lock().seed = Some(seed);
    }

    /// Says that only calls that name one of these are worth showing.
    pub(super) fn are_about(&self, jobs: &[JobId]) {
        self.0.lock().about = jobs.iter().map(|job| words::id(*job)).collect();
    }

    /// Forgets the calls so far: they are of a store that is done with.
    pub(super) fn start_anew(&self) {
        let mut calls = self.0.lock();
        (calls.first, calls.kept) = (0, VecDeque::new());
    }

    fn ask(&self, asked: String) -> Pending {
        let mut calls = self.0.lock();
        if calls.kept.len() == KEPT {
            calls.kept.pop_front();
            calls.first += 1;
        }
        let number = calls.first + calls.kept.len();
        calls.kept.push_back(Call { asked, answered: Answered::Not });
        Pending { operations: self.clone(), number }
    }

    /// How many calls were answered.
    pub(super) fn answers(&self) -> u64 {
        self.0.lock().answers
    }

    fn answer(&self, number: usize, answered: Answered) {
        let mut calls = self.0.lock();
        calls.answers += 1;
        // One that is no longer kept is not needed any more.
        let index = number.checked_sub(calls.first);
        if let Some(call) = index.and_then(|index| calls.kept.get_mut(index))
            && matches!(call.answered, Answered::Not)
        {
            call.answered = answered;
        }
    }
}

impl Pending {
    fn answer(self, text: String) {
        self.operations.answer(self.number, Answered::With(text));
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let answered = if std::thread::panicking() { Answered::ByPanic } else { Answered::Dropped };
        self.operations.answer(self.number, answered);
    }
}

impl Calls {
    /// Those to be shown, with their numbers.
    fn shown(&self) -> Vec<(usize, &Call)> {
        let numbered = self.kept.iter().enumerate().map(|(index, call)| (self.first + index + 1, call));
        let shown: Vec<_> = numbered.filter(|(_, call)| self.is_about(call)).collect();
        shown[shown.len().saturating_sub(SHOWN)..].to_vec()
    }

    fn is_about(&self, call: &Call) -> bool {
        let answered = match &call.answered {
            Answered::With(text) => text.as_str(),
            Answered::Not | Answered::Dropped | Answered::ByPanic => "",
        };
        let words = |text: &str| -> bool {
            text.split(['[', ']', ' ', ',']).any(|word| self.about.iter().any(|about| about == word))
        };
        self.about.is_empty() || words(&call.asked) || words(answered)
    }
}

impl fmt::Display for Operations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls = self.0.lock();
        let (all, shown) = (calls.first + calls.kept.len(), calls.shown());
        write!(f, "{HEADING} ({all}")?;
        match (shown.len() == all, calls.about.is_empty()) {
            (true, _) => {}
            (false, true) => write!(f, ", the last {} here", shown.len())?,
            (false, false) => write!(f, ", the last {} about {} here", shown.len(), calls.about.join(", "))?,
        }
        f.write_str("), times since the check began:")?;
        for (number, Call { asked, answered }) in shown {
            write!(f, "\n{number:>4}. {asked}")?;
            match answered {
                Answered::Not => f.write_str(" -> no answer yet")?,
                Answered::ByPanic => f.write_str(" -> a panic")?,
                Answered::Dropped => f.write_str(" -> dropped by the check before it was answered")?,
                Answered::With(text) if text.is_empty() => {}
                Answered::With(text) => write!(f, " -> {text}")?,
            }
        }
        match calls.seed {
            Some(seed) => write!(f, "\nseed: {seed} ({SEEDS}={seed} runs it alone)"),
            None => f.write_str("\nseed: none, it draws nothing by chance"),
        }
    }
}

/// What a failure adds to its message: the calls of the check that this thread runs.
pub(super) fn so_far() -> String {
    let mut text = String::new();
    if let Some(operations) = Operations::current() {
        write!(text, "{operations}").expect("text can be written");
    }
    text
}

/// Restores what was before, in a panic too.
struct Restore(Option<Operations>);

impl Drop for Restore {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}
