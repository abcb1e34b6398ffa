//! The board alone, one call after another.

use super::*;

const START: Timestamp = Timestamp::UNIX_EPOCH;
const SECOND: Duration = Duration::from_secs(1);

fn board(slots: usize) -> Board {
    Board::new(&[(QueueName::default_queue(), slots)], Duration::from_millis(100))
}

fn job(id: u128) -> ClaimedJob {
    let new = crate::NewJob::new(
        crate::JobId::from_uuid(uuid::Uuid::from_u128(id)),
        crate::Kind::new("test").expect("a kind"),
        QueueName::default_queue(),
        crate::Payload::from_store("null"),
    );
    ClaimedJob::from_record(&crate::JobRecord::inserted(new, START))
}

/// Makes the claim that is wanted and answers it with `jobs`.
fn claim(board: &Board, jobs: usize, next_look: Option<Timestamp>) -> usize {
    let demands = board.begin_claim(START).expect("a claim is wanted");
    let limit = demands[0].ask.limit;
    let jobs: Vec<ClaimedJob> = (0..jobs as u128).map(job).collect();
    assert!(
        board
            .supply(&demands, vec![Supply { more: jobs.len() >= limit, jobs, next_look }], None, START)
            .is_empty()
    );
    limit
}

#[test]
fn an_alarm_that_rings_while_every_slot_is_busy_is_not_left_in_the_past() {
    let board = board(1);
    claim(&board, 1, None);
    assert!(matches!(board.next(0, None, START), Next::Run(_)));
    board.due(&QueueName::default_queue(), Some(START + SECOND));
    assert_eq!(board.next_alarm(), Some(START + SECOND));
    let later = START + SECOND * 2;
    assert!(board.begin_claim(later).is_none(), "there is no room");
    assert_eq!(board.next_alarm(), None, "the claimer would spin on it");
    assert!(matches!(board.next(0, Some(SECOND), later), Next::Claim(_)), "the free slot looks");
}

#[test]
fn a_wake_while_a_claim_is_in_flight_is_not_lost() {
    let board = board(2);
    let demands = board.begin_claim(START).expect("a claim is wanted");
    assert!(board.begin_claim(START).is_none(), "one is in flight");
    board.due(&QueueName::default_queue(), None);
    board.supply(&demands, vec![Supply { jobs: Vec::new(), more: false, next_look: None }], None, START);
    assert!(board.is_worth_a_look(0, START), "the wake came after the store had looked");
    assert!(matches!(board.next(0, None, START), Next::Claim(_)));
}

#[test]
fn a_full_answer_is_asked_again_and_one_that_is_not_waits_for_its_alarm() {
    let board = board(2);
    assert_eq!(claim(&board, 2, None), 2, "nothing is read ahead before the first run");
    assert!(matches!(board.next(0, None, START), Next::Run(_)));
    assert!(matches!(board.next(0, None, START), Next::Run(_)));
    assert!(matches!(board.next(0, Some(Duration::ZERO), START), Next::Claim(_)));
}

#[test]
fn what_is_read_ahead_too_long_ago_is_taken_out_and_less_is_read_ahead() {
    let board = board(1);
    claim(&board, 1, None);
    assert!(matches!(board.next(0, None, START), Next::Run(_)));
    let Next::Claim(demands) = board.next(0, Some(Duration::ZERO), START) else { panic!("a claim") };
    assert!(demands[0].ask.limit > 100, "short runs are read ahead");
    board.supply(
        &demands,
        vec![Supply { jobs: (1..4).map(job).collect(), more: false, next_look: None }],
        Some(0),
        START,
    );
    assert!(matches!(board.next(0, None, START), Next::Run(_)));
    assert_eq!(board.next_alarm(), Some(START + READ_AHEAD_AGE));
    assert_eq!(board.take_stale(START + READ_AHEAD_AGE).len(), 2);
    assert_eq!(board.next_alarm(), None);
    assert!(board.begin_claim(START).is_none(), "its slot is busy and nothing more is read ahead");
}

#[test]
fn a_closed_board_hands_everything_back() {
    let board = board(2);
    claim(&board, 2, None);
    assert_eq!(board.close().len(), 2);
    assert!(matches!(board.next(0, None, START), Next::End));
    assert!(board.begin_claim(START).is_none());
}

#[test]
fn a_claim_that_answers_after_the_close_is_handed_back() {
    let board = board(2);
    let demands = board.begin_claim(START).expect("a claim is wanted");
    assert!(board.close().is_empty());
    let late = board.supply(
        &demands,
        vec![Supply { jobs: vec![job(1)], more: false, next_look: None }],
        None,
        START,
    );
    assert_eq!(late.len(), 1);
}
