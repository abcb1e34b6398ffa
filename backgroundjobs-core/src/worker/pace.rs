//! [`Pace`]: how many jobs to hold beyond the slots.

use std::time::Duration;

use crate::limits::{READ_AHEAD_AGE, READ_AHEAD_JOBS};

/// Watches how long runs take and says how many jobs should start within the read-ahead time.
pub(super) struct Pace {
    slots: usize,
    read_ahead: Duration,
    /// A moving average of run times in microseconds; unknown before the first run.
    average: Option<u64>,
}

/// Each run moves the average by this part of the difference.
const WEIGHT: u64 = 8;

impl Pace {
    pub(super) const fn new(read_ahead: Duration, slots: usize) -> Self {
        Self { slots, read_ahead, average: None }
    }

    /// A run took this long.
    pub(super) fn ran(&mut self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.average = Some(self.average.map_or(took, |average| {
            let step = average.abs_diff(took) / WEIGHT;
            if took > average { average + step } else { average - step }
        }));
    }

    /// Jobs read ahead did not start in time: the runs have become longer than the average knows.
    pub(super) fn too_fast(&mut self) {
        let slow = u64::try_from(READ_AHEAD_AGE.as_micros()).unwrap_or(u64::MAX);
        self.average = Some(self.average.map_or(slow, |average| average.max(slow).saturating_mul(2)));
    }

    /// How many jobs to hold beyond the slots: none before the first run has shown what they take.
    pub(super) fn read_ahead(&self) -> usize {
        let Some(average) = self.average else { return 0 };
        let ahead = self.read_ahead.as_micros() * self.slots as u128 / u128::from(average.max(1));
        usize::try_from(ahead).unwrap_or(usize::MAX).min(READ_AHEAD_JOBS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_runs_are_read_ahead_and_long_ones_are_not() {
        let mut pace = Pace::new(Duration::from_millis(100), 4);
        assert_eq!(pace.read_ahead(), 0, "nothing is known yet");
        pace.ran(Duration::ZERO);
        assert_eq!(pace.read_ahead(), READ_AHEAD_JOBS);
        (0..100).for_each(|_| pace.ran(Duration::from_millis(10)));
        assert!((30..=50).contains(&pace.read_ahead()), "{}", pace.read_ahead());
        (0..100).for_each(|_| pace.ran(Duration::from_secs(10)));
        assert_eq!(pace.read_ahead(), 0);
        (0..200).for_each(|_| pace.ran(Duration::ZERO));
        assert!(pace.read_ahead() > 100);
        pace.too_fast();
        assert_eq!(pace.read_ahead(), 0);
    }
}
