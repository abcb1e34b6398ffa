//! Every check at once, and what came of it.

use std::fmt;
use std::sync::Arc;

use serde_json::json;

use super::operations::HEADING;
use super::{CHECKS, Check, StoreUnderTest, Verdict};
use crate::caught::caught;

/// What came of every check of a store. Written out it is a table in markdown, with the calls of each failure below.
#[derive(Clone, Debug)]
#[must_use = "a report says which clauses the store breaks"]
#[non_exhaustive]
pub struct ConformanceReport {
    /// What the store is called.
    pub store: &'static str,
    /// Each check, in the order of the catalogue.
    pub results: Vec<CheckResult>,
}

/// What came of one check.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CheckResult {
    /// The check.
    pub check: &'static Check,
    /// Passed, or skipped; or the message of its failure.
    pub outcome: Result<Verdict, String>,
}

/// Runs every check on stores of its own, one after the other, and goes on after a failure.
///
/// ```
/// use async_trait::async_trait;
/// use backgroundjobs_memory::MemoryStore;
/// use backgroundjobs_testing::conformance::{FreshStore, StoreUnderTest, run_all};
///
/// struct Memory;
///
/// #[async_trait]
/// impl StoreUnderTest for Memory {
///     async fn fresh(&self) -> FreshStore {
///         FreshStore::new(MemoryStore::new())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let report = run_all(Memory).await;
/// assert!(report.is_conforming(), "{report}");
/// # }
/// ```
pub async fn run_all(under_test: impl StoreUnderTest + 'static) -> ConformanceReport {
    let under_test: Arc<dyn StoreUnderTest> = Arc::new(under_test);
    let store = under_test.fresh().await.store().profile().name;
    let mut results = Vec::with_capacity(CHECKS.len());
    for check in CHECKS {
        results.push(CheckResult { check, outcome: caught(check.run(&under_test)).await });
    }
    ConformanceReport { store, results }
}

impl ConformanceReport {
    /// Whether no check failed. Some may have been skipped.
    #[must_use]
    pub fn is_conforming(&self) -> bool {
        self.failed().count() == 0
    }

    /// The checks that failed.
    pub fn failed(&self) -> impl Iterator<Item = &CheckResult> {
        self.results.iter().filter(|result| result.outcome.is_err())
    }

    /// The checks that were skipped.
    pub fn skipped(&self) -> impl Iterator<Item = &CheckResult> {
        self.results.iter().filter(|result| matches!(result.outcome, Ok(Verdict::Skipped(_))))
    }

    /// The report as JSON: `{"store", "checks": [{"name", "clauses", "outcome", "detail"}]}`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let checks: Vec<_> = self
            .results
            .iter()
            .map(|CheckResult { check, outcome }| {
                let (outcome, detail) = words(outcome);
                json!({"name": check.name(), "clauses": check.clauses(), "outcome": outcome, "detail": detail})
            })
            .collect();
        json!({"store": self.store, "checks": checks}).to_string()
    }
}

fn words(outcome: &Result<Verdict, String>) -> (&'static str, Option<String>) {
    match outcome {
        Ok(Verdict::Passed) => ("passed", None),
        Ok(Verdict::Skipped(missing)) => ("skipped", Some(format!("the store has no {missing:?}"))),
        Err(message) => ("failed", Some(message.clone())),
    }
}

impl fmt::Display for ConformanceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (failed, skipped) = (self.failed().count(), self.skipped().count());
        let passed = self.results.len() - failed - skipped;
        writeln!(
            f,
            "The {} store: {passed} checks passed, {failed} failed, {skipped} were skipped.\n",
            self.store
        )?;
        writeln!(f, "| check | clauses | outcome |\n|---|---|---|")?;
        for CheckResult { check, outcome } in &self.results {
            let (outcome, detail) = words(outcome);
            let detail = detail.map_or_else(String::new, |text| {
                // A cell is one line, and a bar would end it.
                let summary = text.split(HEADING).next().unwrap_or_default();
                format!(": {}", summary.replace('\n', " ").replace('|', "\\|"))
            });
            writeln!(f, "| `{}` | {} | {outcome}{detail} |", check.name(), check.clauses().join(", "))?;
        }
        for CheckResult { check, outcome } in self.failed() {
            let message = outcome.as_ref().err().map_or("", String::as_str);
            writeln!(f, "\n`{}` failed:\n\n```text\n{message}\n```", check.name())?;
        }
        Ok(())
    }
}
