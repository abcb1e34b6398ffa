//! What is named as the store is none.

use backgroundjobs_core::prelude::*;

fn main() {
    let _ = BackgroundJobs::builder(|options| options.use_store("redis://localhost"));
}
