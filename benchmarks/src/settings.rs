//! [`Settings`]: the options that every benchmark takes; and how each ends.

use std::process::ExitCode;

/// How much to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Numbers of jobs, the small ones first.
    pub sizes: Vec<usize>,
    /// Runs of each row that count; one more, before them, does not.
    pub runs: usize,
    /// Only whether everything ends well; what time it takes is not looked at.
    pub smoke: bool,
    /// Parts of the names of the rows to run; none means all, and what is no row as well.
    pub rows: Vec<String>,
}

const USAGE: &str = "options: --smoke, --n 10000,100000, --runs 5, --rows limit+many";

impl Settings {
    /// Reads the program's arguments, which may leave out how many jobs; ends the program when they make no sense.
    #[must_use]
    pub fn from_arguments(sizes: &[usize]) -> Self {
        match Self::parse(std::env::args().skip(1), sizes) {
            Ok(settings) => settings,
            Err(error) => {
                eprintln!("{error}; {USAGE}");
                std::process::exit(2);
            }
        }
    }

    /// Whether the row of this name is to run.
    #[must_use]
    pub fn wants(&self, row: &str) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|part| row.contains(part.as_str()))
    }

    fn parse(arguments: impl IntoIterator<Item = String>, sizes: &[usize]) -> Result<Self, String> {
        let mut settings = Self { sizes: sizes.to_vec(), runs: 5, smoke: false, rows: Vec::new() };
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("`{argument}` needs a value"));
            match argument.as_str() {
                // Cargo says so to each benchmark.
                "--bench" => {}
                "--smoke" => {
                    settings = Self { sizes: vec![2_000], runs: 1, smoke: true, rows: Vec::new() };
                }
                "--runs" => settings.runs = number(&value()?)?.max(1),
                "--rows" => settings.rows = value()?.split('+').map(str::to_owned).collect(),
                "--n" => settings.sizes = value()?.split(',').map(number).collect::<Result<_, _>>()?,
                _ => return Err(format!("`{argument}` is no option")),
            }
        }
        settings.sizes.sort_unstable();
        settings.sizes.dedup();
        Ok(settings)
    }
}

/// How a benchmark's program ends.
#[must_use]
pub fn exit(ended: Result<(), String>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn number(text: &str) -> Result<usize, String> {
    text.replace('_', "").parse().map_err(|_| format!("`{text}` is no number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Settings, String> {
        Settings::parse(line.split_whitespace().map(str::to_owned), &[10_000, 100_000])
    }

    #[test]
    fn options_are_read_and_others_refused() {
        let full = parse("--bench").unwrap();
        assert_eq!((full.sizes, full.runs, full.smoke), (vec![10_000, 100_000], 5, false));
        let set = parse("--n 5000,100 --runs 9").unwrap();
        assert_eq!((set.sizes, set.runs), (vec![100, 5_000], 9));
        assert!(parse("--smoke --bench").unwrap().smoke);
        let some = parse("--rows limit+64").unwrap();
        assert!(some.wants("many, 64 slots") && !some.wants("many, 8 slots"));
        for wrong in ["--fast", "--n", "--n ten", "--runs"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
