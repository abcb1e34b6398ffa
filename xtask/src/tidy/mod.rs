//! Rules about the files themselves that no other tool checks. Each rule is one file here and one row below.

mod clauses;
mod clippy_exceptions;
mod code_blocks;
mod kit_in_tests;
mod leftovers;
mod lengths;
mod links;
mod machine_paths;
mod manifest;
mod members;
mod rust_source;
mod tree;

use std::fmt;
use std::path::Path;

use tree::Tree;

struct Check {
    rule: &'static str,
    run: fn(&Tree) -> Findings,
}

const CHECKS: &[Check] = &[
    Check { rule: "files are short enough to read", run: lengths::check },
    Check { rule: "clippy's lists are overruled in few, named places", run: clippy_exceptions::check },
    Check { rule: "tests of time run on the kit, and none sleeps", run: kit_in_tests::check },
    Check { rule: "code in prose is tested", run: code_blocks::check },
    Check { rule: "nothing is left over from the work", run: leftovers::check },
    Check { rule: "crates depend in one direction and share the lints", run: members::check },
    Check { rule: "no path of one machine", run: machine_paths::check },
    Check { rule: "links between documents lead somewhere", run: links::check },
    Check { rule: "each clause of the store contract has its own number", run: clauses::check },
];

/// What one check found.
#[derive(Debug, Default)]
struct Findings {
    /// What must be changed.
    problems: Vec<Problem>,
    /// What is worth knowing.
    notes: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
struct Problem {
    path: String,
    /// From 1; 0 when the whole file is meant.
    line: usize,
    message: String,
}

impl Findings {
    fn problem(&mut self, path: &str, line: usize, message: impl Into<String>) {
        self.problems.push(Problem { path: path.to_owned(), line, message: message.into() });
    }

    fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.message),
            line => write!(f, "{}:{line}: {}", self.path, self.message),
        }
    }
}

pub(crate) fn run(root: &Path) -> Result<String, String> {
    let tree = Tree::read(root)?;
    let mut failed = Vec::new();
    let mut problems = 0;
    for check in CHECKS {
        let findings = (check.run)(&tree);
        println!("{:5} {}", if findings.problems.is_empty() { "ok" } else { "wrong" }, check.rule);
        for note in &findings.notes {
            println!("      {note}");
        }
        if findings.problems.is_empty() {
            continue;
        }
        problems += findings.problems.len();
        let listed: Vec<String> = findings.problems.iter().map(|problem| format!("  {problem}")).collect();
        failed.push(format!("{}:\n{}", check.rule, listed.join("\n")));
    }
    if failed.is_empty() {
        return Ok(format!("tidy: {} files, {} rules, no problem", tree.files().len(), CHECKS.len()));
    }
    Err(format!("{}\ntidy: {problems} problems in {} files", failed.join("\n"), tree.files().len()))
}
