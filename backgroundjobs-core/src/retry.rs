//! [`RetryPolicy`]: how often a failing job is tried again, and when.

use std::time::Duration;

use crate::Env;

/// How often a failing job is tried again, and when.
///
/// The wait before attempt `n + 1` is `first * factor^(n - 1)`, at most `cap`, give or take the jitter. The
/// default is 11 attempts (10 retries), 60 s, factor 2, at most 24 h, ±10 %.
///
/// ```
/// use std::time::Duration;
/// use backgroundjobs_core::RetryPolicy;
///
/// let policy = RetryPolicy::new().max_attempts(3).first(Duration::from_secs(15));
/// assert_eq!(policy.delay_after(1), Duration::from_secs(15));
/// assert_eq!(policy.delay_after(2), Duration::from_secs(30));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryPolicy {
    max_attempts: Option<u16>,
    first: Duration,
    factor: f64,
    cap: Duration,
    jitter: f64,
}

impl RetryPolicy {
    /// The default policy.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            max_attempts: None,
            first: Duration::from_secs(60),
            factor: 2.0,
            cap: Duration::from_secs(24 * 3600),
            jitter: 0.1,
        }
    }

    /// One attempt and no retry.
    #[must_use]
    pub const fn never() -> Self {
        Self::new().max_attempts(1)
    }

    /// Attempts in all, the first included; 11 unless this or something else says otherwise. 0 counts as 1.
    #[must_use]
    pub const fn max_attempts(mut self, attempts: u16) -> Self {
        self.max_attempts = Some(if attempts == 0 { 1 } else { attempts });
        self
    }

    /// The wait after the first failed attempt.
    #[must_use]
    pub const fn first(mut self, first: Duration) -> Self {
        self.first = first;
        self
    }

    /// How much longer each wait is than the one before; below 1, and what is no number, counts as 1.
    #[must_use]
    pub const fn factor(mut self, factor: f64) -> Self {
        self.factor = if factor >= 1.0 { factor } else { 1.0 };
        self
    }

    /// The longest wait.
    #[must_use]
    pub const fn cap(mut self, cap: Duration) -> Self {
        self.cap = cap;
        self
    }

    /// The part of a wait that is added or taken away at random, 0 to 1, so that jobs that failed together
    /// are not tried again together. What is outside is cut; what is no number counts as 0.
    #[must_use]
    pub const fn jitter(mut self, part: f64) -> Self {
        self.jitter = if part > 0.0 { part.min(1.0) } else { 0.0 };
        self
    }

    /// The wait after `failed` failed attempts (counted from 1), without jitter.
    #[must_use]
    pub fn delay_after(&self, failed: u16) -> Duration {
        let exponent = i32::from(failed.max(1)) - 1;
        // Nothing, infinitely often, is no number; it is still nothing.
        let growth = self.factor.powi(exponent).min(f64::MAX);
        let seconds = self.first.as_secs_f64() * growth;
        Duration::try_from_secs_f64(seconds).map_or(self.cap, |wait| wait.min(self.cap))
    }

    pub(crate) fn jittered_delay(&self, failed: u16, env: &Env) -> Duration {
        env.jittered(self.delay_after(failed), self.jitter)
    }

    /// How many attempts, where this policy says.
    pub(crate) const fn attempts(&self) -> Option<u16> {
        self.max_attempts
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::properties::{any_duration, check};

    #[test]
    fn waits_grow_to_the_cap_and_never_panic() {
        let policy = RetryPolicy::new();
        let minutes: Vec<u64> = (1..=10).map(|failed| policy.delay_after(failed).as_secs() / 60).collect();
        assert_eq!(minutes, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]);
        assert_eq!(policy.delay_after(u16::MAX), Duration::from_secs(24 * 3600));
        let odd = RetryPolicy::new().factor(f64::NAN).first(Duration::MAX).cap(Duration::MAX);
        assert!(odd.delay_after(3) > Duration::from_secs(1));
    }

    /// The factor to the power of 1,024 is beyond every number, and nothing times that was the cap: a day.
    #[test]
    fn a_job_that_is_retried_at_once_is_so_after_any_number_of_attempts() {
        let policy = RetryPolicy::new().first(Duration::ZERO);
        assert!([1, 1_024, 1_025, u16::MAX].iter().all(|failed| policy.delay_after(*failed).is_zero()));
    }

    #[test]
    fn jitter_stays_within_its_part_and_is_off_under_a_kit() {
        let policy = RetryPolicy::new();
        let (spread, still) = (Env::builder().seed(1).build(), Env::builder().seed(1).jitter(false).build());
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..100 {
            let wait = policy.jittered_delay(1, &spread);
            assert!((54..=66).contains(&wait.as_secs()), "{wait:?}");
            seen.insert(wait);
            assert_eq!(policy.jittered_delay(1, &still), Duration::from_secs(60));
        }
        assert!(seen.len() > 50, "only {} different waits in 100", seen.len());
    }
    #[test]
    fn jitter_of_any_part_stays_within_it_whatever_the_wait() {
        let part = prop_oneof![proptest::num::f64::ANY, 0.0..=1.0_f64];
        check(2_000, (any_duration(), any_duration(), part, any::<u64>()), |(first, cap, part, seed)| {
            let policy = RetryPolicy::new().first(first).cap(cap).jitter(part);
            let wait = policy.jittered_delay(3, &Env::builder().seed(seed).build()).as_secs_f64();
            let part = if part > 0.0 { part.min(1.0) } else { 0.0 };
            let still = policy.delay_after(3).as_secs_f64();
            // Computed in floating point, to whole nanoseconds.
            let (least, most) = (still * (1.0 - part - 1e-9) - 1e-8, still * (1.0 + part + 1e-9) + 1e-8);
            prop_assert!((least..=most).contains(&wait), "{wait} s, not {least} to {most}");
            Ok(())
        });
    }
}
