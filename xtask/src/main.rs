//! The project's own commands, run as `cargo xtask <command>`; `cargo xtask help` lists them.

mod bench;
mod examples;
mod gate;
mod peers;
mod process;
mod seam;
mod small_example;
mod tidy;
mod unit_test_a_job;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

struct Command {
    name: &'static str,
    about: &'static str,
    run: fn(root: &Path) -> Result<String, String>,
}

const COMMANDS: &[Command] = &[
    Command { name: "test", about: "the whole gate, in order, up to the first failure", run: gate::run },
    Command {
        name: "tidy",
        about: "the rules about the files themselves that no other tool checks",
        run: tidy::run,
    },
    Command { name: "examples", about: "run each example and check what it prints", run: examples::run },
    Command {
        name: "bench",
        about: "run every benchmark in full and print what it measured: minutes",
        run: bench::full,
    },
    Command {
        name: "bench --smoke",
        about: "run every benchmark small, and judge no time",
        run: bench::smoke,
    },
    Command {
        name: "peers",
        about: "the SQLite store beside an ideal loop and other job systems, in turns: builds all, then minutes",
        run: peers::run,
    },
    Command {
        name: "seam",
        about: "count the instructions that the test kit's seam costs a job; needs valgrind",
        run: seam::run,
    },
    Command { name: "help", about: "this list", run: |_| Ok(help()) },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let name = arguments.join(" ");
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        eprintln!("xtask has no command `{name}`\n\n{}", help());
        return ExitCode::from(2);
    };
    match (command.run)(&root()) {
        Ok(summary) => {
            println!("{summary}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn help() -> String {
    let width = COMMANDS.iter().map(|command| command.name.len()).max().unwrap_or(0);
    let rows: Vec<String> = COMMANDS
        .iter()
        .map(|command| format!("  cargo xtask {:width$}  {}", command.name, command.about))
        .collect();
    rows.join("\n")
}

/// The workspace: cargo names this package's directory when it runs it, and the workspace is one up.
fn root() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    manifest.as_deref().and_then(Path::parent).unwrap_or(Path::new(".")).to_path_buf()
}
