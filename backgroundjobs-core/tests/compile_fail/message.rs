//! Takes out of a message what another machine, or another line in a source, would change.

use std::path::Path;

use crate::compiler::workspace;

/// The width that numbers of lines are given.
const GUTTER: usize = 3;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Program,
    /// Quoted without numbers of lines: they change often.
    Workspace,
    /// Not quoted: whether it can be depends on what is installed.
    Elsewhere,
}

pub(crate) fn normalized(output: &str, program: &Path) -> String {
    let mut message = String::new();
    let mut source = Source::Program;
    let mut width = 0;
    let (mut is_list, mut is_quoted_list) = (false, false);
    let (directory, program) =
        program.to_str().and_then(|path| path.rsplit_once('/')).expect("a program has a path");
    let output = output.replace(&format!("{directory}/"), "");
    let lines: Vec<&str> = output.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        let unindented = line.trim_start();
        // A very long type goes to a file, whose name differs each time.
        if unindented.contains("type has been written to")
            || unindented.contains("consider using `--verbose`")
        {
            continue;
        }
        // Which types these are and how many changes with every new one.
        if is_list {
            is_list = line.starts_with(' ') && !unindented.starts_with(['=', '|']);
            if is_list {
                continue;
            }
        }
        // Where they are few, each is quoted.
        if is_quoted_list {
            is_quoted_list = line.starts_with(|first: char| first == ' ' || first.is_ascii_digit());
            if is_quoted_list {
                continue;
            }
        }
        is_quoted_list = line.starts_with("help: the following other types implement trait");
        is_list = !is_quoted_list && unindented.contains("the following other types implement trait");
        if line.starts_with("error") || line.starts_with("warning") {
            width = gutter_width(&lines[index..]);
        }
        let in_gutter = line
            .get(..width)
            .filter(|gutter| !gutter.is_empty() && gutter.chars().all(|c| c == ' ' || c.is_ascii_digit()));
        let Some(gutter) = in_gutter else {
            if *line != "..." {
                source = Source::Program;
            }
            if source != Source::Elsewhere {
                message.push_str(line.trim_end());
                message.push('\n');
            }
            continue;
        };
        let rest = &line[width..];
        if let Some(place) = rest.strip_prefix("--> ").or_else(|| rest.strip_prefix("::: ")) {
            let (name, found) = locate(place, program);
            source = found;
            message.push_str(&format!("{:GUTTER$}{}{name}\n", "", &rest[..4]));
            continue;
        }
        if rest.starts_with(" = ") {
            source = Source::Program;
        }
        let number = match (source, gutter.trim()) {
            (Source::Elsewhere, _) => continue,
            (Source::Workspace, number) if !number.is_empty() => "LL",
            (_, number) => number,
        };
        message.push_str(format!("{number:>GUTTER$}{rest}").trim_end());
        message.push('\n');
    }
    message
}

/// The compiler indents a whole message by the largest number of a line in it.
fn gutter_width(message: &[&str]) -> usize {
    let arrow = message.iter().find(|line| line.trim_start().starts_with("--> "));
    arrow.map_or(0, |line| line.len() - line.trim_start().len())
}

/// The compiler was started in the workspace's root, so what is in it has a path from there.
fn locate(place: &str, program: &str) -> (String, Source) {
    if place.starts_with(program) {
        return (place.to_owned(), Source::Program);
    }
    let file = Path::new(place.split(':').next().unwrap_or_default());
    match file.components().next() {
        Some(member) if file.is_relative() && workspace().join(file).exists() => {
            (member.as_os_str().to_string_lossy().into_owned(), Source::Workspace)
        }
        _ => ("another crate".to_owned(), Source::Elsewhere),
    }
}
