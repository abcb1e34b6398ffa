//! No file names a directory of the machine that it was written on.

use super::Findings;
use super::tree::{File, Tree};

/// First directories of absolute paths that exist on one machine and not on another.
const ROOTS: &[&str] = &["home", "root", "tmp", "work", "Users"];

const ENDINGS: &[&str] = &[".rs", ".md", ".toml", ".sh"];

pub(super) fn check(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    for file in tree.files().iter().filter(|file| is_checked(file)) {
        for (index, line) in file.text.lines().enumerate() {
            if let Some(root) = ROOTS.iter().find(|root| names_path_under(line, root)) {
                let message =
                    format!("a path under /{root} exists on one machine only; derive it, or describe it");
                findings.problem(&file.path, index + 1, message);
            }
        }
    }
    findings
}

fn is_checked(file: &File) -> bool {
    let is_text = ENDINGS.iter().any(|ending| file.path.ends_with(ending)) || file.directory() == ".ci";
    // A script that asks mktemp for its directory may name the place where such directories are.
    let is_measuring_script =
        file.path.starts_with("benchmarks/") && file.path.ends_with(".sh") && file.text.contains("mktemp");
    is_text && !is_measuring_script
}

/// Whether an absolute path begins in `line` with the directory `root`.
fn names_path_under(line: &str, root: &str) -> bool {
    let needle = format!("/{root}/");
    line.match_indices(&needle).any(|(position, _)| {
        let before = &line[..position];
        // In `src/data/` or `$dir/data/` the slash goes on; in `sqlite:///data/` the path is absolute.
        let goes_on = |character: char| character.is_alphanumeric() || "/._-~*})>".contains(character);
        before.ends_with("://") || !before.ends_with(goes_on)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Put together here, so that this file names no such path itself.
    fn under(root: &str, rest: &str) -> String {
        format!("/{root}/{rest}")
    }

    #[test]
    fn absolute_paths_are_found() {
        for (before, root) in
            [("", "home"), ("see `", "work"), ("\"", "tmp"), ("sqlite://", "tmp"), ("HOME=", "root")]
        {
            assert!(names_path_under(&format!("{before}{}", under(root, "a")), root), "{before}");
        }
    }

    #[test]
    fn parts_of_other_paths_are_left_alone() {
        for before in ["src", "$dir", "${dir}", "https://example.org", "https:/", "..", "target"] {
            assert!(!names_path_under(&format!("{before}{}", under("work", "a")), "work"), "{before}");
        }
    }

    #[test]
    fn only_a_measuring_script_with_mktemp_is_left_out() {
        let problems = |path: &str, text: &str| check(&Tree::new(vec![File::new(path, text)])).problems.len();
        let text = format!("mktemp -d {}", under("tmp", "probe"));
        assert_eq!(problems("benchmarks/probe/run.sh", &text), 0);
        assert_eq!(problems("benchmarks/README.md", &text), 1);
        assert_eq!(problems(".ci/run", &text), 1);
        assert_eq!(problems("data.csv", &text), 0);
    }
}
