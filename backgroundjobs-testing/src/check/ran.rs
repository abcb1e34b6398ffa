//! [`AssertRan`]: questions about runs.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use backgroundjobs_core::{JobArgs, JobId, Timestamp};

use super::matcher::{Asked, Candidate, Count, Field, Matcher, terminals};
use super::{View, is_kind_of};
use crate::Attempt;
use crate::history::SeenRun;

/// A question about runs, handlers that began; see [`KitJobs`](super::KitJobs).
#[must_use = "a question that does not end in .once(), .times(n), .at_least(n), .never(), .get() or .all() asserts nothing"]
pub struct AssertRan<'a, A> {
    matcher: Matcher<'a, A>,
}

/// A run that was found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FoundRun<A> {
    /// The job.
    pub id: JobId,
    /// Its args.
    pub args: A,
    /// Which attempt, counted from 1.
    pub attempt: u16,
    /// When the handler began.
    pub started: Timestamp,
    /// When it was over, if it is.
    pub ended: Option<Timestamp>,
    /// How it ended.
    pub ending: Attempt,
    /// What went wrong, if something did.
    pub error: Option<String>,
    /// The node that ran it; `the program` where it was none.
    pub node: String,
}

impl<'a, A: JobArgs> AssertRan<'a, A> {
    pub(super) fn of(view: &'a View) -> Self {
        Self { matcher: Matcher::new(view, Asked::Runs) }
    }

    fn must(mut self, wish: String, condition: impl Fn(&SeenRun) -> Field + 'a) -> Self {
        self.matcher.must(wish, move |candidate| {
            condition(candidate.run.expect("a candidate of this question is a run"))
        });
        self
    }

    /// Of a job whose args are so.
    #[track_caller]
    pub fn with(mut self, condition: impl Fn(&A) -> bool + 'a) -> Self {
        self.matcher.must_have(condition, Location::caller());
        self
    }

    /// Of this job.
    pub fn id(self, id: JobId) -> Self {
        self.must(format!("id {id}"), move |run| Field::equal("id", run.job.id.to_string(), id.to_string()))
    }

    /// Of a job of this queue.
    pub fn queue(self, queue: &'a str) -> Self {
        self.must(format!("queue {queue:?}"), move |run| {
            Field::equal("queue", format!("{:?}", run.job.queue.as_str()), format!("{queue:?}"))
        })
    }

    /// That was this attempt, counted from 1.
    pub fn attempt(self, attempt: u16) -> Self {
        self.must(format!("attempt {attempt}"), move |run| {
            Field::equal("attempt", run.job.attempt().to_string(), attempt.to_string())
        })
    }

    /// That began at this instant.
    pub fn at(self, instant: Timestamp) -> Self {
        self.must(format!("at {instant}"), move |run| {
            Field::equal("at", run.started.map(|at| at.to_string()).unwrap_or_default(), instant.to_string())
        })
    }

    /// That began this long after its job was stored.
    pub fn after(self, delay: Duration) -> Self {
        self.must(format!("after {delay:?}"), move |run| {
            let is = run.started.map(|at| format!("{:?}", at.since(run.job.created_at)));
            Field::equal("after", is.unwrap_or_default(), format!("{delay:?}"))
        })
    }

    /// That ended like this.
    pub fn ended(self, ending: Attempt) -> Self {
        self.must(format!("ended {ending:?}"), move |run| {
            Field::equal("ended", format!("{:?}", run.attempt), format!("{ending:?}"))
        })
    }

    /// On this node.
    pub fn on(self, node: &'a str) -> Self {
        self.must(format!("on {node}"), move |run| Field::equal("on", run.node.to_string(), node.to_owned()))
    }

    #[track_caller]
    fn expect(self, count: Count) -> Vec<Candidate<'a, A>> {
        let view = self.matcher.view;
        let runs =
            view.runs.iter().filter(|run| run.started.is_some() && is_kind_of::<A>(run.job.kind.as_str()));
        let candidates = runs.map(|run| {
            let args = run.job.args.decode().map_err(|error| error.to_string());
            Candidate { job: view.job(run.job.id), run: Some(run), args }
        });
        let candidates = candidates.collect();
        self.matcher.expect(count, candidates)
    }

    terminals!(FoundRun);
}

impl<A: JobArgs> FoundRun<A> {
    #[track_caller]
    fn of(candidate: Candidate<'_, A>) -> Self {
        let run = candidate.run.expect("a candidate of this question is a run");
        let args = candidate.args;
        let args = args
            .unwrap_or_else(|error| panic!("the args of {} {} do not decode: {error}", A::KIND, run.job.id));
        Self {
            id: run.job.id,
            args,
            attempt: run.job.attempt(),
            started: run.started.expect("a run that counts has begun"),
            ended: run.ended,
            ending: run.attempt,
            error: run.error.clone(),
            node: run.node.to_string(),
        }
    }
}

impl<A> fmt::Debug for AssertRan<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AssertRan").finish_non_exhaustive()
    }
}
