//! Identities: jobs, claims, workers, and the source they come from.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use fastrand::Rng;
use uuid::Uuid;

use crate::Timestamp;

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq)]
        pub struct $name(Uuid);

        impl Hash for $name {
            fn hash<H: Hasher>(&self, state: &mut H) {
                state.write_u128(self.0.as_u128());
            }
        }

        /// As the bytes of the UUID, read as one number: a store compares ids all the time.
        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                self.0.as_u128().cmp(&other.0.as_u128())
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl $name {
            /// Takes a UUID as it is.
            #[must_use]
            pub const fn from_uuid(id: Uuid) -> Self {
                Self(id)
            }

            /// The UUID behind it.
            #[must_use]
            pub const fn as_uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

id_type! {
    /// Names one job for good. Ids of one [`Env`](crate::Env) only grow, so that jobs of one instant keep the
    /// order in which they were enqueued.
    JobId
}

id_type! {
    /// Names one claim call, so that it can be repeated when its reply was lost.
    ClaimId
}

id_type! {
    /// Names one run of one worker: made fresh at each start, never configured.
    WorkerId
}

crate::readable::serde_is_text!(JobId);

impl FromStr for JobId {
    type Err = ParseJobIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::try_parse(text).map(Self).map_err(|source| ParseJobIdError { source: Box::new(source) })
    }
}

/// A text that is not a job id.
#[derive(Debug, thiserror::Error)]
#[error("not a job id: it is a UUID, as in 01890a5d-ac96-774b-bcce-b302099a8057")]
pub struct ParseJobIdError {
    source: Box<dyn std::error::Error + Send + Sync>,
}

/// Makes UUIDs of version 7 that only grow, whatever the clock does between two calls.
///
/// The 12 bits after the milliseconds hold the part of a millisecond (RFC 9562 section 6.2, method 3); ids of
/// one such instant count on from the last one by a small random step (method 2), so that they stay in order
/// and cannot be guessed one from another with certainty.
#[derive(Debug)]
pub(crate) struct IdSource {
    last: u128,
}

/// The bits of a UUID that are not version or variant.
const TIME_SHIFT: u32 = 74;
const RANDOM_BITS: u32 = 62;
/// A new instant starts in the lower half of the random bits, so that counting on has room.
const START_MASK: u64 = (1 << (RANDOM_BITS - 1)) - 1;
const STEP_MASK: u32 = (1 << 20) - 1;

impl IdSource {
    pub(crate) const fn new() -> Self {
        Self { last: 0 }
    }

    pub(crate) fn next(&mut self, now: Timestamp, rng: &mut Rng) -> Uuid {
        let micros = u64::try_from(now.as_micros()).unwrap_or(0);
        let part = (micros % 1_000) * 4_096 / 1_000;
        let fresh = (u128::from(micros / 1_000) << TIME_SHIFT)
            | (u128::from(part) << RANDOM_BITS)
            | u128::from(rng.u64(..) & START_MASK);
        let counted_on = self.last + 1 + u128::from(rng.u32(..) & STEP_MASK);
        self.last = fresh.max(counted_on);
        to_uuid(self.last)
    }
}

/// Spreads 122 bits around the version (7) and the variant (binary 10).
fn to_uuid(bits: u128) -> Uuid {
    let random = bits & ((1 << RANDOM_BITS) - 1);
    let part = (bits >> RANDOM_BITS) & 0xfff;
    let millis = (bits >> TIME_SHIFT) & ((1 << 48) - 1);
    Uuid::from_u128((millis << 80) | (0x7 << 76) | (part << 64) | (0b10 << 62) | random)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn ids_only_grow_even_on_a_clock_that_stands_still_or_steps_back() {
        let (mut source, mut rng) = (IdSource::new(), Rng::with_seed(7));
        let start: Timestamp = "2030-01-01T00:00:00Z".parse().expect("an instant");
        let mut last = Uuid::nil();
        for step in 0..10_000_u64 {
            let now = match step {
                5_000.. => start - Duration::from_secs(60),
                _ => start + Duration::from_micros(step / 100),
            };
            let id = source.next(now, &mut rng);
            assert!(id > last, "{id} after {last}");
            assert_eq!(id.get_version_num(), 7);
            last = id;
        }
    }

    #[test]
    fn ids_are_ordered_as_their_uuids_are() {
        let id = |bits: u128| JobId::from_uuid(Uuid::from_u128(bits));
        let mut ids = [id(1 << 120), id(u128::MAX), id(0), id(0x0100), id(0x00ff), id(1 << 64)];
        ids.sort_unstable();
        assert!(ids.is_sorted_by_key(|id| id.as_uuid()), "{ids:?}");
        assert!(ids.is_sorted_by_key(|id| id.to_string()), "{ids:?}");
    }

    #[test]
    fn the_same_seed_makes_the_same_ids() {
        let make = || IdSource::new().next(Timestamp::UNIX_EPOCH, &mut Rng::with_seed(3));
        assert_eq!(make(), make());
    }

    #[test]
    fn a_bad_id_is_told_how_to_be_right() {
        let error = "17".parse::<JobId>().expect_err("not an id");
        assert!(error.to_string().contains("UUID"), "{error}");
    }
}
