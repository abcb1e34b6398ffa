//! Files are short enough to be read in one go.

use super::Findings;
use super::tree::Tree;

/// A Rust file longer than this is listed.
const LONG_LINES: usize = 400;
/// A Rust file longer than this fails.
const MAX_LINES: usize = 500;

/// The first program that a reader sees, and what it may take: it fits on one screen.
const FIRST_EXAMPLE: (&str, usize) = ("examples/src/bin/register_user.rs", 30);

pub(super) fn check(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    for (file, _) in tree.rust_files() {
        let lines = file.text.lines().count();
        if lines > MAX_LINES {
            findings.problem(&file.path, 0, format!("{lines} lines, {MAX_LINES} at most; split it by ideas"));
        } else if lines > LONG_LINES {
            findings.note(format!("{} is long: {lines} lines", file.path));
        }
    }
    check_first_example(tree, &mut findings);
    findings
}

fn check_first_example(tree: &Tree, findings: &mut Findings) {
    let (path, max) = FIRST_EXAMPLE;
    match tree.file(path).map(|file| file.text.lines().count()) {
        None => findings.problem(path, 0, "the first example is not there"),
        Some(lines) if lines > max => {
            findings.problem(path, 0, format!("{lines} lines, and the first example has at most {max}"));
        }
        Some(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree::File;
    use super::*;

    fn with_lines(path: &str, lines: usize) -> File {
        File::new(path, &"//\n".repeat(lines))
    }

    #[test]
    fn the_limits_themselves_are_allowed() {
        let tree = Tree::new(vec![with_lines("a.rs", MAX_LINES), with_lines(FIRST_EXAMPLE.0, 30)]);
        let findings = check(&tree);
        assert_eq!(findings.problems, []);
        assert_eq!(findings.notes, ["a.rs is long: 500 lines"]);
    }

    #[test]
    fn one_line_more_is_a_problem() {
        let tree = Tree::new(vec![with_lines("a.rs", MAX_LINES + 1), with_lines(FIRST_EXAMPLE.0, 31)]);
        assert_eq!(check(&tree).problems.len(), 2);
    }

    #[test]
    fn the_first_example_must_be_there() {
        assert_eq!(check(&Tree::new(Vec::new())).problems.len(), 1);
    }
}
