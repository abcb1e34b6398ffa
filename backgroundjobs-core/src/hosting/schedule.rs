//! When a timed service ticks: pure arithmetic on its grid.

use std::time::Duration;

use crate::Timestamp;
use crate::limits::MAX_CATCH_UP;

/// What becomes of ticks whose time passed while another tick ran, or while the machine slept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Missed {
    /// One tick at once stands for all that were missed, then the grid goes on.
    #[default]
    Merge,
    /// Each is made up for, one right after the other: the latest 1,000; those before them are left out.
    CatchUp,
    /// They are left out; the next tick is the next one on the grid.
    Skip,
}

/// The grid that ticks lie on: every period from the first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    pub(super) period: Duration,
    pub(super) missed: Missed,
}

/// The next tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Planned {
    /// Its place on the grid.
    pub(super) due: Timestamp,
    /// When it is to run; it may have passed.
    pub(super) wake: Timestamp,
    /// How many were left out before it.
    pub(super) left_out: u64,
}

impl Schedule {
    /// The next tick, of which `due` is the first place, when it is `now` and ticks run so much `later` than they are
    /// due.
    pub(super) fn plan(&self, due: Timestamp, now: Timestamp, later: Duration) -> Planned {
        let wake = due + later;
        if wake >= now {
            return Planned { due, wake, left_out: 0 };
        }
        let period = self.period_micros();
        let late = micros(now.since(wake));
        // How many more places of the grid have passed as well.
        let passed = late / period;
        let left_out = match self.missed {
            Missed::Merge => passed,
            Missed::CatchUp => passed.saturating_sub(MAX_CATCH_UP - 1),
            Missed::Skip => late.div_ceil(period),
        };
        let due = due + Duration::from_micros(period.saturating_mul(left_out));
        Planned { due, wake: due + later, left_out }
    }

    /// The place after this one.
    pub(super) fn after(&self, due: Timestamp) -> Timestamp {
        due + Duration::from_micros(self.period_micros())
    }

    /// As the clock counts, and never nothing.
    fn period_micros(&self) -> u64 {
        micros(self.period).max(1)
    }
}

/// Rounded up, as [`Timestamp`] does.
fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u32) -> Timestamp {
        Timestamp::UNIX_EPOCH + SECOND * seconds
    }

    fn plan(missed: Missed, due: u32, now: Timestamp) -> (Timestamp, u64) {
        let schedule = Schedule { period: SECOND * 10, missed };
        let planned = schedule.plan(at(due), now, Duration::ZERO);
        assert_eq!(planned.wake, planned.due);
        (planned.due, planned.left_out)
    }

    #[test]
    fn a_tick_that_is_not_late_is_the_next_of_the_grid() {
        for missed in [Missed::Merge, Missed::CatchUp, Missed::Skip] {
            assert_eq!(plan(missed, 10, at(3)), (at(10), 0));
            assert_eq!(plan(missed, 10, at(10)), (at(10), 0), "due right now");
        }
    }

    #[test]
    fn ticks_that_were_missed_are_merged_made_up_for_or_left_out() {
        for (now, merge, catch_up, skip) in [
            (at(11), (at(10), 0), (at(10), 0), (at(20), 1)),
            (at(29), (at(20), 1), (at(10), 0), (at(30), 2)),
            (at(30), (at(30), 2), (at(10), 0), (at(30), 2)),
            (at(35), (at(30), 2), (at(10), 0), (at(40), 3)),
        ] {
            assert_eq!(plan(Missed::Merge, 10, now), merge, "merge at {now}");
            assert_eq!(plan(Missed::CatchUp, 10, now), catch_up, "catch up at {now}");
            assert_eq!(plan(Missed::Skip, 10, now), skip, "skip at {now}");
        }
    }

    #[test]
    fn no_more_than_a_thousand_are_made_up_for() {
        let (due, left_out) = plan(Missed::CatchUp, 0, at(10 * 5_000 + 5));
        assert_eq!((due, left_out), (at(10 * 4_001), 4_001));
        let rest = (10 * 5_000 - 10 * 4_001) / 10 + 1;
        assert_eq!(rest, MAX_CATCH_UP);
    }

    #[test]
    fn jitter_moves_a_tick_and_not_the_grid() {
        let schedule = Schedule { period: SECOND * 10, missed: Missed::Merge };
        let planned = schedule.plan(at(10), at(12), SECOND * 3);
        assert_eq!(planned, Planned { due: at(10), wake: at(13), left_out: 0 });
        assert_eq!(schedule.after(planned.due), at(20));
    }

    #[test]
    fn periods_of_any_length_are_counted() {
        let shortest = Schedule { period: Duration::from_nanos(1), missed: Missed::Skip };
        assert_eq!(shortest.after(at(0)).as_micros(), 1);
        assert_eq!(shortest.plan(at(0), at(1), Duration::ZERO).due, at(1));
        let longest = Schedule { period: Duration::MAX, missed: Missed::CatchUp };
        assert_eq!(longest.after(at(0)), Timestamp::MAX);
        assert_eq!(longest.plan(at(0), at(1), Duration::ZERO).due, at(0));
    }
}
