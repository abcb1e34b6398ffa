//! The conformance checks find the faults they are there for, and find none where there is none.

mod planted;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use async_trait::async_trait;
use backgroundjobs_core::JobStore;
use backgroundjobs_testing::conformance::{CHECKS, Check, FreshStore, OwnClock, StoreUnderTest, Verdict};
use planted::{MUTANTS, Mutant, PlantedStore};
use tokio::sync::Notify;

/// Checks that no mutant of a store in memory can fail, and why. As few as possible: each may be broken
/// without anybody noticing.
const KILLS_NOTHING: [(&str, &str); 0] = [];

struct Fixture(Mutant);

#[async_trait]
impl StoreUnderTest for Fixture {
    async fn fresh(&self) -> FreshStore {
        let store = Arc::new(PlantedStore::new(self.0));
        FreshStore::new(store.clone()).guarded_by(store)
    }

    async fn second_handle(&self, fresh: &FreshStore) -> Option<Arc<dyn JobStore>> {
        Some(Arc::new(fresh.guard::<Arc<PlantedStore>>().second_handle()))
    }

    async fn reopen(&self, fresh: &FreshStore) -> Option<Arc<dyn JobStore>> {
        Some(Arc::new(fresh.guard::<Arc<PlantedStore>>().reopened()))
    }

    async fn own_clock(&self) -> Option<OwnClock> {
        let (store, clock) = planted::on_own_time(self.0);
        Some(OwnClock::new(FreshStore::new(store), move |now| _ = clock.set(now)))
    }
}

/// Runs one check on a runtime of its own; the message if it fails. Everything happens on one thread and in
/// memory, so when that thread has nothing left to do a call will never be answered.
fn failure(check: &Check, mutant: Mutant) -> Option<String> {
    let idle = Arc::new(Notify::new());
    let hears = idle.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .on_thread_park(move || hears.notify_one())
        .build()
        .expect("a runtime");
    let fixture: Arc<dyn StoreUnderTest> = Arc::new(Fixture(mutant));
    let run = async {
        tokio::select! {
            biased;
            verdict = check.run(&fixture) => Some(verdict),
            () = idle.notified() => None,
        }
    };
    match catch_unwind(AssertUnwindSafe(|| runtime.block_on(run))) {
        Ok(Some(verdict)) => {
            assert_eq!(verdict, Verdict::Passed, "{}", check.name());
            None
        }
        Ok(None) => Some("it hangs".to_owned()),
        Err(panic) => Some(match panic.downcast::<String>() {
            Ok(message) => *message,
            Err(_) => "a panic without a message".to_owned(),
        }),
    }
}

fn assert_all_pass(mutant: Mutant) {
    for check in CHECKS {
        assert_eq!(failure(check, mutant), None, "{} on a store with fault {mutant:?}", check.name());
    }
}

/// The checks that fail for each mutant, with what they say, in the order of [`MUTANTS`].
fn kills() -> Vec<Vec<(&'static str, String)>> {
    be_quiet_about_mutants();
    let next = AtomicUsize::new(0);
    let mut rows: Vec<(usize, Vec<(&str, String)>)> = thread::scope(|scope| {
        let work = || {
            let mut rows = Vec::new();
            while let Some((index, planted)) = {
                let index = next.fetch_add(1, Ordering::Relaxed);
                MUTANTS.get(index).map(|planted| (index, planted))
            } {
                let killers = CHECKS.iter().filter_map(|check| {
                    failure(check, planted.mutant).map(|message| (check.name(), message))
                });
                rows.push((index, killers.collect()));
            }
            rows
        };
        let named = || thread::Builder::new().name(MATRIX.to_owned());
        let threads: Vec<_> = (0..4).map(|_| named().spawn_scoped(scope, work).expect("a thread")).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no check escapes")).collect()
    });
    rows.sort_by_key(|(index, _)| *index);
    rows.into_iter().map(|(_, killers)| killers).collect()
}

/// The name of the threads that run checks on mutants.
const MATRIX: &str = "mutants";

/// Thousands of checks fail there; each panic's message is kept, and need not be printed, too.
fn be_quiet_about_mutants() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if thread::current().name() != Some(MATRIX) {
            tell(panic);
        }
    }));
}

#[test]
fn a_store_without_fault_passes_every_check() {
    assert_all_pass(Mutant::None);
}

/// The whole matrix: each mutant is killed by the check that is named for it, and each check kills a mutant, so
/// that none can rot unseen.
#[test]
fn each_mutant_is_killed_and_each_check_kills() {
    let kills = kills();
    let mut faults = Vec::new();
    for (planted, killers) in MUTANTS.iter().zip(&kills) {
        match killers.iter().find(|(check, _)| *check == planted.killer) {
            Some((_, message)) if message.starts_with("clause") || message == "it hangs" => {}
            other => faults.push(format!("{planted:?} is not killed by the clause: {other:?}")),
        }
    }
    let killing: BTreeSet<_> = kills.iter().flatten().map(|(check, _)| *check).collect();
    let excused: BTreeSet<_> = KILLS_NOTHING.iter().map(|(check, _)| *check).collect();
    for check in CHECKS.iter().map(Check::name) {
        if killing.contains(check) == excused.contains(check) {
            faults.push(format!(
                "{check} kills {}",
                if killing.contains(check) { "after all" } else { "nothing" }
            ));
        }
    }
    assert!(faults.is_empty(), "{}\n\n{}", faults.join("\n"), matrix(&kills));
}

/// Who kills whom, a line a mutant.
fn matrix(kills: &[Vec<(&'static str, String)>]) -> String {
    let line = |(planted, killers): (&planted::Planted, &Vec<(&str, String)>)| {
        let names: Vec<_> = killers.iter().map(|(check, _)| *check).collect();
        format!("{:?} ({}): {}", planted.mutant, names.len(), names.join(" "))
    };
    MUTANTS.iter().zip(kills).map(line).collect::<Vec<_>>().join("\n")
}

/// No single call shows it: it takes a worker that sleeps through a wake.
#[test]
fn a_lost_wake_is_beyond_the_checks() {
    assert_all_pass(Mutant::WakeLost);
}
