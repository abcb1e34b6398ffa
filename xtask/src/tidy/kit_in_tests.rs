//! Tests of core and the stores that concern time run on the test kit, and none sleeps.
//!
//! Clippy keeps them from sleeping by the means of tokio and of threads. What is left is jobs on the system clock,
//! whose own sleeps are real: only the named tests start such jobs, and those do not sleep.

use super::Findings;
use super::tree::{File, Tree};

const DIRECTORIES: &[&str] =
    &["backgroundjobs-core/tests", "backgroundjobs-memory/tests", "backgroundjobs-sqlite/tests"];

/// They start jobs on the system clock, for what no kit can show.
const ON_THE_SYSTEM_CLOCK: &[(&str, &str)] = &[
    (
        "backgroundjobs-core/tests/real_clock.rs",
        "other processes' wakes, and a handler that blocks its thread",
    ),
    ("backgroundjobs-core/tests/real_threads.rs", "slots on several threads at one time"),
];

/// What shows that a file's jobs run on the kit.
const OF_THE_KIT: &[&str] = &["TestKit", "scene("];

/// What starts jobs, or waits for time.
const ON_TIME: &[&str] = &[".start().await", "SystemClock", "Env::system"];

pub(super) fn check(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    let mut on_the_kit = 0;
    for (file, rust) in tree.rust_files() {
        if !DIRECTORIES.contains(&file.directory()) || file.name().starts_with("process_") {
            continue;
        }
        if OF_THE_KIT.iter().any(|word| rust.code.contains(word)) {
            on_the_kit += 1;
            continue;
        }
        let may_start = ON_THE_SYSTEM_CLOCK.iter().any(|(path, _)| *path == file.path);
        for (index, line) in rust.code.lines().enumerate() {
            if ON_TIME.iter().any(|word| line.contains(word)) && !may_start {
                problem(&mut findings, file, index, "a test that starts jobs uses TestKit");
            }
            if line.contains("sleep(") || line.contains("sleep_until(") {
                problem(&mut findings, file, index, "without a TestKit this sleeps in real time");
            }
        }
    }
    for (path, _) in ON_THE_SYSTEM_CLOCK {
        if tree.files().len() > 1 && !tree.files().iter().any(|file| file.path == *path) {
            findings.problem(path, 0, "it is named in xtask/src/tidy/kit_in_tests.rs and is not there");
        }
    }
    findings.note(format!(
        "{on_the_kit} files of tests on the kit, {} on the system clock",
        ON_THE_SYSTEM_CLOCK.len()
    ));
    findings
}

fn problem(findings: &mut Findings, file: &File, index: usize, message: &str) {
    findings.problem(&file.path, index + 1, format!("{message}: tests of time run on the virtual clock"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(path: &str, text: &str) -> usize {
        check(&Tree::new(vec![File::new(path, text)])).problems.len()
    }

    #[test]
    fn jobs_without_a_kit_and_sleeps_are_problems() {
        let start = "fn test() { jobs.start().await; }\n";
        assert_eq!(problems("backgroundjobs-core/tests/a.rs", start), 1);
        assert_eq!(problems("backgroundjobs-memory/tests/a.rs", "fn f() { ctx.sleep(SECOND).await }\n"), 1);
        assert_eq!(problems("backgroundjobs-core/tests/a.rs", "fn f() { SystemClock::new() }\n"), 1);
        assert_eq!(problems("backgroundjobs-core/tests/real_clock.rs", start), 0);
        assert_eq!(problems("backgroundjobs-core/tests/real_clock.rs", "fn f() { ctx.sleep(S).await }\n"), 1);
    }

    #[test]
    fn jobs_on_a_kit_are_none() {
        let text = "fn test() { let kit = TestKit::new(); jobs.start().await; ctx.sleep(SECOND).await; }\n";
        assert_eq!(problems("backgroundjobs-core/tests/a.rs", text), 0);
        assert_eq!(problems("backgroundjobs-core/tests/process_a.rs", "fn f() { jobs.start().await }\n"), 0);
        assert_eq!(problems("examples/tests/a.rs", "fn f() { jobs.start().await }\n"), 0);
    }
}
