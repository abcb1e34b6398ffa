//! The gate: what must pass before anything is merged, as a table of steps.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::{bench, examples, process, small_example, tidy, unit_test_a_job};

struct Step {
    name: &'static str,
    action: Action,
}

#[derive(Clone, Copy)]
enum Action {
    Cargo(&'static [&'static str]),
    /// Cargo with every warning of rustdoc as an error.
    StrictDocs(&'static [&'static str]),
    Check(fn(root: &Path) -> Result<String, String>),
}

const STEPS: &[Step] = &[
    Step { name: "format", action: Action::Cargo(&["fmt", "--all", "--check"]) },
    Step {
        name: "lints",
        action: Action::Cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--all-features",
            "--locked",
            "--",
            "-D",
            "warnings",
        ]),
    },
    Step { name: "tests and doctests", action: Action::Cargo(&["test", "--workspace", "--locked"]) },
    Step { name: "docs", action: Action::StrictDocs(&["doc", "--workspace", "--no-deps", "--locked"]) },
    Step { name: "tidy", action: Action::Check(tidy::run) },
    Step { name: "small example stays small", action: Action::Check(small_example::run) },
    Step { name: "examples", action: Action::Check(examples::run) },
    Step { name: "unit_test_a_job", action: Action::Check(unit_test_a_job::run) },
    Step { name: "benchmarks run", action: Action::Cargo(bench::SMOKE) },
];

pub(crate) fn run(root: &Path) -> Result<String, String> {
    run_steps(root, STEPS)
}

fn run_steps(root: &Path, steps: &[Step]) -> Result<String, String> {
    let gate_started = Instant::now();
    let mut durations = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let number = index + 1;
        println!("--- {number}/{} {}: {}", steps.len(), step.name, step.action);
        let started = Instant::now();
        let result = step.action.run(root);
        let duration = seconds(started.elapsed());
        match result {
            Ok(detail) => {
                if !detail.is_empty() {
                    println!("{detail}");
                }
                println!("--- {number}/{} {} passed in {duration}\n", steps.len(), step.name);
            }
            Err(failure) => {
                return Err(format!(
                    "{failure}\n\ngate failed at step {number} of {}, {}, after {duration} ({} in all); \
                     later steps did not run",
                    steps.len(),
                    step.name,
                    seconds(gate_started.elapsed()),
                ));
            }
        }
        durations.push(format!("{} {duration}", step.name));
    }
    Ok(format!(
        "gate passed: {} steps in {} ({})",
        steps.len(),
        seconds(gate_started.elapsed()),
        durations.join(", ")
    ))
}

impl Action {
    fn run(self, root: &Path) -> Result<String, String> {
        let mut command = process::cargo();
        match self {
            Self::Check(check) => return check(root),
            Self::Cargo(arguments) => command.args(arguments),
            Self::StrictDocs(arguments) => command.args(arguments).env("RUSTDOCFLAGS", "-D warnings"),
        };
        let status = command
            .current_dir(root)
            .status()
            .map_err(|error| format!("`{self}` cannot be started: {error}"))?;
        if status.success() { Ok(String::new()) } else { Err(format!("`{self}` ended with {status}")) }
    }
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cargo(arguments) => write!(f, "cargo {}", arguments.join(" ")),
            Self::StrictDocs(arguments) => {
                write!(f, "RUSTDOCFLAGS=\"-D warnings\" cargo {}", arguments.join(" "))
            }
            Self::Check(_) => f.write_str("in this program"),
        }
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_steps_that_pass_are_counted() {
        let steps = [Step { name: "one", action: Action::Check(|_| Ok("fine".to_owned())) }];
        let summary = run_steps(Path::new("."), &steps).unwrap();
        assert!(summary.starts_with("gate passed: 1 steps in "), "{summary}");
    }

    #[test]
    fn the_first_failure_stops_the_gate_and_names_the_step() {
        let steps = [
            Step { name: "one", action: Action::Check(|_| Err("line 7 is wrong".to_owned())) },
            Step { name: "two", action: Action::Check(|_| unreachable!("a step ran after a failure")) },
        ];
        let failure = run_steps(Path::new("."), &steps).unwrap_err();
        assert!(failure.starts_with("line 7 is wrong\n"), "{failure}");
        assert!(failure.contains("gate failed at step 1 of 2, one,"), "{failure}");
    }
}
