//! Compiles one program against the libraries that this test run has built already.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// What a program here may use.
const LIBRARIES: &[&str] = &["backgroundjobs_core", "serde"];

pub(crate) struct Compiler {
    version: String,
    libraries: Vec<(&'static str, PathBuf)>,
    directories: BTreeSet<PathBuf>,
}

impl Compiler {
    pub(crate) fn new() -> Self {
        let version = run(rustc().arg("--version"));
        let mut compiler =
            Self { version: text(version.stdout), libraries: Vec::new(), directories: BTreeSet::new() };
        let built = run(cargo_that_lists_libraries().current_dir(workspace()));
        for line in text(built.stdout).lines() {
            compiler.take(&serde_json::from_str(line).expect("cargo writes JSON"));
        }
        for name in LIBRARIES {
            let count = compiler.libraries.iter().filter(|(known, _)| known == name).count();
            assert_eq!(count, 1, "cargo must name one library {name}");
        }
        compiler
    }

    /// Takes in one line of what cargo says.
    fn take(&mut self, line: &Value) {
        if line["reason"] != "compiler-artifact" || line["profile"]["test"] == true {
            return;
        }
        for file in line["filenames"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let file = Path::new(file);
            self.directories.extend(file.parent().map(Path::to_owned));
            let name = LIBRARIES.iter().find(|name| line["target"]["name"] == **name);
            if let (Some(name), Some("rlib")) = (name, file.extension().and_then(|end| end.to_str())) {
                self.libraries.push((name, file.to_owned()));
            }
        }
    }

    pub(crate) fn is_stable(&self, version: &str) -> bool {
        let number = self.version.split(' ').nth(1).unwrap_or_default();
        number.strip_prefix(version).is_some_and(|rest| rest.starts_with('.') && !rest.contains('-'))
    }

    /// Checks a program; answers all that the compiler said when it is refused.
    pub(crate) fn check(&self, program: &Path) -> Result<(), String> {
        let mut rustc = rustc();
        // From the root, so that the sources of this workspace are found and quoted.
        rustc.current_dir(workspace()).args(["--edition", "2024", "--crate-type", "bin"]);
        // What a message breaks and shortens depends on the width.
        rustc.args(["--emit", "metadata", "--color", "never", "--diagnostic-width", "140", "--out-dir"]);
        rustc.arg(env!("CARGO_TARGET_TMPDIR")).arg(program);
        for (name, file) in &self.libraries {
            rustc.arg("--extern").arg(format!("{name}={}", file.display()));
        }
        for directory in &self.directories {
            rustc.arg("-L").arg(format!("dependency={}", directory.display()));
        }
        let output = rustc.output().expect("rustc starts");
        if output.status.success() { Ok(()) } else { Err(text(output.stderr)) }
    }
}

fn rustc() -> Command {
    Command::new(env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc")))
}

/// A build of the whole workspace's libraries for tests: after `cargo test --workspace` there is nothing to do.
fn cargo_that_lists_libraries() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    cargo.args([
        "test",
        "--workspace",
        "--lib",
        "--no-run",
        "--locked",
        "--offline",
        "--message-format=json",
    ]);
    cargo
        .arg("--target-dir")
        .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is a part of the target directory"));
    cargo
}

pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a member is below the root")
}

fn run(command: &mut Command) -> Output {
    let output = command.output().expect("the command starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("cargo and rustc write UTF-8")
}
