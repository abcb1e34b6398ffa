//! Every clause of the contract has a check and a mutant, and every check a clause; `docs/conformance.md` is their
//! table.

#[path = "planted/mutants.rs"]
#[allow(dead_code, reason = "only the list is looked at here")]
mod mutants;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;

use backgroundjobs_testing::conformance::{CHECKS, Check};
use mutants::MUTANTS;

const CONTRACT: [&str; 3] = [
    include_str!("../../backgroundjobs-core/src/store/mod.rs"),
    include_str!("../../backgroundjobs-core/src/store/inspect.rs"),
    include_str!("../../backgroundjobs-core/src/store/control.rs"),
];

/// Clauses that no check of one fresh store can show, or not wholly.
const BEYOND: [(&str, &str); 3] = [
    (
        "F-5",
        "work cannot be counted from outside; the limits themselves are checked by C-3, V-4, P-2 and N-5",
    ),
    ("C-8", "work cannot be counted from outside, and no check judges time"),
    ("W-2", "takes a second process"),
];

/// Rewrites the document instead of comparing it.
const WRITE: &str = "BACKGROUNDJOBS_WRITE_DOCS";

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/conformance.md");

const HEAD: &str = "\
# The clauses, their checks, their mutants

Each clause of the store contract ([store/mod.rs](../backgroundjobs-core/src/store/mod.rs), whose text counts; here are
first sentences) with the [conformance checks](../backgroundjobs-testing/src/conformance) that are about it, and the
[mutants](../backgroundjobs-testing/tests/planted/mutants.rs) that break it: a plain store with one bug each. Tests see
to it that each mutant is killed by a check that is about its clause, and that each check kills a mutant. A check that
several clauses share stands with each.

This page is generated; `BACKGROUNDJOBS_WRITE_DOCS=1 cargo test -p backgroundjobs-testing --test clauses` writes it.

";

struct Clause {
    /// As in `C-4`.
    number: &'static str,
    /// The method whose docs it stands in; empty for one of the whole trait.
    method: &'static str,
    sentence: String,
}

/// What the contract says, clause by clause, in its order.
fn contract() -> Vec<Clause> {
    let mut clauses = Vec::new();
    for text in CONTRACT {
        // Numbers stand in bold: `**C-4**`, `**S-1 Fenced.**`.
        let bold: Vec<_> = text.match_indices("**").map(|(index, _)| index).collect();
        for ends in bold.chunks_exact(2) {
            let (inside, rest) = (&text[ends[0] + 2..ends[1]], &text[ends[1] + 2..]);
            let number = inside.split([' ', '.']).next().unwrap_or_default();
            let is_clause = number
                .split_once('-')
                .is_some_and(|(letter, digits)| letter.len() == 1 && digits.parse::<u8>().is_ok());
            if is_clause {
                let line = text[..ends[0]].lines().next_back().unwrap_or_default();
                let of_method = line.starts_with(' ').then(|| rest.split_once(" fn ")).flatten();
                let method = of_method.and_then(|(_, next)| next.split('(').next()).unwrap_or_default();
                let sentence = first_sentence(&inside[number.len()..], rest);
                clauses.push(Clause { number, method, sentence });
            }
        }
    }
    clauses
}

/// The title, if there is one, and the text up to its first full stop, in one line and without links.
fn first_sentence(title: &str, rest: &str) -> String {
    let rest = rest.split("**").next().unwrap_or_default();
    let lines = rest.lines().map(|line| line.trim().trim_start_matches("///").trim());
    let text: Vec<_> = lines.take_while(|line| !line.is_empty() && *line != "-").collect();
    let mut text = text.join(" ");
    while let Some(start) = text.find("](") {
        let end = text[start..].find(')').map_or(text.len(), |end| start + end + 1);
        text.replace_range(start..end, "");
    }
    let text = text.replace(['[', ']'], "").replace('|', "\\|");
    let sentence = text.split_inclusive(". ").next().unwrap_or_default();
    format!("{} {}", title.trim(), sentence.trim()).trim().to_owned()
}

fn clauses() -> BTreeSet<&'static str> {
    contract().iter().map(|clause| clause.number).collect()
}

/// The whole document.
fn document() -> String {
    let mut text = HEAD.to_owned();
    let all = contract();
    let count = (all.len(), CHECKS.len(), MUTANTS.len());
    writeln!(text, "{} clauses, {} checks, {} mutants.\n", count.0, count.1, count.2).expect("text");
    text.push_str("| Clause | Of | In short | Checks | Mutants |\n|---|---|---|---|---|\n");
    for Clause { number, method, sentence } in all {
        let about = CHECKS.iter().filter(|check| check.clauses().contains(&number));
        let mut checks: Vec<_> = about.map(|check| format!("`{}`", check.name())).collect();
        checks.extend(
            BEYOND.iter().filter(|beyond| beyond.0 == number).map(|beyond| format!("({})", beyond.1)),
        );
        let mutants = MUTANTS.iter().filter(|planted| planted.clause == number);
        let mutants: Vec<_> = mutants.map(|planted| format!("{:?}", planted.mutant)).collect();
        let of = if method.is_empty() { "every call".to_owned() } else { format!("`{method}`") };
        let (checks, mutants) = (checks.join(", "), mutants.join(", "));
        writeln!(text, "| {number} | {of} | {sentence} | {checks} | {mutants} |").expect("text");
    }
    text
}

#[test]
fn the_document_is_the_table() {
    let expected = document();
    if std::env::var_os(WRITE).is_some() {
        fs::write(DOCUMENT, &expected).expect("docs/conformance.md can be written");
    }
    let seen = fs::read_to_string(DOCUMENT).unwrap_or_default();
    let same = seen.lines().zip(expected.lines()).take_while(|(seen, expected)| seen == expected).count();
    let line = expected.lines().nth(same).unwrap_or("(nothing more)");
    assert!(
        seen == expected,
        "docs/conformance.md is old; run `{WRITE}=1 cargo test -p backgroundjobs-testing --test clauses`. \
         Line {} is to be:\n{line}",
        same + 1
    );
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
fn every_clause_that_can_be_checked_has_a_mutant_that_a_check_about_it_kills() {
    for planted in MUTANTS {
        let check = Check::find(planted.killer);
        let about_it = check.is_some_and(|check| check.clauses().contains(&planted.clause));
        assert!(about_it, "{planted:?}: no check of this name is about this clause");
    }
    let broken: BTreeSet<_> = MUTANTS.iter().map(|planted| planted.clause).collect();
    let checked: BTreeSet<_> = CHECKS.iter().flat_map(|check| check.clauses()).copied().collect();
    let whole: Vec<_> = checked.difference(&broken).collect();
    assert!(whole.is_empty(), "clauses that no mutant breaks: {whole:?}");
}

#[test]
fn names_are_told_apart() {
    let names: BTreeSet<_> = CHECKS.iter().map(|check| check.name()).collect();
    assert_eq!(names.len(), CHECKS.len());
    let mutants: BTreeSet<_> = MUTANTS.iter().map(|planted| format!("{:?}", planted.mutant)).collect();
    assert_eq!(mutants.len(), MUTANTS.len());
    assert!(CHECKS.iter().all(|check| !check.clauses().is_empty()));
}
