//! What a worker has done so far.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::JobState;
use crate::store::Outcome;

#[derive(Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Makes the counters and their readings from one list.
macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        #[derive(Default)]
        pub(super) struct Stats {
            $(pub(super) $name: Count,)*
        }

        impl Stats {
            pub(super) fn read(&self, unsettled: usize) -> JobStats {
                JobStats { $($name: self.$name.read(),)* unsettled }
            }
        }

        /// What a worker has done since its start. Each number only grows but `unsettled`; they are read one
        /// after another, so they need not add up at every moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct JobStats {
            $($(#[$doc])* pub $name: u64,)*
            /// Outcomes the store has not been told yet.
            pub unsettled: usize,
        }

        impl JobStats {
            /// Both together: what two workers have done.
            #[must_use]
            pub fn plus(self, other: Self) -> Self {
                Self { $($name: self.$name + other.$name,)* unsettled: self.unsettled + other.unsettled }
            }

            /// What has happened since `earlier`; zero for a number that has not grown. `unsettled` is as it
            /// is now.
            #[must_use]
            pub fn since(self, earlier: Self) -> Self {
                Self { $($name: self.$name.saturating_sub(earlier.$name),)* unsettled: self.unsettled }
            }
        }
    };
}

counts! {
    /// Jobs the store handed out.
    claimed,
    /// Runs that ended well.
    succeeded,
    /// Runs that failed and will be tried again.
    retried,
    /// Runs that asked for later.
    snoozed,
    /// Jobs handed back unstarted or unfinished.
    released,
    /// Runs that failed for good.
    failed,
    /// Runs that ended because they were cancelled.
    cancelled,
    /// Outcomes dropped because the lease was lost.
    lost,
    /// Jobs taken back from workers that let their leases run out.
    recovered,
    /// Calls the store answered with an error.
    store_errors,
}

impl Stats {
    /// An outcome was applied and left the job in `state`.
    pub(super) fn settled(&self, outcome: &Outcome, state: JobState) {
        let count = match (outcome, state) {
            (Outcome::Complete, _) => &self.succeeded,
            (Outcome::Fail { .. }, _) => &self.failed,
            (_, JobState::Cancelled) => &self.cancelled,
            (Outcome::Retry { .. }, _) => &self.retried,
            (Outcome::Snooze { .. }, _) => &self.snoozed,
            (Outcome::Release, _) => &self.released,
            (Outcome::Cancel { .. }, _) => &self.cancelled,
        };
        count.add(1);
    }
}
