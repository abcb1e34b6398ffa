//! The example of a user's own tests: they pass, and they are there. A filter that no test matches passes, too.

use std::path::Path;
use std::process::Stdio;

use crate::process;

/// As the README has it.
const COMMAND: &[&str] = &["test", "-p", "examples", "--features", "web", "unit_test_a_job"];

pub(crate) fn run(root: &Path) -> Result<String, String> {
    let shown = format!("cargo {}", COMMAND.join(" "));
    let output = process::cargo()
        .args(COMMAND)
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("`{shown}` cannot be started: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return Err(format!("{said}\n`{shown}` ended with {}", output.status));
    }
    match tests_run(&said) {
        0 => Err(format!("{said}\n`{shown}` ran no test")),
        count => Ok(format!("`{shown}` ran {count} tests")),
    }
}

/// How many tests ran, over all test programs whose results stand in `said`. Cargo's own words go elsewhere.
fn tests_run(said: &str) -> u64 {
    let results = said.lines().filter_map(|line| line.strip_prefix("test result: ")?.split_once(". "));
    results.map(|(_, counts)| count_of(counts, "passed") + count_of(counts, "failed")).sum()
}

/// The number before `what` in `3 passed; 0 failed; 0 ignored; …`.
fn count_of(counts: &str, what: &str) -> u64 {
    let mut parts = counts.split("; ").filter_map(|part| part.split_once(' '));
    parts.find(|(_, name)| *name == what).and_then(|(number, _)| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::tests_run;

    const NOTHING: &str = "\nrunning 0 tests\n\ntest result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; \
                           4 filtered out; finished in 0.00s\n";

    const THREE: &str = "\nrunning 3 tests\ntest one ... ok\ntest two ... ok\ntest three ... FAILED\n\n\
                         test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; \
                         finished in 1.25s\n";

    #[test]
    fn the_tests_of_all_programs_are_counted_together() {
        assert_eq!(tests_run(&[NOTHING, THREE, NOTHING, THREE].concat()), 6);
    }

    #[test]
    fn tests_that_were_filtered_out_or_ignored_did_not_run() {
        assert_eq!(tests_run(NOTHING), 0);
        assert_eq!(
            tests_run("test result: ok. 0 passed; 0 failed; 7 ignored; 0 measured; 0 filtered out\n"),
            0
        );
        assert_eq!(tests_run(""), 0);
        assert_eq!(tests_run("test result: the words have changed\n"), 0);
    }
}
