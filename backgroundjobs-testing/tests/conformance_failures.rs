//! What a conformance check says when it fails.

mod planted;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backgroundjobs_testing::conformance::{Check, FreshStore, StoreUnderTest, run_all};
use planted::{MUTANTS, Mutant, PlantedStore};

struct Fixture(Mutant);

#[async_trait]
impl StoreUnderTest for Fixture {
    async fn fresh(&self) -> FreshStore {
        FreshStore::new(PlantedStore::new(self.0))
    }

    /// None with the store that does not answer; a busy machine is no reason to give up the others.
    fn patience(&self) -> Duration {
        if self.0 == Mutant::ClosedStoreHangs { Duration::ZERO } else { Duration::from_secs(600) }
    }
}

/// What the check says of the mutant, if it fails.
fn failure(check: &str, mutant: Mutant) -> Option<String> {
    let fixture: Arc<dyn StoreUnderTest> = Arc::new(Fixture(mutant));
    let check = Check::find(check).expect("it is in the catalogue");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let run = catch_unwind(AssertUnwindSafe(|| runtime.block_on(check.run(&fixture))));
    run.err().map(|panic| *panic.downcast::<String>().expect("a message"))
}

/// Lines, put together; a golden text with its own margin.
fn lines(lines: &[&str]) -> Option<String> {
    Some(lines.join("\n"))
}

#[test]
fn a_failure_shows_clause_expectation_calls_and_seed() {
    let message = failure("lease::renewing_late_still_counts", Mutant::RenewRefusesLate);
    let expected = [
        "clause R-1: a lease that ran out: expected Held, saw Lost",
        "",
        "operations so far (4), times since the check began:",
        "   1. prepare",
        "   2. insert [#1 work/task] at +0ns -> [new]",
        "   3. claim #2 [2 of work] of kinds [task] for 30s at +0ns -> [[#1 generation 1], next due none], next \
         expiry +30s",
        "   4. renew [#1 generation 1] for 30s at +130s -> [Lost]",
        "seed: none, it draws nothing by chance",
    ];
    assert_eq!(message, lines(&expected));
}

#[test]
fn made_up_calls_are_shortened_to_those_that_matter() {
    let message = failure("model::random_calls_are_answered_alike", Mutant::RetryHasNoDelay);
    let expected = [
        "clauses S-1 to S-6, X-1, X-2: call 3 of 3 (of 12 made up by seed 0): the record of job #2: expected \
         run_at: +5µs, saw run_at: +4µs",
        "",
        "operations so far (3), times since the check began:",
        "   1. insert [#2 a/b priority 4 key \"k\" held until finished] at +3µs -> [new]",
        "   2. claim #121 [3 of a, 1 of b] of kinds [a, b] for 10µs at +4µs -> [[#2 generation 1], next due none, \
         [], next due none], next expiry +14µs",
        "   3. settle [#2 generation 1 retry in 1µs] at +4µs -> [applied, waiting]",
        "seed: 0 (BACKGROUNDJOBS_SEED=0 runs it alone)",
    ];
    assert_eq!(message, lines(&expected));
}

/// Its looks are not shown, so they are told of.
#[test]
fn a_look_that_fails_is_shortened_too() {
    let message = failure("model::random_calls_are_answered_alike", Mutant::GetFailsAfterCrash);
    let message = message.expect("it fails");
    let (told, calls) = message.split_once("\n\noperations so far (3)").expect("it shows few calls");
    assert!(
        told.ends_with("expected an answer, saw the store failed to get: column `failures` is null"),
        "{told}"
    );
    assert!(calls.contains("\n   3. recover 999 ") && calls.contains("\nseed: 0 "), "{message}");
}

/// Of a record the fields that differ, and of the fields what the calls call them.
#[test]
fn a_long_value_is_told_by_its_differences() {
    let message = failure("requeue::starts_the_counters_anew", Mutant::RequeueKeepsFlag);
    let first =
        "clause O-1: the record put back: expected cancel_requested: false, saw cancel_requested: true";
    assert_eq!(message.expect("it fails").lines().next(), Some(first));
}

#[test]
fn a_store_that_panics_shows_its_calls() {
    let message = failure("failures::carry_time_attempt_and_kind", Mutant::RetryPanics);
    let expected = [
        "a panic of the store, or of what it was made by: attempt to add with overflow",
        "",
        "operations so far (4), times since the check began:",
        "   1. prepare",
        "   2. insert [#1 work/task] at +0ns -> [new]",
        "   3. claim #2 [2 of work] of kinds [task] for 30s at +0ns -> [[#1 generation 1], next due none], next \
         expiry +30s",
        "   4. settle [#1 generation 1 retry in 0ns] at +1s -> a panic",
        "seed: none, it draws nothing by chance",
    ];
    assert_eq!(message, lines(&expected));
}

/// Of all the calls of a history those that are about a job that cannot be explained.
#[test]
fn a_history_shows_what_happened_to_the_job_that_it_cannot_explain() {
    let message = failure("history::every_run_is_explained", Mutant::InsertForgetsBesideOthers);
    let message = message.expect("it fails");
    let (told, calls) = message.split_once("\n\noperations so far (").expect("it shows calls");
    assert!(told.contains("is lost: its insert was answered, and it is not there"), "{message}");
    let (_, job) = told.split_once(": job ").expect("it names a job");
    let job = job.split(' ').next().expect("a name");
    let calls: Vec<_> = calls.lines().skip(1).take_while(|line| !line.starts_with("seed: 0 ")).collect();
    assert!(!calls.is_empty() && calls.iter().all(|call| call.contains(job)), "{message}");
}

/// Its patience is over at once.
#[test]
fn a_store_that_does_not_answer_is_given_up() {
    let message = failure("lifecycle::a_closed_store_obeys_no_operator", Mutant::ClosedStoreHangs);
    let message = message.expect("it fails");
    let first = "clauses F-2, F-3, F-7: lifecycle::a_closed_store_obeys_no_operator: expected answers, saw none for 0ns";
    assert_eq!(message.lines().next(), Some(first));
    assert!(message.contains("   7. delete [#1] at +1s -> no answer yet\n"), "{message}");
}

#[tokio::test]
async fn a_report_has_the_calls_of_each_failure_below_its_table() {
    let report = run_all(Fixture(Mutant::RenewRefusesLate)).await;
    let text = report.to_string();
    let row = "| `lease::renewing_late_still_counts` | R-1 | failed: clause R-1: a lease that ran out: expected \
               Held, saw Lost |\n";
    assert!(text.contains(row), "{text}");
    let below = "\n`lease::renewing_late_still_counts` failed:\n\n```text\nclause R-1: a lease that ran out: \
                 expected Held, saw Lost\n\noperations so far (4)";
    assert!(text.contains(below), "{text}");
    let json = report.to_json();
    assert!(json.contains("4. renew [#1 generation 1] for 30s at +130s -> [Lost]"));
}

/// How many of the known bugs are found by calls made up at random, which are not told what to look for.
#[test]
fn made_up_calls_find_most_bugs() {
    let finds = |mutant| {
        failure("model::random_calls_are_answered_alike", mutant).is_some_and(|it| it.starts_with("clause"))
    };
    assert_eq!(failure("model::random_calls_are_answered_alike", Mutant::None), None);
    let found = MUTANTS.iter().filter(|planted| finds(planted.mutant)).count();
    assert!(found >= 110, "only {found} of {}", MUTANTS.len());
}
