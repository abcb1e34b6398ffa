//! Code in prose is compiled and run, or is not Rust.

use super::Findings;
use super::tree::{File, Tree, resolve};

/// What a block may hold beside Rust.
const OTHER_LANGUAGES: &[&str] = &["console", "mermaid", "sh", "sql", "text", "toml"];

/// What rustdoc still tests. `ignore` and `no_run` are not here: they let a block rot.
const TESTED: &[&str] = &["rust", "compile_fail", "edition2024", "should_panic"];

const UNREACHED: &str =
    "nothing compiles this Rust: only blocks of a library, or of a document that one includes, are tested";

pub(super) fn check(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    let mut tested = 0;
    for (file, rust) in tree.rust_files() {
        let doc_lines = rust.comments.lines().map(|line| doc_text(line).unwrap_or_default());
        let is_tested = is_in_library(file, tree);
        for block in blocks(doc_lines) {
            // In Rust's own comments a block without a word is Rust.
            let words = if block.words.is_empty() { vec!["rust"] } else { block.words };
            tested += judge(&file.path, block.line, &words, is_tested, &mut findings);
        }
    }
    let included = included_documents(tree);
    for file in tree.markdown_files() {
        let is_tested = included.contains(&file.path);
        for block in blocks(file.text.lines()) {
            tested += judge(&file.path, block.line, &block.words, is_tested, &mut findings);
        }
    }
    findings.note(format!("{tested} blocks of Rust are tested"));
    findings
}

/// Reports what is wrong with a block; answers 1 for Rust that is tested, else 0.
fn judge(path: &str, line: usize, words: &[&str], is_tested: bool, findings: &mut Findings) -> usize {
    if words.len() == 1 && OTHER_LANGUAGES.contains(&words[0]) {
        return 0;
    }
    if words.is_empty() {
        findings.problem(
            path,
            line,
            format!("a block names its language: rust, {}", OTHER_LANGUAGES.join(", ")),
        );
    } else if let Some(word) = words.iter().find(|word| !TESTED.contains(word)) {
        findings.problem(
            path,
            line,
            format!("`{word}` blocks are not tested; use rust, or text for an outline"),
        );
    } else if !is_tested {
        findings.problem(path, line, UNREACHED);
    } else {
        return 1;
    }
    0
}

/// Whether `cargo test` runs the doc examples of this file: it does for a library and not for a program.
fn is_in_library(file: &File, tree: &Tree) -> bool {
    let Some((package, rest)) = file.path.split_once("/src/") else { return false };
    let is_program = rest == "main.rs" || rest.starts_with("bin/");
    !is_program && tree.file(&format!("{package}/src/lib.rs")).is_some()
}

/// The documents that a library takes in whole as its docs.
fn included_documents(tree: &Tree) -> Vec<String> {
    let mut included = Vec::new();
    for (file, _) in tree.rust_files().filter(|(file, _)| is_in_library(file, tree)) {
        for (position, opening) in file.text.match_indices("include_str!(\"") {
            let target = file.text[position + opening.len()..].split('"').next().unwrap_or_default();
            included.extend(resolve(file.directory(), target));
        }
    }
    included
}

/// The text of a `///` or `//!` line.
fn doc_text(comment_line: &str) -> Option<&str> {
    let line = comment_line.trim();
    line.strip_prefix("///").or_else(|| line.strip_prefix("//!"))
}

struct Block<'a> {
    /// From 1.
    line: usize,
    /// What stands after the opening fence.
    words: Vec<&'a str>,
}

fn blocks<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<Block<'a>> {
    let mut blocks = Vec::new();
    let mut open: Option<&str> = None;
    for (index, line) in lines.enumerate() {
        let Some((fence, rest)) = fence(line) else { continue };
        match open {
            Some(opening) if rest.trim().is_empty() && fence.starts_with(opening) => open = None,
            Some(_) => {}
            None => {
                let words = rest.split([' ', ',']).map(str::trim).filter(|word| !word.is_empty()).collect();
                blocks.push(Block { line: index + 1, words });
                open = Some(fence);
            }
        }
    }
    blocks
}

/// The three or more backticks or tildes that a line starts with, and what follows them.
pub(super) fn fence(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_start();
    let mark = line.chars().next().filter(|mark| matches!(mark, '`' | '~'))?;
    let length = line.len() - line.trim_start_matches(mark).len();
    let (fence, rest) = line.split_at(length);
    // One line of three backticks around a word is code within a sentence.
    (length >= 3 && !(mark == '`' && rest.contains('`'))).then_some((fence, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(files: &[(&str, &str)]) -> Vec<String> {
        let tree = Tree::new(files.iter().map(|(path, text)| File::new(path, text)).collect());
        check(&tree).problems.into_iter().map(|problem| problem.to_string()).collect()
    }

    #[test]
    fn fences_pair_up_and_nest() {
        let text = "```rust\na\n```\n\n````text\n```rust\n```\n````\n~~~sh\n~~~\n";
        let found: Vec<(usize, Vec<&str>)> =
            blocks(text.lines()).into_iter().map(|block| (block.line, block.words)).collect();
        assert_eq!(found, [(1, vec!["rust"]), (5, vec!["text"]), (9, vec!["sh"])]);
    }

    #[test]
    fn blocks_in_a_library_are_tested_unless_they_say_otherwise() {
        assert_eq!(problems(&[("a/src/lib.rs", "//! ```\n//! let a = 1;\n//! ```\n")]), [""; 0]);
        assert_eq!(problems(&[("a/src/lib.rs", "/// ```text\n/// a\n/// ```\n")]), [""; 0]);
        for words in ["ignore", "rust,no_run", "ignore (slow)", "python"] {
            let text = format!("/// ```{words}\n/// ```\n");
            assert_eq!(problems(&[("a/src/lib.rs", &text)]).len(), 1, "{words}");
        }
    }

    #[test]
    fn blocks_that_no_doctest_reaches_are_a_problem() {
        let block = "/// ```\n/// ```\nfn main() {}\n";
        for path in ["a/src/main.rs", "a/src/bin/b.rs", "a/tests/b.rs"] {
            assert_eq!(problems(&[("a/src/lib.rs", ""), (path, block)]).len(), 1, "{path}");
        }
    }

    #[test]
    fn a_document_is_tested_when_a_library_includes_it() {
        let document = ("docs/a.md", "```rust\nlet a = 1;\n```\n");
        let library = ("a/src/lib.rs", "#[doc = include_str!(\"../../docs/a.md\")]\nstruct A;\n");
        assert_eq!(problems(&[document, library]), [""; 0]);
        assert_eq!(problems(&[document]).len(), 1);
    }

    #[test]
    fn a_block_in_a_document_names_its_language() {
        assert_eq!(problems(&[("a.md", "```\na\n```\n")]).len(), 1);
        assert_eq!(problems(&[("a.md", "```toml\na = 1\n```\n")]), [""; 0]);
    }
}
