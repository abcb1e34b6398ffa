//! [`Readings`]: what the rounds came to, as a table.

use std::collections::BTreeMap;
use std::fmt::Write;

/// One program in one mode.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) program: &'static str,
    /// The program's first argument.
    pub(super) mode: &'static str,
    pub(super) jobs: usize,
    /// The name of the row that it is compared with.
    reference: &'static str,
}

impl Row {
    pub(super) const fn new(
        name: &'static str,
        program: &'static str,
        mode: &'static str,
        jobs: usize,
        reference: &'static str,
    ) -> Self {
        Self { name, program, mode, jobs, reference }
    }
}

/// One run of a row.
#[derive(Clone, Copy)]
pub(super) struct Reading {
    /// By the program's watch.
    pub(super) seconds: f64,
    /// Of all its threads, from the start of the program to its end.
    pub(super) processor_seconds: f64,
}

/// The runs of each row, round by round.
#[derive(Default)]
pub(super) struct Readings(BTreeMap<&'static str, Vec<Reading>>);

impl Readings {
    pub(super) fn add(&mut self, row: &Row, reading: Reading) {
        self.0.entry(row.name).or_default().push(reading);
    }

    pub(super) fn report(&self, rows: &[Row], rounds: usize) -> String {
        let mut text =
            format!("min / median / max of {rounds} interleaved runs; a ratio is of the same round\n");
        let mut reference = "";
        for row in rows {
            if row.reference != reference {
                reference = row.reference;
                let head = format!("\n| row | jobs | jobs/s | / {reference} | processor, µs a job |\n");
                text.push_str(&head);
                text.push_str("|---|---|---|---|---|\n");
            }
            let rates = self.rates(rows, row.name);
            let references = self.rates(rows, reference);
            let ratios = rates.iter().zip(&references).map(|(rate, reference)| rate / reference).collect();
            let micros = |reading: &Reading| 1e6 * reading.processor_seconds / row.jobs as f64;
            let micros = self.0.get(row.name).into_iter().flatten().map(micros).collect();
            let (rate, ratio) = (shown(rates, |rate| format!("{rate:.0}")), shown(ratios, digits));
            let micros = shown(micros, |micros| format!("{micros:.1}"));
            writeln!(text, "| {} | {} | {rate} | {ratio} | {micros} |", row.name, row.jobs)
                .expect("a text takes all");
        }
        text
    }

    /// Jobs per second of the row of this name.
    fn rates(&self, rows: &[Row], name: &str) -> Vec<f64> {
        let jobs = rows.iter().find(|row| row.name == name).map_or(0, |row| row.jobs);
        let readings = self.0.get(name).into_iter().flatten();
        readings.map(|reading| jobs as f64 / reading.seconds).collect()
    }
}

fn digits(ratio: f64) -> String {
    if ratio < 0.1 { format!("{ratio:.4}") } else { format!("{ratio:.2}") }
}

fn shown(mut readings: Vec<f64>, write: impl Fn(f64) -> String) -> String {
    readings.sort_by(f64::total_cmp);
    let at = |index: usize| readings.get(index).copied().unwrap_or_default();
    let three = [at(0), at(readings.len() / 2), at(readings.len().saturating_sub(1))];
    three.map(write).join(" / ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_of_the_same_round() {
        let (ideal, ours) =
            (Row::new("ideal", "a", "x", 100, "ideal"), Row::new("ours", "b", "x", 50, "ideal"));
        let mut readings = Readings::default();
        for (of_ideal, of_ours) in [(1.0, 1.0), (2.0, 1.0), (4.0, 8.0)] {
            readings.add(&ideal, Reading { seconds: of_ideal, processor_seconds: 0.001 });
            readings.add(&ours, Reading { seconds: of_ours, processor_seconds: 0.002 });
        }
        let report = readings.report(&[ideal, ours], 3);
        assert!(
            report.contains("| ideal | 100 | 25 / 50 / 100 | 1.00 / 1.00 / 1.00 | 10.0 / 10.0 / 10.0 |"),
            "{report}"
        );
        assert!(
            report.contains("| ours | 50 | 6 / 50 / 50 | 0.25 / 0.50 / 1.00 | 40.0 / 40.0 / 40.0 |"),
            "{report}"
        );
    }

    #[test]
    fn a_small_ratio_keeps_its_digits() {
        assert_eq!((digits(0.0012), digits(0.7)), ("0.0012".to_owned(), "0.70".to_owned()));
    }
}
