//! What must come back byte for byte, and all of it.

use backgroundjobs_core::{
    CancelStatus, Failure, FailureKind, Inserted, JobState, KeyHold, LeaseStatus, Metadata, Outcome, Payload,
    RunAt, Settlement, Timestamp, limits,
};

use super::context::{
    Context, LEASE, MICRO, With, answer, applied, at, ids_of, kind, lease_of, queue, retry, same, secs,
    unique,
};

/// Texts that databases and their drivers like to improve.
const TEXTS: [&str; 16] = [
    "",
    " ",
    "trailing ",
    "\ttab\r\nline\n",
    "O'Brien \"quoted\" \\back\\slash\\ `tick` --",
    "100% _like_ ?1 $1 :name {} ; DROP TABLE jobs",
    "e\u{301} is not \u{e9}",
    "ﬁ ß İ ı Σς",
    "\u{feff}mark",
    "\u{200b}zero\u{200d}width\u{2028}line\u{2029}",
    "\u{202e}right to left\u{202c} שלום",
    "🦀👩‍👩‍👧‍👦 beyond the first plane 𝄞 \u{10ffff}",
    "\u{1}\u{7f}\u{85}control",
    "null",
    "0",
    "\\u0000 \\n",
];

/// JSON that a reader and writer of JSON would change.
const ARGS: [&str; 14] = [
    "null",
    "  { \"b\" : 1 ,\n\t\"a\" : 2 }  ",
    r#"{"twice":1,"twice":2}"#,
    r#"{"z":0,"a":{"z":0,"a":0}}"#,
    "123456789012345678901234567890.10",
    "[1.0, 1e400, -0, -0.0, 1E+2, 0.1000]",
    "9223372036854775808",
    r#""\u00e9 \/ \u0041 \ud83e\udd80""#,
    r#""nul \u0000 in escape""#,
    "\"🦀 \u{2028} e\u{301}\"",
    "\"O'Brien %_ ?1 $1\"",
    "true",
    "[]",
    "\"\u{feff}\"",
];

/// Args come back as the text that was given, from get and from claim.
pub(super) async fn args_are_exact(cx: &Context) {
    let large = format!("\"{}\"", "aé🦀".repeat(100_000));
    for text in ARGS.into_iter().chain([large.as_str()]) {
        let job = cx.job().with(|job| job.args = Payload::from_store(text));
        cx.put(at(0), job.clone()).await;
        same("F-4", "args of get", cx.get(job.id).await.args.as_str(), text);
        same(
            "I-2",
            "insert with the same args again",
            cx.offer(at(0), job.clone()).await,
            Inserted::Existing(job.id),
        );
        let claimed = cx.take_one(at(0)).await;
        same("F-4", "args of a claim", claimed.args.as_str(), text);
        cx.end(at(0), &claimed, Outcome::Complete).await;
        same("F-4", "args of a finished job", cx.get(job.id).await.args.as_str(), text);
    }
}

/// Metadata comes back with every key and value.
pub(super) async fn metadata_is_exact(cx: &Context) {
    let reversed = TEXTS.iter().rev();
    let metadata: Metadata =
        TEXTS.iter().zip(reversed).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let id = cx.put(at(0), cx.job().with(|job| job.metadata = metadata.clone())).await;
    same("F-4", "metadata of get", cx.get(id).await.metadata, metadata.clone());
    let claimed = cx.take_one(at(0)).await;
    same("F-4", "metadata of a claim", claimed.metadata.clone(), metadata.clone());
    cx.end(at(0), &claimed, retry(secs(0))).await;
    same("F-4", "metadata after a retry", cx.get(id).await.metadata, metadata);
}

/// Names are compared and kept byte for byte.
pub(super) async fn names_are_exact(cx: &Context) {
    let long = "é".repeat(127);
    let names = [
        "Mail",
        "mail",
        "caf\u{e9}",
        "cafe\u{301}",
        "a b",
        "%",
        "_",
        "'; --",
        "🦀",
        "ı",
        "I",
        "mail.",
        &long,
    ];
    let mut ids = Vec::new();
    for name in names {
        let id = cx.put(at(0), cx.job_of(name, name)).await;
        let record = cx.get(id).await;
        same("F-4", "queue and kind", (record.queue, record.kind), (queue(name), kind(name)));
        ids.push(id);
    }
    for (name, id) in names.into_iter().zip(ids) {
        let reply = cx.claim(at(0), &[(name, 99)], &names).await;
        same("F-4", format!("jobs of queue {name:?}"), ids_of(&reply.queues[0]), vec![id]);
        same("F-4", "kind handed out", reply.queues[0].jobs[0].kind.as_str(), name);
    }
}

/// Keys are compared and kept byte for byte.
pub(super) async fn keys_are_exact(cx: &Context) {
    let long = "é".repeat(512);
    for key in TEXTS.into_iter().chain([long.as_str(), "NULL", "Trailing "]) {
        let job = cx.keyed(key, KeyHold::UntilFinished);
        let id = job.id;
        same(
            "U-2",
            format!("insert with a key of its own, {key:?}"),
            cx.offer(at(0), job).await,
            Inserted::New,
        );
        same("F-4", "key of get", cx.get(id).await.unique, unique(key, KeyHold::UntilFinished));
        let again = cx.offer(at(0), cx.keyed(key, KeyHold::UntilFinished)).await;
        same("U-2", format!("insert with the key {key:?} again"), again, Inserted::Existing(id));
    }
    let odd = KeyHold::For(secs(7) + MICRO);
    let id = cx.put(at(0), cx.keyed("for", odd)).await;
    same("F-4", "hold of get", cx.get(id).await.unique, unique("for", odd));
}

/// Error texts come back as they are, of every kind.
pub(super) async fn error_texts_are_exact(cx: &Context) {
    let long = "é🦀".repeat(1_000);
    let kinds = [FailureKind::Error, FailureKind::Panic, FailureKind::Timeout, FailureKind::Cancel];
    for (text, kind) in TEXTS.into_iter().chain([long.as_str()]).zip(kinds.into_iter().cycle()) {
        let job = cx.running(at(0)).await;
        let failure = Failure::new(kind, text);
        cx.end(at(1), &job, Outcome::Fail { failure: failure.clone() }).await;
        same("F-4", "failure of get", &cx.get(job.id).await.failures[0].failure, &failure);
    }
}

/// Every instant keeps its microseconds.
pub(super) async fn instants_keep_microseconds(cx: &Context) {
    let odd = |seconds| at(seconds) + MICRO * 123_457;
    let id = cx.put(odd(0), cx.job().with(|job| job.run_at = RunAt::In(MICRO))).await;
    let job = cx.take_one(odd(1)).await;
    let running = cx.get(id).await;
    same("F-4", "created_at and run_at", (running.created_at, running.run_at), (odd(0), odd(0) + MICRO));
    same("F-4", "the same handed out", (job.created_at, job.run_at), (odd(0), odd(0) + MICRO));
    same("F-4", "claimed_at", running.claimed_at, Some(odd(1)));
    cx.end(odd(2), &job, super::context::fail()).await;
    let over = cx.get(id).await;
    same("F-4", "finished_at", over.finished_at, Some(odd(2)));
    same("F-4", "time of the failure", over.failures[0].at, odd(2));

    let ancient = Timestamp::from_micros(-1);
    let id = cx.put(ancient, cx.job()).await;
    same("F-4", "an instant before 1970", cx.get(id).await.created_at, ancient);
}

/// Records are answered in the order of the ids, twice where asked twice, and nothing for what is not there.
pub(super) async fn get_answers_in_order(cx: &Context) {
    let (first, second, unknown) =
        (cx.put(at(0), cx.job()).await, cx.put(at(0), cx.job()).await, cx.job_id());
    let ids = [second, unknown, first, second];
    let records = answer("get", cx.store().get(&ids).await);
    let seen: Vec<_> = records.iter().map(|record| record.as_ref().map(|record| record.id)).collect();
    same("G-1", "answers of a get", seen, vec![Some(second), None, Some(first), Some(second)]);
}

/// Batches as large as a runtime makes them are answered to their end, and stand.
pub(super) async fn large_batches_are_answered(cx: &Context) {
    const MANY: usize = limits::CLAIM_BATCH;
    let jobs: Vec<_> = (0..MANY).map(|_| cx.job()).collect();
    let ids: Vec<_> = jobs.iter().map(|job| job.id).collect();
    cx.insert(at(0), jobs).await;
    let leases: Vec<_> = cx.take(at(0), MANY).await.jobs.iter().map(lease_of).collect();
    same("C-3", "jobs handed out of a large batch", leases.len(), MANY);
    let held = cx.renew_all(at(1), LEASE, leases.clone()).await;
    let held = held.iter().filter(|status| **status == LeaseStatus::Held).count();
    same("R-1", "leases held on of a large batch", held, MANY);
    let end = |lease| Settlement { lease, outcome: retry(secs(60)) };
    let settled = cx.settle_all(at(2), leases.into_iter().map(end).collect()).await;
    let settled = settled.iter().filter(|settled| **settled == applied(JobState::Waiting)).count();
    same("S-1", "claims settled of a large batch", settled, MANY);
    let records = answer("get", cx.store().get(&ids).await);
    let retried = records.iter().flatten().filter(|job| (job.attempts, job.failures.len()) == (1, 1)).count();
    same("G-1", "jobs with one attempt and one failure in a large get", retried, MANY);
    let cancelled = cx.cancel_all(at(3), ids).await;
    let cancelled = cancelled.iter().filter(|status| **status == CancelStatus::Cancelled).count();
    same("X-3", "jobs cancelled of a large batch", cancelled, MANY);
}
