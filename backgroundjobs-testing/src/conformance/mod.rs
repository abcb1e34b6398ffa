//! Conformance checks: what every [`JobStore`] must do, as functions over any store.
//!
//! Each check is given a fresh store, calls it at instants it makes up, and panics with the number of the
//! clause that was broken. Nothing sleeps, and no clock is read. [`CHECKS`] is the whole catalogue;
//! [`store_conformance!`](crate::store_conformance) makes one test of each:
//!
//! ```
//! use async_trait::async_trait;
//! use backgroundjobs_testing::conformance::{FreshStore, StoreUnderTest};
//! # use backgroundjobs_memory::MemoryStore as MyStore;
//!
//! struct Mine;
//!
//! #[async_trait]
//! impl StoreUnderTest for Mine {
//!     async fn fresh(&self) -> FreshStore {
//!         FreshStore::new(MyStore::new())
//!     }
//! }
//!
//! backgroundjobs_testing::store_conformance!(Mine);
//! ```
//!
//! `docs/writing-a-store.md` leads from an empty file to a store that passes; `docs/conformance.md` has each clause
//! with its checks, and the bugs that they were seen to find.
//!
//! The checks run on the caller's time, so a fresh store must answer [`TimeSource::Given`] in its profile, whatever
//! it does in production; what a store on a time of its own must do is checked where its clock can be set. A check
//! that needs what is not there is shown as skipped. [`run_all`] runs every check and answers a report.
//!
//! [`JobStore`]: backgroundjobs_core::JobStore

mod cancel;
mod catalogue;
mod claim;
mod context;
mod control;
mod data;
mod dropped;
mod expect;
mod failures;
mod handles;
mod history;
mod insert;
mod inspect;
mod keys;
mod lease;
mod lifecycle;
mod model;
mod next_due;
mod operations;
mod own;
mod patience;
mod prune;
mod race;
mod recover;
mod repeat;
mod report;
mod requeue;
mod settle;
mod time;
mod under_test;

use std::fmt;
use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;

use backgroundjobs_core::TimeSource;

pub use catalogue::CHECKS;
pub use report::{CheckResult, ConformanceReport, run_all};
pub use under_test::{FreshStore, OwnClock, StoreUnderTest};

use crate::caught::caught;
use context::{Context, Origin, broken};
use operations::{HEADING, Operations};

/// What a store, or what is known of it for its checks, may leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Capability {
    /// [`inspect`](backgroundjobs_core::JobStore::inspect).
    Inspect,
    /// [`control`](backgroundjobs_core::JobStore::control).
    Control,
    /// [`remote_wakes`](backgroundjobs_core::JobStore::remote_wakes).
    RemoteWakes,
    /// [`StoreUnderTest::second_handle`].
    SecondHandle,
    /// [`StoreUnderTest::reopen`].
    Reopen,
    /// [`StoreUnderTest::own_clock`].
    OwnClock,
}

impl Capability {
    async fn is_of(self, under_test: &dyn StoreUnderTest, fresh: &FreshStore) -> bool {
        match self {
            Self::Inspect => fresh.store().inspect().is_some(),
            Self::Control => fresh.store().control().is_some(),
            Self::RemoteWakes => fresh.store().remote_wakes().is_some(),
            Self::SecondHandle => under_test.second_handle(fresh).await.is_some(),
            Self::Reopen => {
                // Of a store of its own: it is opened again only once it is closed.
                let closed = under_test.fresh().await;
                _ = closed.store().close().await;
                under_test.reopen(&closed).await.is_some()
            }
            // Else there would be no store to ask.
            Self::OwnClock => true,
        }
    }
}

/// How a check ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// The store does what the check asks for.
    Passed,
    /// The store leaves out what the check is about.
    Skipped(Capability),
}

type Body = fn(Context) -> Pin<Box<dyn Future<Output = ()>>>;

/// One conformance check.
#[derive(Clone, Copy)]
pub struct Check {
    name: &'static str,
    clauses: &'static [&'static str],
    needs: &'static [Capability],
    body: Body,
}

impl Check {
    /// The check of this name, as in `claim::hands_out_in_order`.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        CHECKS.iter().find(|check| check.name == name)
    }

    /// Its theme and name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The clauses of [`JobStore`](backgroundjobs_core::JobStore) that it is about.
    #[must_use]
    pub const fn clauses(&self) -> &'static [&'static str] {
        self.clauses
    }

    /// What a store must have to be checked.
    #[must_use]
    pub const fn needs(&self) -> &'static [Capability] {
        self.needs
    }

    /// Checks a fresh store. Runs on tokio, because some checks call the store from several tasks at once; they
    /// find most on a runtime of several threads.
    ///
    /// # Panics
    /// When the store breaks a clause; the message names it, says what was expected and what was seen, and shows the
    /// latest calls and their answers.
    pub async fn run(&self, under_test: &Arc<dyn StoreUnderTest>) -> Verdict {
        let operations = Operations::default();
        let patience = under_test.patience();
        let give_up = || {
            let name = self.name;
            broken(format_args!("clauses F-2, F-3, F-7: {name}: expected answers, saw none for {patience:?}"))
        };
        let run = self.run_watched(under_test, operations.clone());
        let run = patience::answered_within(patience, &operations, run, give_up);
        match caught(operations.clone().within(run)).await {
            Ok(verdict) => verdict,
            Err(message) if message.contains(HEADING) => resume_unwind(Box::new(message)),
            Err(message) => panic!("a panic of the store, or of what it was made by: {message}{operations}"),
        }
    }

    async fn run_watched(&self, under_test: &Arc<dyn StoreUnderTest>, operations: Operations) -> Verdict {
        let own = self.needs.contains(&Capability::OwnClock);
        let origin = if own {
            let Some(own) = under_test.own_clock().await else {
                return Verdict::Skipped(Capability::OwnClock);
            };
            Origin::OwnClock(own)
        } else {
            Origin::Fresh(under_test.fresh().await)
        };
        let store = origin.fresh().store();
        let (time, expected) = (store.profile().time, if own { TimeSource::Own } else { TimeSource::Given });
        assert!(time == expected, "the check needs a store on time {expected:?}, not {time:?}");
        for need in self.needs {
            if !need.is_of(&**under_test, origin.fresh()).await {
                return Verdict::Skipped(*need);
            }
        }
        let context = Context::new(under_test.clone(), origin, operations);
        if let Err(error) = context.store().prepare().await {
            broken(format_args!("clause L-1: prepare of a fresh store: {error}"));
        }
        (self.body)(context).await;
        Verdict::Passed
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check").field("name", &self.name).field("clauses", &self.clauses).finish()
    }
}

/// Makes one `#[tokio::test]` of each conformance check, in modules by theme, for the
/// [`StoreUnderTest`] that the expression gives.
///
/// The calling crate needs `tokio` with the features `macros` and `rt-multi-thread`. For several stores in
/// one file put each call in a module of its own.
#[macro_export]
macro_rules! store_conformance {
    ($fixture:expr) => {
        fn conformance_fixture() -> std::sync::Arc<dyn $crate::conformance::StoreUnderTest> {
            std::sync::Arc::new($fixture)
        }
        $crate::each_conformance_check!($crate::conformance_tests);
    };
}

/// The tests of [`store_conformance!`], from the catalogue.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_tests {
    ($($theme:ident { $($name:ident $clauses:tt $needs:tt;)+ })+) => {
        $(mod $theme {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let name = concat!(stringify!($theme), "::", stringify!($name));
                    let check = $crate::conformance::Check::find(name).expect("it is in the catalogue");
                    let verdict = check.run(&super::conformance_fixture()).await;
                    if let $crate::conformance::Verdict::Skipped(missing) = verdict {
                        println!("{name} was skipped: the store has no {missing:?}");
                    }
                }
            )+
        })+
    };
}
