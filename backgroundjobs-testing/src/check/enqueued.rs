//! [`AssertEnqueued`]: questions about jobs that were stored.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use backgroundjobs_core::{JobArgs, JobId, JobRecord, JobState, Priority, Timestamp};

use super::View;
use super::matcher::{Asked, Candidate, Count, Field, Matcher, terminals};

/// A question about jobs that were stored, whatever became of them; see [`KitJobs`](super::KitJobs).
#[must_use = "a question that does not end in .once(), .times(n), .at_least(n), .never(), .get() or .all() asserts nothing"]
pub struct AssertEnqueued<'a, A> {
    matcher: Matcher<'a, A>,
}

/// A job that was found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FoundJob<A> {
    /// Its args.
    pub args: A,
    /// Its record; as it was last seen, where the store has it no more.
    pub record: JobRecord,
}

impl<'a, A: JobArgs> AssertEnqueued<'a, A> {
    pub(super) fn of(view: &'a View) -> Self {
        Self { matcher: Matcher::new(view, Asked::Jobs) }
    }

    fn must(mut self, wish: String, condition: impl Fn(&JobOf<'_>) -> Field + 'a) -> Self {
        self.matcher.must(wish, move |candidate| {
            let job = candidate.job.expect("a candidate of this question is a job");
            condition(&JobOf { record: &job.record, due: job.due })
        });
        self
    }

    /// Whose args are so.
    #[track_caller]
    pub fn with(mut self, condition: impl Fn(&A) -> bool + 'a) -> Self {
        self.matcher.must_have(condition, Location::caller());
        self
    }

    /// Of this id.
    pub fn id(self, id: JobId) -> Self {
        self.must(format!("id {id}"), move |job| {
            Field::equal("id", job.record.id.to_string(), id.to_string())
        })
    }

    /// In this queue.
    pub fn queue(self, queue: &'a str) -> Self {
        self.must(format!("queue {queue:?}"), move |job| {
            Field::equal("queue", format!("{:?}", job.record.queue.as_str()), format!("{queue:?}"))
        })
    }

    /// Of this priority.
    pub fn priority(self, priority: Priority) -> Self {
        self.must(format!("priority {}", priority.level()), move |job| {
            Field::equal("priority", job.record.priority.level().to_string(), priority.level().to_string())
        })
    }

    /// That was to run this long after it was stored; zero for at once.
    pub fn due_in(self, delay: Duration) -> Self {
        self.must(format!("due in {delay:?}"), move |job| {
            Field::equal(
                "due in",
                format!("{:?}", job.due.since(job.record.created_at)),
                format!("{delay:?}"),
            )
        })
    }

    /// That was to run at this instant when it was stored.
    pub fn due_at(self, instant: Timestamp) -> Self {
        self.must(format!("due at {instant}"), move |job| {
            Field::equal("due at", job.due.to_string(), instant.to_string())
        })
    }

    /// That is in this state now.
    pub fn state(self, state: JobState) -> Self {
        self.must(format!("state {state}"), move |job| {
            Field::equal("state", job.record.state.to_string(), state.to_string())
        })
    }

    /// With this note in its metadata.
    pub fn metadata(self, name: &'a str, value: &'a str) -> Self {
        self.must(format!("metadata {name} = {value:?}"), move |job| {
            let is = job.record.metadata.get(name).map_or_else(|| "not there".into(), |is| format!("{is:?}"));
            Field::equal("metadata", is, format!("{value:?}"))
        })
    }

    /// That has a unique key, whose text as it was given is this.
    pub fn unique(self, key: &'a str) -> Self {
        self.must(format!("unique {key:?}"), move |job| {
            let is = job.record.unique.as_ref().map(|unique| {
                // The runtime puts the kind in front, and a control character between.
                let flat = &*unique.key;
                flat.split_once('\u{1f}').map_or(flat, |(_, given)| given).to_owned()
            });
            Field::equal(
                "unique",
                is.map_or_else(|| "none".into(), |is| format!("{is:?}")),
                format!("{key:?}"),
            )
        })
    }

    /// That may be tried so often.
    pub fn max_attempts(self, attempts: u16) -> Self {
        self.must(format!("max attempts {attempts}"), move |job| {
            Field::equal("max attempts", job.record.max_attempts.to_string(), attempts.to_string())
        })
    }

    #[track_caller]
    fn expect(self, count: Count) -> Vec<Candidate<'a, A>> {
        let jobs = self.matcher.view.jobs.iter().filter(|job| job.is_of::<A>());
        let candidates = jobs.map(|job| {
            let args = job.record.args.decode().map_err(|error| error.to_string());
            Candidate { job: Some(job), run: None, args }
        });
        let candidates = candidates.collect();
        self.matcher.expect(count, candidates)
    }

    terminals!(FoundJob);
}

/// What conditions look at.
struct JobOf<'a> {
    record: &'a JobRecord,
    due: Timestamp,
}

impl<A: JobArgs> FoundJob<A> {
    #[track_caller]
    fn of(candidate: Candidate<'_, A>) -> Self {
        let record = candidate.job.expect("a candidate of this question is a job").record.clone();
        let args = candidate.args;
        let args = args
            .unwrap_or_else(|error| panic!("the args of {} {} do not decode: {error}", A::KIND, record.id));
        Self { args, record }
    }
}

impl<A> fmt::Debug for AssertEnqueued<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AssertEnqueued").finish_non_exhaustive()
    }
}
