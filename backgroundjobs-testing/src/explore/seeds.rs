//! [`Seeds`]: which orders an exploration tries.

use std::ops::{Range, RangeInclusive};

/// The environment variable that names the seeds of every exploration: `7`, or `0..20000`.
pub(crate) const VARIABLE: &str = "BACKGROUNDJOBS_SEED";

/// Which seeds to try, in order. Made from a range or a single seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seeds(Range<u64>);

impl Seeds {
    /// Those of the environment variable `BACKGROUNDJOBS_SEED` if it is set, else `self`.
    pub(crate) fn or_of_environment(self) -> Self {
        match std::env::var(VARIABLE) {
            Ok(text) => Self::parse(&text).unwrap_or_else(|| {
                panic!("{VARIABLE} is {text:?}: write one seed, as 7, or a range of them, as 0..200")
            }),
            Err(_) => self,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let seeds = match text.split_once("..") {
            Some((first, end)) => match end.strip_prefix('=') {
                Some(last) => first.trim().parse().ok()?..last.trim().parse::<u64>().ok()?.checked_add(1)?,
                None => first.trim().parse().ok()?..end.trim().parse().ok()?,
            },
            None => {
                let seed: u64 = text.parse().ok()?;
                seed..seed.checked_add(1)?
            }
        };
        (!seeds.is_empty()).then_some(Self(seeds))
    }

    pub(crate) fn range(&self) -> Range<u64> {
        self.0.clone()
    }
}

impl From<Range<u64>> for Seeds {
    fn from(seeds: Range<u64>) -> Self {
        Self(seeds)
    }
}

impl From<RangeInclusive<u64>> for Seeds {
    fn from(seeds: RangeInclusive<u64>) -> Self {
        Self(*seeds.start()..seeds.end().saturating_add(1))
    }
}

impl From<u64> for Seeds {
    fn from(seed: u64) -> Self {
        Self(seed..seed.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_one_or_a_range_and_anything_else_is_refused() {
        assert_eq!(Seeds::parse("7"), Some(Seeds(7..8)));
        assert_eq!(Seeds::parse(" 0..200 "), Some(Seeds(0..200)));
        assert_eq!(Seeds::parse("3..=5"), Some(Seeds(3..6)));
        for text in ["", "x", "5..3", "1..1", "-1", "1..x", "..", "18446744073709551615"] {
            assert_eq!(Seeds::parse(text), None, "{text}");
        }
    }
}
