//! The files of the project: what git tracks, and what it would track.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::rust_source::RustSource;

/// Every file, by its path from the root with `/` between the parts.
pub(super) struct Tree {
    files: Vec<File>,
}

pub(super) struct File {
    pub(super) path: String,
    /// Empty for a file that is not text.
    pub(super) text: String,
    /// Code and comments apart; only for Rust.
    rust: Option<RustSource>,
}

impl File {
    pub(super) fn new(path: &str, text: &str) -> Self {
        let rust = path.ends_with(".rs").then(|| RustSource::parse(text));
        Self { path: path.to_owned(), text: text.to_owned(), rust }
    }

    /// The name without the directories.
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// The directory, without a slash at its end; empty for the root.
    pub(super) fn directory(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(directory, _)| directory)
    }
}

impl Tree {
    pub(super) fn read(root: &Path) -> Result<Self, String> {
        let listed = git_files(root).filter(|paths| paths.iter().any(|path| path == "Cargo.toml"));
        let paths = match listed {
            Some(paths) => paths,
            None => walked_files(root)?,
        };
        let mut files = Vec::new();
        for path in paths {
            match fs::read(root.join(&path)) {
                Ok(bytes) => files.push(File::new(&path, &String::from_utf8(bytes).unwrap_or_default())),
                // Deleted, and the deletion not yet staged.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(format!("{path} cannot be read: {error}")),
            }
        }
        Ok(Self::new(files))
    }

    pub(super) fn new(mut files: Vec<File>) -> Self {
        files.sort_by(|one, other| one.path.cmp(&other.path));
        Self { files }
    }

    pub(super) fn files(&self) -> &[File] {
        &self.files
    }

    pub(super) fn rust_files(&self) -> impl Iterator<Item = (&File, &RustSource)> {
        self.files.iter().filter_map(|file| file.rust.as_ref().map(|rust| (file, rust)))
    }

    pub(super) fn markdown_files(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.path.ends_with(".md"))
    }

    pub(super) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Whether `path` is a file, or a directory with a file in it; the root is one.
    pub(super) fn holds(&self, path: &str) -> bool {
        let below = |file: &File| {
            file.path.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        path.is_empty() || self.files.iter().any(below)
    }
}

/// What git tracks, and new files that it does not ignore. `None` without git, or outside a repository.
fn git_files(root: &Path) -> Option<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"])
        .current_dir(root)
        .output()
        .ok()?;
    let listed = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    Some(listed.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect())
}

const HIDDEN_BUT_OURS: &[&str] = &[".cargo", ".ci", ".github"];

/// For a copy of the sources without its repository: every file but hidden and build directories.
fn walked_files(root: &Path) -> Result<Vec<String>, String> {
    let mut paths = Vec::new();
    let mut directories = vec![String::new()];
    while let Some(directory) = directories.pop() {
        let failed =
            |error| format!("directory {} cannot be listed: {error}", root.join(&directory).display());
        for entry in fs::read_dir(root.join(&directory)).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let path = if directory.is_empty() { name.clone() } else { format!("{directory}/{name}") };
            if !entry.file_type().map_err(failed)?.is_dir() {
                paths.push(path);
            } else if is_source_directory(&entry.path(), &name) {
                directories.push(path);
            }
        }
    }
    Ok(paths)
}

fn is_source_directory(path: &Path, name: &str) -> bool {
    // Cargo marks its build directories with this file, wherever they are.
    let is_cache = path.join("CACHEDIR.TAG").exists();
    !is_cache && (!name.starts_with('.') || HIDDEN_BUT_OURS.contains(&name))
}

/// `target` as seen from `directory`, without `.` and `..`; `None` when it leaves the root.
pub(super) fn resolve(directory: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = directory.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_resolve_from_their_directory() {
        assert_eq!(resolve("docs/decisions", "../../README.md").as_deref(), Some("README.md"));
        assert_eq!(resolve("", "./docs/").as_deref(), Some("docs"));
        assert_eq!(resolve("docs", "../../elsewhere"), None);
    }

    #[test]
    fn a_directory_is_held_by_its_files_and_not_by_a_prefix_of_a_name() {
        let tree = Tree::new(vec![File::new("docs/job-states.md", "")]);
        assert!(tree.holds("docs") && tree.holds("docs/job-states.md") && tree.holds(""));
        assert!(!tree.holds("doc") && !tree.holds("docs/job"));
    }
}
