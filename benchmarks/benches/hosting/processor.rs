//! The processor's time that this process has used.

use std::fs;
use std::time::Duration;

/// Of all its threads that live, to the nanosecond; none where the system does not say it so.
pub(crate) fn used() -> Option<Duration> {
    let mut nanos = 0;
    for thread in fs::read_dir("/proc/self/task").ok()? {
        let path = thread.ok()?.path().join("schedstat");
        nanos += fs::read_to_string(path).ok()?.split(' ').next()?.parse::<u64>().ok()?;
    }
    Some(Duration::from_nanos(nanos))
}
