//! A kind that is run, and one whose name is nearly the same and is not.

#![allow(dead_code, reason = "each test that includes this module uses a part of it")]

use backgroundjobs_core::prelude::*;
use backgroundjobs_memory::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Work {
    pub(crate) text: String,
}

impl JobArgs for Work {
    const KIND: &'static str = "work";
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Wrok;

impl JobArgs for Wrok {
    const KIND: &'static str = "wrok";
}

pub(crate) fn work(text: &str) -> Work {
    Work { text: text.to_owned() }
}

pub(crate) async fn handler(work: Work, _: JobContext) -> JobResult {
    if work.text == "fail" { Err(JobError::permanent("as asked")) } else { Ok(()) }
}

pub(crate) fn builder() -> Builder {
    BackgroundJobs::builder(|options| options.use_in_memory().queue("default", 2).queue("mail", 2))
        .register_fn(handler)
}
