//! What the compiler says to the likeliest mistakes of users: each program in `compile_fail/fails` is refused, with
//! the message that stands beside it; each in `compile_fail/passes` compiles.
//!
//! The messages are those of one compiler; any other must refuse the same programs, in words of its own. After a
//! change that is meant, `WRITE_MESSAGES=1 cargo test -p backgroundjobs-core --test process_compile_fail` writes
//! them anew; read what has changed before you commit it.

#[path = "compile_fail/compiler.rs"]
mod compiler;
#[path = "compile_fail/message.rs"]
mod message;

use std::fs;
use std::path::{Path, PathBuf};

use compiler::Compiler;

/// Whose messages are on file.
const VERSION: &str = "1.95";

#[test]
fn each_mistake_is_refused_with_the_message_on_file_and_what_is_right_compiles() {
    let compiler = Compiler::new();
    let mut problems = Vec::new();
    // First: if these fail, the others fail for a reason that is not theirs.
    for program in programs("passes") {
        if let Err(output) = compiler.check(&program) {
            problems.push(format!("{} does not compile:\n{output}", program.display()));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));

    let programs = programs("fails");
    for program in &programs {
        match compiler.check(program) {
            Ok(()) => problems.push(format!("{} compiles, and should not", program.display())),
            Err(output) if compiler.is_stable(VERSION) => {
                problems.extend(compare(program, &message::normalized(&output, program)));
            }
            Err(_) => {}
        }
    }
    let without_program = |message: &PathBuf| !programs.contains(&message.with_extension("rs"));
    for message in files("fails", "stderr").into_iter().filter(without_program) {
        problems.push(format!("{} is the message of no program", message.display()));
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

fn compare(program: &Path, found: &str) -> Option<String> {
    let file = compiler::workspace().join(program).with_extension("stderr");
    if std::env::var_os("WRITE_MESSAGES").is_some() {
        fs::write(&file, found).expect("the message can be written");
        return None;
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    (expected != found).then(|| {
        format!(
            "the message for {} has changed; if that is meant, run this test with WRITE_MESSAGES=1\n\
             --- on file\n{expected}--- found\n{found}",
            program.display()
        )
    })
}

fn programs(directory: &str) -> Vec<PathBuf> {
    let programs = files(directory, "rs");
    assert!(!programs.is_empty(), "there is no program in {directory}");
    programs
}

/// By their paths from the workspace's root, in order.
fn files(directory: &str, extension: &str) -> Vec<PathBuf> {
    let directory = Path::new("backgroundjobs-core/tests/compile_fail").join(directory);
    let entries = fs::read_dir(compiler::workspace().join(&directory)).expect("the directory is there");
    let mut files: Vec<PathBuf> =
        entries.map(|entry| directory.join(entry.expect("it can be read").file_name())).collect();
    files.retain(|file| file.extension().is_some_and(|found| found == extension));
    files.sort();
    files
}
