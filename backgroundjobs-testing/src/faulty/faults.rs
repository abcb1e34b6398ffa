//! [`Faults`] and [`Odds`]: what goes wrong with a store, and how often.

use std::ops::RangeInclusive;
use std::time::Duration;

use backgroundjobs_core::{StoreOperation, Timestamp};

use super::FaultLog;

/// How often the calls of one operation go wrong, each as a part of all its calls from 0 to 1. Of these one call
/// meets one at most, so together they are 1 at most.
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use = "odds are given to Faults"]
pub struct Odds {
    pub(super) error: f64,
    pub(super) lost_reply: f64,
    pub(super) hang: f64,
    pub(super) partition: f64,
}

impl Odds {
    /// Nothing goes wrong.
    pub const fn none() -> Self {
        Self { error: 0.0, lost_reply: 0.0, hang: 0.0, partition: 0.0 }
    }

    /// An error, and nothing was done.
    pub const fn error(mut self, part: f64) -> Self {
        self.error = part;
        self
    }

    /// An error, and all was done: the reply is lost.
    pub const fn lost_reply(mut self, part: f64) -> Self {
        self.lost_reply = part;
        self
    }

    /// An error after a [long time](Faults::hang_for); in half of the cases, drawn by the seed, all was done.
    pub const fn hang(mut self, part: f64) -> Self {
        self.hang = part;
        self
    }

    /// This call and every other is cut off from now on, [for a time](Faults::partition_for).
    pub const fn partition(mut self, part: f64) -> Self {
        self.partition = part;
        self
    }

    pub(super) fn expect_sound(&self) {
        let Self { error, lost_reply, hang, partition } = *self;
        let odds = [error, lost_reply, hang, partition];
        let sum: f64 = odds.iter().sum();
        let sound = odds.iter().all(|odds| *odds >= 0.0) && sum <= 1.0;
        assert!(sound, "odds are parts of all calls, from 0 to 1, and 1 at most together, not {self:?}");
    }
}

/// What goes wrong with a [`FaultyStore`](super::FaultyStore): nothing, until it is said.
///
/// All is drawn from the seed, and for each operation apart: the n-th claim meets the same whatever is inserted
/// before it. Give each process another seed, else all of them meet the same at the same time.
#[derive(Clone, Debug)]
#[must_use = "faults are given to a FaultyStore"]
pub struct Faults {
    pub(super) seed: u64,
    pub(super) everywhere: Odds,
    pub(super) of: Vec<(StoreOperation, Odds)>,
    pub(super) delay: Option<RangeInclusive<Duration>>,
    pub(super) hang_for: Duration,
    pub(super) partition_for: Duration,
    pub(super) skew: Duration,
    pub(super) own_process: Option<Duration>,
    pub(super) wakes: WakeOdds,
    pub(super) quiet_from: Option<Timestamp>,
    pub(super) at_most: u64,
    pub(super) log: FaultLog,
}

/// How often wakes of other processes go wrong.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WakeOdds {
    pub(super) dropped: f64,
    pub(super) doubled: f64,
    pub(super) spurious: f64,
}

impl Faults {
    /// Nothing goes wrong yet; what will is drawn from `seed`.
    pub fn seeded(seed: u64) -> Self {
        Self {
            seed,
            everywhere: Odds::none(),
            of: Vec::new(),
            delay: None,
            hang_for: Duration::from_secs(60),
            partition_for: Duration::from_secs(20),
            skew: Duration::ZERO,
            own_process: None,
            wakes: WakeOdds::default(),
            quiet_from: None,
            at_most: u64::MAX,
            log: FaultLog::default(),
        }
    }

    /// The odds of every operation that has none of its own, but for `prepare`: a program whose store cannot be
    /// prepared does not start.
    ///
    /// # Panics
    /// When they are no parts of all calls.
    pub fn everywhere(mut self, odds: Odds) -> Self {
        odds.expect_sound();
        self.everywhere = odds;
        self
    }

    /// The odds of one operation. `close` has none, and always works.
    ///
    /// # Panics
    /// When they are no parts of all calls.
    pub fn on(mut self, operation: StoreOperation, odds: Odds) -> Self {
        odds.expect_sound();
        self.of.retain(|(of, _)| *of != operation);
        self.of.push((operation, odds));
        self
    }

    /// Virtual time that each call takes, drawn from this range once for the way there and once for the way back;
    /// none unless set. As with [`store_delay`], calls from outside every task take no time: nobody moves the clock.
    ///
    /// [`store_delay`]: crate::TestKitBuilder::store_delay
    pub const fn delay(mut self, delay: RangeInclusive<Duration>) -> Self {
        self.delay = Some(delay);
        self
    }

    /// How long a call hangs that does; 60 s unless set. The runtime waits for it: the process does nothing else of
    /// this kind meanwhile.
    pub const fn hang_for(mut self, time: Duration) -> Self {
        self.hang_for = time;
        self
    }

    /// How long a partition lasts; 20 s unless set. While it does no request arrives, and no reply of a call that
    /// was under way.
    pub const fn partition_for(mut self, time: Duration) -> Self {
        self.partition_for = time;
        self
    }

    /// How far the time that each request brings along is off, drawn for each, early or late; zero unless set. Only
    /// a store on its callers' time ([`TimeSource::Given`]) believes it.
    ///
    /// [`TimeSource::Given`]: backgroundjobs_core::TimeSource::Given
    pub const fn skew(mut self, at_most: Duration) -> Self {
        self.skew = at_most;
        self
    }

    /// The store is that of a process of its own: it answers a hub that no other store has, and this poll interval.
    /// What others do to the same jobs wakes nobody here, so every such wake is dropped, and polling finds the jobs.
    /// Say it of every store on the same jobs or of none: one without a poll interval relies on the wakes of all.
    ///
    /// Inside one process a wake is a call from the manager to the worker, and comes from no store: that cannot be
    /// lost, and nothing here loses it. A superfluous one comes of each insert whose answer is an error.
    pub const fn own_process(mut self, poll_interval: Duration) -> Self {
        self.own_process = Some(poll_interval);
        self
    }

    /// The part of the wakes of other processes ([`remote_wakes`]) that is not passed on. Without these wakes, as
    /// with a store that has none, nothing happens; and under a kit nobody listens to them.
    ///
    /// [`remote_wakes`]: backgroundjobs_core::JobStore::remote_wakes
    pub const fn dropped_wakes(mut self, part: f64) -> Self {
        self.wakes.dropped = part;
        self
    }

    /// The part of the wakes of other processes that comes twice.
    pub const fn doubled_wakes(mut self, part: f64) -> Self {
        self.wakes.doubled = part;
        self
    }

    /// The part of the waits for a wake that ends at once without one.
    pub const fn spurious_wakes(mut self, part: f64) -> Self {
        self.wakes.spurious = part;
        self
    }

    /// From this instant on nothing more goes wrong or takes time, and a partition is over; a call that hangs by
    /// then has its time to the end. So a test can demand that all comes to its end after it.
    pub const fn quiet_from(mut self, instant: Timestamp) -> Self {
        self.quiet_from = Some(instant);
        self
    }

    /// After so many errors, lost replies, hangs and beginnings of partitions nothing more goes wrong or takes time,
    /// but that a partition lasts its time.
    pub const fn at_most(mut self, faults: u64) -> Self {
        self.at_most = faults;
        self
    }

    /// Writes what was met into this log, which several stores may share.
    pub fn log(mut self, log: &FaultLog) -> Self {
        self.log = log.clone();
        self
    }

    pub(super) fn odds(&self, operation: StoreOperation) -> Odds {
        let own = self.of.iter().find(|(of, _)| *of == operation).map(|(_, odds)| *odds);
        let everywhere = if operation == StoreOperation::Prepare { Odds::none() } else { self.everywhere };
        own.unwrap_or(everywhere)
    }
}
