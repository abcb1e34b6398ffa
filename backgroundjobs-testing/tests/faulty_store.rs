//! Each fault of a [`FaultyStore`] does what it says, in the same order for the same seed, and ends when it should.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{
    ClaimId, ClaimJobs, InsertJobs, Inserted, InsertedJobs, JobId, JobStore, Kind, NewJob, Options, Payload,
    QueueDemand, QueueName, RemoteWakes, StoreError, StoreErrorKind, StoreOperation, Timestamp, WorkerId,
};
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::conformance::{FreshStore, OwnClock, StoreUnderTest};
use backgroundjobs_testing::{
    Fault, FaultLog, Faults, FaultyStore, LayeredStore, Odds, StoreLayer, TestKit, VirtualClock,
};
use serde::{Deserialize, Serialize};
use support::{one_thread, panic_text, seconds};

#[derive(Serialize, Deserialize)]
struct Mail {
    to: u32,
}

impl JobArgs for Mail {
    const KIND: &'static str = "mail";
}

fn id(number: u128) -> JobId {
    JobId::from_uuid(uuid::Uuid::from_u128(number))
}

fn job(number: u128) -> NewJob {
    let args = Payload::from_args(&number.to_string()).expect("JSON");
    NewJob::new(id(number), Kind::new("mail").expect("a name"), QueueName::default_queue(), args)
}

async fn insert(store: &FaultyStore, number: u128) -> Result<InsertedJobs, StoreError> {
    store.insert(&InsertJobs::new(VirtualClock::START, vec![job(number)])).await
}

async fn has(store: &MemoryStore, number: u128) -> bool {
    store.get(&[id(number)]).await.expect("answers")[0].is_some()
}

/// Every insert meets this; the kit's clock goes with it.
fn kit_and_store(
    odds: Odds,
    more: impl FnOnce(Faults) -> Faults,
) -> (TestKit, MemoryStore, Arc<FaultyStore>) {
    let (kit, inner) = (TestKit::new(), MemoryStore::new());
    let faults = more(Faults::seeded(1).on(StoreOperation::Insert, odds));
    let store = FaultyStore::new(inner.clone(), &kit.clock(), faults);
    (kit, inner, Arc::new(store))
}

#[tokio::test]
async fn an_error_means_that_nothing_was_done() {
    let (kit, inner, store) = kit_and_store(Odds::none().error(1.0), |faults| faults);
    let error = insert(&store, 1).await.expect_err("fails");
    assert_eq!((error.kind(), error.operation()), (StoreErrorKind::Unavailable, StoreOperation::Insert));
    assert_eq!(error.to_string(), "the store failed to insert: a planned fault: nothing was done");
    assert!(error.is_retryable() && !has(&inner, 1).await);
    assert_eq!(store.log().count(Fault::Error), 1);
    kit.finish().await;
}

#[tokio::test]
async fn a_lost_reply_means_that_all_was_done_and_the_call_can_be_repeated() {
    let (kit, inner, store) = kit_and_store(Odds::none().lost_reply(1.0), |faults| faults.at_most(1));
    let error = insert(&store, 1).await.expect_err("the reply is lost");
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(has(&inner, 1).await);
    let again = insert(&store, 1).await.expect("the budget is used up");
    assert_eq!(again.jobs, [Inserted::Existing(id(1))]);
    assert_eq!(store.log().count_of(StoreOperation::Insert, Fault::LostReply), 1);
    kit.finish().await;
}

#[tokio::test]
async fn a_call_that_hangs_takes_its_time_and_may_have_been_done() {
    let (kit, inner, store) = kit_and_store(Odds::none().hang(1.0), |faults| faults.hang_for(seconds(90)));
    for number in 0..20 {
        let begun = kit.now();
        let error = kit.run(insert(&store, number)).await.expect_err("hangs");
        assert_eq!(kit.now().since(begun), seconds(90));
        let done = has(&inner, number).await;
        assert_eq!(error.to_string().contains("all was done"), done, "{error}");
    }
    let log = store.log();
    let (done, not_done) = (log.count(Fault::Hang { done: true }), log.count(Fault::Hang { done: false }));
    assert!(done > 3 && not_done > 3 && done + not_done == 20, "{log:?}");
    kit.finish().await;
}

#[tokio::test]
async fn a_delay_is_taken_on_the_way_there_and_on_the_way_back() {
    let (kit, inner, store) = kit_and_store(Odds::none(), |faults| faults.delay(seconds(2)..=seconds(2)));
    let (done, handle) = (Arc::new(AtomicBool::new(false)), store.clone());
    let flag = done.clone();
    let _abort = kit.scheduler().spawn("insert", async move {
        insert(&handle, 1).await.expect("works");
        flag.store(true, Ordering::SeqCst);
    });
    let _ = kit.advance(seconds(2) - Duration::from_micros(1)).await;
    assert!(!has(&inner, 1).await, "the request is on its way");
    let _ = kit.advance(seconds(1)).await;
    assert!(has(&inner, 1).await && !done.load(Ordering::SeqCst), "the reply is on its way");
    let _ = kit.advance(seconds(1) + Duration::from_micros(1)).await;
    assert!(done.load(Ordering::SeqCst));
    insert(&store, 2).await.expect("between two verbs it takes no time");
    kit.finish().await;
}

#[tokio::test]
async fn a_partition_cuts_off_what_comes_and_what_is_under_way_until_it_is_over() {
    let (kit, inner, store) = kit_and_store(Odds::none(), |faults| {
        let cut = Odds::none().partition(1.0);
        let faults = faults.on(StoreOperation::Renew, cut).at_most(1).partition_for(seconds(10));
        faults.delay(seconds(2)..=seconds(2))
    });
    let handle = store.clone();
    let _abort = kit.scheduler().spawn("insert", async move {
        let error = insert(&handle, 1).await.expect_err("cut off on the way back");
        assert!(
            error.to_string().ends_with("a planned partition: all was done, and the reply is lost"),
            "{error}"
        );
    });
    let _ = kit.advance(seconds(3)).await;
    let renew = backgroundjobs_core::RenewLeases::new(kit.now(), seconds(1), Vec::new());
    assert!(store.renew(&renew).await.is_err());
    let _ = kit.advance(seconds(1)).await;
    assert!(has(&inner, 1).await);
    assert!(insert(&store, 2).await.is_err() && !has(&inner, 2).await);
    let log = store.log();
    assert_eq!(log.count(Fault::Partition), 1);
    assert_eq!((log.count(Fault::CutOff { done: true }), log.count(Fault::CutOff { done: false })), (1, 1));
    let _ = kit.advance(seconds(9)).await;
    insert(&store, 3).await.expect("the partition is over");
    kit.finish().await;
}

#[tokio::test]
async fn the_time_of_requests_is_off_by_so_much_at_most_and_the_caller_sees_the_stores() {
    let (kit, _, store) = kit_and_store(Odds::none(), |faults| faults.skew(seconds(5)));
    let mut seen = Vec::new();
    for number in 0..50 {
        let reply = insert(&store, number).await.expect("works");
        seen.push(reply.store_now);
    }
    let (early, late) = (VirtualClock::START - seconds(5), VirtualClock::START + seconds(5));
    assert!(seen.iter().all(|now| (early..=late).contains(now)), "{seen:?}");
    assert!(seen.iter().filter(|now| **now < VirtualClock::START).count() > 10, "{seen:?}");
    assert!(seen.iter().filter(|now| **now > VirtualClock::START).count() > 10, "{seen:?}");
    assert_eq!(store.log().count(Fault::Skew), 50);
    kit.finish().await;
}

#[tokio::test]
async fn from_the_quiet_instant_on_nothing_goes_wrong() {
    let (kit, _, store) = kit_and_store(Odds::none().error(0.5).partition(0.5), |faults| {
        let faults = faults.partition_for(seconds(1_000)).skew(seconds(5));
        faults.delay(seconds(1)..=seconds(1)).quiet_from(VirtualClock::START + seconds(60))
    });
    for number in 0..20 {
        assert!(kit.run(insert(&store, number)).await.is_err(), "{number}");
    }
    assert_eq!(store.log().count(Fault::Delay), 20);
    let _ = kit.advance(seconds(60)).await;
    let (met, begun) = (store.log().all().len(), kit.now());
    for number in 0..20 {
        let reply = kit.run(insert(&store, number)).await.expect("it is quiet");
        assert_eq!(reply.store_now, VirtualClock::START, "what the request says");
    }
    assert_eq!((store.log().all().len(), kit.now()), (met, begun));
    kit.finish().await;
}

/// What 100 inserts and 100 claims in turn meet.
async fn met(faults: Faults, claims: bool) -> FaultLog {
    let store = FaultyStore::new(MemoryStore::new(), &VirtualClock::new(), faults);
    for number in 0..100 {
        _ = insert(&store, number).await;
        if claims {
            let demand = QueueDemand { queue: QueueName::default_queue(), limit: 1 };
            let (claim, worker) = (uuid::Uuid::from_u128(number), uuid::Uuid::from_u128(1));
            let (claim, worker) = (ClaimId::from_uuid(claim), WorkerId::from_uuid(worker));
            let now = VirtualClock::START;
            _ = store
                .claim(&ClaimJobs::new(now, claim, worker, vec![demand], Arc::new([]), seconds(30)))
                .await;
        }
    }
    store.log()
}

#[tokio::test]
async fn one_seed_is_the_same_faults_whatever_else_is_called_and_another_seed_others() {
    let odds = Odds::none().error(0.2).lost_reply(0.2).hang(0.1);
    let faults = |seed| Faults::seeded(seed).everywhere(odds);
    let first = met(faults(7), true).await;
    assert_eq!(first.all(), met(faults(7), true).await.all());
    let inserts = |log: &FaultLog| {
        let mut all = log.all();
        all.retain(|met| met.operation == StoreOperation::Insert);
        all
    };
    assert_eq!(inserts(&first), inserts(&met(faults(7), false).await));
    assert_ne!(inserts(&first), inserts(&met(faults(8), false).await));
    let count = first.count_of(StoreOperation::Claim, Fault::Error);
    assert!((10..=30).contains(&count), "{count} of 100 at odds of 0.2");
}

#[tokio::test]
async fn prepare_meets_a_fault_only_where_it_is_named_and_close_never_does() {
    let all = Odds::none().error(1.0);
    let store = |faults| FaultyStore::new(MemoryStore::new(), &VirtualClock::new(), faults);
    let unnamed = store(Faults::seeded(1).everywhere(all));
    assert!(unnamed.prepare().await.is_ok() && unnamed.get(&[]).await.is_err());
    let named = store(Faults::seeded(1).on(StoreOperation::Prepare, all).on(StoreOperation::Close, all));
    assert!(named.prepare().await.is_err() && named.close().await.is_ok());
    assert_eq!(insert(&named, 1).await.expect_err("closed").kind(), StoreErrorKind::Closed);
}

#[test]
fn odds_that_are_no_parts_are_refused() {
    for odds in [Odds::none().error(0.6).hang(0.6), Odds::none().error(-0.1), Odds::none().hang(f64::NAN)] {
        let text = panic_text(|| _ = Faults::seeded(1).everywhere(odds));
        assert!(
            text.starts_with("odds are parts of all calls, from 0 to 1, and 1 at most together"),
            "{text}"
        );
    }
}

/// Wakes once for each call of a handle's, without an end.
struct Bell(AtomicU64);

#[async_trait]
impl RemoteWakes for Bell {
    async fn next_wake(&self) -> Result<(), StoreError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

/// A store that has wakes of other processes.
struct Ringing(Arc<Bell>);

impl StoreLayer for Ringing {
    async fn around<T: Send>(
        &self,
        _: StoreOperation,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        call.await
    }

    fn remote_wakes<'a>(&'a self, _: Option<&'a dyn RemoteWakes>) -> Option<&'a dyn RemoteWakes> {
        Some(&*self.0)
    }
}

/// How often it rang inside for 100 wakes outside, and what was met.
async fn hundred_wakes(faults: Faults) -> (u64, FaultLog) {
    let bell = Arc::new(Bell(AtomicU64::new(0)));
    let inner = LayeredStore::with(Arc::new(MemoryStore::new()), Ringing(bell.clone()));
    let store = FaultyStore::new(inner, &VirtualClock::new(), faults);
    for _ in 0..100 {
        store.remote_wakes().expect("it has them").next_wake().await.expect("works");
    }
    (bell.0.load(Ordering::SeqCst), store.log())
}

#[tokio::test]
async fn wakes_of_other_processes_are_dropped_doubled_and_made_up() {
    let (rang, _) = hundred_wakes(Faults::seeded(1)).await;
    assert_eq!(rang, 100);
    let (rang, log) = hundred_wakes(Faults::seeded(1).dropped_wakes(0.5)).await;
    let dropped = log.count(Fault::DroppedWake);
    assert!(dropped > 50 && rang == 100 + dropped, "{rang} {dropped}");
    let (rang, log) = hundred_wakes(Faults::seeded(1).doubled_wakes(0.5)).await;
    let doubled = log.count(Fault::DoubledWake);
    // The last may be yet to come a second time.
    assert!(doubled > 20 && (100..=101).contains(&(rang + doubled)), "{rang} {doubled}");
    let (rang, log) = hundred_wakes(Faults::seeded(1).spurious_wakes(0.5)).await;
    let spurious = log.count(Fault::SpuriousWake);
    assert!(spurious > 20 && rang + spurious == 100, "{rang} {spurious}");
    let faults = Faults::seeded(1).dropped_wakes(1.0).quiet_from(Timestamp::MIN);
    assert_eq!(hundred_wakes(faults).await.0, 100);
}

#[tokio::test]
async fn a_process_of_its_own_hears_of_no_other_and_finds_its_jobs_by_polling() {
    let (kit, inner) = (TestKit::new(), MemoryStore::new());
    let own =
        |seed| FaultyStore::new(inner.clone(), &kit.clock(), Faults::seeded(seed).own_process(seconds(5)));
    let (shop, shed) = (own(1), own(2));
    assert_eq!(shop.profile().poll_interval, Some(seconds(5)));
    let worker = BackgroundJobs::builder(|options| options.use_store(shed));
    let _worker = kit.start(worker.register_fn(async |_: Mail, _: JobContext| Ok(()))).await;
    let shop = kit.build(BackgroundJobs::builder(|options| options.use_store(shop).producer_only()));
    let _ = kit.settle().await;
    let _ = shop.manager().enqueue(Mail { to: 1 }).await.expect("stored");
    assert_eq!(kit.advance(seconds(5) - Duration::from_micros(1)).await.claimed, 0);
    assert_eq!(kit.advance(Duration::from_micros(1)).await.succeeded, 1);
    kit.finish().await;
}

/// It counted after each end, and a count of much that waits keeps a store from its work.
#[tokio::test]
async fn who_waits_for_idleness_counts_for_a_tenth_of_the_time_at_most() {
    let kit = TestKit::new();
    // Each call takes a second.
    let faults = Faults::seeded(1).delay(seconds(1)..=seconds(1));
    let store = FaultyStore::new(MemoryStore::new(), &kit.clock(), faults);
    let log = store.log();
    let options = |options: Options| options.use_store(store).queue("default", 1).read_ahead(Duration::ZERO);
    let jobs = BackgroundJobs::builder(options).register_fn(async |_: Mail, _: JobContext| Ok(()));
    let jobs = kit.start(jobs).await;
    kit.run(jobs.manager().enqueue_many((0..60).map(|to| Mail { to }))).await.expect("stored");
    let begun = kit.now();
    kit.run(jobs.wait_until_idle(seconds(600))).await.expect("idle");
    let (took, counts) = (kit.now().since(begun), log.count_of(StoreOperation::Count, Fault::Delay));
    assert!(took > seconds(60), "{took:?}");
    // The last one, which may come at any time, beside one every ten seconds.
    assert!(
        counts >= 3 && seconds(10) * (u32::try_from(counts).expect("few") - 1) <= took,
        "{counts} counts in {took:?}"
    );
    kit.finish().await;
}

#[test]
fn the_kit_knows_of_what_was_done_though_the_reply_was_lost_and_meets_no_fault_itself() {
    one_thread().block_on(async {
        let lost = Odds::none().lost_reply(1.0);
        let kit = TestKit::new();
        let faults = Faults::seeded(1).everywhere(lost).on(StoreOperation::Claim, Odds::none()).at_most(1);
        let store = FaultyStore::new(MemoryStore::new(), &kit.clock(), faults);
        let log = store.log();
        let builder = BackgroundJobs::builder(|options| options.use_store(store));
        let jobs = kit.build(builder.register_fn(async |_: Mail, _: JobContext| Ok(())));
        jobs.manager().enqueue(Mail { to: 1 }).await.expect_err("the reply is lost");
        kit.jobs().await.assert_enqueued::<Mail>().once();
        jobs.start().await.expect("starts");
        assert_eq!(kit.settle().await.succeeded, 1);
        kit.ledger().await.assert_at_least_once();
        kit.jobs().await.assert_ran::<Mail>().once();
        assert_eq!(log.count(Fault::LostReply), 1);
        kit.finish().await;

        let kit = TestKit::new();
        let faults = Faults::seeded(1).everywhere(lost).on(StoreOperation::Insert, Odds::none());
        let store = FaultyStore::new(MemoryStore::new(), &kit.clock(), faults);
        let jobs = kit.build(BackgroundJobs::builder(|options| options.use_store(store).producer_only()));
        let _ = jobs.manager().enqueue_in(Mail { to: 1 }, seconds(60)).await.expect("stored");
        kit.jobs().await.assert_enqueued::<Mail>().due_in(seconds(60)).once();
        assert!(jobs.manager().get(id(1)).await.is_err(), "the program's own looks do meet faults");
        kit.finish().await;
    });
}

/// Over a memory store, with nothing switched on.
struct Faultless;

fn faultless(store: MemoryStore) -> FaultyStore {
    FaultyStore::new(store, &VirtualClock::new(), Faults::seeded(1))
}

#[async_trait]
impl StoreUnderTest for Faultless {
    async fn fresh(&self) -> FreshStore {
        let store = MemoryStore::new();
        FreshStore::new(faultless(store.clone())).guarded_by(store)
    }

    async fn second_handle(&self, fresh: &FreshStore) -> Option<Arc<dyn JobStore>> {
        Some(Arc::new(faultless(fresh.guard::<MemoryStore>().clone())))
    }

    async fn own_clock(&self) -> Option<OwnClock> {
        let clock = VirtualClock::new();
        let store = MemoryStore::with_clock(Arc::new(clock.clone()));
        let fresh = FreshStore::new(faultless(store.clone())).guarded_by(store);
        Some(OwnClock::new(fresh, move |now| _ = clock.set(now)))
    }
}

mod without_faults {
    backgroundjobs_testing::store_conformance!(super::Faultless);
}
