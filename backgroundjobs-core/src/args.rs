//! [`JobArgs`]: the data of a job, and what its type says about every job of it.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Priority;

/// The data of one kind of job.
///
/// It is written as JSON when the job is enqueued and read back, perhaps days later and by a newer program,
/// when it runs: change it as you would change a file format (`#[serde(default)]` for a new field).
///
/// ```
/// use backgroundjobs_core::JobArgs;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct RegisterUser {
///     name: String,
/// }
///
/// impl JobArgs for RegisterUser {
///     const KIND: &'static str = "register_user";
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the args of a job: it lacks `impl JobArgs`",
    label = "no `impl JobArgs for {Self}`",
    note = "write `impl JobArgs for {Self} {{ const KIND: &'static str = \"a_stable_name\"; }}`",
    note = "and above the type `#[derive(serde::Serialize, serde::Deserialize)]`"
)]
pub trait JobArgs: Serialize + DeserializeOwned + Send + 'static {
    /// The stable name that is stored with each job, as in `"register_user"`. Renaming the Rust type must not
    /// change it.
    const KIND: &'static str;

    /// Earlier names of this kind: jobs stored under them are run as this kind.
    const ALIASES: &'static [&'static str] = &[];

    /// What holds for every job of this kind unless its enqueue or its registration says otherwise.
    fn options() -> JobOptions {
        JobOptions::new()
    }
}

/// What the args type says about every job of its kind; unset fields leave it to the program's options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobOptions {
    pub(crate) queue: Option<String>,
    pub(crate) priority: Option<Priority>,
    pub(crate) max_attempts: Option<u16>,
    pub(crate) timeout: Option<Duration>,
}

impl JobOptions {
    /// Nothing set.
    #[must_use]
    pub const fn new() -> Self {
        Self { queue: None, priority: None, max_attempts: None, timeout: None }
    }

    /// The queue; `default` unless set.
    #[must_use]
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.queue = Some(queue.into());
        self
    }

    /// The priority; 5 unless set.
    #[must_use]
    pub const fn priority(mut self, priority: Priority) -> Self {
        self.priority = Some(priority);
        self
    }

    /// Runs a job may use up by failing, the first included; 11 unless set. 0 counts as 1.
    #[must_use]
    pub const fn max_attempts(mut self, attempts: u16) -> Self {
        self.max_attempts = Some(attempts);
        self
    }

    /// How long a run may take before it is cancelled and counts as failed; no limit unless set.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}
