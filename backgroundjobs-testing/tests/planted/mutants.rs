//! The bugs that stores tend to have, one switch each, with the clause that each breaks and the check that finds it.
//!
//! Many stand in the tracker or the code of another system; the rest are what a hasty hand writes.

macro_rules! mutants {
    ($(#[doc = $text:literal] $name:ident, $clause:literal, $check:literal;)+) => {
        /// What is wrong with a [`PlantedStore`](super::PlantedStore).
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Mutant {
            /// Nothing.
            None,
            /// An announcement made while a claim is in flight reaches nobody. Every clause that one call can
            /// show is kept; only a worker that waits too long shows it.
            WakeLost,
            /// It panics where a job is to be retried. No clause allows it, and none is named.
            RetryPanics,
            $(#[doc = $text] $name,)+
        }

        /// Each bug that a check can find.
        pub(crate) const MUTANTS: &[Planted] =
            &[$(Planted { mutant: Mutant::$name, clause: $clause, killer: $check }),+];
    };
}

/// A bug, and who finds it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planted {
    pub(crate) mutant: Mutant,
    /// What it breaks.
    pub(crate) clause: &'static str,
    /// The check that is there for it.
    pub(crate) killer: &'static str,
}

mutants! {
    /// Nothing tells a worker when to ask again.
    ProfileWithoutWake, "W-1", "lifecycle::the_profile_makes_sense";
    /// Opening the store takes every running job for crashed.
    PrepareRecovers, "L-1", "lifecycle::preparing_again_is_harmless";
    /// Other polls are asked for once a job ran.
    ProfileChanges, "F-9", "lifecycle::the_profile_makes_sense";
    /// A closed store has nothing to look at jobs with.
    InspectEndsWithClose, "F-9", "lifecycle::what_is_declared_stays";
    /// Only the first handle can be controlled.
    ControlIsTheFirsts, "F-9", "handles::declare_the_same";
    /// A store that was opened again cannot look at many jobs.
    ReopenForgetsInspect, "F-9", "handles::declare_the_same_when_opened_again";
    /// A closed store goes on to listen for wakes.
    ClosedStoreListens, "F-7", "lifecycle::a_closed_store_hears_nothing";
    /// A wait for a wake does not hear that the store is closed.
    WaitOutlivesClose, "F-7", "lifecycle::a_closed_store_hears_nothing";
    /// A wait that was given up stands in the way of the next.
    WaitLeavesItsMark, "W-3", "handles::give_up_a_wait_for_a_wake";
    /// Closing it again is an error.
    CloseOnlyOnce, "L-2", "lifecycle::a_closed_store_refuses";
    /// A closed store works on.
    ClosedStoreGoesOn, "F-7", "lifecycle::a_closed_store_refuses";
    /// Preparing a closed store opens it.
    ClosedStoreReopens, "F-7", "lifecycle::a_closed_store_refuses";
    /// A closed store still lists and counts.
    ClosedStoreShows, "F-7", "lifecycle::a_closed_store_shows_nothing";
    /// A closed store still pauses and requeues.
    ClosedStoreObeys, "F-7", "lifecycle::a_closed_store_obeys_no_operator";
    /// A closed store never answers a delete.
    ClosedStoreHangs, "F-7", "lifecycle::a_closed_store_obeys_no_operator";
    /// A batch of no jobs is an error.
    EmptyInsertFails, "F-2", "lifecycle::empty_requests_are_answered";
    /// One unknown id fails a whole renew.
    UnknownIdFails, "F-3", "lifecycle::unknown_ids_are_answered";

    /// The first prepare of a handle takes every running job for crashed.
    OpeningRecovers, "L-1", "handles::opening_another_leaves_jobs_alone";
    /// Each handle works on what was there when it was opened.
    HandlesAreApart, "F-6", "handles::see_each_other";
    /// Each handle has a hub of its own.
    HandlesHaveHubs, "W-1", "handles::share_a_hub";
    /// A store that lasts says that it is lost with the process.
    ProfileHidesThatItLasts, "L-3", "handles::declare_the_same_when_opened_again";
    /// Opening the store lets go of what was running.
    ReopenReleases, "L-3", "handles::keep_everything";
    /// Keys are gone after the store was opened again.
    ReopenForgetsKeys, "L-3", "handles::keep_everything";
    /// Pauses are gone after the store was opened again.
    ReopenForgetsPauses, "L-3", "handles::keep_everything";
    /// What is written of a row has no metadata.
    ReopenForgetsMetadata, "L-3", "handles::keep_each_field";
    /// What is written of a key is who has it, and not until when.
    ReopenHoldsKeysForEver, "L-3", "handles::keep_each_field";
    /// That a running job is to be cancelled is kept in memory alone.
    ReopenForgetsCancels, "L-3", "handles::keep_each_field";
    /// A store with a clock believes its callers all the same.
    OwnTimeIsTheCallers, "T-1", "own::its_clock_decides";

    /// An insert looks at the keys, is interrupted, and stores without looking again.
    InsertLooksThenStores, "U-5", "race::a_key_has_one_winner";
    /// An insert that finds a key lapsed is interrupted, and takes it without looking again.
    LapsedKeyIsLookedAtOnce, "U-5", "race::a_lapsed_key_has_one_winner";
    /// An insert looks for the ids, is interrupted, and stores without looking again.
    InsertLooksForIdsOnce, "I-2", "race::an_id_is_stored_once";
    /// An insert locks the keys in the order of its batch.
    InsertDeadlocks, "F-8", "race::crossing_batches_do_not_deadlock";
    /// An insert stores one job after the other, and may be dropped in between.
    InsertStoresOneByOne, "F-1", "dropped::an_insert_is_whole_or_nothing";
    /// Jobs are handed out one by one, each in a step of its own.
    ClaimHandsOutOneByOne, "F-1", "dropped::a_claim_is_whole_or_nothing";
    /// A job is marked Running first, and gets its lease in a second step.
    ClaimMarksFirst, "F-1", "dropped::a_claim_is_whole_or_nothing";
    /// A failure is recorded first, and its outcome applied in a second step.
    SettleRecordsFirst, "F-1", "dropped::a_settle_is_whole_or_nothing";
    /// A crash is counted first, and the job taken back in a second step.
    RecoverCountsFirst, "F-1", "dropped::a_recover_is_whole_or_nothing";
    /// A job is cancelled first, and lets go of its key in a second step.
    CancelKeepsKeyFirst, "F-1", "dropped::a_cancel_is_whole_or_nothing";
    /// Failures are deleted first, and their jobs in a second step.
    PruneTakesFailuresFirst, "F-1", "dropped::a_prune_is_whole_or_nothing";
    /// A renewed job has a mark in its record, which goes in a second step.
    RenewMarksFirst, "F-1", "dropped::a_renew_is_whole_or_nothing";
    /// A look that is given up keeps everybody out.
    LookLeavesItsLock, "F-1", "dropped::a_look_leaves_no_trace";
    /// Inserts that are given up keep their places in a queue that has an end.
    GivenUpKeepTheirPlaces, "F-1", "dropped::many_calls_given_up_leave_room";
    /// A prepare that is given up leaves its mark, and the next finds the store half prepared.
    PrepareLeavesHalf, "L-1", "dropped::a_prepare_may_be_made_again";
    /// A close that is given up has closed nothing, and the next believes that it has.
    CloseIsBelieved, "F-7", "dropped::a_close_may_be_made_again";
    /// The counters are set back first, and the job made to wait in a second step.
    RequeueResetsFirst, "F-1", "dropped::an_operators_call_is_whole_or_nothing";
    /// An insert beside another is acknowledged, and forgotten.
    InsertForgetsBesideOthers, "I-2", "history::every_run_is_explained";
    /// A conflict leaves the jobs before it stored.
    InsertKeepsHalfABatch, "I-3", "insert::other_content_fails_the_batch";
    /// White space around args is lost.
    InsertTrimsArgs, "F-4", "data::args_are_exact";
    /// Each job may fail 25 times, whatever it asks for.
    InsertIgnoresLimits, "I-1", "insert::stores_every_field";
    /// Each job is due at once.
    InsertIgnoresDelay, "I-1", "insert::resolves_run_at";
    /// A calendar time that is past becomes now.
    InsertClampsRunAt, "I-1", "insert::resolves_run_at";
    /// A job inserted again takes the new fields.
    InsertUpdatesKnown, "I-2", "insert::repeating_is_harmless";
    /// A job inserted again after its end runs again.
    InsertRevivesFinished, "I-2", "insert::repeating_is_harmless";
    /// The queue and the priority count as content, too.
    InsertComparesTooMuch, "I-2", "insert::repeating_is_harmless";
    /// A known id is enough; the content is not compared.
    InsertIgnoresContent, "I-3", "insert::other_content_fails_the_batch";
    /// A batch does not see its own jobs.
    BatchIsBlind, "I-5", "insert::a_batch_sees_its_earlier_jobs";
    /// Of a large batch only the first 500 jobs are stored.
    BatchEndsAt500, "I-1", "insert::a_large_batch_keeps_its_order";
    /// One held key fails the whole batch.
    HeldKeyFailsBatch, "I-4", "insert::a_held_key_does_not_fail_the_batch";
    /// A job with a held key is dropped, and said to be new.
    HeldKeyIsSwallowed, "U-2", "keys::a_held_key_keeps_others_out";
    /// The key is looked at before the id.
    KeyBeforeId, "I-4", "insert::the_id_is_looked_at_before_the_key";
    /// There is no time before 1970.
    InstantsSinceTheEpoch, "F-4", "insert::any_instant_can_be_named";
    /// Instants are whole seconds.
    InstantsInSeconds, "F-4", "data::instants_keep_microseconds";
    /// Metadata without a value is left out.
    MetadataDropsEmpty, "F-4", "data::metadata_is_exact";
    /// Queues are compared without regard to case.
    QueuesFoldCase, "F-4", "data::names_are_exact";
    /// Keys are trimmed.
    KeysAreTrimmed, "F-4", "data::keys_are_exact";
    /// Keys are compared without regard to case.
    KeysFoldCase, "U-2", "keys::a_held_key_keeps_others_out";
    /// Error texts end after 255 bytes.
    FailureTextIsCut, "F-4", "data::error_texts_are_exact";
    /// A job that crashed can be read no more.
    GetFailsAfterCrash, "G-1", "model::random_calls_are_answered_alike";
    /// Records come in the order of the table.
    GetAnswersInItsOrder, "G-1", "data::get_answers_in_order";

    /// A claim reads the due jobs, is interrupted, and updates them without looking again.
    ClaimSelectsThenUpdates, "C-1", "race::jobs_are_claimed_exactly_once";
    /// Every lease lasts a minute.
    LeaseIsAMinute, "C-1", "claim::hands_out_with_a_lease";
    /// A claim takes over a job whose lease ran out, and no crash is counted.
    ClaimTakesExpired, "C-1", "claim::a_running_job_is_not_handed_out";
    /// A retry starts the generations anew.
    GenerationStartsAnew, "C-1", "claim::generations_only_grow";
    /// A job is due only after its instant.
    ClaimIsLate, "C-2", "claim::due_at_the_exact_microsecond";
    /// Jobs are handed to workers that do not know their kind.
    ClaimIgnoresKinds, "C-2", "claim::only_asked_queues_and_kinds";
    /// Who knows no kind is handed any.
    NoKindIsAnyKind, "C-2", "claim::asking_for_nothing_is_answered";
    /// A paused queue is claimed from.
    ClaimIgnoresPause, "C-2", "control::a_paused_queue_hands_out_nothing";
    /// A limit counts for all queues together.
    ClaimSharesItsLimit, "C-3", "claim::limits_are_per_queue";
    /// A claim looks only at the jobs in front, due or not.
    ClaimLooksAtTheHead, "C-3", "claim::scheduled_jobs_do_not_block";
    /// Jobs are handed out by time alone.
    ClaimIgnoresPriority, "C-4", "claim::hands_out_in_order";
    /// A claim does not let go of a key held until the start.
    ClaimKeepsKey, "C-9", "keys::until_started_ends_with_the_claim";
    /// `next_due` counts jobs of paused queues.
    NextDueCountsPaused, "C-6", "control::a_paused_queue_hands_out_nothing";
    /// `next_due` counts jobs of kinds the worker does not know.
    NextDueCountsForeign, "C-6", "next_due::is_the_earliest_that_may_be_claimed";
    /// `next_due` counts only jobs that never ran.
    NextDueForgetsRetries, "C-6", "next_due::follows_every_change";
    /// A full reply says that it was all.
    MoreIsNeverSaid, "C-6", "next_due::a_full_reply_tells_of_the_rest";
    /// Every reply says that there may be more, so that workers ask without end.
    MoreIsAlwaysSaid, "C-6", "claim::due_at_the_exact_microsecond";
    /// `next_expiry` tells of the leases of this claim only.
    NextExpiryIsMine, "C-7", "next_due::next_expiry_is_the_stores_earliest";

    /// A claim that a repeat has overtaken hands out more.
    ClaimTrustsThatItIsFirst, "C-5", "repeat::a_claim_and_its_repeat_hand_out_once";
    /// A repeated claim hands out more jobs.
    ClaimForgetsItsId, "C-5", "repeat::a_repeated_claim_answers_the_same";
    /// A repeated claim answers with all that its worker runs.
    RepeatGoesByWorker, "C-5", "repeat::a_repeated_claim_answers_what_still_runs";
    /// A repeated claim does not tell of cancels.
    RepeatHidesCancels, "C-5", "repeat::a_repeated_claim_tells_of_cancels";
    /// A repeated claim hands out nothing, though its first never arrived.
    RepeatIsNeverNew, "C-5", "repeat::a_repeated_claim_without_jobs_is_new";
    /// A repeated claim answers with jobs that it lost to a recover.
    RepeatAnswersLostJobs, "C-5", "repeat::a_recovered_job_left_the_claim";
    /// A repeated claim says that there is no more, though it did not look.
    RepeatSaysNoMore, "C-5", "repeat::a_repeated_claim_says_that_there_is_more";
    /// A repeated claim does not mark a paused queue.
    RepeatHidesPause, "C-6", "repeat::a_repeated_claim_tells_of_a_pause";
    /// A repeated claim leaves out the jobs of a paused queue.
    RepeatHoldsBackPaused, "C-5", "repeat::a_repeated_claim_tells_of_a_pause";

    /// A claim that is over may settle a newer one's run.
    SettleIgnoresGeneration, "S-1", "settle::a_stale_claim_is_lost";
    /// Whoever knows the id may complete the job, running or not.
    CompleteGoesById, "S-1", "settle::a_stale_claim_is_lost";
    /// A settle whose job moved on is Lost when it is repeated.
    SettleForgetsRepeats, "S-1", "settle::repeating_is_harmless";
    /// Generation 0 counts as settled before.
    SettleKnowsZero, "S-1", "settle::an_unknown_claim_is_lost";
    /// What follows a lost item of a batch is lost as well.
    SettleStopsAtLost, "S-1", "settle::a_batch_is_answered_in_order";
    /// A settle looks at the claim, is interrupted, and updates the job without looking again.
    SettleLooksThenUpdates, "S-1", "race::one_claim_has_one_end";
    /// A settle counts only while the lease lasts.
    SettleNeedsALease, "S-2", "settle::counts_after_the_lease_ran_out";
    /// A job to be retried is due at once.
    RetryHasNoDelay, "S-3", "settle::jobs_come_back_when_they_should";
    /// A snooze uses up an attempt.
    SnoozeUsesAttempt, "S-3", "settle::each_outcome_takes_its_step";
    /// A release uses up an attempt, so that a clean stop costs one.
    ReleaseUsesAttempt, "S-3", "settle::each_outcome_takes_its_step";
    /// A released job goes behind those that came later.
    ReleaseMovesRunAt, "S-3", "settle::each_outcome_takes_its_step";
    /// A job that failed for good waits for the end of time.
    FailWaitsForEver, "S-1", "settle::each_outcome_takes_its_step";
    /// The error is written into the args.
    FailureChangesArgs, "S-3", "settle::each_outcome_takes_its_step";
    /// A retry of a flagged job moves its `run_at`.
    FlaggedMovesRunAt, "S-3", "settle::a_flagged_job_keeps_its_run_at";
    /// Crashes are counted since the beginning, not in a row.
    CrashesAreForEver, "S-4", "recover::only_crashes_in_a_row_end_a_job";
    /// A release sets the crashes back.
    ReleaseForgetsCrashes, "S-4", "settle::crashes_are_counted_in_a_row";
    /// The error is not kept.
    FailureIsNotKept, "S-5", "failures::carry_time_attempt_and_kind";
    /// Failures are numbered from 0.
    FailuresCountFromZero, "S-5", "failures::carry_time_attempt_and_kind";
    /// Of many failures the first 25 are kept.
    FailuresKeepTheOldest, "S-5", "failures::keep_the_newest_25";
    /// The reason of a cancel is lost.
    CancelLosesReason, "S-5", "failures::keep_the_reason_of_a_cancel";

    /// A lease that ran out cannot be renewed.
    RenewRefusesLate, "R-1", "lease::renewing_late_still_counts";
    /// Hearing of a cancel does not hold the lease.
    RenewDropsFlagged, "R-1", "lease::a_flagged_lease_is_held_on";
    /// A renewed lease ends the asked time after its former end.
    RenewAddsToTheEnd, "R-1", "lease::renewing_sets_the_end";
    /// A renew never makes a lease end earlier.
    RenewNeverShortens, "R-1", "lease::renewing_sets_the_end";
    /// A renew has room for 999 leases, and loses what follows.
    RenewEndsAt999, "R-1", "data::large_batches_are_answered";
    /// Renewals are answered in the order of the table.
    RenewAnswersInItsOrder, "R-1", "lease::a_batch_is_answered_in_order";
    /// A claim that is over may renew a newer one's lease.
    RenewIgnoresGeneration, "R-2", "lease::a_lost_lease_is_left_alone";

    /// A renew looks at the lease, is interrupted, and believes that it is held still.
    RenewLooksThenHolds, "R-2", "race::a_lease_is_held_or_taken_back";
    /// A recover reads the lost jobs, is interrupted, and updates them without looking again.
    RecoverSelectsThenUpdates, "V-2", "race::a_job_is_recovered_once";
    /// A recover takes a job back only after the end of its lease, not at it.
    RecoverIsLate, "V-1", "recover::takes_back_at_the_exact_end";
    /// A job whose process died stays Running.
    RecoverDoesNothing, "V-1", "recover::takes_back_at_the_exact_end";
    /// A recovered job is due at once, though it may kill the next process, too.
    RecoverHasNoBackoff, "V-1", "recover::takes_back_at_the_exact_end";
    /// Each crash waits as long as the first.
    RecoverHasFlatBackoff, "V-1", "recover::backs_off_until_the_limit";
    /// A recovered job waits a second at least.
    RecoverWaitsASecond, "V-1", "recover::no_backoff_is_at_once";
    /// A crash does not count, so that a poisonous job runs for ever.
    RecoverForgetsCrashes, "V-1", "recover::backs_off_until_the_limit";
    /// A job that was settled is taken back once its lease would have ended.
    RecoverIgnoresState, "V-1", "recover::leaves_the_others_alone";
    /// A recover that ends a job moves its `run_at`.
    RecoverMovesRunAt, "V-1", "recover::a_job_that_ends_keeps_its_run_at";
    /// Jobs are lost a while after their claim, renewed or not.
    RecoverGoesByTheClaim, "R-1", "lease::renewing_late_still_counts";
    /// A recover takes back the jobs of one worker.
    RecoverIsOneWorkers, "V-2", "recover::takes_back_everyones";
    /// Jobs of a paused queue are not taken back.
    RecoverSkipsPaused, "V-2", "control::jobs_of_a_paused_queue_run_on";
    /// A crash uses up an attempt.
    RecoverUsesAttempt, "V-3", "recover::backs_off_until_the_limit";
    /// A crash gives an attempt back.
    RecoverReturnsAttempt, "V-3", "failures::carry_time_attempt_and_kind";
    /// A crash leaves no trace among the failures.
    CrashIsNotKept, "V-3", "recover::takes_back_at_the_exact_end";
    /// A recover takes back everything at once.
    RecoverHasNoLimit, "V-4", "recover::is_bounded_and_earliest_first";
    /// Those whose lease ended last are taken back first.
    RecoverTakesTheLatest, "V-4", "recover::is_bounded_and_earliest_first";
    /// The last crash does not let go of the key.
    CrashKeepsKey, "V-5", "keys::until_finished_ends_at_every_end";

    /// A retry takes a flagged job back to Waiting.
    RetryForgetsCancel, "X-1", "cancel::no_outcome_forgets_a_cancel";
    /// A recover takes a flagged job back to Waiting.
    RecoverForgetsCancel, "X-1", "recover::a_flagged_job_is_cancelled";
    /// A flagged job that ended well is Cancelled.
    CancelBeatsComplete, "X-2", "cancel::no_outcome_forgets_a_cancel";
    /// A waiting job is flagged, and waits on.
    CancelOnlyFlags, "X-3", "cancel::a_waiting_job_is_cancelled_at_once";
    /// A running job is Cancelled while it runs.
    CancelEndsRunning, "X-3", "cancel::a_running_job_is_flagged";
    /// A job that failed is Cancelled when it is cancelled later.
    CancelTouchesFinished, "X-3", "cancel::answers_in_order";
    /// All jobs of a claim are flagged with one of them.
    CancelFlagsTheClaim, "X-3", "cancel::the_flag_is_the_jobs_alone";
    /// A cancel looks at the state, is interrupted, and updates the job without looking again.
    CancelLooksThenFlags, "X-3", "race::a_cancel_is_never_lost";
    /// A job cancelled while it waits keeps its key.
    CancelKeepsKey, "X-3", "keys::until_finished_ends_at_every_end";
    /// A job cancelled while it waits keeps a key held until its start.
    CancelKeepsStartKey, "X-3", "keys::until_started_ends_with_a_cancel";

    /// A key held for a time lasts a microsecond too long.
    KeyEndsLate, "U-1", "keys::held_for_a_time_ends_at_its_microsecond";
    /// A key held for a time ends with its job.
    TimedKeyEndsWithJob, "U-1", "keys::held_for_a_time_ends_at_its_microsecond";
    /// A retry lets go of a key held until the end.
    RetryDropsKey, "U-1", "keys::until_finished_ends_with_the_job";
    /// A retry takes the job's key again.
    RetryRetakesKey, "U-3", "keys::a_key_let_go_is_not_taken_again";
    /// A job's end lets go of the key, whoever holds it.
    EndDropsAnyonesKey, "U-3", "keys::a_lapsed_key_is_its_successors";
    /// A key is never let go.
    KeyIsForEver, "S-6", "keys::until_finished_ends_with_the_job";
    /// A key let go is gone from the record.
    RecordLosesKey, "G-1", "keys::the_record_keeps_the_key";

    /// A job goes when it is just as old as allowed.
    PruneIsInclusive, "P-1", "prune::age_is_exclusive";
    /// A prune reads what is over, is interrupted, and deletes it without looking again.
    PruneSelectsThenDeletes, "P-1", "race::a_requeued_job_is_not_pruned";
    /// Nothing is ever deleted.
    PruneRemovesNothing, "P-1", "prune::age_is_exclusive";
    /// The latest jobs are counted over all states.
    PruneCountsTogether, "P-1", "prune::counts_each_state_apart";
    /// A job goes only when both limits say so.
    PruneNeedsBothLimits, "P-1", "prune::either_limit_is_enough";
    /// A job that failed and waits for its retry counts as over.
    PruneTakesRetries, "P-1", "prune::live_jobs_stay";
    /// Everything goes at once.
    PruneHasNoLimit, "P-2", "prune::is_bounded_and_longest_over_first";
    /// Those that ended last go first.
    PruneTakesTheLatest, "P-2", "prune::is_bounded_and_longest_over_first";
    /// It is not said when more will be too old.
    PruneHasNoNext, "P-3", "prune::next_prune_is_when_there_is_work";
    /// A job that is never too old is to be pruned at the end of time.
    PruneAtTheEndOfTime, "P-3", "prune::next_prune_ends_with_time";
    /// A pruned job takes its key along.
    PruneDropsKeys, "U-4", "prune::a_key_held_for_a_time_stays";
    /// A key held for a time by a pruned job is held for ever.
    PruneFreezesKeys, "P-4", "prune::a_key_held_for_a_time_stays";
    /// The ids of pruned jobs stay taken.
    PruneRemembersIds, "I-2", "prune::a_pruned_job_is_unknown";
    /// An age beyond 64 bits of microseconds is no age.
    AgesOverflow, "T-4", "prune::an_endless_age_keeps";

    /// What is due is told from the machine's clock.
    DueByTheClock, "T-1", "time::only_the_given_time_counts";
    /// Leases are counted from the latest time that was ever given.
    LeasesFromTheLatest, "T-2", "time::leases_are_counted_from_each_request";
    /// Time that steps back is an error.
    TimeOnlyGrows, "T-3", "time::stepping_back_is_harmless";
    /// A sum beyond the end of time starts again in 1970.
    SumsWrap, "T-4", "time::the_far_future_saturates";
    /// The end of time stands for never.
    EndOfTimeIsNever, "T-4", "time::the_end_of_time_is_a_time";

    /// Running jobs are not counted.
    CountLeavesRunningOut, "N-1", "inspect::counts_match_the_listing";
    /// The rows of a count come as they were found.
    CountHasNoOrder, "N-2", "inspect::counts_match_the_listing";
    /// Finished jobs have a `next_run_at`.
    CountDatesFinished, "N-3", "inspect::counts_match_the_listing";
    /// A page starts with the job that ended the last.
    PagesOverlap, "N-4", "inspect::lists_what_the_filter_lets_through";
    /// The filter's kinds are not looked at.
    ListIgnoresKinds, "N-4", "inspect::lists_what_the_filter_lets_through";
    /// Pages are counted from the newest job.
    PagesByOffset, "N-4", "inspect::paging_is_stable_under_inserts";
    /// The listing ends with its first full page.
    PagesEndEarly, "N-5", "inspect::lists_what_the_filter_lets_through";
    /// Only queues with waiting jobs are named.
    QueuesWaitingOnly, "N-6", "inspect::names_queues_with_jobs";
    /// A paused queue without jobs is not named.
    QueuesHidePaused, "N-6", "control::the_first_pause_counts";

    /// Pausing again moves the instant.
    PauseMoves, "O-5", "control::the_first_pause_counts";
    /// A queue without jobs cannot be paused.
    PauseNeedsJobs, "O-5", "control::a_queue_without_jobs_can_be_paused";
    /// A pause stops what runs.
    PauseStopsRunning, "O-5", "control::jobs_of_a_paused_queue_run_on";
    /// Resuming a queue that is not paused is an error.
    ResumeNeedsAPause, "O-6", "control::a_queue_without_jobs_can_be_paused";
    /// A running job can be deleted.
    DeleteTakesRunning, "O-4", "control::deletes_what_does_not_run";
    /// A delete looks at the state, is interrupted, and deletes the job without looking again.
    DeleteLooksThenDeletes, "O-4", "race::a_claimed_job_is_not_deleted";
    /// A deleted job's key stays.
    DeleteKeepsKeys, "O-4", "control::a_deleted_job_lets_go_of_its_key";
    /// A deleted job takes a key along that is held for a time after its end.
    DeleteDropsTimedKeys, "U-4", "control::a_deleted_job_lets_go_of_its_key";
    /// A requeued job keeps its flag.
    RequeueKeepsFlag, "O-1", "requeue::starts_the_counters_anew";
    /// A requeued job starts with generation 0.
    RequeueResetsGeneration, "O-1", "requeue::starts_the_counters_anew";
    /// A requeued job has only its last crash ahead of it.
    RequeueKeepsCrashes, "O-1", "requeue::a_crashed_job_starts_anew";
    /// A running job can be requeued.
    RequeueTakesRunning, "O-3", "requeue::answers_each_in_order";
    /// A requeued job does not take its key.
    RequeueForgetsKey, "O-2", "requeue::takes_its_key_again_or_conflicts";
    /// A key that is still held for a time is held anew.
    RequeueRenewsHeldKey, "O-2", "requeue::a_key_held_for_a_time_is_held_right";
    /// A key that was held for a time is taken from its new holder.
    RequeueStealsLapsedKey, "O-2", "requeue::a_lapsed_key_is_taken_again_or_conflicts";
    /// A key that lapsed still counts as held.
    RequeueTrustsLapsedKey, "O-2", "requeue::a_lapsed_key_is_taken_again_or_conflicts";
}
