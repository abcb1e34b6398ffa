//! A link from one document to another file of the project leads to a file that is there.

use super::Findings;
use super::code_blocks::fence;
use super::tree::{Tree, resolve};

pub(super) fn check(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    let mut followed = 0;
    for file in tree.markdown_files() {
        for (line, target) in links(&file.text) {
            let Some(path) = local_path(&target) else { continue };
            followed += 1;
            let directory = if path.starts_with('/') { "" } else { file.directory() };
            if !resolve(directory, path).is_some_and(|resolved| tree.holds(&resolved)) {
                findings.problem(&file.path, line, format!("the link to {target} leads nowhere"));
            }
        }
    }
    findings.note(format!("{followed} links followed"));
    findings
}

/// The part of a link that names a file here; `None` for another site and for a place in the same document.
fn local_path(target: &str) -> Option<&str> {
    let path = target.split('#').next()?;
    let is_elsewhere = path.contains("://") || path.starts_with("mailto:");
    (!path.is_empty() && !is_elsewhere).then_some(path)
}

/// Each link's line and target, those in code left out.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    let mut open: Option<&str> = None;
    for (index, line) in text.lines().enumerate() {
        match (open, fence(line)) {
            (None, Some((opening, _))) => open = Some(opening),
            (Some(opening), Some((closing, _))) if closing.starts_with(opening) => open = None,
            (Some(_), _) => {}
            (None, None) => {
                let prose = without_code(line);
                links.extend(targets(&prose).map(|target| (index + 1, target.to_owned())));
            }
        }
    }
    links
}

/// The targets of `[text](target)`, and of `[name]: target` on a line of its own.
fn targets(prose: &str) -> impl Iterator<Item = &str> {
    let inline = prose.split("](").skip(1).map(|rest| rest.split(')').next().unwrap_or(rest));
    let named = prose.strip_prefix('[').and_then(|rest| rest.split_once("]: ")).map(|(_, target)| target);
    inline.chain(named).filter_map(|target| {
        let first = target.split_whitespace().next()?;
        Some(first.trim_start_matches('<').trim_end_matches('>'))
    })
}

/// The line without what stands between backticks.
fn without_code(line: &str) -> String {
    let parts: Vec<&str> = line.split('`').collect();
    // An odd number of backticks: the last opens nothing.
    let closed = if parts.len().is_multiple_of(2) { parts.len() - 1 } else { parts.len() };
    let is_prose = |index: usize| index.is_multiple_of(2) || index >= closed;
    let prose: Vec<&str> =
        parts.iter().enumerate().filter(|(index, _)| is_prose(*index)).map(|(_, part)| *part).collect();
    prose.join("`")
}

#[cfg(test)]
mod tests {
    use super::super::tree::File;
    use super::*;

    #[test]
    fn links_are_found_in_prose_only() {
        let text = "See [a](a.md) and [`b`](docs/b.md#part \"title\").\n`[c](c.md)`\n\
             ```text\n[d](d.md)\n```\n[e]: <e.md>\n";
        let found = links(text);
        let expected = [(1, "a.md"), (1, "docs/b.md#part"), (6, "e.md")];
        assert_eq!(found, expected.map(|(line, target)| (line, target.to_owned())));
    }

    #[test]
    fn only_local_links_are_followed() {
        assert_eq!(local_path("docs/b.md#part"), Some("docs/b.md"));
        for target in ["https://example.org/a.md", "mailto:a@example.org", "#part"] {
            assert_eq!(local_path(target), None, "{target}");
        }
    }

    #[test]
    fn a_link_that_leads_nowhere_is_a_problem() {
        let text = "[up](../README.md) [here](.) [beside](b.md)\n[out](../../c.md)\n[gone](gone.md)\n";
        let tree = Tree::new(vec![
            File::new("docs/a.md", text),
            File::new("docs/b.md", ""),
            File::new("README.md", ""),
        ]);
        let lines: Vec<usize> = check(&tree).problems.iter().map(|problem| problem.line).collect();
        assert_eq!(lines, [2, 3]);
    }
}
