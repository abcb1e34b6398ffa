//! As much of a `Cargo.toml` as the rules need: sections and the keys in them. Not a TOML parser.

/// One `key = value` line, with the section it stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) section: &'a str,
    pub(super) key: &'a str,
    pub(super) value: &'a str,
    /// From 1.
    pub(super) line: usize,
}

/// A package that a manifest asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dependency<'a> {
    pub(super) name: &'a str,
    pub(super) line: usize,
}

/// The entries in order; the lines of a value that goes on below its key are not among them.
pub(super) fn entries(manifest: &str) -> Vec<Entry<'_>> {
    let mut section = "";
    let mut entries = Vec::new();
    for (index, line) in manifest.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            section = name;
        } else if let Some((key, value)) = line.split_once('=') {
            entries.push(Entry { section, key: key.trim(), value: value.trim(), line: index + 1 });
        }
    }
    entries
}

/// What the package needs to run (and to be built), on any platform.
pub(super) fn dependencies(manifest: &str) -> Vec<Dependency<'_>> {
    in_tables(manifest, &["dependencies", "build-dependencies"])
}

/// What only its tests need.
pub(super) fn dev_dependencies(manifest: &str) -> Vec<Dependency<'_>> {
    in_tables(manifest, &["dev-dependencies"])
}

fn in_tables<'a>(manifest: &'a str, tables: &[&str]) -> Vec<Dependency<'a>> {
    let mut found: Vec<Dependency<'a>> = Vec::new();
    // `[dependencies.name]` may hold no key, so headings count beside entries.
    for (index, line) in manifest.lines().enumerate() {
        let heading = line.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if let Some(Some((table, name))) = heading.map(|heading| heading.rsplit_once('.'))
            && is_one_of(table, tables)
        {
            found.push(Dependency { name, line: index + 1 });
        }
    }
    for entry in entries(manifest) {
        if is_one_of(entry.section, tables) {
            let name =
                renamed(entry.value).unwrap_or_else(|| entry.key.split('.').next().unwrap_or(entry.key));
            found.push(Dependency { name: name.trim_matches('"'), line: entry.line });
        }
    }
    found
}

/// `dependencies`, or the same under `target.….`.
fn is_one_of(section: &str, tables: &[&str]) -> bool {
    let last =
        if section.starts_with("target.") { section.rsplit('.').next().unwrap_or("") } else { section };
    tables.contains(&last)
}

/// The name behind `package = "name"`.
fn renamed(value: &str) -> Option<&str> {
    let (before, after) = value.split_once("package")?;
    let is_key = before.trim_end().ends_with(['{', ',']);
    after.trim_start().strip_prefix('=').filter(|_| is_key)?.split('"').nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = r#"
[package]
name = "one"
# name = "commented"

[lints]
workspace = true

[dependencies]
serde.workspace = true
tokio = { workspace = true, features = [
    "rt",
] }
store = { package = "backgroundjobs-memory", path = "../memory" }

[dependencies.uuid]
version = "1"

[target.'cfg(unix)'.dependencies]
libc = "0.2"

[dev-dependencies]
fastrand.workspace = true
"#;

    #[test]
    fn entries_know_their_section_and_line() {
        let entries = entries(MANIFEST);
        assert_eq!(entries[0], Entry { section: "package", key: "name", value: "\"one\"", line: 3 });
        assert_eq!(entries[1], Entry { section: "lints", key: "workspace", value: "true", line: 7 });
    }

    #[test]
    fn dependencies_are_found_however_they_are_written() {
        let names: Vec<&str> = dependencies(MANIFEST).iter().map(|dependency| dependency.name).collect();
        assert_eq!(names, ["uuid", "serde", "tokio", "backgroundjobs-memory", "libc"]);
    }

    #[test]
    fn dev_dependencies_are_apart() {
        let names: Vec<&str> = dev_dependencies(MANIFEST).iter().map(|dependency| dependency.name).collect();
        assert_eq!(names, ["fastrand"]);
    }
}
