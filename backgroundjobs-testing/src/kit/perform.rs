//! One run of one handler, without a store.

use std::collections::BTreeSet;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::time::Duration;

use backgroundjobs_core::{
    EnqueueError, EnqueueOptions, Failure, JobArgs, JobDraft, JobState, Outcome, Settled, Timestamp,
};

use super::TestKit;
use crate::history::Attempt;

impl TestKit {
    /// Runs one handler once, through the real executor: the args are written as JSON and read back, wrappers,
    /// timeout, guard against panics and retry policy are the program's own. Nothing is stored, but for what the
    /// handler enqueues. The program need not be started. Time passes as far as the handler waits for it, and
    /// whatever else is due meanwhile happens, too.
    ///
    /// ```
    /// # use backgroundjobs_core::prelude::*;
    /// # use backgroundjobs_memory::prelude::*;
    /// # use backgroundjobs_testing::TestKit;
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Serialize, Deserialize)]
    /// # struct Mail { to: String }
    /// # impl JobArgs for Mail { const KIND: &'static str = "mail"; }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let kit = TestKit::new();
    /// let _jobs = kit.build(BackgroundJobs::builder(|options| options.use_in_memory()).register_fn(
    ///     async |mail: Mail, ctx: JobContext| {
    ///         if ctx.attempt() < 3 { Err(format!("{} is full", mail.to).into()) } else { Ok(()) }
    ///     },
    /// ));
    /// let first = kit.perform(Mail { to: "masa".into() }).await;
    /// assert_eq!(first.error(), Some("masa is full"));
    /// kit.perform(Mail { to: "masa".into() }).attempt(3).await.expect_success();
    /// kit.finish().await;
    /// # }
    /// ```
    ///
    /// # Panics
    /// When no program of the kit has a handler for it, or the job could not be enqueued either; and as
    /// [`run`](Self::run) does.
    pub fn perform<A: JobArgs>(&self, args: A) -> Perform<'_, A> {
        let draft = JobDraft::of(&args, EnqueueOptions::new());
        let draft =
            draft.unwrap_or_else(|error| panic!("the args of {} cannot be written: {error}", A::KIND));
        Perform { kit: self, draft, attempt: 1, args: PhantomData }
    }
}

/// One run to be made; await it.
#[must_use = "nothing is run until it is awaited"]
pub struct Perform<'a, A> {
    kit: &'a TestKit,
    draft: JobDraft,
    attempt: u16,
    args: PhantomData<fn(A)>,
}

impl<A: JobArgs> Perform<'_, A> {
    /// Which attempt it shall be, counted from 1; the first unless said.
    pub const fn attempt(mut self, attempt: u16) -> Self {
        self.attempt = attempt;
        self
    }

    /// What the enqueue would have said: the queue, the metadata, how many attempts there are.
    pub fn options(mut self, options: EnqueueOptions) -> Self {
        self.draft.options = options;
        self
    }
}

impl<'a, A: JobArgs> IntoFuture for Perform<'a, A> {
    type Output = Performed;
    type IntoFuture = Pin<Box<dyn Future<Output = Performed> + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { kit, draft, attempt, .. } = self;
        Box::pin(async move {
            let from = kit.now();
            let (mut known, mut refusal) = (BTreeSet::new(), None);
            for program in kit.shared.programs() {
                let Some(jobs) = program.jobs.upgrade() else { continue };
                match kit.run(jobs.perform(draft.clone(), attempt)).await {
                    Ok(outcome) => return Performed { outcome, from, to: kit.now() },
                    Err(EnqueueError::UnknownKind { known: more, .. }) => known.extend(more),
                    // Another program may take it.
                    Err(error) => refusal = Some(error),
                }
            }
            if let Some(error) = refusal {
                panic!("{} cannot be performed: {error}", A::KIND);
            }
            let known = Vec::from_iter(known).join(", ");
            panic!(
                "{} cannot be performed: no program of this kit has a handler for it (known: {}); register one in \
                 what kit.build(..) or kit.start(..) is given",
                A::KIND,
                if known.is_empty() { "none" } else { &known }
            );
        })
    }
}

impl<A> fmt::Debug for Perform<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Perform").field("kind", &self.draft.kind).field("attempt", &self.attempt).finish()
    }
}

/// How one run ended, and what a store would have been told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a run that failed says so only here"]
#[non_exhaustive]
pub struct Performed {
    /// What a store would have been told.
    pub outcome: Outcome,
    /// When it began.
    pub from: Timestamp,
    /// When it was over.
    pub to: Timestamp,
}

impl Performed {
    /// How it ended, as tables of attempts show it.
    #[must_use]
    pub const fn attempt(&self) -> Attempt {
        Attempt::of(&self.outcome, Settled::Applied { state: JobState::Waiting })
    }

    /// What went wrong, if something did.
    #[must_use]
    pub const fn failure(&self) -> Option<&Failure> {
        self.outcome.failure()
    }

    /// The text of what went wrong, if something did.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        self.failure().map(|failure| failure.text.as_str())
    }

    /// How long it took on the virtual clock.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.to.since(self.from)
    }

    /// Expects that it succeeded.
    ///
    /// # Panics
    /// When it did not, with what it said.
    #[track_caller]
    pub fn expect_success(self) {
        assert!(self.outcome == Outcome::Complete, "the run did not succeed: {:?}", self.outcome);
    }
}
