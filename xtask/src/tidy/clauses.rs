//! Each clause of the store contract has its own number, so that a check can name the clause it is about.

use std::collections::HashMap;

use super::Findings;
use super::tree::Tree;

/// Where the contract is written, in the docs of its methods.
const CONTRACT: &str = "backgroundjobs-core/src/store/";

pub(super) fn check(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    let mut first_places: HashMap<&str, (&str, usize)> = HashMap::new();
    for (file, rust) in tree.rust_files().filter(|(file, _)| file.path.starts_with(CONTRACT)) {
        for (index, line) in rust.comments.lines().enumerate() {
            for number in clause_numbers(line) {
                let Some((path, first_line)) = first_places.get(number) else {
                    first_places.insert(number, (&file.path, index + 1));
                    continue;
                };
                let message = format!("clause {number} is already at {path}:{first_line}; take a new number");
                findings.problem(&file.path, index + 1, message);
            }
        }
    }
    if first_places.is_empty() {
        findings.problem(CONTRACT, 0, "no clause was found; if the contract has moved, say where in xtask");
    }
    findings.note(format!("{} clauses", first_places.len()));
    findings
}

/// The numbers that a line gives out: `**C-4**` or `**F-1 Atomic.**`. A number in plain text only points.
fn clause_numbers(line: &str) -> impl Iterator<Item = &str> {
    line.split("**").skip(1).step_by(2).filter_map(|bold| bold.split(' ').next()).filter(|word| {
        word.split_once('-').is_some_and(|(letters, digits)| {
            let all = |text: &str, is: fn(char) -> bool| !text.is_empty() && text.chars().all(is);
            all(letters, |c| c.is_ascii_uppercase()) && all(digits, |c| c.is_ascii_digit())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::tree::File;
    use super::*;

    #[test]
    fn bold_numbers_are_clauses() {
        let line = "/// - **C-4** orders. **F-1 Atomic.** As in S-5, **not** *X-1* or **C-x**.";
        assert_eq!(clause_numbers(line).collect::<Vec<_>>(), ["C-4", "F-1"]);
    }

    #[test]
    fn a_number_given_out_twice_is_a_problem() {
        let one = File::new("backgroundjobs-core/src/store/a.rs", "/// **C-1** One.\n/// **C-2** Two.\n");
        let two = File::new("backgroundjobs-core/src/store/b.rs", "/// **N-1** Three. **C-2** Four.\n");
        let other = File::new("backgroundjobs-core/src/job.rs", "/// **C-1** is elsewhere.\n");
        let findings = check(&Tree::new(vec![one, two, other]));
        assert_eq!(findings.problems.len(), 1);
        assert!(findings.problems[0].message.starts_with("clause C-2 is already at"), "{findings:?}");
        assert_eq!(findings.notes, ["3 clauses"]);
    }

    #[test]
    fn a_contract_without_clauses_is_a_problem() {
        assert_eq!(check(&Tree::new(Vec::new())).problems.len(), 1);
    }

    #[test]
    fn one_line_cannot_give_out_a_number_twice() {
        let one = File::new("backgroundjobs-core/src/store/a.rs", "/// **C-1** One. **C-1** Two.\n");
        assert_eq!(check(&Tree::new(vec![one])).problems.len(), 1);
    }
}
