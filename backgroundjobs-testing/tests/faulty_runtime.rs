//! The runtime on stores that fail: three nodes and a producer, each behind a [`FaultyStore`] of its own, in 500
//! orders. While the faults last a job may run twice, for a reason; when they are over, everything comes to its end
//! within a bound, and nothing is lost.
//!
//! The long search is the first test with more seeds, about five minutes for these:
//!
//! ```sh
//! BACKGROUNDJOBS_SEED=0..20000 cargo test -p backgroundjobs-testing --test faulty_runtime of_many_seeds
//! ```

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{
    Builder, EnqueueError, Env, FailureKind, JobId, JobManager, JobState, KeyHold, StoreOperation, Timestamp,
};
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::{
    Attempt, Fault, FaultLog, Faults, FaultyStore, Limits, Node, Odds, TestKit, TestKitBuilder, explore_with,
};
use fastrand::Rng;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use support::{millis, one_thread, seconds};

/// How many seeds make a whole search, whose totals are looked at.
const SEEDS: u64 = 500;
const NODES: usize = 3;
/// How long things go wrong.
const TROUBLE: Duration = seconds(60);
/// All is over so long after the trouble: what hangs then, a lease, the waits after recoveries and failures.
const BOUND: Duration = seconds(240);
const LEASE: Duration = seconds(15);
const CRASH_BACKOFF: Duration = seconds(2);
const GRACE: Duration = seconds(2);
/// How long runs may go on that a stop meets.
const DRAIN: Duration = seconds(3);
/// A stop is over after the drain, twice the grace for handlers, once more for what the store is to be told, and a
/// second each for last calls and a last look.
const STOP_BOUND: Duration = seconds(3 + 2 * 2 + 2 + 2);

/// A job that does one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Work {
    /// Ends at once.
    Plain(u32),
    /// Fails twice.
    Retries,
    /// Asks twice for later.
    Snoozes,
    /// Takes longer than a lease.
    Sleeps,
    /// Ends when it is cancelled.
    Endless,
    /// Enqueues its part, under a key.
    Whole(u32),
    /// The part of the whole of this number.
    Part(u32),
}

impl JobArgs for Work {
    const KIND: &'static str = "work";
}

/// A job that runs out of time, twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Overlong;

impl JobArgs for Overlong {
    const KIND: &'static str = "overlong";
}

async fn overlong(_: Overlong, ctx: JobContext) -> JobResult {
    ctx.sleep(LEASE).await;
    Ok(())
}

/// How often a handler was called for each job.
type Calls = Arc<Mutex<BTreeMap<JobId, u32>>>;

async fn work(work: Work, ctx: JobContext, calls: Calls) -> JobResult {
    let call = {
        let mut calls = calls.lock();
        let call = calls.entry(ctx.id()).or_default();
        *call += 1;
        *call
    };
    match work {
        Work::Retries if ctx.attempt() <= 2 => Err("not yet".into()),
        Work::Snoozes if call <= 2 => Err(JobError::snooze(seconds(3))),
        Work::Plain(_) | Work::Part(_) | Work::Retries | Work::Snoozes => Ok(()),
        Work::Sleeps => {
            ctx.sleep(LEASE + seconds(3)).await;
            Ok(())
        }
        Work::Endless => {
            ctx.cancelled().await;
            Err("told to stop".into())
        }
        Work::Whole(number) => {
            let once =
                EnqueueOptions::new().unique_for(format!("part {number}"), KeyHold::For(seconds(86_400)));
            ctx.manager().enqueue_with(Work::Part(number), once).await?;
            Ok(())
        }
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weather {
    /// Everything goes wrong, leases run out.
    Storm,
    /// Calls fail and replies get lost, too seldom for a lease to run out.
    Drizzle,
}

impl Weather {
    const fn lease(self) -> Duration {
        match self {
            Self::Storm => LEASE,
            Self::Drizzle => seconds(60),
        }
    }
}

/// What went wrong for one seed, process by process.
struct Trouble {
    seed: u64,
    weather: Weather,
    processes: AtomicU64,
    log: FaultLog,
    start: Timestamp,
}

impl Trouble {
    /// Those of the next process. With every other seed it is one that no other's wakes reach.
    fn next(&self) -> Faults {
        let process = self.processes.fetch_add(1, Ordering::SeqCst);
        let faults = Faults::seeded(self.seed.wrapping_mul(1_000).wrapping_add(process))
            .delay(millis(0)..=millis(100))
            .quiet_from(self.start + TROUBLE)
            .log(&self.log);
        let faults = match self.weather {
            Weather::Drizzle => faults.everywhere(Odds::none().error(0.05).lost_reply(0.1)),
            Weather::Storm => faults
                .everywhere(Odds::none().error(0.06).lost_reply(0.06).hang(0.01).partition(0.003))
                .on(StoreOperation::Insert, Odds::none().error(0.1).lost_reply(0.15).hang(0.02))
                .on(
                    StoreOperation::Settle,
                    Odds::none().error(0.1).lost_reply(0.15).hang(0.03).partition(0.02),
                )
                .hang_for(seconds(25))
                .partition_for(seconds(20))
                .skew(seconds(1)),
        };
        if self.seed.is_multiple_of(2) { faults.own_process(seconds(5)) } else { faults }
    }
}

/// Enqueues until it is answered, under the id that the error names.
async fn enqueue<A: JobArgs + Copy>(
    env: &Env,
    shop: &dyn JobManager,
    args: A,
    mut options: EnqueueOptions,
) -> JobId {
    loop {
        match shop.enqueue_with(args, options.clone()).await {
            Ok(enqueued) => return enqueued.id,
            Err(EnqueueError::Store { id, .. }) => options = options.id(id),
            Err(error) => panic!("{error}"),
        }
        env.sleep(millis(500)).await;
    }
}

/// Calls until it is answered.
macro_rules! insist {
    ($env:ident, $call:expr) => {
        loop {
            if let Ok(answer) = $call.await {
                break answer;
            }
            $env.sleep(millis(500)).await;
        }
    };
}

/// What the producer does: it enqueues, cancels, pauses, waits for a job and puts it back.
async fn shop(env: Env, jobs: Arc<BackgroundJobs>, done: Arc<AtomicBool>) {
    let shop = jobs.manager();
    let plain = EnqueueOptions::new;
    let endless = enqueue(&env, &*shop, Work::Endless, plain()).await;
    enqueue(&env, &*shop, Work::Plain(0), plain().delay(seconds(20))).await;
    let overlong = enqueue(&env, &*shop, Overlong, plain().max_attempts(2)).await;
    for work in [Work::Sleeps, Work::Retries, Work::Snoozes] {
        enqueue(&env, &*shop, work, plain()).await;
    }
    for number in 1..=2 {
        enqueue(&env, &*shop, Work::Whole(number), plain()).await;
        env.sleep(seconds(2)).await;
        // The second of them finds the first's key held, or comes after its end.
        for _ in 0..2 {
            enqueue(&env, &*shop, Work::Plain(number), plain().unique(format!("plain {number}"))).await;
        }
    }
    insist!(env, shop.cancel(endless));
    let admin = jobs.admin().expect("the memory store can be looked into");
    insist!(env, admin.pause("default"));
    env.sleep(seconds(1)).await;
    insist!(env, admin.resume("default"));
    let state = insist!(env, shop.wait(overlong, seconds(10)));
    assert_eq!(state, JobState::Failed);
    insist!(env, shop.requeue(overlong));
    done.store(true, Ordering::SeqCst);
}

fn builder(store: &MemoryStore, kit: &TestKit, trouble: &Arc<Trouble>) -> impl Fn() -> Builder + use<> {
    let (store, clock, trouble, calls) = (store.clone(), kit.clock(), trouble.clone(), Calls::default());
    move || {
        let store = FaultyStore::new(store.clone(), &clock, trouble.next());
        let calls = calls.clone();
        BackgroundJobs::builder(|options| {
            let options = options.use_store(store).queue("default", 3).cancel_grace(GRACE);
            options
                .lease(trouble.weather.lease(), seconds(5))
                .crashes(50, CRASH_BACKOFF)
                .retry(RetryPolicy::new().first(seconds(1)))
        })
        .register_fn(overlong)
        .timeout(seconds(4))
        .register_fn(move |args: Work, ctx: JobContext| work(args, ctx, calls.clone()))
    }
}

/// Some time of the trouble passes; a node may crash meanwhile, be cut off, or be stopped and started again. Answers
/// what was.
async fn disturb(kit: &TestKit, nodes: &[Node]) -> Vec<(&'static str, bool)> {
    let mut draws = Rng::with_seed(kit.seed().expect("an exploration has one"));
    let mut pass = async |from: u64, to: u64| {
        let _ = kit.advance(millis(draws.u64(from * 1_000..to * 1_000))).await;
        (draws.u8(0..3) == 0, draws.usize(0..NODES))
    };
    let (crashes, node) = pass(1, 12).await;
    if crashes {
        nodes[node].crash();
        let _ = pass(1, 8).await;
        nodes[node].restart().await;
    }
    let (is_cut_off, node) = pass(1, 12).await;
    if is_cut_off {
        nodes[node].partition();
        let _ = pass(1, 20).await;
        nodes[node].heal();
    }
    let (stops, node) = pass(1, 8).await;
    if stops {
        let begun = kit.now();
        let jobs = nodes[node].jobs().expect("it is up");
        // What the store could not be told is in the report, and told by leases.
        _ = kit.run(jobs.stop(DRAIN)).await;
        assert!(kit.now().since(begun) <= STOP_BOUND, "a stop took {:?}", kit.now().since(begun));
        drop(jobs);
        let _ = pass(1, 3).await;
        nodes[node].restart().await;
    }
    vec![("crashes", crashes), ("cut offs", is_cut_off), ("stops", stops)]
}

async fn scenario(kit: &TestKit, weather: Weather, totals: &Totals) -> FaultLog {
    let trouble = Arc::new(Trouble {
        seed: kit.seed().expect("an exploration has one"),
        processes: AtomicU64::new(0),
        log: FaultLog::new(),
        start: kit.now(),
        weather,
    });
    let store = MemoryStore::new();
    let make = builder(&store, kit, &trouble);
    let nodes = kit.workers(NODES, make).await;
    let own = FaultyStore::new(store, &kit.clock(), trouble.next());
    // How many leases a job may lose is said by who enqueues it.
    let producer =
        BackgroundJobs::builder(|options| options.use_store(own).producer_only().crashes(50, CRASH_BACKOFF));
    let producer = kit.build(producer);
    let done = Arc::new(AtomicBool::new(false));
    let _abort = kit.scheduler().spawn("shop", shop(kit.env(), producer, done.clone()));

    let disturbed = match weather {
        Weather::Storm => disturb(kit, &nodes).await,
        Weather::Drizzle => Vec::new(),
    };
    let end = trouble.start + TROUBLE;
    let _ = kit.advance(end.since(kit.now())).await;
    let _ = kit.run_until(async || done.load(Ordering::SeqCst), BOUND).await;
    let _ = kit.drain(Limits::new().span((end + BOUND).since(kit.now()))).await;
    judge(kit, &trouble.log, &disturbed, totals).await;
    trouble.log.clone()
}

async fn judge(kit: &TestKit, log: &FaultLog, disturbed: &[(&str, bool)], totals: &Totals) {
    let ledger = kit.ledger().await;
    ledger.assert_at_least_once();
    let jobs = ledger.jobs();
    let (all, runs) = (jobs.assert_enqueued::<Work>().all(), jobs.assert_ran::<Work>().all());
    let twice = [Work::Whole, Work::Part].into_iter().flat_map(|work| [work(1), work(2)]);
    for work in twice.chain([Work::Endless, Work::Plain(0), Work::Sleeps, Work::Retries, Work::Snoozes]) {
        let found = all.iter().filter(|job| job.args == work).count();
        assert_eq!(found, 1, "{work:?}: {:?}", all.iter().map(|job| job.args).collect::<Vec<_>>());
    }
    for job in &all {
        let record = &job.record;
        let wanted = if job.args == Work::Endless { JobState::Cancelled } else { JobState::Succeeded };
        assert_eq!(record.state, wanted, "{:?} {}", job.args, record.id);
        // A run that the store took no end of is explained by a lease that ran out, and by nothing else.
        let taken_back = record.failures.iter().filter(|it| it.failure.kind == FailureKind::Crash).count();
        let of_it = runs.iter().filter(|run| run.id == record.id);
        let without_end =
            of_it.filter(|run| matches!(run.ending, Attempt::Unfinished | Attempt::Lost)).count();
        assert!(without_end <= taken_back, "{:?} {}: {without_end} > {taken_back}", job.args, record.id);
    }
    jobs.assert_enqueued::<Overlong>().state(JobState::Failed).once();
    jobs.assert_ran::<Overlong>().ended(Attempt::Failed).at_least(2);
    let ended = |ending| runs.iter().filter(|run| run.ending == ending).count() as u64;
    let mut sums = totals.sums.lock();
    let mut add = |what: &str, count: u64| *sums.entry(what.to_owned()).or_default() += count;
    for met in log.all() {
        add(&format!("{:?}", met.fault), 1);
        add(&format!("{} {:?}", met.operation, met.fault), 1);
    }
    add("recoveries", ledger.recoveries());
    add("reruns", ledger.reruns());
    add("retries", ended(Attempt::Failed));
    add("snoozes", ended(Attempt::Snoozed));
    disturbed.iter().for_each(|(what, met)| add(what, u64::from(*met)));
    let strong = ledger.recoveries() > 0 && ended(Attempt::Failed) > 0 && log.count(Fault::LostReply) > 0;
    add("strong", u64::from(strong));
}

/// What was met, over all seeds.
#[derive(Default)]
struct Totals {
    sums: Mutex<BTreeMap<String, u64>>,
}

impl Totals {
    /// Fails where the search was too weak to find anything.
    fn expect_enough(&self) {
        let sums = self.sums.lock();
        let wanted = [
            ("strong", SEEDS / 3),
            ("crashes", SEEDS / 5),
            ("cut offs", SEEDS / 5),
            ("stops", SEEDS / 5),
            ("recoveries", SEEDS / 2),
            ("reruns", SEEDS / 2),
            ("retries", SEEDS * 2),
            ("snoozes", SEEDS),
            ("insert Error", SEEDS),
            ("insert LostReply", SEEDS),
            ("claim Error", SEEDS),
            ("claim LostReply", SEEDS),
            ("claim Hang { done: true }", 50),
            ("claim Hang { done: false }", 50),
            ("renew Error", SEEDS / 2),
            ("renew LostReply", SEEDS / 2),
            ("settle Error", SEEDS),
            ("settle LostReply", SEEDS),
            ("settle Hang { done: true }", 50),
            ("settle Hang { done: false }", 50),
            ("settle Partition", 50),
            ("recover Error", 50),
            ("recover LostReply", 50),
            ("cancel LostReply", 10),
            ("CutOff { done: true }", 5),
            ("CutOff { done: false }", SEEDS * 5),
            ("Delay", SEEDS * 50),
            ("Skew", SEEDS * 50),
        ];
        let met = |what: &str| sums.get(what).copied().unwrap_or(0);
        let too_few: Vec<_> = wanted.iter().filter(|(what, least)| met(what) < *least).collect();
        assert!(too_few.is_empty(), "too weak: too few of {too_few:?} in {sums:#?}");
    }
}

fn kit() -> TestKitBuilder {
    TestKit::builder().jitter(true)
}

#[test]
fn nothing_is_lost_and_all_comes_to_its_end_under_the_faults_of_many_seeds() {
    let totals = Totals::default();
    let seen = one_thread().block_on(explore_with(kit(), 0..SEEDS, async |kit: &TestKit| {
        scenario(kit, Weather::Storm, &totals).await;
    }));
    // A single seed, run again, need not meet all of it.
    if seen.seeds >= SEEDS {
        assert!(seen.traces as u64 > seen.seeds * 9 / 10, "{seen}");
        totals.expect_enough();
    }
}

#[test]
fn errors_and_lost_replies_alone_cost_no_lease_and_no_second_run() {
    let totals = Totals::default();
    let seen = one_thread().block_on(explore_with(kit(), 0..SEEDS / 2, async |kit: &TestKit| {
        scenario(kit, Weather::Drizzle, &totals).await;
        let ledger = kit.ledger().await;
        assert_eq!((ledger.recoveries(), ledger.reruns()), (0, 0));
        ledger.assert_no_overlap();
        ledger.jobs().assert_ran::<Work>().ended(Attempt::Lost).never();
        ledger.jobs().assert_ran::<Work>().ended(Attempt::Unfinished).never();
        // One run each, and three where the job asks for them.
        for (work, runs) in [(Work::Retries, 3), (Work::Snoozes, 3), (Work::Sleeps, 1), (Work::Part(1), 1)] {
            ledger.jobs().assert_ran::<Work>().with(|args| *args == work).times(runs);
        }
    }));
    if seen.seeds >= SEEDS / 2 {
        let sums = totals.sums.lock();
        let lost = ["insert LostReply", "claim LostReply", "settle LostReply", "renew LostReply"];
        assert!(
            lost.iter().all(|what| sums.get(*what).is_some_and(|count| *count > SEEDS / 10)),
            "{sums:#?}"
        );
    }
}

#[test]
fn twenty_seeds_meet_the_same_faults_in_the_same_order_twice() {
    let runtime = one_thread();
    let run = |seed| {
        runtime.block_on(async {
            let kit = kit().seed(seed).build();
            let log = scenario(&kit, Weather::Storm, &Totals::default()).await;
            kit.finish().await;
            (kit.scheduler().trace_hash(), log.all())
        })
    };
    for seed in 1_001..1_021 {
        let (first, again) = (run(seed), run(seed));
        assert!(first.1.len() > 20, "seed {seed}: {:?}", first.1);
        assert!(first == again, "seed {seed} does not go the same way twice");
    }
}
