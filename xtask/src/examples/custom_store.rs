//! The example of a user's own store: its jobs end as on any other.

use super::{Place, expect_lines};

pub(super) fn ends_every_job(place: &Place) -> Result<(), String> {
    let finished = place.run("custom_store")?;
    let lines = [
        "mail sent to masa",
        "mail sent to taro",
        "mail sent to hana",
        "now: succeeded after 0 failed attempts",
        "later: succeeded after 0 failed attempts",
        "flaky: succeeded after 2 failed attempts",
    ];
    expect_lines(&finished, &lines)
}
