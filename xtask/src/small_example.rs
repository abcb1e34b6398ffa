//! The small example stays small: a web framework or a database driver never becomes a price of entry.

use std::path::Path;

use crate::process;

const TOO_LARGE: &[&str] = &["axum", "sqlx"];

pub(crate) fn run(root: &Path) -> Result<String, String> {
    let output = process::cargo()
        .args(["tree", "--package", "examples", "--edges", "normal", "--prefix", "none", "--locked"])
        .current_dir(root)
        .output()
        .map_err(|error| format!("`cargo tree` cannot be started: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "`cargo tree` ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        ));
    }
    let packages = package_names(&String::from_utf8_lossy(&output.stdout));
    let large: Vec<&str> = packages.iter().map(String::as_str).filter(|name| is_too_large(name)).collect();
    if large.is_empty() {
        return Ok(format!("the examples compile {} packages without features", packages.len()));
    }
    Err(format!(
        "the examples compile {} without any feature; make the dependency optional, behind a feature",
        large.join(", ")
    ))
}

fn is_too_large(package: &str) -> bool {
    let belongs_to = |family: &&str| {
        package.strip_prefix(*family).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    TOO_LARGE.iter().any(belongs_to)
}

/// The distinct first words of the lines, which is where `cargo tree` without a prefix puts the names.
fn package_names(tree: &str) -> Vec<String> {
    let mut names: Vec<String> =
        tree.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect();
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::{is_too_large, package_names};

    #[test]
    fn a_package_that_appears_twice_is_one() {
        let tree = "examples v0.1.0 (/a)\nserde v1.0.229\ntokio v1.54.1\n\nserde v1.0.229 (*)\n";
        assert_eq!(package_names(tree), ["examples", "serde", "tokio"]);
    }

    #[test]
    fn a_family_is_known_by_its_name_and_prefix() {
        let large: Vec<bool> =
            ["axum", "axum-core", "sqlx-sqlite", "sqlxyz", "tokio"].map(is_too_large).into();
        assert_eq!(large, [true, true, true, false, false]);
    }
}
