//! [`Timestamp`]: an instant in whole microseconds.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::time::OffsetDateTime;
use ::time::format_description::well_known::Rfc3339;

/// An instant: whole microseconds since 1970-01-01 UTC, leap seconds ignored.
///
/// Every store keeps exactly this resolution, so an instant survives each store unchanged. The range is what
/// RFC 3339 can write, the years 0000 to 9999; arithmetic saturates at its ends and never panics.
///
/// ```
/// use std::time::Duration;
/// use backgroundjobs_core::Timestamp;
///
/// let noon: Timestamp = "2030-01-01T13:00:00+01:00".parse()?;
/// assert_eq!((noon + Duration::from_millis(1500)).to_string(), "2030-01-01T12:00:01.5Z");
/// assert_eq!(noon + Duration::MAX, Timestamp::MAX);
/// # Ok::<(), backgroundjobs_core::ParseTimestampError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const UNIX_EPOCH: Self = Self(0);
    /// The earliest instant, 0000-01-01T00:00:00Z.
    pub const MIN: Self = Self(-62_167_219_200_000_000);
    /// The latest instant, 9999-12-31T23:59:59.999999Z: "never", for a delay that holds no instant.
    pub const MAX: Self = Self(253_402_300_799_999_999);

    /// The instant `micros` microseconds after (or, negative, before) 1970, cut to [`MIN`](Self::MIN) and
    /// [`MAX`](Self::MAX).
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        if micros < Self::MIN.0 {
            Self::MIN
        } else if micros > Self::MAX.0 {
            Self::MAX
        } else {
            Self(micros)
        }
    }

    /// Microseconds since 1970 UTC; negative before it.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// How long from `earlier` to this instant; zero where `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        u64::try_from(self.0 - earlier.0).map_or(Duration::ZERO, Duration::from_micros)
    }
}

/// Rounds up to whole microseconds, so that nothing is ever due early.
fn micros_rounded_up(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos().div_ceil(1_000)).unwrap_or(i64::MAX)
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    /// Saturates at [`Timestamp::MAX`]; a part of a microsecond counts as a whole one.
    fn add(self, duration: Duration) -> Self {
        Self::from_micros(self.0.saturating_add(micros_rounded_up(duration)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    /// Saturates at [`Timestamp::MIN`]; a part of a microsecond counts as a whole one.
    fn sub(self, duration: Duration) -> Self {
        Self::from_micros(self.0.saturating_sub(micros_rounded_up(duration)))
    }
}

impl From<SystemTime> for Timestamp {
    /// Cuts to whole microseconds and to the range of a [`Timestamp`].
    fn from(time: SystemTime) -> Self {
        let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Self::from_micros(micros(after)),
            Err(before) => Self::from_micros(-micros(before.duration())),
        }
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC, with as many fraction digits as the instant needs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000)
            .ok()
            .and_then(|time| time.format(&Rfc3339).ok())
            .map_or(Err(fmt::Error), |text| f.pad(&text))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

crate::readable::serde_is_text!(Timestamp);

impl FromStr for Timestamp {
    type Err = ParseTimestampError;

    /// Reads RFC 3339 with any offset; digits below a microsecond are dropped.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = OffsetDateTime::parse(text, &Rfc3339)
            .map_err(|source| ParseTimestampError { source: Box::new(source) })?;
        let micros = parsed.unix_timestamp_nanos().div_euclid(1_000);
        Ok(Self::from_micros(i64::try_from(micros).unwrap_or(if micros < 0 { i64::MIN } else { i64::MAX })))
    }
}

/// A text that is not an instant in RFC 3339.
#[derive(Debug, thiserror::Error)]
#[error("not an instant: write it as in 2030-01-31T12:00:00Z or 2030-01-31T12:00:00.5+01:00 (RFC 3339)")]
pub struct ParseTimestampError {
    source: Box<dyn std::error::Error + Send + Sync>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_can_be_written_and_read_back() {
        for end in [Timestamp::MIN, Timestamp::MAX, Timestamp::UNIX_EPOCH] {
            assert_eq!(end.to_string().parse::<Timestamp>().expect("reads its own text"), end);
        }
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T23:59:59.999999Z");
        assert_eq!(Timestamp::MIN.to_string(), "0000-01-01T00:00:00Z");
    }

    #[test]
    fn arithmetic_saturates_and_rounds_up() {
        assert_eq!(Timestamp::MAX + Duration::MAX, Timestamp::MAX);
        assert_eq!(Timestamp::MIN - Duration::MAX, Timestamp::MIN);
        assert_eq!((Timestamp::UNIX_EPOCH + Duration::from_nanos(1)).as_micros(), 1);
        assert_eq!(Timestamp::from_micros(i64::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::UNIX_EPOCH.since(Timestamp::MAX), Duration::ZERO);
        assert_eq!(Timestamp::from(UNIX_EPOCH - Duration::from_secs(1)).as_micros(), -1_000_000);
    }

    #[test]
    fn a_bad_text_is_told_how_to_be_right() {
        let error = "tomorrow".parse::<Timestamp>().expect_err("not an instant");
        assert!(error.to_string().contains("2030-01-31T12:00:00Z"), "{error}");
        assert!(std::error::Error::source(&error).is_some());
    }
}
