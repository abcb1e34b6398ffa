//! [`Builder`]: puts jobs together and reports every mistake at once.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::executor::HandlerExecutor;
use crate::handler::{BlockingJob, ErasedHandler, FnJob, FnJobWith, ScopedJob, Typed};
use crate::jobs::{BackgroundJobs, Parts};
use crate::limits::{DEFAULT_MAX_ATTEMPTS, MAX_SLOTS};
use crate::manager::Producing;
use crate::name::DEFAULT_QUEUE;
use crate::options::{Options, StoreWrapper, default_slots};
use crate::registry::{Registration, Registry};
use crate::{
    BackgroundJob, Env, JobArgs, JobContext, JobError, JobExecutor, JobFuture, JobResult, JobStore, Kind,
    NameError, QueueName, RetryPolicy,
};

/// Collects handlers, then [`build`](Self::build)s.
#[must_use = "nothing runs before .build()? and .start().await?"]
pub struct Builder {
    options: Options,
    drafts: Vec<Draft>,
    problems: Vec<BuildProblem>,
}

/// A registration whose names are not checked yet.
struct Draft {
    kind: &'static str,
    aliases: &'static [&'static str],
    handler: Box<dyn ErasedHandler>,
    options: crate::JobOptions,
    timeout: Option<Duration>,
    retry: Option<RetryPolicy>,
}

impl Builder {
    pub(crate) fn new(options: Options) -> Self {
        Self { options, drafts: Vec::new(), problems: Vec::new() }
    }

    /// Runs the jobs of `A` by `handler`. One handler for each kind; where a handler implements
    /// [`BackgroundJob`] for several args, say which: `.register::<A, _>(handler)`.
    pub fn register<A: JobArgs, H: BackgroundJob<A>>(mut self, handler: H) -> Self {
        self.drafts.push(Draft {
            kind: A::KIND,
            aliases: A::ALIASES,
            handler: Box::new(Typed::<A, H>::new(handler)),
            options: A::options(),
            timeout: None,
            retry: None,
        });
        self
    }

    /// Runs the jobs of `A` by an async function or closure.
    pub fn register_fn<A, F, Fut>(self, function: F) -> Self
    where
        A: JobArgs,
        F: Fn(A, JobContext) -> Fut + Send + Sync + 'static,
        Fut: JobFuture<Output = JobResult> + Send,
    {
        self.register::<A, _>(FnJob(function))
    }

    /// Runs the jobs of `A` by an async function that gets a clone of `state` each time.
    pub fn register_fn_with<A, S, F, Fut>(self, state: S, function: F) -> Self
    where
        A: JobArgs,
        S: Clone + Send + Sync + 'static,
        F: Fn(S, A, JobContext) -> Fut + Send + Sync + 'static,
        Fut: JobFuture<Output = JobResult> + Send,
    {
        self.register::<A, _>(FnJobWith { state, function })
    }

    /// Runs the jobs of `A` by a function that blocks its thread: on tokio's blocking pool, one thread for each
    /// run. What it returns counts as it does for an async handler.
    ///
    /// A call cannot be ended from outside: a function that takes long looks at
    /// [`JobContext::is_cancelled`] between its steps. One that does not is waited for, its job stays running
    /// and leased; at a stop it is named in the report and left to its lease.
    pub fn register_blocking<A, F>(self, function: F) -> Self
    where
        A: JobArgs,
        F: Fn(A, JobContext) -> JobResult + Send + Sync + 'static,
    {
        self.register::<A, _>(BlockingJob::new(function))
    }

    /// Runs the jobs of `A` by a handler that `factory` makes afresh for each run and that is dropped after it:
    /// what a scope is in dependency injection. A factory that fails is a failed attempt, as its [`JobError`]
    /// says.
    ///
    /// ```
    /// # use backgroundjobs_core::prelude::*;
    /// # use backgroundjobs_memory::prelude::*;
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Serialize, Deserialize)]
    /// # struct RegisterUser { name: String }
    /// # impl JobArgs for RegisterUser { const KIND: &'static str = "register_user"; }
    /// # #[derive(Clone)]
    /// # struct Pool;
    /// # struct Transaction;
    /// # impl Pool { async fn begin(&self) -> Result<Transaction, std::io::Error> { Ok(Transaction) } }
    /// struct Register {
    ///     transaction: Transaction,
    /// }
    /// # impl BackgroundJob<RegisterUser> for Register {
    /// #     async fn execute(&self, _: RegisterUser, _: JobContext) -> JobResult { Ok(()) }
    /// # }
    ///
    /// let pool = Pool;
    /// let builder = BackgroundJobs::builder(|options| options.use_in_memory()).register_scoped(move |_ctx| {
    ///     let pool = pool.clone();
    ///     async move { Ok(Register { transaction: pool.begin().await? }) }
    /// });
    /// # builder.build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn register_scoped<A, H, F, Fut>(self, factory: F) -> Self
    where
        A: JobArgs,
        H: BackgroundJob<A>,
        F: Fn(JobContext) -> Fut + Send + Sync + 'static,
        Fut: JobFuture<Output = Result<H, JobError>> + Send,
    {
        self.register::<A, _>(ScopedJob::<F, H>::new(factory))
    }

    /// How long a run of the handler registered last may take; comes before what its args type says. Then the
    /// run is told to stop, and has the [cancel grace](crate::Options::cancel_grace) (5 s) to end by itself
    /// before it is dropped. One that ends well in that time has succeeded; else it is a failed attempt.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        match self.drafts.last_mut() {
            Some(draft) => draft.timeout = Some(timeout),
            None => self.problems.push(BuildProblem::NothingToConfigure { method: "timeout" }),
        }
        self
    }

    /// How the jobs of the handler registered last are tried again; comes before the program's options.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        match self.drafts.last_mut() {
            Some(draft) => draft.retry = Some(policy),
            None => self.problems.push(BuildProblem::NothingToConfigure { method: "retry" }),
        }
        self
    }

    /// Changes the options once more: how a test kit puts its own surroundings under a program's jobs.
    pub fn configure(mut self, change: impl FnOnce(Options) -> Options) -> Self {
        self.options = change(self.options);
        self
    }

    /// Checks everything and puts it together. Nothing runs yet.
    ///
    /// # Errors
    /// [`BuildError`] lists every mistake, each with what to write instead.
    pub fn build(self) -> Result<BackgroundJobs, BuildError> {
        let Self { options, drafts, mut problems } = self;
        let store = wrapped_store(options.stores, options.store_wrappers, &mut problems);
        if options.poll_interval == Some(Duration::ZERO) {
            problems.push(BuildProblem::ZeroPollOption);
        }
        let queues = queues(options.queues, options.producer_only, store.as_deref(), &mut problems);
        let produced: Vec<Kind> =
            options.produced.iter().filter_map(|name| kind(name, name, &mut problems)).collect();
        match (drafts.is_empty(), options.producer_only) {
            (true, false) if produced.is_empty() => problems.push(BuildProblem::NoHandler),
            (false, true) => problems.push(BuildProblem::ProducerWithHandlers),
            _ => {}
        }
        let registrations = registrations(drafts, options.timeout, &queues, &mut problems);
        if options.times.lease < options.times.renew_every.saturating_mul(2)
            || options.times.renew_every.is_zero()
        {
            problems.push(BuildProblem::Lease {
                lease: options.times.lease,
                renew_every: options.times.renew_every,
            });
        }
        let Some(store) = store.filter(|_| problems.is_empty()) else { return Err(BuildError { problems }) };
        let registry = Arc::new(Registry::new(registrations));
        let executor: Arc<dyn JobExecutor> = options
            .wrappers
            .into_iter()
            .fold(Arc::new(HandlerExecutor::new(registry.clone())), |inner, wrap| wrap(inner));
        Ok(BackgroundJobs::assemble(Parts {
            env: options.env.unwrap_or_else(Env::system),
            retention: options.retention,
            retry: options.retry,
            times: options.times,
            poll_interval: options.poll_interval,
            on_finished: options.on_finished,
            on_drain: options.on_drain,
            queues: queues.clone(),
            executor,
            producing: Producing {
                registry,
                produced,
                queues,
                producer_only: options.producer_only,
                max_attempts: options.retry.attempts().unwrap_or(DEFAULT_MAX_ATTEMPTS),
                max_crashes: options.max_crashes,
            },
            store,
        }))
    }
}

/// The store that is named, inside what is to be put around it.
fn wrapped_store(
    mut stores: Vec<Arc<dyn JobStore>>,
    wrappers: Vec<StoreWrapper>,
    problems: &mut Vec<BuildProblem>,
) -> Option<Arc<dyn JobStore>> {
    let Some(store) = stores.pop() else {
        problems.push(BuildProblem::NoStore);
        return None;
    };
    let store = wrappers.into_iter().fold(store, |inner, wrap| wrap(inner));
    if stores.is_empty() {
        check_profile(&*store, problems);
    } else {
        problems.push(BuildProblem::SeveralStores { count: stores.len() + 1 });
    }
    Some(store)
}

fn check_profile(store: &dyn JobStore, problems: &mut Vec<BuildProblem>) {
    let profile = store.profile();
    if profile.poll_interval == Some(Duration::ZERO) {
        problems.push(BuildProblem::ZeroPoll { store: profile.name });
    }
    if !profile.is_shared() && store.local_hub().is_none() {
        problems.push(BuildProblem::DeafStore { store: profile.name });
    }
}

fn queues(
    named: Vec<(String, usize)>,
    producer_only: bool,
    store: Option<&dyn JobStore>,
    problems: &mut Vec<BuildProblem>,
) -> Vec<(QueueName, usize)> {
    let mut queues: Vec<(QueueName, usize)> = Vec::new();
    let reachable = store.is_none_or(|store| store.profile().is_shared());
    for (name, slots) in named {
        match queue_name(&name) {
            Err(source) => problems.push(BuildProblem::Name { what: "queue", of: name, source }),
            Ok(queue) if queues.iter().any(|(known, _)| *known == queue) => {
                problems.push(BuildProblem::QueueTwice { queue: name });
            }
            Ok(_) if slots > MAX_SLOTS => problems.push(BuildProblem::TooManySlots { queue: name, slots }),
            Ok(_) if slots == 0 && !reachable && !producer_only => {
                problems.push(BuildProblem::UnreachableQueue { queue: name });
            }
            Ok(queue) => queues.push((queue, slots)),
        }
    }
    if queues.is_empty() {
        queues.push((QueueName::default_queue(), default_slots()));
    }
    if producer_only {
        queues.iter_mut().for_each(|(_, slots)| *slots = 0);
    }
    queues
}

/// The name of a queue; the default one as every job of it has it.
fn queue_name(name: &str) -> Result<QueueName, NameError> {
    if name == DEFAULT_QUEUE { Ok(QueueName::default_queue()) } else { QueueName::new(name) }
}

fn registrations(
    drafts: Vec<Draft>,
    default_timeout: Option<Duration>,
    queues: &[(QueueName, usize)],
    problems: &mut Vec<BuildProblem>,
) -> Vec<Registration> {
    let mut taken: BTreeMap<Kind, &'static str> = BTreeMap::new();
    let mut registrations = Vec::new();
    for draft in drafts {
        let mut names = Vec::new();
        for name in std::iter::once(&draft.kind).chain(draft.aliases) {
            let Some(kind) = kind(name, draft.kind, problems) else { continue };
            match taken.insert(kind.clone(), draft.kind) {
                Some(first) => problems.push(BuildProblem::KindTwice {
                    name: kind.to_string(),
                    first,
                    second: draft.kind,
                }),
                None => names.push(kind),
            }
        }
        let timeout = draft.timeout.or(draft.options.timeout).or(default_timeout);
        if timeout == Some(Duration::ZERO) {
            problems.push(BuildProblem::ZeroTimeout { kind: draft.kind });
        }
        if let Some(queue) = &draft.options.queue
            && !queues.iter().any(|(known, _)| known == queue.as_str())
        {
            problems.push(BuildProblem::UndeclaredQueue { kind: draft.kind, queue: queue.clone() });
        }
        let mut names = names.into_iter();
        if let Some(kind) = names.next() {
            registrations.push(Registration {
                kind,
                aliases: names.collect(),
                handler: draft.handler,
                timeout,
                retry: draft.retry,
            });
        }
    }
    registrations
}

fn kind(name: &'static str, of: &str, problems: &mut Vec<BuildProblem>) -> Option<Kind> {
    Kind::of_static(name)
        .map_err(|source| problems.push(BuildProblem::Name { what: "kind", of: of.to_owned(), source }))
        .ok()
}

/// Everything that keeps jobs from being built.
pub struct BuildError {
    problems: Vec<BuildProblem>,
}

impl BuildError {
    /// Each mistake.
    #[must_use]
    pub fn problems(&self) -> &[BuildProblem] {
        &self.problems
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [only] => write!(f, "the jobs cannot be built: {only}"),
            several => {
                write!(f, "the jobs cannot be built, for {} reasons:", several.len())?;
                several.iter().try_for_each(|problem| write!(f, "\n  - {problem}"))
            }
        }
    }
}

// Each problem's text ends with that of its source.
impl std::error::Error for BuildError {}

/// One mistake, with what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each variant and field is explained by its message")]
pub enum BuildProblem {
    #[error("no store is named: write options.use_in_memory(), or options.use_store(store)")]
    NoStore,
    #[error("{count} stores are named: name one")]
    SeveralStores { count: usize },
    #[error(
        "the {store} store can wake nobody: its local_hub() must be Some, or its profile needs a poll interval"
    )]
    DeafStore { store: &'static str },
    #[error("the {store} store is to be polled all the time: its profile needs a poll interval above zero")]
    ZeroPoll { store: &'static str },
    #[error("options.poll_interval(..) needs a time above zero; leave it out for the store's own")]
    ZeroPollOption,
    #[error(
        "there is no handler: call .register(..), or say options.producer_only() where other programs run \
         the jobs"
    )]
    NoHandler,
    #[error("options.producer_only() runs nothing, but handlers are registered: remove one or the other")]
    ProducerWithHandlers,
    #[error("{of:?} cannot be the name of a {what}: {source}")]
    Name { what: &'static str, of: String, source: NameError },
    #[error("the queue {queue:?} is named twice: name it once, with the slots it shall have")]
    QueueTwice { queue: String },
    #[error(
        "the queue {queue:?} has 0 slots, and no other program can reach this store: give it slots, or use \
         a store that programs share"
    )]
    UnreachableQueue { queue: String },
    #[error("the queue {queue:?} has {slots} slots, {MAX_SLOTS} are allowed: each is a task")]
    TooManySlots { queue: String, slots: usize },
    #[error(
        "the name {name:?} stands for two handlers, those of the kinds {first:?} and {second:?}: one handler runs \
         all jobs of a kind"
    )]
    KindTwice { name: String, first: &'static str, second: &'static str },
    #[error("the timeout of {kind:?} is zero: no run could ever end in time")]
    ZeroTimeout { kind: &'static str },
    #[error("{kind:?} goes to the queue {queue:?}, which is not named: add options.queue({queue:?}, slots)")]
    UndeclaredQueue { kind: &'static str, queue: String },
    #[error(
        "a lease of {lease:?} renewed every {renew_every:?} is lost at the first delay: renew at least twice \
         in each lease, and not all the time"
    )]
    Lease { lease: Duration, renew_every: Duration },
    #[error(".{method}(..) stands before the first .register(..): it belongs to the handler before it")]
    NothingToConfigure { method: &'static str },
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds: Vec<&str> = self.drafts.iter().map(|draft| draft.kind).collect();
        f.debug_struct("Builder")
            .field("options", &self.options)
            .field("kinds", &kinds)
            .finish_non_exhaustive()
    }
}

crate::readable::debug_is_text!(BuildError);
