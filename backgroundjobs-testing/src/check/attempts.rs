//! Tables of attempts.

use std::time::Duration;

use backgroundjobs_core::{JobArgs, JobId};

use super::View;
use crate::Attempt;
use crate::history::brief;

type Row = (Duration, Attempt);

#[track_caller]
pub(super) fn of_kind<A: JobArgs>(view: &View, expected: &[Row]) {
    let jobs: Vec<JobId> = view.jobs.iter().filter(|job| job.is_of::<A>()).map(|job| job.record.id).collect();
    match *jobs {
        [id] => of_job(view, id, expected),
        ref jobs => panic!(
            "expected the attempts of the one job of kind {}, but there are {} jobs of it: {}{}",
            A::KIND,
            jobs.len(),
            if jobs.is_empty() { "enqueue one first" } else { "name one by assert_attempts_of(id, ..)" },
            view.ending()
        ),
    }
}

#[track_caller]
pub(super) fn of_job(view: &View, id: JobId, expected: &[Row]) {
    let Some(job) = view.job(id) else {
        panic!("expected the attempts of job {id}, but there is no such job{}", view.ending())
    };
    let runs: Vec<_> = view.runs.iter().filter(|run| run.job.id == id && run.started.is_some()).collect();
    let row = |run: &&crate::history::SeenRun| {
        let since = run.started.unwrap_or(view.start).since(job.record.created_at);
        (since, run.attempt)
    };
    let seen: Vec<Row> = runs.iter().map(row).collect();
    if seen == expected {
        return;
    }
    let text = |row: Option<&Row>| row.map_or_else(|| "none".into(), |(at, how)| format!("+{at:?} {how}"));
    let mut table = String::new();
    for index in 0..seen.len().max(expected.len()) {
        let (is, wanted) = (seen.get(index), expected.get(index));
        let mark = if is == wanted { "ok".into() } else { format!("<< wanted {}", text(wanted)) };
        let error = runs.get(index).and_then(|run| run.error.as_deref());
        let error = error.map_or_else(String::new, |error| format!(" ({})", brief(error)));
        table += &format!("\n    {}. {}{error} {mark}", index + 1, text(is));
    }
    panic!(
        "the attempts of {} {} {id} are not as expected; since its enqueue:{table}{}",
        job.record.kind,
        view.name(id),
        view.ending()
    );
}
