//! Every clause of the contract has a check, and every check a clause.

use std::collections::BTreeSet;

use backgroundjobs_testing::conformance::CHECKS;

const CONTRACT: [&str; 3] = [
    include_str!("../../backgroundjobs-core/src/store/mod.rs"),
    include_str!("../../backgroundjobs-core/src/store/inspect.rs"),
    include_str!("../../backgroundjobs-core/src/store/control.rs"),
];

/// Clauses that no check of one fresh store can show.
const BEYOND: [(&str, &str); 4] = [
    ("C-8", "a matter of cost: measured, not checked"),
    ("F-5", "shown by the limits of C-3, V-4, P-2 and N-5"),
    ("W-2", "takes a second process"),
    ("W-3", "takes a second process"),
];

/// The numbers that stand in bold: `**C-4**`, `**S-1 Fenced.**`.
fn clauses() -> BTreeSet<&'static str> {
    let bold = CONTRACT.iter().flat_map(|text| text.split("**").skip(1).step_by(2));
    let number = |text: &'static str| text.split([' ', '.']).next();
    let is_clause = |text: &&str| {
        text.split_once('-').is_some_and(|(letter, digits)| letter.len() == 1 && digits.parse::<u8>().is_ok())
    };
    bold.filter_map(number).filter(is_clause).collect()
}

#[test]
fn every_clause_has_a_check() {
    let checked: BTreeSet<_> = CHECKS.iter().flat_map(|check| check.clauses()).copied().collect();
    let beyond: BTreeSet<_> = BEYOND.iter().map(|(clause, _)| *clause).collect();
    let all = clauses();
    assert!(all.len() > 50, "only {} clauses were found: {all:?}", all.len());
    let unchecked: Vec<_> = all.iter().filter(|c| !checked.contains(*c) && !beyond.contains(*c)).collect();
    assert!(unchecked.is_empty(), "clauses without a check: {unchecked:?}");
    let unknown: Vec<_> = checked.union(&beyond).filter(|clause| !all.contains(*clause)).collect();
    assert!(unknown.is_empty(), "the contract has no clauses {unknown:?}");
}

#[test]
fn names_are_told_apart() {
    let names: BTreeSet<_> = CHECKS.iter().map(|check| check.name()).collect();
    assert_eq!(names.len(), CHECKS.len());
    assert!(CHECKS.iter().all(|check| !check.clauses().is_empty()));
}
