//! What somebody meant to come back to is done, or in an issue; it is not in the code.

use super::Findings;
use super::tree::Tree;

const IN_CODE: &[(&str, &str)] = &[
    ("todo!(", "write it, or leave the feature out"),
    ("unimplemented!(", "write it, or leave the feature out"),
    ("dbg!(", "remove it"),
    ("#[ignore", "repair the test or delete it; a test that never runs proves nothing"),
];

const IN_COMMENTS: &[(&str, &str)] =
    &[("FIXME", "repair it, or open an issue"), ("XXX", "say what is meant")];

pub(super) fn check(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    for (file, rust) in tree.rust_files() {
        report(&file.path, &rust.code, IN_CODE, &mut findings);
        report(&file.path, &rust.comments, IN_COMMENTS, &mut findings);
    }
    for file in tree.markdown_files() {
        report(&file.path, &file.text, IN_COMMENTS, &mut findings);
    }
    findings
}

fn report(path: &str, text: &str, words: &[(&str, &str)], findings: &mut Findings) {
    for (index, line) in text.lines().enumerate() {
        for (word, advice) in words {
            if contains_word(line, word) {
                findings.problem(path, index + 1, format!("`{word}` is left over: {advice}"));
            }
        }
    }
}

/// Whether `word` stands in `line` and is not the end of a longer name, nor, if a plain word, its beginning.
fn contains_word(line: &str, word: &str) -> bool {
    let is_name = |character: Option<char>| character.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(position, _)| {
        let before = line[..position].chars().next_back();
        let after = line[position + word.len()..].chars().next();
        !is_name(before)
            && (!word.ends_with(char::is_alphanumeric) || word.starts_with('#') || !is_name(after))
    })
}

#[cfg(test)]
mod tests {
    use super::super::tree::File;
    use super::*;

    fn problems(path: &str, text: &str) -> usize {
        check(&Tree::new(vec![File::new(path, text)])).problems.len()
    }

    #[test]
    fn leftovers_are_found_where_they_count() {
        assert_eq!(problems("a.rs", "fn f() { std::todo!() }\n"), 1);
        assert_eq!(problems("a.rs", "#[test]\n#[ignore = \"slow\"]\nfn f() {}\n"), 1);
        assert_eq!(problems("a.rs", "let a = 1; // FIXME: later\n"), 1);
        assert_eq!(problems("a.md", "FIXME\n"), 1);
    }

    #[test]
    fn names_and_strings_that_resemble_them_are_left_alone() {
        assert_eq!(problems("a.rs", "my_todo!(); let a = \"FIXME\"; // say todo!( aloud, XXXL\n"), 0);
        assert_eq!(problems("a.rs", "// #[ignore] has no place here\n"), 0);
    }
}
