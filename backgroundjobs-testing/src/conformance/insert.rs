//! Inserting: what is stored, what counts as the same job, and what fails a batch.

use backgroundjobs_core::{
    InsertJobs, Inserted, JobRecord, JobState, KeyHold, NewJob, Outcome, Payload, Priority, RunAt,
    StoreErrorKind, Timestamp, UniqueKey,
};

use super::context::{Context, With, at, holds, kind, queue, same, secs};

/// A job comes back with every field as it was given.
pub(super) async fn stores_every_field(cx: &Context) {
    let job = cx.job_of("mail", "send_mail").with(|job| {
        job.args = Payload::from_store(r#"{"to":"ann"}"#);
        job.priority = Priority::HIGHEST;
        job.run_at = RunAt::In(secs(90));
        job.max_attempts = 3;
        job.max_crashes = 7;
        job.unique = Some(UniqueKey { key: "mail:ann".into(), hold: KeyHold::For(secs(5)) });
        job.metadata = [("tenant".to_owned(), "7".to_owned())].into();
    });
    cx.put(at(0), job.clone()).await;
    let stored = cx.get(job.id).await;
    same("I-1", "args", stored.args.as_str(), job.args.as_str());
    same("I-1", "the record right after its insert", stored, JobRecord::inserted(job, at(0)));

    let smallest = cx.job().with(|job| (job.max_attempts, job.max_crashes) = (0, 0));
    let largest = cx.job().with(|job| (job.max_attempts, job.max_crashes) = (u16::MAX, u16::MAX));
    for job in [smallest, largest] {
        cx.put(at(0), job.clone()).await;
        same("I-1", "limits at their ends", cx.get(job.id).await, JobRecord::inserted(job, at(0)));
    }
}

/// `run_at` is counted from the store's time, and a calendar time is kept even when it is past.
pub(super) async fn resolves_run_at(cx: &Context) {
    for (run_at, expected) in [
        (RunAt::Now, at(10)),
        (RunAt::In(secs(5)), at(15)),
        (RunAt::At(at(3)), at(3)),
        (RunAt::At(at(99)), at(99)),
    ] {
        let id = cx.put(at(10), cx.job().with(|job| job.run_at = run_at)).await;
        same("I-1", format!("run_at of {run_at:?}"), cx.get(id).await.run_at, expected);
    }
}

/// Inserting a job again changes nothing, whatever became of it and whatever else is different.
pub(super) async fn repeating_is_harmless(cx: &Context) {
    let job = cx.job();
    cx.put(at(0), job.clone()).await;
    let again = job.clone().with(|job| {
        (job.queue, job.priority) = (queue("elsewhere"), Priority::LOWEST);
        (job.run_at, job.max_attempts) = (RunAt::In(secs(60)), 1);
        job.metadata = [("other".to_owned(), String::new())].into();
    });
    repeat(cx, &again, JobState::Waiting).await;
    let claimed = cx.take_one(at(1)).await;
    repeat(cx, &again, JobState::Running).await;
    cx.end(at(2), &claimed, Outcome::Complete).await;
    repeat(cx, &again, JobState::Succeeded).await;
}

async fn repeat(cx: &Context, job: &NewJob, state: JobState) {
    let before = cx.get(job.id).await;
    same("I-2", "the job's state", before.state, state);
    let answer = cx.offer(at(9), job.clone()).await;
    same("I-2", format!("insert of a {state} job again"), answer, Inserted::Existing(job.id));
    same("I-2", "the record after that", cx.get(job.id).await, before);
}

/// Another kind or other args under a known id fail the whole batch, and say which job it was.
pub(super) async fn other_content_fails_the_batch(cx: &Context) {
    let job = cx.job();
    cx.put(at(0), job.clone()).await;
    let before = cx.get(job.id).await;
    let other_kind = job.clone().with(|job| job.kind = kind("other"));
    let other_args = job.clone().with(|job| job.args = Payload::from_store("{ }"));
    for conflicting in [other_kind, other_args] {
        let (first, last) = (cx.keyed("taken?", KeyHold::UntilFinished), cx.job());
        let ids = [first.id, last.id];
        fails_at(cx, vec![first, conflicting, last], 1).await;
        same("I-3", "jobs stored of a batch that failed", cx.left(&ids).await, vec![]);
        same("I-3", "the record of the known job", cx.get(job.id).await, before.clone());
    }
    let free = cx.offer(at(1), cx.keyed("taken?", KeyHold::UntilFinished)).await;
    same("I-3", "insert with a key of a batch that failed", free, Inserted::New);
    let due = cx.take(at(2), 9).await.jobs.len();
    same("I-3", "jobs to be claimed after batches that failed", due, 2);
}

async fn fails_at(cx: &Context, jobs: Vec<NewJob>, expected: usize) {
    let reply = cx.store().insert(&InsertJobs::new(at(1), jobs)).await;
    let kind = reply.as_ref().map_err(|error| error.kind());
    let conflict = matches!(kind, Err(StoreErrorKind::Conflict { index }) if index == expected);
    holds("I-3", format!("a conflict at index {expected}"), conflict, &reply);
}

/// Within a batch each job meets the ids and keys of those before it.
pub(super) async fn a_batch_sees_its_earlier_jobs(cx: &Context) {
    let (first, holder) = (cx.job(), cx.keyed("k", KeyHold::UntilFinished));
    let (second, loser) = (cx.job(), cx.keyed("k", KeyHold::UntilFinished));
    let (first_id, holder_id) = (first.id, holder.id);
    let answers = cx.insert(at(0), vec![first.clone(), holder, first, loser, second]).await;
    let expected = vec![
        Inserted::New,
        Inserted::New,
        Inserted::Existing(first_id),
        Inserted::Existing(holder_id),
        Inserted::New,
    ];
    same("I-5", "answers to [a, b with key, a again, c with b's key, d]", answers, expected);
    same("I-5", "jobs stored", cx.take(at(0), 9).await.jobs.len(), 3);

    let job = cx.job();
    let id = job.id;
    let other = job.clone().with(|job| job.args = Payload::from_store("[]"));
    fails_at(cx, vec![cx.job(), job, other], 2).await;
    same("I-5", "a job stored of a batch in conflict with itself", cx.find(id).await, None);
}

/// A key that is held keeps out its job only, not the batch.
pub(super) async fn a_held_key_does_not_fail_the_batch(cx: &Context) {
    let holder = cx.put(at(0), cx.keyed("k", KeyHold::UntilFinished)).await;
    let batch = vec![cx.job(), cx.keyed("k", KeyHold::UntilFinished), cx.job()];
    let ids: Vec<_> = batch.iter().map(|job| job.id).collect();
    let answers = cx.insert(at(1), batch).await;
    let expected = vec![Inserted::New, Inserted::Existing(holder), Inserted::New];
    same("I-4", "answers to a batch with one held key", answers, expected);
    same("I-4", "jobs stored", cx.left(&ids).await, vec![ids[0], ids[2]]);
}

/// A job inserted again is itself, even when another has its key by now.
pub(super) async fn the_id_is_looked_at_before_the_key(cx: &Context) {
    let job = cx.keyed("k", KeyHold::UntilFinished);
    let claimed = cx.run(at(0), job.clone()).await;
    cx.end(at(1), &claimed, Outcome::Complete).await;
    cx.put(at(2), cx.keyed("k", KeyHold::UntilFinished)).await;
    let answer = cx.offer(at(3), job.clone()).await;
    same("I-4", "insert again of a job whose key another holds", answer, Inserted::Existing(job.id));

    let other = job.with(|job| job.args = Payload::from_store("[1]"));
    fails_at(cx, vec![other], 0).await;
}

/// A large batch is answered and stored in order.
pub(super) async fn a_large_batch_keeps_its_order(cx: &Context) {
    let jobs: Vec<_> = (0..1_000).map(|_| cx.job()).collect();
    let ids: Vec<_> = jobs.iter().map(|job| job.id).collect();
    let answers = cx.insert(at(0), jobs).await;
    holds("I-1", "1000 new jobs", answers.iter().all(|answer| *answer == Inserted::New), &answers);
    same("C-4", "order of a batch when claimed", super::context::ids_of(&cx.take(at(0), 2_000).await), ids);
}

/// A time before 1970, or the last one there is, is a time like any other.
pub(super) async fn any_instant_can_be_named(cx: &Context) {
    let odd = Timestamp::from_micros(-1_234_567_890_123_457);
    for instant in [Timestamp::MIN, odd, Timestamp::MAX] {
        let id = cx.put(at(0), cx.job().with(|job| job.run_at = RunAt::At(instant))).await;
        same("F-4", "run_at to the microsecond", cx.get(id).await.run_at, instant);
    }
    same("C-2", "jobs due, of those at the ends of time", cx.take(at(0), 9).await.jobs.len(), 2);
}
