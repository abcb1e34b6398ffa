//! The benchmarks: small, to see that they run, and in full, to measure.

use std::path::Path;

use crate::process;

/// Every benchmark, small: whether each job ran once is checked, and no time is judged. Built as the tests
/// are, so that what they built serves here too; an optimised build would cost the gate minutes and prove
/// nothing more.
pub(crate) const SMOKE: &[&str] =
    &["bench", "--workspace", "--bench", "*", "--locked", "--profile", "dev", "--", "--smoke"];

const FULL: &[&str] = &["bench", "--workspace", "--bench", "*", "--locked"];

pub(crate) fn smoke(root: &Path) -> Result<String, String> {
    run(root, SMOKE)
}

pub(crate) fn full(root: &Path) -> Result<String, String> {
    run(root, FULL)
}

fn run(root: &Path, arguments: &[&str]) -> Result<String, String> {
    let status = process::cargo()
        .args(arguments)
        .current_dir(root)
        .status()
        .map_err(|error| format!("cargo cannot be started: {error}"))?;
    if status.success() {
        Ok("every benchmark has run".to_owned())
    } else {
        Err(format!("`cargo {}` ended with {status}", arguments.join(" ")))
    }
}
