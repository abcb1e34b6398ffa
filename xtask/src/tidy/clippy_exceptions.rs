//! Time, chance and tasks come in through one door; the places behind the door are few and named here.

use super::Findings;
use super::tree::{File, Tree};

/// Where a listed method may be expected; a directory ends in a slash.
const MAY_EXPECT: &[&str] = &[
    "backgroundjobs-core/src/env/tokio_tasks.rs",
    "backgroundjobs-core/src/time/clock.rs",
    "backgroundjobs-testing/src/",
    "backgroundjobs-testing/tests/",
];

/// The root's list, and the packages with one of their own. Any other would quietly replace the root's.
const OWN_LISTS: &[&str] =
    &["clippy.toml", "benchmarks/clippy.toml", "examples/clippy.toml", "xtask/clippy.toml"];

const ONLY_THERE: &str = "only the system clock, Env on tokio, the test kit and tests/process_*.rs may use \
                          what clippy.toml lists; go through Env";

const LINTS: &[&str] = &["clippy::disallowed_methods", "clippy::disallowed_types"];

pub(super) fn check(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    let mut expected = 0;
    let mut files = 0;
    for (file, rust) in tree.rust_files() {
        let uses = lint_uses(&rust.code);
        files += usize::from(!uses.is_empty());
        expected += uses.len();
        for lint_use in uses {
            if !may_expect(file) {
                findings.problem(&file.path, lint_use.line, ONLY_THERE);
            } else if !lint_use.is_expected {
                findings.problem(&file.path, lint_use.line, "use #[expect], which goes away with its cause");
            }
        }
    }
    findings.note(format!("{expected} exceptions in {files} files"));
    check_lists(tree, &mut findings);
    findings
}

fn check_lists(tree: &Tree, findings: &mut Findings) {
    for file in tree.files() {
        let is_list = matches!(file.name(), "clippy.toml" | ".clippy.toml");
        if is_list && !OWN_LISTS.contains(&file.path.as_str()) {
            findings.problem(&file.path, 0, "this takes the place of the root's clippy.toml; remove it");
        }
    }
}

fn may_expect(file: &File) -> bool {
    let is_process_test = file.directory().ends_with("/tests") && file.name().starts_with("process_");
    let is_listed = |place: &&str| {
        if place.ends_with('/') { file.path.starts_with(place) } else { file.path == **place }
    };
    is_process_test || MAY_EXPECT.iter().any(is_listed)
}

#[derive(Debug, PartialEq, Eq)]
struct LintUse {
    line: usize,
    /// By `expect`, not by `allow` or `warn`.
    is_expected: bool,
}

fn lint_uses(code: &str) -> Vec<LintUse> {
    let mut uses: Vec<LintUse> = LINTS
        .iter()
        .flat_map(|lint| code.match_indices(lint))
        .map(|(position, _)| {
            let before = &code[..position];
            let attribute = before.rfind('#').map_or(before, |start| &before[start..]);
            LintUse { line: before.matches('\n').count() + 1, is_expected: attribute.contains("expect(") }
        })
        .collect();
    uses.sort_by_key(|lint_use| lint_use.line);
    uses
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPECTED: &str = "#[expect(clippy::disallowed_methods, reason = \"a\")]\nfn now() {}\n";

    #[test]
    fn an_attribute_over_several_lines_is_found() {
        let code =
            "#![allow(\n    clippy::disallowed_types,\n)]\n#[expect(\n    clippy::disallowed_methods\n)]";
        assert_eq!(
            lint_uses(code),
            [LintUse { line: 2, is_expected: false }, LintUse { line: 5, is_expected: true }]
        );
    }

    #[test]
    fn the_named_places_may_and_others_may_not() {
        let problems = |path: &str| check(&Tree::new(vec![File::new(path, EXPECTED)])).problems.len();
        assert_eq!(problems("backgroundjobs-core/src/time/clock.rs"), 0);
        assert_eq!(problems("backgroundjobs-testing/src/scheduler/real.rs"), 0);
        assert_eq!(problems("backgroundjobs-sqlite/tests/process_kill.rs"), 0);
        assert_eq!(problems("backgroundjobs-core/src/time/mod.rs"), 1);
        assert_eq!(problems("backgroundjobs-core/src/process_kill.rs"), 1);
    }

    #[test]
    fn comments_and_strings_are_not_exceptions() {
        let text = "// clippy::disallowed_methods\nconst NAME: &str = \"clippy::disallowed_methods\";\n";
        let findings = check(&Tree::new(vec![File::new("a.rs", text)]));
        assert_eq!(
            (findings.problems.len(), findings.notes),
            (0, vec!["0 exceptions in 0 files".to_owned()])
        );
    }

    #[test]
    fn a_new_list_is_a_problem() {
        let tree = Tree::new(vec![
            File::new("clippy.toml", ""),
            File::new("xtask/clippy.toml", ""),
            File::new("backgroundjobs-core/.clippy.toml", ""),
        ]);
        assert_eq!(check(&tree).problems.len(), 1);
    }
}
