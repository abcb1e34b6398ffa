//! How to see a failure again.

use super::seeds::VARIABLE;

/// The command that runs this test alone, with the seed that an exploration was at.
pub(crate) fn command(seed: Option<u64>) -> String {
    let seed = seed.map_or_else(String::new, |seed| format!("{VARIABLE}={seed} "));
    // Cargo tells a test's process which package it is of, and libtest names its threads.
    let package =
        std::env::var("CARGO_PKG_NAME").map_or_else(|_| String::new(), |name| format!(" -p {name}"));
    let thread = std::thread::current();
    let test = thread.name().filter(|name| *name != "main" && !name.starts_with("tokio-"));
    let test = test.map_or_else(String::new, |name| format!(" {name}"));
    format!("{seed}cargo test{package}{test}")
}
