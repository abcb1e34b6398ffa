//! The job that every row carries, and the marks that it leaves.

use std::ops::Range;
use std::sync::atomic::{AtomicU8, Ordering};

use backgroundjobs_core::JobArgs;
use serde::{Deserialize, Serialize};

/// A job whose JSON has exactly [`BYTES`](Self::BYTES) bytes, whatever its number.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Notice {
    number: u64,
    to: String,
    subject: String,
    urgent: bool,
}

impl JobArgs for Notice {
    const KIND: &'static str = "notice";
}

/// Gives every number the same count of digits.
const FIRST: u64 = 1_000_000_000;

impl Notice {
    /// The bytes of its JSON.
    pub const BYTES: usize = 100;

    /// The notice of this number, counted from 0.
    #[must_use]
    pub fn new(number: usize) -> Self {
        Self {
            number: FIRST + number as u64,
            to: "someone@example.com".to_owned(),
            subject: "welcome to our new office".to_owned(),
            urgent: true,
        }
    }

    /// Its number, counted from 0.
    #[must_use]
    pub fn number(&self) -> usize {
        usize::try_from(self.number - FIRST).unwrap_or(usize::MAX)
    }
}

/// How often each job ran.
#[derive(Debug)]
pub struct Marks(Vec<AtomicU8>);

impl Marks {
    /// For jobs of the numbers below `jobs`.
    #[must_use]
    pub fn new(jobs: usize) -> Self {
        Self((0..jobs).map(|_| AtomicU8::new(0)).collect())
    }

    /// This notice was read.
    pub fn mark(&self, notice: &Notice) {
        std::hint::black_box(notice);
        self.0[notice.number()].fetch_add(1, Ordering::Relaxed);
    }

    /// Checks that every job ran, and none twice.
    ///
    /// # Errors
    /// The first job that did not run exactly once.
    pub fn each_once(&self) -> Result<(), String> {
        match self.0.iter().position(|mark| mark.load(Ordering::Acquire) != 1) {
            None => Ok(()),
            Some(job) => {
                let times = self.0[job].load(Ordering::Acquire);
                Err(format!("job {job} of {} ran {times} times instead of once", self.0.len()))
            }
        }
    }
}

/// The numbers below `jobs`, shared out among so many tasks that send.
#[must_use]
pub fn shares(jobs: usize, tasks: usize) -> Vec<Range<usize>> {
    (0..tasks).map(|task| jobs * task / tasks..jobs * (task + 1) / tasks).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_has_its_bytes_and_its_number() {
        for number in [0, 7, 999_999] {
            let text = serde_json::to_string(&Notice::new(number)).unwrap();
            assert_eq!(text.len(), Notice::BYTES, "{text}");
            assert_eq!(serde_json::from_str::<Notice>(&text).unwrap().number(), number);
        }
    }

    #[test]
    fn the_shares_are_all_jobs() {
        assert_eq!(shares(5, 2), [0..2, 2..5]);
        assert_eq!(shares(5, 1).first(), Some(&(0..5)));
    }

    #[test]
    fn a_job_that_ran_twice_or_never_is_named() {
        let marks = Marks::new(2);
        marks.mark(&Notice::new(0));
        assert_eq!(marks.each_once().unwrap_err(), "job 1 of 2 ran 0 times instead of once");
        marks.mark(&Notice::new(1));
        assert_eq!(marks.each_once(), Ok(()));
        marks.mark(&Notice::new(1));
        assert!(marks.each_once().unwrap_err().contains("ran 2 times"));
    }
}
