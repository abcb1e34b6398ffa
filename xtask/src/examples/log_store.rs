//! The example of a store that lasts: what a process that died had begun is done by the next.

use super::{Place, expect_lines};

pub(super) fn outlives_its_process(place: &Place) -> Result<(), String> {
    let finished = place.run("log_store")?;
    let lines = [
        "parcel 1 is packed",
        "parcel 2 is packed",
        "parcel 3 is heavy",
        "the process dies",
        "found: 2 waiting",
        "found: 1 running",
        "found: 2 succeeded",
        "parcel 3 is packed",
        "parcel 4 is packed",
        "parcel 5 is packed",
        "now: 5 succeeded",
    ];
    expect_lines(&finished, &lines)
}
