//! Crates depend in one direction, share the workspace's lints, and leave no test out.

use super::Findings;
use super::manifest::{self, Dependency};
use super::tree::{File, Tree};

/// Which crates of the workspace a crate may need to run. One that is not in this table fails, so that a new
/// crate takes its place knowingly.
const MAY_DEPEND_ON: &[(&str, &[&str])] = &[
    ("backgroundjobs-core", &[]),
    ("backgroundjobs-memory", &["backgroundjobs-core"]),
    ("backgroundjobs-sqlite", &["backgroundjobs-core"]),
    ("backgroundjobs-postgres", &["backgroundjobs-core"]),
    ("backgroundjobs-testing", &["backgroundjobs-core", "backgroundjobs-memory"]),
    ("benchmarks", &[ANY]),
    ("examples", &[ANY]),
    ("xtask", &[]),
];

const ANY: &str = "*";

pub(super) fn check(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    let manifests: Vec<(&str, &File)> = tree
        .files()
        .iter()
        .filter(|file| file.name() == "Cargo.toml" && !is_apart(&file.text))
        .filter_map(|file| Some((package_name(&file.text)?, file)))
        .collect();
    let workspace: Vec<&str> = manifests.iter().map(|(name, _)| *name).collect();
    for (name, file) in &manifests {
        check_direction(name, file, &workspace, &mut findings);
        check_settings(file, &mut findings);
        check_unit_tests(name, file, tree, &manifests, &mut findings);
    }
    findings
}

fn check_direction(name: &str, file: &File, workspace: &[&str], findings: &mut Findings) {
    let Some((_, allowed)) = MAY_DEPEND_ON.iter().find(|(listed, _)| *listed == name) else {
        let message =
            format!("xtask does not know which crates {name} may depend on; add it to MAY_DEPEND_ON");
        findings.problem(&file.path, 0, message);
        return;
    };
    for Dependency { name: needed, line } in manifest::dependencies(&file.text) {
        if workspace.contains(&needed) && !allowed.contains(&needed) && !allowed.contains(&ANY) {
            findings.problem(&file.path, line, format!("{name} must not depend on {needed}"));
        }
    }
}

fn check_settings(file: &File, findings: &mut Findings) {
    let entries = manifest::entries(&file.text);
    let shares_lints =
        entries.iter().any(|entry| (entry.section, entry.key, entry.value) == ("lints", "workspace", "true"));
    if !shares_lints {
        let message = "without `[lints] workspace = true` unsafe code and every other lint go unseen";
        findings.problem(&file.path, 0, message);
    }
    for entry in entries {
        let leaves_out = matches!(entry.key, "test" | "doctest" | "autotests") && entry.value == "false";
        if leaves_out {
            findings.problem(&file.path, entry.line, format!("`{} = false` leaves tests out", entry.key));
        }
    }
}

/// A crate's unit tests must not use a crate that depends on it: they would see two copies of its types.
fn check_unit_tests(
    package: &str,
    file: &File,
    tree: &Tree,
    manifests: &[(&str, &File)],
    findings: &mut Findings,
) {
    let source = format!("{}/src/", file.directory());
    let only_for_tests: Vec<&str> = manifest::dev_dependencies(&file.text)
        .iter()
        .map(|dependency| dependency.name)
        .filter(|name| depends_on(name, package, manifests))
        .collect();
    for (file, rust) in tree.rust_files().filter(|(file, _)| file.path.starts_with(&source)) {
        for (index, line) in rust.code.lines().enumerate() {
            for name in &only_for_tests {
                if line.contains(&name.replace('-', "_")) {
                    let message =
                        format!("{name} is for tests/ only; a unit test would see two copies of types");
                    findings.problem(&file.path, index + 1, message);
                }
            }
        }
    }
}

/// Whether the first crate of the workspace needs the second to run, itself or through others.
fn depends_on(name: &str, needed: &str, manifests: &[(&str, &File)]) -> bool {
    let Some((_, file)) = manifests.iter().find(|(listed, _)| *listed == name) else { return false };
    let mut direct = manifest::dependencies(&file.text).into_iter();
    direct.any(|dependency| dependency.name == needed || depends_on(dependency.name, needed, manifests))
}

/// Whether the package is a workspace of its own: a program to compare with, which shares nothing with ours.
fn is_apart(manifest: &str) -> bool {
    manifest.lines().any(|line| line.trim() == "[workspace]") && package_name(manifest).is_some()
}

/// The name in `[package]`; a manifest that only describes the workspace has none.
fn package_name(manifest: &str) -> Option<&str> {
    let entries = manifest::entries(manifest);
    let name = entries.iter().find(|entry| (entry.section, entry.key) == ("package", "name"))?;
    Some(name.value.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, rest: &str) -> File {
        let manifest = format!("[package]\nname = \"{name}\"\n\n[lints]\nworkspace = true\n\n{rest}");
        File::new(&format!("{name}/Cargo.toml"), &manifest)
    }

    fn messages(files: Vec<File>) -> Vec<String> {
        check(&Tree::new(files)).problems.into_iter().map(|problem| problem.to_string()).collect()
    }

    #[test]
    fn the_direction_is_kept() {
        let core = || member("backgroundjobs-core", "");
        let memory =
            || member("backgroundjobs-memory", "[dependencies]\nbackgroundjobs-core.workspace = true\n");
        assert_eq!(messages(vec![core(), memory()]), [""; 0]);

        let upward =
            member("backgroundjobs-core", "[dependencies]\nbackgroundjobs-memory.workspace = true\n");
        assert_eq!(
            messages(vec![upward, memory()]),
            [
                "backgroundjobs-core/Cargo.toml:8: backgroundjobs-core must not depend on backgroundjobs-memory"
            ]
        );
    }

    #[test]
    fn examples_may_depend_on_all_and_a_new_crate_is_asked_about() {
        let core = member("backgroundjobs-core", "");
        let examples = member("examples", "[dependencies]\nbackgroundjobs-core.workspace = true\n");
        assert_eq!(messages(vec![core, examples]), [""; 0]);
        assert_eq!(messages(vec![member("backgroundjobs-moon", "")]).len(), 1);
    }

    #[test]
    fn a_workspace_of_its_own_is_none_of_ours() {
        let apart = "[package]\nname = \"peer\"\n\n[workspace]\n";
        assert_eq!(messages(vec![File::new("benchmarks/peers/peer/Cargo.toml", apart)]), [""; 0]);
        assert_eq!(messages(vec![File::new("peer/Cargo.toml", "[package]\nname = \"peer\"\n")]).len(), 2);
    }

    #[test]
    fn every_crate_shares_the_lints_and_leaves_no_test_out() {
        let bare = File::new("xtask/Cargo.toml", "[package]\nname = \"xtask\"\n");
        assert_eq!(messages(vec![bare]).len(), 1);
        assert_eq!(messages(vec![member("xtask", "[[bin]]\ntest = false\n")]).len(), 1);
    }

    #[test]
    fn the_test_kit_stays_out_of_unit_tests_of_the_crates_that_it_depends_on() {
        let needs = |what: &str| format!("[dependencies]\n{what}.workspace = true\n");
        let tested = "[dev-dependencies]\nbackgroundjobs-testing.workspace = true\n";
        let testing = member("backgroundjobs-testing", &needs("backgroundjobs-memory"));
        let memory = member("backgroundjobs-memory", &needs("backgroundjobs-core"));
        let (core, examples) = (member("backgroundjobs-core", tested), member("examples", tested));
        let used = "//! See backgroundjobs_testing.\nuse backgroundjobs_testing::Kit;\n";
        let inside = File::new("backgroundjobs-core/src/lib.rs", used);
        let beside = File::new("backgroundjobs-core/tests/kit.rs", used);
        let example = File::new("examples/src/bin/web/unit_test_a_job.rs", used);
        let found = messages(vec![testing, memory, core, examples, inside, beside, example]);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("backgroundjobs-core/src/lib.rs:2: "), "{found:?}");
    }
}
