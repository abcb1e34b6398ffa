//! Looking at many jobs at once.

use backgroundjobs_core::{
    CountJobs, InspectStore, JobCount, JobFilter, JobId, JobState, JobSummary, ListJobs, Outcome, RunAt,
};

use super::context::{Context, With, answer, at, fail, holds, kind, queue, same, secs};

fn inspect(cx: &Context) -> &dyn InspectStore {
    cx.store().inspect().expect("the check asks for a store that can")
}

async fn count(cx: &Context, filter: JobFilter) -> Vec<JobCount> {
    let reply = answer("count", inspect(cx).count(&CountJobs::new(at(50), filter)).await);
    same("T-1", "store_now of a count", reply.store_now, at(50));
    reply.rows
}

/// Follows the pages to the end, with `between` after each.
async fn list(cx: &Context, filter: &JobFilter, limit: usize, between: impl AsyncFn()) -> Vec<JobSummary> {
    let (mut all, mut after) = (Vec::new(), None);
    for _ in 0..1_000 {
        let request = ListJobs::new(at(50), filter.clone(), after, limit);
        let page = answer("list", inspect(cx).list(&request).await);
        same("T-1", "store_now of a list", page.store_now, at(50));
        holds("N-5", format!("at most {limit} jobs a page"), page.jobs.len() <= limit, &page);
        all.extend(page.jobs);
        let Some(next) = page.next else { return all };
        after = Some(next);
        between().await;
    }
    panic!("clause N-5: expected the listing to end, saw 1000 pages");
}

/// Jobs of two queues and two kinds in every state, newest id first.
async fn zoo(cx: &Context) -> Vec<JobId> {
    let mut ids = Vec::new();
    for (queue, kind) in [("b", "x"), ("a", "y"), ("a", "x")] {
        for state in JobState::ALL.into_iter().chain([JobState::Waiting]) {
            let later = RunAt::At(at(200 - ids.len() as u64));
            let waits = state == JobState::Waiting;
            let job = cx.job_of(queue, kind).with(|job| job.run_at = if waits { later } else { RunAt::Now });
            let id = cx.put(at(0), job).await;
            ids.push(id);
            if waits {
                continue;
            }
            let claimed =
                cx.claim(at(1), &[(queue, 1)], &[kind]).await.queues.swap_remove(0).jobs.swap_remove(0);
            same("C-2", "the job handed out", claimed.id, id);
            match state {
                JobState::Succeeded => cx.end(at(2), &claimed, Outcome::Complete).await,
                JobState::Failed => cx.end(at(2), &claimed, fail()).await,
                JobState::Cancelled => cx.end(at(2), &claimed, Outcome::Cancel { failure: None }).await,
                _ => {}
            }
        }
    }
    ids.reverse();
    ids
}

fn filters() -> Vec<JobFilter> {
    let all = JobFilter::all;
    vec![
        all(),
        all().queues([queue("a")]),
        all().kinds([kind("x"), kind("none")]),
        all().states([JobState::Waiting, JobState::Failed]),
        all().queues([queue("b"), queue("a")]).kinds([kind("y")]).states([JobState::Running]),
        all().queues([queue("none")]),
    ]
}

/// A count is what a listing under the same filter shows, row by row, in order.
pub(super) async fn counts_match_the_listing(cx: &Context) {
    same("N-1", "rows of an empty store", count(cx, JobFilter::all()).await, vec![]);
    zoo(cx).await;
    for filter in filters() {
        let mut expected: Vec<JobCount> = Vec::new();
        for job in list(cx, &filter, 100, async || {}).await {
            let due = (job.state == JobState::Waiting).then_some(job.run_at);
            let add = |row: &mut JobCount| {
                row.count += 1;
                row.next_run_at = row.next_run_at.min(due);
            };
            let of = |row: &&mut JobCount| {
                (&row.queue, &row.kind, row.state) == (&job.queue, &job.kind, job.state)
            };
            match expected.iter_mut().find(of) {
                Some(row) => add(row),
                None => expected.push(JobCount {
                    queue: job.queue,
                    kind: job.kind,
                    state: job.state,
                    count: 1,
                    next_run_at: due,
                }),
            }
        }
        expected.sort_by(|a, b| (&a.queue, &a.kind, a.state).cmp(&(&b.queue, &b.kind, b.state)));
        same("N-2", format!("rows of {filter:?}"), count(cx, filter.clone()).await, expected);
    }
    let rows = count(cx, JobFilter::all()).await;
    let (total, rows) = (rows.iter().map(|row| row.count).sum::<u64>(), rows.len());
    same("N-1", "jobs and rows of 3 lanes in 5 states, 2 waiting each", (total, rows), (18, 15));
}

/// A listing shows what the filter lets through, newest id first, as the records have it.
pub(super) async fn lists_what_the_filter_lets_through(cx: &Context) {
    let ids = zoo(cx).await;
    for filter in filters() {
        let mut expected = Vec::new();
        for id in &ids {
            let record = cx.get(*id).await;
            if filter.matches(&record.queue, &record.kind, record.state) {
                expected.push(JobSummary::from_record(&record));
            }
        }
        for limit in [100, 18, 5, 1] {
            let seen = list(cx, &filter, limit, async || {}).await;
            same("N-4", format!("listing of {filter:?} by {limit}"), seen, expected.clone());
        }
    }
}

/// Jobs inserted while pages are turned, newer or older, repeat nothing and hide nothing.
pub(super) async fn paging_is_stable_under_inserts(cx: &Context) {
    let reserved: Vec<_> = (0..60).map(|_| cx.job()).collect();
    let (early, late): (Vec<_>, Vec<_>) =
        reserved.into_iter().enumerate().partition(|(index, _)| index % 2 == 0);
    let mut expected: Vec<_> = early.iter().map(|(_, job)| job.id).collect();
    expected.reverse();
    cx.insert(at(0), early.into_iter().map(|(_, job)| job).collect()).await;
    let late = parking_lot::Mutex::new(late);
    let insert_some = async || {
        let next: Vec<_> = {
            let mut late = late.lock();
            let from = late.len().saturating_sub(2);
            let oldest = (!late.is_empty()).then(|| late.remove(0));
            let from = from.min(late.len());
            oldest.into_iter().chain(late.drain(from..)).map(|(_, job)| job).collect()
        };
        cx.insert(at(1), next).await;
        cx.put(at(1), cx.job()).await;
    };
    let seen: Vec<_> = list(cx, &JobFilter::all(), 4, insert_some).await.iter().map(|job| job.id).collect();
    let ordered = seen.windows(2).all(|pair| pair[0] > pair[1]);
    holds("N-4", "ids that only fall", ordered, &seen);
    let seen: Vec<_> = seen.into_iter().filter(|id| expected.contains(id)).collect();
    same("N-4", "jobs visited that were there throughout", seen, expected);
}

/// Every queue that has jobs is named once, in order, in whatever state its jobs are.
pub(super) async fn names_queues_with_jobs(cx: &Context) {
    same("N-6", "queues of an empty store", answer("queues", inspect(cx).queues(at(0)).await), vec![]);
    zoo(cx).await;
    cx.put(at(3), cx.job_of("Z", "x").with(|job| job.run_at = RunAt::In(secs(9)))).await;
    for (name, ends) in [("over", true), ("runs", false)] {
        cx.put(at(3), cx.job_of(name, "x")).await;
        let job = cx.claim(at(3), &[(name, 1)], &["x"]).await.queues.swap_remove(0).jobs.swap_remove(0);
        if ends {
            cx.end(at(3), &job, Outcome::Complete).await;
        }
    }
    let queues = answer("queues", inspect(cx).queues(at(3)).await);
    let seen: Vec<_> = queues.iter().map(|facts| (facts.queue.as_str(), facts.paused_since)).collect();
    let expected = ["Z", "a", "b", "over", "runs"].map(|name| (name, None)).to_vec();
    same("N-6", "queues that have jobs", seen, expected);
}
