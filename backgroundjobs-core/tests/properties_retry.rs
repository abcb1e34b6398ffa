//! Retry policies of any numbers: no wait is a panic, beyond the cap, or shorter than the one before it.

#[path = "support/properties.rs"]
mod properties;

use std::time::Duration;

use backgroundjobs_core::RetryPolicy;
use proptest::prelude::*;

use self::properties::{any_duration, check};

/// What a wait may be off by, being computed in floating point.
const ROUNDING: f64 = 1e-9;

fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        proptest::num::f64::ANY,
        1.0..4.0_f64,
        1.0..1.000_001_f64,
        proptest::sample::select(vec![
            0.0,
            -0.0,
            1.0,
            2.0,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MAX,
            f64::MIN_POSITIVE
        ]),
    ]
}

fn any_failed() -> impl Strategy<Value = u16> {
    prop_oneof![0..40_u16, any::<u16>(), Just(u16::MAX)]
}

fn is_at_most(wait: Duration, limit: Duration) -> bool {
    wait.as_secs_f64() <= limit.as_secs_f64() * (1.0 + ROUNDING) + 1e-9
}

#[test]
fn a_wait_is_at_most_the_cap_and_never_shorter_than_the_one_before() {
    let input = (any_duration(), any_number(), any_duration(), any_number(), any_failed());
    check(4_000, input, |(first, factor, cap, jitter, failed)| {
        let policy = RetryPolicy::new().first(first).factor(factor).cap(cap).jitter(jitter);
        let (wait, next) = (policy.delay_after(failed), policy.delay_after(failed.saturating_add(1)));
        prop_assert!(wait <= cap && next <= cap, "{wait:?}, {next:?}");
        prop_assert!(is_at_most(wait, next), "{wait:?}, then {next:?}");
        prop_assert!(is_at_most(first.min(cap), wait), "{wait:?}");
        prop_assert_eq!(policy.delay_after(0), policy.delay_after(1));
        Ok(())
    });
}

/// By logarithms, where the docs' formula would be beyond any number.
#[test]
fn a_wait_is_that_of_the_formula() {
    let first = (1..=1_000_000_000_000_u64).prop_map(Duration::from_micros);
    let input = (first, any_number(), any_duration(), any_failed());
    check(4_000, input, |(first, factor, cap, failed)| {
        let wait = RetryPolicy::new().first(first).factor(factor).cap(cap).delay_after(failed);
        let factor = if factor > 1.0 { factor } else { 1.0 };
        let exponent = f64::from(failed.max(1) - 1);
        let growth = if exponent == 0.0 { 0.0 } else { exponent * factor.ln() };
        let expected = (first.as_secs_f64().ln() + growth).exp().min(cap.as_secs_f64());
        let off = (wait.as_secs_f64() - expected).abs();
        prop_assert!(off <= expected * 1e-6 + 1e-9, "{wait:?}, not {expected} s");
        Ok(())
    });
}

#[test]
fn a_policy_without_a_first_wait_never_waits() {
    check(2_000, (any_number(), any_duration(), any_failed()), |(factor, cap, failed)| {
        let policy = RetryPolicy::new().first(Duration::ZERO).factor(factor).cap(cap);
        prop_assert_eq!(policy.delay_after(failed), Duration::ZERO);
        Ok(())
    });
}
