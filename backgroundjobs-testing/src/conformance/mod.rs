//! Conformance checks: what every [`JobStore`] must do, as functions over any store.
//!
//! Each check is given a fresh store, calls it at instants it makes up, and panics with the number of the
//! clause that was broken. Nothing sleeps, and no clock is read. [`CHECKS`] is the whole catalogue;
//! [`store_conformance!`](crate::store_conformance) makes one test of each:
//!
//! ```
//! use std::sync::Arc;
//!
//! use async_trait::async_trait;
//! use backgroundjobs_core::JobStore;
//! use backgroundjobs_testing::conformance::StoreFixture;
//!
//! struct Fixture;
//!
//! #[async_trait]
//! impl StoreFixture for Fixture {
//!     async fn fresh(&self) -> Arc<dyn JobStore> {
//!         # todo!("open the store that is to be checked")
//!         // Arc::new(MyStore::new())
//!     }
//! }
//!
//! backgroundjobs_testing::store_conformance!(Fixture);
//! ```
//!
//! `docs/conformance.md` has each clause with its checks, and the bugs that they were seen to find.
//!
//! The checks run on the caller's time, so the store must answer
//! [`TimeSource::Given`] in its profile, whatever it does in production.

mod cancel;
mod catalogue;
mod claim;
mod context;
mod control;
mod data;
mod failures;
mod insert;
mod inspect;
mod keys;
mod lease;
mod lifecycle;
mod next_due;
mod prune;
mod race;
mod recover;
mod repeat;
mod requeue;
mod settle;
mod time;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use backgroundjobs_core::{JobStore, TimeSource};

pub use catalogue::CHECKS;

/// Where a store's checks get their stores from.
#[async_trait]
pub trait StoreFixture: Send + Sync {
    /// A store that holds nothing and shares nothing with any other; it need not be prepared. The fixture
    /// outlives it, so it may keep what the store needs (a temporary directory, say).
    async fn fresh(&self) -> Arc<dyn JobStore>;
}

/// What a store may leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Capability {
    /// [`JobStore::inspect`].
    Inspect,
    /// [`JobStore::control`].
    Control,
}

impl Capability {
    fn is_of(self, store: &dyn JobStore) -> bool {
        match self {
            Self::Inspect => store.inspect().is_some(),
            Self::Control => store.control().is_some(),
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

type Body = fn(Arc<dyn JobStore>) -> Pin<Box<dyn Future<Output = ()>>>;

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

    /// The clauses of [`JobStore`] that it is about.
    #[must_use]
    pub const fn clauses(&self) -> &'static [&'static str] {
        self.clauses
    }

    /// What a store must have to be checked.
    #[must_use]
    pub const fn needs(&self) -> &'static [Capability] {
        self.needs
    }

    /// Checks a fresh store of `fixture`. Runs on tokio, because some checks call the store from several
    /// tasks at once; they find most on a runtime of several threads.
    ///
    /// # Panics
    /// When the store breaks a clause; the message names it, and says what was expected and what was seen.
    pub async fn run(&self, fixture: &dyn StoreFixture) -> Verdict {
        let store = fixture.fresh().await;
        let time = store.profile().time;
        assert!(time == TimeSource::Given, "the checks need a store on the caller's time, not {time:?}");
        if let Some(missing) = self.needs.iter().find(|need| !need.is_of(&*store)) {
            return Verdict::Skipped(*missing);
        }
        if let Err(error) = store.prepare().await {
            panic!("clause L-1: prepare of a fresh store: {error}");
        }
        (self.body)(store).await;
        Verdict::Passed
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check").field("name", &self.name).field("clauses", &self.clauses).finish()
    }
}

/// Makes one `#[tokio::test]` of each conformance check, in modules by theme, for the
/// [`StoreFixture`] that the expression gives.
///
/// The calling crate needs `tokio` with the features `macros` and `rt-multi-thread`. For several stores in
/// one file put each call in a module of its own.
#[macro_export]
macro_rules! store_conformance {
    ($fixture:expr) => {
        fn conformance_fixture() -> impl $crate::conformance::StoreFixture {
            $fixture
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
