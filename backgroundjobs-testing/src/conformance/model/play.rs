//! A history played on a store and on the model, step by step, until they differ.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use backgroundjobs_core::{
    CancelJobs, ClaimId, ClaimJobs, ClaimedJobs, CountJobs, ErrorText, FailureKind, InsertJobs, JobFilter,
    JobId, JobRecord, JobStore, LeaseKey, ListJobs, NewJob, Outcome, Payload, PruneJobs, QueueDemand,
    QueueName, RecoverJobs, RecoveredJobs, RenewLeases, SettleJobs, Settlement, StoreError, Timestamp,
    WorkerId,
};
use backgroundjobs_memory::MemoryStore;

use super::super::context::{Context, answer, at, id_of, kind, lease_of, queue, shown, told};
use super::super::operations::{self, Watched};
use super::super::{Capability, FreshStore};
use super::step::{Call, Demand, Holder, JOBS, NAMES, Offer, Step, Target};

/// Ids of claims follow those of jobs.
const CLAIMS: u64 = 100;

/// Where a store and the model part ways.
pub(super) struct Difference {
    /// The step after which they do.
    pub(super) step: usize,
    /// What differs, and how.
    pub(super) text: String,
}

/// Which of the steps can be made on the store under check.
#[derive(Clone, Copy)]
pub(super) struct Able {
    second_handle: bool,
    reopen: bool,
}

impl Able {
    pub(super) async fn of(cx: &Context) -> Self {
        Self {
            second_handle: cx.can(Capability::SecondHandle).await,
            reopen: cx.can(Capability::Reopen).await,
        }
    }
}

/// Plays the steps on a fresh store of its own. Only the calls of the steps are written down, not the looks after
/// each.
pub(super) async fn play(cx: &Context, able: Able, steps: &[Step]) -> Option<Difference> {
    cx.operations().start_anew();
    let fresh = cx.under_test().fresh().await;
    let mut play = Play::begin(cx, able, &fresh).await;
    for (index, step) in steps.iter().enumerate() {
        let differs = match play.make(step).await {
            Some(text) => Some(text),
            None => play.view(step).await,
        };
        if let Some(text) = differs {
            return Some(Difference { step: index, text });
        }
    }
    None
}

/// One handle, twice: whose calls are written down, and for the looks.
struct Handle {
    watched: Arc<Watched>,
    store: Arc<dyn JobStore>,
}

struct Play<'a> {
    cx: &'a Context,
    fresh: &'a FreshStore,
    model: MemoryStore,
    first: Handle,
    second: Option<Handle>,
    can_reopen: bool,
    now: Timestamp,
    claims: BTreeMap<u8, ClaimJobs>,
    /// What was handed out, in order.
    handed: Vec<LeaseKey>,
}

impl<'a> Play<'a> {
    async fn begin(cx: &'a Context, able: Able, fresh: &'a FreshStore) -> Self {
        let handle = |store: Arc<dyn JobStore>, name| Handle {
            watched: Watched::new(store.clone(), name, cx.operations().clone()),
            store,
        };
        let first = handle(fresh.store().clone(), "");
        answer("prepare", first.store.prepare().await);
        let second = match able.second_handle {
            true => cx.under_test().second_handle(fresh).await.map(|it| handle(it, "on the second handle: ")),
            false => None,
        };
        if let Some(second) = &second {
            answer("prepare", second.store.prepare().await);
        }
        let (model, claims, handed) = (MemoryStore::new(), BTreeMap::new(), Vec::new());
        Self { cx, fresh, model, first, second, can_reopen: able.reopen, now: at(0), claims, handed }
    }

    fn handle(&self, step: &Step) -> &Handle {
        self.second.as_ref().filter(|_| step.is_on_second).unwrap_or(&self.first)
    }

    /// Makes one call on both; how their answers differ.
    async fn make(&mut self, step: &Step) -> Option<String> {
        self.now = self.now + step.pass;
        let now = self.now;
        /// Sends one request to both.
        macro_rules! both {
            ($request:expr, $call:ident) => {{
                let request = $request;
                let store = &self.handle(step).watched;
                (store.$call(&request).await, self.model.$call(&request).await)
            }};
        }
        macro_rules! both_control {
            ($call:ident, $what:expr) => {{
                let store = self.handle(step).watched.control()?;
                let model = self.model.control().expect("the model has it");
                (store.$call(now, $what).await, model.$call(now, $what).await)
            }};
        }
        match &step.call {
            Call::Insert(offers) => {
                let (seen, expected) = both!(InsertJobs::new(now, offers.iter().map(job).collect()), insert);
                same(seen, expected)
            }
            Call::Claim(demand) => {
                let claim = self.claim(demand);
                let store = &self.handle(step).watched;
                let (seen, expected) = (store.claim(&claim).await, self.model.claim(&claim).await);
                let queues = expected.iter().flat_map(|reply| &reply.queues);
                self.handed.extend(queues.flat_map(|queue| &queue.jobs).map(lease_of));
                different(&seen, &expected, |seen, expected| differing_claims(&claim, seen, expected))
            }
            Call::Settle(ends) => {
                let end = |(holder, outcome): &(Holder, Outcome)| Settlement {
                    lease: self.lease(*holder),
                    outcome: outcome.clone(),
                };
                let outcomes = ends.iter().map(end).collect();
                let (seen, expected) = both!(SettleJobs::new(now, outcomes), settle);
                same(seen, expected)
            }
            Call::Renew(holders, lease) => {
                let leases = holders.iter().map(|holder| self.lease(*holder)).collect();
                let (seen, expected) = both!(RenewLeases::new(now, *lease, leases), renew);
                same(seen, expected)
            }
            Call::Recover(backoff) => {
                // Which of those whose leases end at one instant go first is the store's choice, so all go.
                let (seen, expected) = both!(RecoverJobs::new(now, 999, *backoff), recover);
                same(seen.map(in_order), expected.map(in_order))
            }
            Call::Cancel(jobs) => {
                let (seen, expected) = both!(CancelJobs::new(now, self.ids(jobs)), cancel);
                same(seen, expected)
            }
            Call::Prune(retention) => {
                // Which state goes first under a limit is the store's choice, so all go.
                let (seen, expected) = both!(PruneJobs::new(now, *retention, 999), prune);
                same(seen, expected)
            }
            Call::Requeue(jobs) => {
                let (seen, expected) = both_control!(requeue, &self.ids(jobs));
                same(seen, expected)
            }
            Call::Delete(jobs) => {
                let (seen, expected) = both_control!(delete, &self.ids(jobs));
                same(seen, expected)
            }
            Call::Pause(name) => {
                let (seen, expected) = both_control!(pause, &named(*name));
                same(seen, expected)
            }
            Call::Resume(name) => {
                let (seen, expected) = both_control!(resume, &named(*name));
                same(seen, expected)
            }
            Call::Reopen => {
                if !self.can_reopen {
                    return None;
                }
                self.reopen().await.err().map(|error| format!("expected it to open again, saw {error}"))
            }
        }
    }

    /// Ends what a program has of the store, all of its handles, and opens it again: a store may be one process's at
    /// a time.
    async fn reopen(&mut self) -> Result<(), StoreError> {
        if let Some(second) = self.second.take() {
            second.watched.close().await?;
        }
        self.first.watched.close().await?;
        let store = self.cx.under_test().reopen(self.fresh).await.expect("asked only where it lasts");
        let watched = Watched::new(store.clone(), "", self.cx.operations().clone());
        watched.prepare().await?;
        self.first = Handle { watched, store };
        Ok(())
    }

    /// The claim of this number, as it was if it was made before.
    fn claim(&mut self, demand: &Demand) -> ClaimJobs {
        if let Some(claim) = self.claims.get(&demand.number) {
            let mut claim = claim.clone();
            (claim.now, claim.repeated) = (self.now, true);
            return claim;
        }
        let number = CLAIMS + u64::from(demand.number);
        let queues = NAMES.iter().zip(demand.limits);
        let kinds = NAMES.iter().zip(demand.kinds).filter(|(_, is_asked)| *is_asked);
        let claim = ClaimJobs::new(
            self.now,
            ClaimId::from_uuid(id_of(number)),
            WorkerId::from_uuid(id_of(CLAIMS - 1)),
            queues.map(|(name, limit)| QueueDemand { queue: queue(name), limit }).collect(),
            kinds.map(|(name, _)| kind(name)).collect(),
            demand.lease,
        );
        self.claims.insert(demand.number, claim.clone());
        claim
    }

    /// The claim that a holder names; one that nobody made where so few were.
    fn lease(&self, Holder(back): Holder) -> LeaseKey {
        let index = self.handed.len().checked_sub(usize::from(back) + 1);
        let nobodys = LeaseKey { id: JobId::from_uuid(id_of(CLAIMS - 2)), generation: 1 };
        index.map_or(nobodys, |index| self.handed[index])
    }

    fn ids(&self, targets: &[Target]) -> Vec<JobId> {
        let id = |target: &Target| match *target {
            Target::Job(job) => job_id(job),
            Target::Handed(holder) => self.lease(holder).id,
        };
        targets.iter().map(id).collect()
    }

    /// How all that can be read differs, but for what each store words for itself.
    async fn view(&self, step: &Step) -> Option<String> {
        let store = &self.handle(step).store;
        let all: Vec<_> = (0..JOBS).map(job_id).collect();
        let (mut seen, mut expected) = (store.get(&all).await, self.model.get(&all).await);
        seen.iter_mut().chain(&mut expected).flatten().flatten().for_each(unworded);
        let records = different(&seen, &expected, |seen, expected| {
            let mut records = all.iter().zip(seen.iter().zip(expected));
            let (id, (seen, expected)) = records.find(|(_, (seen, expected))| seen != expected)?;
            Some(format!("the record of job {}: {}", operations::id(*id), told(seen, expected)))
        });
        if records.is_some() {
            return records;
        }
        let (inspect, model) = (store.inspect()?, self.model.inspect().expect("the model has it"));
        let count = CountJobs::new(self.now, JobFilter::all());
        let (seen, expected) = (inspect.count(&count).await, model.count(&count).await);
        let counts = same(seen, expected).map(|text| format!("the count of all jobs: {text}"));
        let list = ListJobs::new(self.now, JobFilter::all(), None, 999);
        let (seen, expected) = (inspect.list(&list).await, model.list(&list).await);
        let jobs = same(seen.map(|page| page.jobs), expected.map(|page| page.jobs));
        let jobs = jobs.map(|text| format!("the list of all jobs: {text}"));
        let (seen, expected) = (inspect.queues(self.now).await, model.queues(self.now).await);
        let queues = same(seen, expected).map(|text| format!("the queues: {text}"));
        counts.or(jobs).or(queues)
    }
}

fn job_id(job: u8) -> JobId {
    // Number 0 is no number of an id that a check makes up.
    JobId::from_uuid(id_of(u64::from(job) + 1))
}

fn named(name: u8) -> QueueName {
    queue(NAMES[usize::from(name)])
}

fn job(offer: &Offer) -> NewJob {
    let kind = kind(NAMES[usize::from(offer.kind)]);
    let mut job = NewJob::new(job_id(offer.job), kind, named(offer.queue), Payload::from_store("{}"));
    (job.priority, job.max_crashes) = (offer.priority, offer.max_crashes);
    (job.run_at, job.unique) = (offer.run_at, offer.unique.clone());
    job
}

/// In one order. When a job that is over may start again says nothing.
fn in_order(mut reply: RecoveredJobs) -> RecoveredJobs {
    reply.jobs.sort_by_key(|job| job.id);
    reply.jobs.iter_mut().filter(|job| job.state.is_final()).for_each(|job| job.run_at = Timestamp::MAX);
    reply
}

/// A store words a crash as it likes.
fn unworded(record: &mut JobRecord) {
    let crashes = record.failures.iter_mut().filter(|it| it.failure.kind == FailureKind::Crash);
    crashes.for_each(|failure| failure.failure.text = ErrorText::new(""));
}

/// How two answers differ; of errors the kind counts.
fn same<T: PartialEq + Debug>(
    seen: Result<T, StoreError>,
    expected: Result<T, StoreError>,
) -> Option<String> {
    different(&seen, &expected, |seen, expected| (seen != expected).then(|| told(seen, expected)))
}

fn different<T: Debug>(
    seen: &Result<T, StoreError>,
    expected: &Result<T, StoreError>,
    compare: impl FnOnce(&T, &T) -> Option<String>,
) -> Option<String> {
    let refused = |error: &StoreError| format!("to be refused as {:?}", error.kind());
    match (seen, expected) {
        (Ok(seen), Ok(expected)) => compare(seen, expected),
        (Ok(seen), Err(expected)) => Some(format!("expected {}, saw {}", refused(expected), shown(seen))),
        (Err(seen), Ok(_)) => Some(format!("expected an answer, saw {seen}")),
        (Err(seen), Err(expected)) if seen.kind() == expected.kind() => None,
        (Err(seen), Err(expected)) => Some(format!("expected {}, saw {seen}", refused(expected))),
    }
}

/// How two replies to a claim differ. `more` may be true of any reply that could hold no more, or was a repeat; what
/// comes next is to be believed only where it is false.
fn differing_claims(claim: &ClaimJobs, seen: &ClaimedJobs, expected: &ClaimedJobs) -> Option<String> {
    let heads = |reply: &ClaimedJobs| (reply.store_now, reply.next_expiry, reply.queues.len());
    if heads(seen) != heads(expected) {
        return Some(told(seen, expected));
    }
    let queues = seen.queues.iter().zip(&expected.queues).zip(&claim.queues);
    for ((seen, expected), asked) in queues {
        let jobs = format!("{:?}", seen.jobs) == format!("{:?}", expected.jobs);
        let may_say_more = claim.repeated || seen.jobs.len() >= asked.limit;
        let more = seen.more == expected.more || (seen.more && may_say_more);
        let next = seen.more || expected.more || seen.next_due == expected.next_due;
        if !(jobs && more && next && seen.paused == expected.paused) {
            return Some(format!("for queue {}: {}", asked.queue, told(seen, expected)));
        }
    }
    None
}
