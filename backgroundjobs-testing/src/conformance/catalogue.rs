//! The one list of all checks; the table, the tests and the names come from it.

use super::{
    Capability, Check, cancel, claim, control, data, dropped, failures, handles, history, insert, inspect,
    keys, lease, lifecycle, model, next_due, own, prune, race, recover, repeat, requeue, settle, time,
};

/// Hands every check to the macro that is named: `theme { name [clauses] [needs]; … } …`.
#[doc(hidden)]
#[macro_export]
macro_rules! each_conformance_check {
    ($($then:tt)+) => {
        $($then)+! {
            lifecycle {
                the_profile_makes_sense ["W-1" "F-9"] [];
                what_is_declared_stays ["F-9"] [];
                preparing_again_is_harmless ["L-1"] [];
                a_closed_store_refuses ["F-7" "L-2"] [];
                a_closed_store_shows_nothing ["F-7"] [Inspect];
                a_closed_store_obeys_no_operator ["F-7"] [Control];
                a_closed_store_hears_nothing ["F-7"] [RemoteWakes];
                empty_requests_are_answered ["F-2"] [];
                unknown_ids_are_answered ["F-3"] [];
            }
            insert {
                stores_every_field ["I-1"] [];
                resolves_run_at ["I-1"] [];
                repeating_is_harmless ["I-2"] [];
                other_content_fails_the_batch ["I-3"] [];
                a_batch_sees_its_earlier_jobs ["I-5"] [];
                a_held_key_does_not_fail_the_batch ["I-4"] [];
                the_id_is_looked_at_before_the_key ["I-4"] [];
                a_large_batch_keeps_its_order ["I-1" "C-4"] [];
                any_instant_can_be_named ["F-4" "C-2"] [];
            }
            data {
                args_are_exact ["F-4" "I-2"] [];
                metadata_is_exact ["F-4"] [];
                names_are_exact ["F-4"] [];
                keys_are_exact ["U-2" "F-4"] [];
                error_texts_are_exact ["F-4"] [];
                instants_keep_microseconds ["F-4"] [];
                get_answers_in_order ["G-1"] [];
                large_batches_are_answered ["R-1" "S-1" "G-1" "X-3"] [];
            }
            claim {
                hands_out_with_a_lease ["C-1"] [];
                a_running_job_is_not_handed_out ["C-1" "C-6"] [];
                generations_only_grow ["C-1"] [];
                due_at_the_exact_microsecond ["C-2" "C-6"] [];
                only_asked_queues_and_kinds ["C-2"] [];
                limits_are_per_queue ["C-3"] [];
                hands_out_in_order ["C-4"] [];
                scheduled_jobs_do_not_block ["C-3"] [];
                asking_for_nothing_is_answered ["F-2" "C-2" "C-6" "C-7"] [];
            }
            next_due {
                is_the_earliest_that_may_be_claimed ["C-6"] [];
                a_full_reply_tells_of_the_rest ["C-6" "C-2"] [];
                follows_every_change ["C-6"] [];
                next_expiry_is_the_stores_earliest ["C-7"] [];
            }
            repeat {
                a_repeated_claim_answers_the_same ["C-3" "C-5"] [];
                a_repeated_claim_answers_what_still_runs ["C-4" "C-5"] [];
                a_repeated_claim_tells_of_cancels ["X-3" "C-5"] [];
                a_repeated_claim_without_jobs_is_new ["C-5" "C-1"] [];
                a_recovered_job_left_the_claim ["C-5" "C-2"] [];
                a_claim_and_its_repeat_hand_out_once ["C-5"] [];
                a_repeated_claim_says_that_there_is_more ["C-5"] [];
                a_repeated_claim_tells_of_a_pause ["C-5" "C-6"] [Control];
            }
            settle {
                each_outcome_takes_its_step ["S-1" "S-3" "S-5"] [];
                jobs_come_back_when_they_should ["S-3"] [];
                repeating_is_harmless ["S-1"] [];
                a_stale_claim_is_lost ["S-1"] [];
                an_unknown_claim_is_lost ["F-3" "S-1"] [];
                a_batch_is_answered_in_order ["S-1"] [];
                counts_after_the_lease_ran_out ["S-2"] [];
                crashes_are_counted_in_a_row ["V-1" "S-4"] [];
                a_flagged_job_keeps_its_run_at ["S-3"] [];
            }
            failures {
                carry_time_attempt_and_kind ["V-3" "S-5"] [];
                keep_the_reason_of_a_cancel ["S-5" "S-3"] [];
                keep_the_newest_25 ["S-3" "S-5" "V-3"] [];
            }
            lease {
                renewing_sets_the_end ["R-1"] [];
                renewing_late_still_counts ["R-1"] [];
                a_flagged_lease_is_held_on ["X-3" "R-1"] [];
                a_lost_lease_is_left_alone ["R-2"] [];
                a_batch_is_answered_in_order ["R-1"] [];
            }
            recover {
                takes_back_at_the_exact_end ["V-4" "V-1" "V-3" "V-2"] [];
                backs_off_until_the_limit ["V-1" "V-3"] [];
                only_crashes_in_a_row_end_a_job ["S-4"] [];
                a_flagged_job_is_cancelled ["X-3" "X-1"] [];
                is_bounded_and_earliest_first ["V-4"] [];
                takes_back_everyones ["V-2"] [];
                leaves_the_others_alone ["V-4" "V-1"] [];
                no_backoff_is_at_once ["V-1" "S-1"] [];
                a_job_that_ends_keeps_its_run_at ["V-1"] [];
            }
            cancel {
                a_waiting_job_is_cancelled_at_once ["X-3"] [];
                a_running_job_is_flagged ["X-3"] [];
                answers_in_order ["X-3"] [];
                no_outcome_forgets_a_cancel ["X-2" "X-1" "S-1" "S-5"] [];
                the_flag_is_the_jobs_alone ["X-1" "X-3"] [];
            }
            keys {
                a_held_key_keeps_others_out ["U-2" "F-4"] [];
                until_finished_ends_with_the_job ["U-1" "S-6"] [];
                until_finished_ends_at_every_end ["X-3" "S-6" "V-5"] [];
                until_started_ends_with_the_claim ["U-1" "C-9" "U-3"] [];
                until_started_ends_with_a_cancel ["X-3"] [];
                held_for_a_time_ends_at_its_microsecond ["U-1"] [];
                a_lapsed_key_is_its_successors ["U-1" "U-3" "C-9" "S-6"] [];
                a_key_let_go_is_not_taken_again ["U-3" "V-1"] [];
                the_record_keeps_the_key ["G-1"] [];
            }
            prune {
                age_is_exclusive ["P-1"] [];
                counts_each_state_apart ["P-1"] [];
                either_limit_is_enough ["P-1"] [];
                live_jobs_stay ["P-1"] [];
                is_bounded_and_longest_over_first ["P-2" "P-3"] [];
                next_prune_is_when_there_is_work ["P-3"] [];
                a_key_held_for_a_time_stays ["P-1" "U-4" "P-4"] [];
                a_pruned_job_is_unknown ["S-1" "I-2" "I-1"] [];
                an_endless_age_keeps ["T-4"] [];
                next_prune_ends_with_time ["P-3" "T-4"] [];
            }
            time {
                only_the_given_time_counts ["T-1" "T-2"] [];
                the_far_future_saturates ["T-4"] [];
                the_end_of_time_is_a_time ["T-4"] [];
                stepping_back_is_harmless ["T-3" "C-6" "T-2"] [];
                leases_are_counted_from_each_request ["T-2" "T-1" "V-4"] [];
            }
            race {
                jobs_are_claimed_exactly_once ["C-1" "C-3"] [];
                a_key_has_one_winner ["U-5"] [];
                an_id_is_stored_once ["I-2"] [];
                crossing_batches_do_not_deadlock ["F-8" "U-5"] [];
                a_job_is_recovered_once ["V-2"] [];
                one_claim_has_one_end ["S-1"] [];
                a_cancel_is_never_lost ["X-1" "X-3"] [];
                a_lapsed_key_has_one_winner ["U-5"] [];
                a_lease_is_held_or_taken_back ["R-2" "R-1"] [];
                a_requeued_job_is_not_pruned ["P-1"] [Control];
                a_claimed_job_is_not_deleted ["O-4"] [Control];
            }
            dropped {
                an_insert_is_whole_or_nothing ["F-1" "I-2"] [];
                a_claim_is_whole_or_nothing ["F-1" "C-5"] [];
                a_settle_is_whole_or_nothing ["F-1" "S-1"] [];
                a_recover_is_whole_or_nothing ["F-1" "V-1"] [];
                a_cancel_is_whole_or_nothing ["F-1"] [];
                a_prune_is_whole_or_nothing ["F-1" "P-1"] [];
                a_renew_is_whole_or_nothing ["F-1" "R-1"] [];
                a_look_leaves_no_trace ["F-1"] [];
                many_calls_given_up_leave_room ["F-1"] [];
                a_prepare_may_be_made_again ["F-1" "L-1"] [];
                a_close_may_be_made_again ["F-1" "L-2" "F-7"] [];
                an_operators_call_is_whole_or_nothing ["F-1" "O-4"] [Control];
            }
            model {
                random_calls_are_answered_alike
                    ["I-1" "I-2" "I-3" "I-4" "I-5" "C-1" "C-2" "C-3" "C-4" "C-5" "C-6" "C-7" "C-9" "R-1" "R-2"
                     "S-1" "S-2" "S-3" "S-4" "S-5" "S-6" "V-1" "V-2" "V-3" "V-5" "X-1" "X-2" "X-3" "U-1" "U-2"
                     "U-3" "U-4" "G-1" "P-1" "P-3" "P-4"] [];
            }
            history {
                every_run_is_explained ["C-1" "C-5" "S-1" "V-1" "V-2" "I-2"] [];
            }
            inspect {
                counts_match_the_listing ["N-1" "N-2" "N-3"] [Inspect];
                lists_what_the_filter_lets_through ["N-4" "N-5"] [Inspect];
                paging_is_stable_under_inserts ["N-4"] [Inspect];
                names_queues_with_jobs ["N-6"] [Inspect];
            }
            handles {
                see_each_other ["F-6"] [SecondHandle];
                opening_another_leaves_jobs_alone ["L-1"] [SecondHandle];
                declare_the_same ["F-9"] [SecondHandle];
                declare_the_same_when_opened_again ["F-9" "L-3"] [Reopen];
                share_a_hub ["W-1"] [SecondHandle];
                give_up_a_wait_for_a_wake ["W-3"] [RemoteWakes];
                claim_each_job_once ["C-1" "F-6"] [SecondHandle];
                keep_everything ["L-3"] [Reopen];
                keep_each_field ["L-3"] [Reopen];
            }
            own {
                its_clock_decides ["T-1" "T-2"] [OwnClock];
                keys_and_ages_go_by_its_clock ["T-1" "U-1" "P-1"] [OwnClock];
            }
            control {
                a_paused_queue_hands_out_nothing ["C-2" "C-6" "O-6"] [Control];
                a_queue_without_jobs_can_be_paused ["O-5" "O-6"] [Control];
                jobs_of_a_paused_queue_run_on ["O-5" "V-2" "C-2"] [Control];
                the_first_pause_counts ["N-6" "O-6" "O-5"] [Inspect Control];
                deletes_what_does_not_run ["O-4" "F-2"] [Control];
                a_deleted_job_lets_go_of_its_key ["O-4" "U-4"] [Control];
            }
            requeue {
                starts_the_counters_anew ["O-1" "C-1" "S-1"] [Control];
                a_crashed_job_starts_anew ["O-1"] [Control];
                answers_each_in_order ["O-3" "O-1" "F-2"] [Control];
                takes_its_key_again_or_conflicts ["O-2" "C-9"] [Control];
                a_key_held_for_a_time_is_held_right ["O-2" "U-1"] [Control];
                a_lapsed_key_is_taken_again_or_conflicts ["O-2" "U-1"] [Control];
            }
        }
    };
}

macro_rules! table {
    ($($theme:ident { $($name:ident [$($clause:literal)+] [$($need:ident)*];)+ })+) => {
        /// Every check, by theme.
        pub const CHECKS: &[Check] = &[$($(
            Check {
                name: concat!(stringify!($theme), "::", stringify!($name)),
                clauses: &[$($clause),+],
                needs: &[$(Capability::$need),*],
                body: |cx| Box::pin(async move { $theme::$name(&cx).await }),
            },
        )+)+];
    };
}

each_conformance_check!(table);
