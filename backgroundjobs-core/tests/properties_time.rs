//! Instants from outside: any number is cut to the range, any text is read or refused, arithmetic never panics.

#[path = "support/properties.rs"]
mod properties;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use backgroundjobs_core::Timestamp;
use proptest::prelude::*;

use self::properties::{Seen, any_duration, any_text, check, mutated, text_around};

const MIN: i128 = Timestamp::MIN.as_micros() as i128;
const MAX: i128 = Timestamp::MAX.as_micros() as i128;

fn any_micros() -> impl Strategy<Value = i64> {
    let (min, max) = (Timestamp::MIN.as_micros(), Timestamp::MAX.as_micros());
    prop_oneof![any::<i64>(), min..=max, min - 3..=min + 3, max - 3..=max + 3, -3..=3_i64]
}

fn any_instant() -> impl Strategy<Value = Timestamp> {
    any_micros().prop_map(Timestamp::from_micros)
}

#[test]
fn any_number_is_cut_to_the_range() {
    check(2_000, any_micros(), |micros| {
        let expected = i128::from(micros).clamp(MIN, MAX);
        prop_assert_eq!(i128::from(Timestamp::from_micros(micros).as_micros()), expected);
        Ok(())
    });
}

#[test]
fn arithmetic_is_that_of_whole_numbers_cut_to_the_range() {
    check(2_000, (any_instant(), any_instant(), any_duration()), |(instant, other, duration)| {
        let (micros, other_micros) = (i128::from(instant.as_micros()), i128::from(other.as_micros()));
        let nanos = i128::try_from(duration.as_nanos()).expect("96 bits");
        let rounded_up = nanos / 1_000 + i128::from(nanos % 1_000 != 0);
        let later = i128::from((instant + duration).as_micros());
        prop_assert_eq!(later, (micros + rounded_up).clamp(MIN, MAX));
        let earlier = i128::from((instant - duration).as_micros());
        prop_assert_eq!(earlier, (micros - rounded_up).clamp(MIN, MAX));
        let since = i128::try_from(instant.since(other).as_nanos()).expect("96 bits");
        prop_assert_eq!(since, (micros - other_micros).max(0) * 1_000);
        Ok(())
    });
}

#[test]
fn the_system_s_time_is_cut_to_whole_microseconds() {
    check(2_000, (any_duration(), any::<bool>()), |(duration, before)| {
        let time = if before { UNIX_EPOCH.checked_sub(duration) } else { UNIX_EPOCH.checked_add(duration) };
        let Some(time): Option<SystemTime> = time else { return Ok(()) };
        let micros = i128::try_from(duration.as_micros()).expect("97 bits");
        let expected = if before { -micros } else { micros }.clamp(MIN, MAX);
        prop_assert_eq!(i128::from(Timestamp::from(time).as_micros()), expected);
        Ok(())
    });
}

#[test]
fn every_instant_is_read_back_from_its_text() {
    check(2_000, any_instant(), |instant| {
        let text = instant.to_string();
        prop_assert!(text.len() <= "9999-12-31T23:59:59.999999Z".len() && text.ends_with('Z'), "{text}");
        prop_assert_eq!(text.parse::<Timestamp>().ok(), Some(instant));
        prop_assert_eq!(format!("{instant:?}"), text.clone());
        let json = serde_json::to_string(&instant).expect("can be written");
        prop_assert_eq!(&json, &format!("\"{text}\""));
        prop_assert_eq!(serde_json::from_str::<Timestamp>(&json).expect("its own text"), instant);
        Ok(())
    });
}

#[test]
fn any_text_is_an_instant_or_is_told_how_to_be_one() {
    let near = mutated(any_instant().prop_map(|instant| instant.to_string()));
    let digits = "[-+]?[0-9]{1,9}-[0-9]{1,3}-[0-9]{1,3}[Tt ][0-9:.]{0,20}([Zz]|[-+][0-9:]{0,6})?";
    let text = prop_oneof![4 => near, 3 => digits, 2 => any_text(40), 1 => text_around(1_000)];
    check(3_000, text, |text| {
        match text.parse::<Timestamp>() {
            Ok(instant) => prop_assert_eq!(instant.to_string().parse::<Timestamp>().ok(), Some(instant)),
            Err(error) => {
                let told = error.to_string();
                prop_assert!(told.contains("2030-01-31T12:00:00Z") && told.len() < 200, "{told}");
            }
        }
        Ok(())
    });
}

/// The parts of an instant in RFC 3339, good ones and bad ones.
#[derive(Clone, Debug)]
struct Parts {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    fraction: String,
    /// The sign, the hours and the minutes; none is `Z`.
    offset: Option<(bool, i64, i64)>,
    small_letters: bool,
}

fn any_parts() -> impl Strategy<Value = Parts> {
    let year = prop_oneof![0..=9_999_i64, 0..=1_i64, 9_998..=9_999_i64, 1_968..=2_040_i64];
    let date = (year, 0..=13_i64, prop_oneof![8 => 1..=28_i64, 2 => 0..=32_i64]);
    let time = (0..=24_i64, 0..=60_i64, 0..=59_i64);
    let offset = proptest::option::weighted(0.8, (any::<bool>(), 0..=24_i64, 0..=60_i64));
    (date, time, "|[0-9]{1,12}", offset, any::<bool>()).prop_map(
        |((year, month, day), (hour, minute, second), fraction, offset, small_letters)| Parts {
            year,
            month,
            day,
            hour,
            minute,
            second,
            fraction,
            offset,
            small_letters,
        },
    )
}

impl Parts {
    fn text(&self) -> String {
        let Self { year, month, day, hour, minute, second, .. } = self;
        let point = if self.fraction.is_empty() { "" } else { "." };
        let (t, z) = if self.small_letters { ('t', 'z') } else { ('T', 'Z') };
        let offset = match self.offset {
            None => z.to_string(),
            Some((west, hours, minutes)) => {
                format!("{}{hours:02}:{minutes:02}", if west { '-' } else { '+' })
            }
        };
        format!(
            "{year:04}-{month:02}-{day:02}{t}{hour:02}:{minute:02}:{second:02}{point}{}{offset}",
            self.fraction
        )
    }

    fn is_instant(&self) -> bool {
        let leap = self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0);
        let days = match self.month {
            2 => 28 + i64::from(leap),
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => 0,
        };
        let (hours, minutes) = self.offset.map_or((0, 0), |(_, hours, minutes)| (hours, minutes));
        (1..=days).contains(&self.day) && self.hour < 24 && self.minute < 60 && hours < 24 && minutes < 60
    }

    /// By counting the days of the years, months and days before it.
    fn micros(&self) -> i128 {
        let year = self.year - i64::from(self.month <= 2);
        let month = (self.month + 9) % 12;
        let days_of_years = year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
        let days = days_of_years + (month * 306 + 5) / 10 + self.day - 1 - 719_468;
        let (west, hours, minutes) = self.offset.unwrap_or_default();
        let offset = (hours * 60 + minutes) * if west { -60 } else { 60 };
        let seconds = days * 86_400 + self.hour * 3_600 + self.minute * 60 + self.second - offset;
        let fraction: String = self.fraction.chars().chain("000000".chars()).take(6).collect();
        i128::from(seconds) * 1_000_000 + fraction.parse::<i128>().expect("digits")
    }
}

#[test]
fn every_form_of_offset_and_fraction_is_read_to_the_microsecond() {
    let seen = Seen::default();
    check(4_000, any_parts(), |parts| {
        let text = parts.text();
        let read = text.parse::<Timestamp>().ok().map(|instant| i128::from(instant.as_micros()));
        let expected = parts.is_instant().then(|| parts.micros().clamp(MIN, MAX));
        prop_assert_eq!(read, expected, "{}", text);
        seen.saw(if expected.is_some() { "read" } else { "refused" });
        Ok(())
    });
    seen.expect(200, &["read", "refused"]);
}

#[test]
fn an_instant_plus_what_lies_between_is_the_other_instant() {
    check(2_000, (any_instant(), any_instant()), |(a, b)| {
        let (earlier, later) = (a.min(b), a.max(b));
        prop_assert_eq!(earlier + later.since(earlier), later);
        prop_assert_eq!(later - later.since(earlier), earlier);
        prop_assert_eq!(earlier.since(later), Duration::ZERO);
        Ok(())
    });
}
