//! What a failed assertion shows: what was asked, what there is instead, and how to see it again.

use std::collections::BTreeMap;

use backgroundjobs_core::JobId;

use super::matcher::{Count, Field};
use super::{SeenJob, View};
use crate::history::SeenRun;

/// How many of the nearest jobs a failure shows.
const NEAREST: usize = 3;

/// How many bytes of a job's args a failure shows.
const ARGS_BYTES: usize = 200;

type Judged<'a> = (Option<&'a SeenJob>, Option<&'a SeenRun>, Vec<Field>);

/// A question whose answer was not as it must be.
pub(super) struct Shortfall<'a> {
    pub(super) view: &'a View,
    pub(super) kind: &'static str,
    pub(super) aliases: &'static [&'static str],
    pub(super) what: &'static str,
    pub(super) wishes: &'a [String],
    pub(super) count: Count,
    pub(super) met: Vec<Judged<'a>>,
    pub(super) rest: Vec<Judged<'a>>,
}

pub(super) fn shortfall(asked: &Shortfall<'_>) -> String {
    let Shortfall { view, kind, what, wishes, count, met, rest, .. } = asked;
    let wishes = if wishes.is_empty() { String::new() } else { format!(" with {}", wishes.join(", ")) };
    let (count, found) = (count.text(), met.len());
    let mut text = format!("expected {count} {kind} to be {what}{wishes}, found {found}");
    text += &view.surroundings();
    if !met.is_empty() {
        text += "\n  found:";
        for (job, run, _) in met.iter().take(NEAREST) {
            text += &format!("\n    {}", view.line(*job, *run, &[]));
        }
    }
    let mut rest: Vec<&Judged<'_>> = rest.iter().collect();
    rest.sort_by_key(|(_, _, fields)| fields.iter().filter(|field| field.wanted.is_some()).count());
    match rest.len() {
        0 if met.is_empty() => text += &format!("\n  there is no {what} {kind} at all"),
        0 => {}
        count => text += &format!("\n  nearest of {count} that differ:"),
    }
    for (job, run, fields) in rest.into_iter().take(NEAREST) {
        text += &format!("\n    {}", view.line(*job, *run, fields));
    }
    text += &view.other_kinds(kind, asked.aliases);
    text + &view.ending()
}

impl View {
    pub(crate) fn job(&self, id: JobId) -> Option<&SeenJob> {
        let index = self.jobs.binary_search_by_key(&id, |job| job.record.id).ok()?;
        Some(&self.jobs[index])
    }

    /// The short name of a job: its place in the order of ids.
    pub(crate) fn name(&self, id: JobId) -> String {
        match self.jobs.binary_search_by_key(&id, |job| job.record.id) {
            Ok(index) => format!("#{}", index + 1),
            Err(_) => id.to_string(),
        }
    }

    /// When, under which seed, on which store.
    pub(super) fn surroundings(&self) -> String {
        let seed = self.seed.map_or_else(|| "no seed".into(), |seed| format!("seed {seed}"));
        format!(
            "\n  virtual time {} (start + {:?}), {seed}, store {}",
            self.now,
            self.now.since(self.start),
            self.stores.join(", ")
        )
    }

    /// A job or run, and what was asked of it.
    fn line(&self, job: Option<&SeenJob>, run: Option<&SeenRun>, fields: &[Field]) -> String {
        let Some(id) = job.map(|job| job.record.id).or_else(|| run.map(|run| run.job.id)) else {
            return String::new();
        };
        let mut text = format!("{} {id}", self.name(id));
        if let Some(run) = run {
            text += &format!(", attempt {} {}", run.job.attempt(), run.attempt);
        }
        if let Some(job) = job {
            text += &format!(", {}", if job.is_gone { "cleared away" } else { job.record.state.as_str() });
        }
        for Field { name, is, wanted } in fields {
            text += &match wanted {
                None => format!("; {name} {is} ok"),
                Some(wanted) => format!("; {name} {is} << wanted {wanted}"),
            };
        }
        let args = run.map(|run| &run.job.args).or_else(|| job.map(|job| &job.record.args));
        let args = args.map_or("", |args| args.as_str());
        let cut = &args[..args.floor_char_boundary(ARGS_BYTES)];
        text + "; args " + cut + if cut.len() < args.len() { " …" } else { "" }
    }

    fn other_kinds(&self, kind: &str, aliases: &[&str]) -> String {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for job in &self.jobs {
            let other = job.record.kind.as_str();
            if other != kind && !aliases.contains(&other) {
                *counts.entry(other).or_default() += 1;
            }
        }
        let list: Vec<String> = counts.iter().map(|(kind, count)| format!("{kind} x{count}")).collect();
        if list.is_empty() { String::new() } else { format!("\n  other kinds: {}", list.join(", ")) }
    }

    /// What happened last, why it may not happen again, and how to see it again.
    pub(crate) fn ending(&self) -> String {
        let mut text = format!("\n{}", self.last_events);
        for doubt in &self.doubts {
            text += &format!("\n  not repeatable: {doubt}");
        }
        text + "\n  replay: " + &self.replay
    }
}
