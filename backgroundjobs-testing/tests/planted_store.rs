//! The conformance checks find the faults they are there for, and find none where there is none.

mod planted;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use async_trait::async_trait;
use backgroundjobs_testing::conformance::{CHECKS, Capability, Check, FreshStore, StoreUnderTest, Verdict};
use planted::{Fault, PlantedStore};

/// Each fault, and checks that must fail because of it.
const CAUGHT_BY: &[(Fault, &[&str])] = &[
    (Fault::ClaimSelectsThenUpdates, &["race::jobs_are_claimed_exactly_once"]),
    (Fault::ClaimForgetsItsId, &["repeat::a_repeated_claim_answers_the_same"]),
    (Fault::ClaimIgnoresPriority, &["claim::hands_out_in_order"]),
    (Fault::ClaimSharesItsLimit, &["claim::limits_are_per_queue"]),
    (Fault::ClaimKeepsKey, &["keys::until_started_ends_with_the_claim"]),
    (Fault::NextDueCountsPaused, &["control::a_paused_queue_hands_out_nothing"]),
    (Fault::NextDueCountsForeign, &["next_due::is_the_earliest_that_may_be_claimed"]),
    (Fault::NextExpiryIsMine, &["next_due::next_expiry_is_the_stores_earliest"]),
    (Fault::InsertLooksThenStores, &["race::a_key_has_one_winner", "race::an_id_is_stored_once"]),
    (Fault::InsertKeepsHalfABatch, &["insert::other_content_fails_the_batch"]),
    (Fault::InsertTrimsArgs, &["data::args_are_exact"]),
    (Fault::SettleIgnoresGeneration, &["settle::a_stale_claim_is_lost", "lease::a_lost_lease_is_left_alone"]),
    (Fault::SettleForgetsRepeats, &["settle::repeating_is_harmless"]),
    (Fault::SettleNeedsALease, &["settle::counts_after_the_lease_ran_out"]),
    (
        Fault::RetryRetakesKey,
        &["keys::a_key_let_go_is_not_taken_again", "keys::a_lapsed_key_is_its_successors"],
    ),
    (Fault::RetryForgetsCancel, &["cancel::no_outcome_forgets_a_cancel", "race::a_cancel_is_never_lost"]),
    (Fault::CrashesAreForEver, &["recover::only_crashes_in_a_row_end_a_job"]),
    (Fault::RenewRefusesLate, &["lease::renewing_late_still_counts"]),
    (Fault::RenewDropsFlagged, &["lease::a_flagged_lease_is_held_on"]),
    (Fault::RecoverSelectsThenUpdates, &["race::a_job_is_recovered_once"]),
    (Fault::RecoverForgetsCancel, &["recover::a_flagged_job_is_cancelled"]),
    (Fault::RecoverIsLate, &["recover::takes_back_at_the_exact_end"]),
    (Fault::KeyEndsLate, &["keys::held_for_a_time_ends_at_its_microsecond"]),
    (Fault::PruneDropsKeys, &["prune::a_key_held_for_a_time_stays"]),
    (Fault::PruneIsInclusive, &["prune::age_is_exclusive"]),
    (Fault::PruneCountsTogether, &["prune::counts_each_state_apart"]),
    (Fault::PauseMoves, &["control::the_first_pause_counts"]),
    (Fault::RequeueKeepsFlag, &["requeue::starts_the_counters_anew"]),
    (Fault::PagesOverlap, &["inspect::lists_what_the_filter_lets_through"]),
];

struct Planted(Fault);

#[async_trait]
impl StoreUnderTest for Planted {
    async fn fresh(&self) -> FreshStore {
        FreshStore::new(PlantedStore::new(self.0))
    }
}

/// Runs one check on a runtime of its own; the message if it fails.
fn failure(check: &Check, fault: Fault) -> Option<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let run = || runtime.block_on(check.run(&(Arc::new(Planted(fault)) as Arc<dyn StoreUnderTest>)));
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(verdict) => {
            let is_shown = verdict == Verdict::Passed
                || check
                    .needs()
                    .iter()
                    .any(|need| *need != Capability::Inspect && *need != Capability::Control);
            assert!(is_shown, "{}: {verdict:?}", check.name());
            None
        }
        Err(panic) => Some(*panic.downcast::<String>().expect("a message")),
    }
}

fn assert_all_pass(fault: Fault) {
    for check in CHECKS {
        assert_eq!(failure(check, fault), None, "{} on a store with fault {fault:?}", check.name());
    }
}

#[test]
fn a_store_without_fault_passes_every_check() {
    assert_all_pass(Fault::None);
}

#[test]
fn each_fault_is_caught_by_a_named_check() {
    let mut missed = Vec::new();
    for (fault, name) in
        CAUGHT_BY.iter().flat_map(|(fault, names)| names.iter().map(move |name| (fault, name)))
    {
        let check = Check::find(name).unwrap_or_else(|| panic!("no check is called {name}"));
        match failure(check, *fault) {
            Some(message) if message.starts_with("clause") => {}
            other => missed.push((fault, name, other)),
        }
    }
    assert!(missed.is_empty(), "faults not caught, or not by a clause: {missed:#?}");
}

/// No single call shows it: it takes a worker that sleeps through a wake.
#[test]
fn a_lost_wake_is_beyond_the_checks() {
    assert_all_pass(Fault::WakeLost);
}
