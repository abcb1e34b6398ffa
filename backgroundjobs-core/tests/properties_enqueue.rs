//! Drafts of anything through a real manager: taken exactly where the limits allow it, stored as given, or refused
//! without a trace.

#[path = "support/properties.rs"]
mod properties;

use backgroundjobs_core::limits::{MAX_ARGS_BYTES, MAX_METADATA_BYTES, MAX_UNIQUE_KEY_BYTES};
use backgroundjobs_core::prelude::*;
use backgroundjobs_core::{
    JobDraft, JobFilter, JobRecord, KeyHold, Kind, Metadata, NewJob, Payload, QueueName, RunAt, UniqueKey,
};
use backgroundjobs_memory::prelude::*;
use backgroundjobs_testing::TestKit;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use self::properties::{Seen, any_duration, any_text, check, mutated, text_around};

/// What a name may take in a message: 255 bytes, each shown by six, and twice.
const MESSAGE: usize = 4_000;

/// A job as somebody outside may ask for it.
#[derive(Clone)]
struct Asked {
    kind: String,
    args: Payload,
    id: Option<JobId>,
    queue: Option<String>,
    priority: Option<Priority>,
    run_at: RunAt,
    max_attempts: Option<u16>,
    /// The key, how long it is held, and whether it is shared with other kinds.
    unique: Option<(String, KeyHold, bool)>,
    metadata: Metadata,
}

/// In short: some texts here are a megabyte.
impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let short = |text: &str| (text.chars().take(40).collect::<String>(), text.len());
        let metadata: Vec<_> =
            self.metadata.iter().map(|(name, value)| (short(name), short(value))).collect();
        f.debug_struct("Asked")
            .field("kind", &short(&self.kind))
            .field("args", &short(self.args.as_str()))
            .field("id", &self.id)
            .field("queue", &self.queue.as_deref().map(short))
            .field("rest", &(self.priority, self.run_at, self.max_attempts))
            .field("unique", &self.unique.as_ref().map(|(key, hold, across)| (short(key), hold, across)))
            .field("metadata", &metadata)
            .finish()
    }
}

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => Just("work".to_owned()),
        6 => "[a-z]{1,8}",
        2 => mutated("work|mail|default"),
        1 => any_text(10),
        1 => text_around(255),
        1 => text_around(20_000),
    ]
}

fn any_args() -> impl Strategy<Value = Payload> {
    let text = prop_oneof![
        6 => any_text(10).prop_map(|text| format!("{{\"text\":{}}}", serde_json::Value::from(text))),
        3 => mutated(r#"\{"text":"[a-z]{1,8}"\}"#),
        2 => any_text(20),
        1 => (0..3_usize).prop_map(|more| format!("\"{}\"", "x".repeat(MAX_ARGS_BYTES - 3 + more))),
    ];
    text.prop_map(Payload::from_store)
}

fn any_unique() -> impl Strategy<Value = Option<(String, KeyHold, bool)>> {
    let hold = prop_oneof![
        Just(KeyHold::UntilFinished),
        Just(KeyHold::UntilStarted),
        any_duration().prop_map(KeyHold::For)
    ];
    let key = prop_oneof![
        3 => "[a-z0-9é]{1,8}",
        1 => any_text(6),
        1 => text_around(MAX_UNIQUE_KEY_BYTES - 5),
        1 => text_around(MAX_UNIQUE_KEY_BYTES),
    ];
    proptest::option::weighted(0.4, (key, hold, any::<bool>()))
}

fn any_metadata() -> impl Strategy<Value = Metadata> {
    let large = (text_around(MAX_METADATA_BYTES - 9), any_text(2));
    let small = proptest::collection::btree_map(any_text(4), any_text(8), 0..3);
    (small, proptest::option::weighted(0.15, large)).prop_map(|(mut metadata, large)| {
        metadata.extend(large.map(|(value, name)| (name, value)));
        metadata
    })
}

fn any_asked() -> impl Strategy<Value = Asked> {
    let run_at = prop_oneof![
        3 => Just(RunAt::Now),
        1 => any_duration().prop_map(RunAt::In),
        1 => any::<i64>().prop_map(|micros| RunAt::At(Timestamp::from_micros(micros))),
    ];
    let id = proptest::option::of(any::<u128>().prop_map(|bits| JobId::from_uuid(Uuid::from_u128(bits))));
    let priority = proptest::option::of((0..=9_u8).prop_map(|level| Priority::new(level).expect("0 to 9")));
    let options = (id, proptest::option::of(any_name()), priority, run_at, any::<Option<u16>>());
    (any_name(), any_args(), options, any_unique(), any_metadata()).prop_map(
        |(kind, args, (id, queue, priority, run_at, max_attempts), unique, metadata)| Asked {
            kind,
            args,
            id,
            queue,
            priority,
            run_at,
            max_attempts,
            unique,
            metadata,
        },
    )
}

impl Asked {
    fn draft(&self) -> JobDraft {
        let mut options = EnqueueOptions::new();
        options = self.id.into_iter().fold(options, EnqueueOptions::id);
        options = self.queue.iter().fold(options, EnqueueOptions::queue);
        options = self.priority.into_iter().fold(options, EnqueueOptions::priority);
        options = self.max_attempts.into_iter().fold(options, EnqueueOptions::max_attempts);
        options = match self.run_at {
            RunAt::Now => options,
            RunAt::In(delay) => options.delay(delay),
            RunAt::At(instant) => options.at(instant),
        };
        options = match &self.unique {
            None => options,
            Some((key, hold, true)) => options.unique_across_kinds(key, *hold),
            Some((key, hold, false)) => options.unique_for(key, *hold),
        };
        options = self.metadata.iter().fold(options, |options, (name, value)| options.metadata(name, value));
        JobDraft::untyped(self.kind.clone(), self.args.clone(), options)
    }

    fn queue(&self) -> &str {
        self.queue.as_deref().unwrap_or("default")
    }

    fn flat_key(&self) -> Option<String> {
        let (key, _, across) = self.unique.as_ref()?;
        Some(if *across { key.clone() } else { format!("{}\u{1f}{key}", self.kind) })
    }

    /// The limits, as the docs have them.
    fn is_allowed(&self) -> bool {
        let metadata: usize = self.metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
        let key_is_fine = self.unique.as_ref().is_none_or(|(key, _, _)| {
            let fits = self.flat_key().is_some_and(|flat| flat.len() <= 1_024);
            fits && !key.is_empty() && !key.chars().any(char::is_control)
        });
        Kind::new(&self.kind).is_ok()
            && QueueName::new(self.queue()).is_ok()
            && self.args.as_str().len() <= 1_048_576
            && metadata <= 16_384
            && key_is_fine
    }

    /// The record that it makes at `now`.
    fn record(&self, id: JobId, now: Timestamp) -> JobRecord {
        let kind = Kind::new(&self.kind).expect("a name");
        let mut job = NewJob::new(id, kind, QueueName::new(self.queue()).expect("a name"), self.args.clone());
        job.priority = self.priority.unwrap_or(Priority::NORMAL);
        job.run_at = self.run_at;
        job.max_attempts = self.max_attempts.unwrap_or(11).max(1);
        job.metadata = self.metadata.clone();
        job.unique = self
            .unique
            .as_ref()
            .and_then(|(_, hold, _)| Some(UniqueKey { key: self.flat_key()?.into(), hold: *hold }));
        JobRecord::inserted(job, now)
    }
}

/// Checks `property` on a kit of its own for each case.
fn check_on_kit<S>(cases: u32, input: S, property: impl AsyncFn(&TestKit, S::Value) -> TestCaseResult)
where
    S: Strategy<Value: std::fmt::Debug>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    check(cases, input, |input| {
        runtime.block_on(async {
            let kit = TestKit::new();
            // A case that does not hold ends wherever that is seen; one that holds ends with `finish`.
            kit.abandon();
            property(&kit, input).await
        })
    });
}

async fn jobs_in(jobs: &BackgroundJobs) -> u64 {
    let admin = jobs.admin().expect("the memory store has it all");
    admin.count(JobFilter::all()).await.expect("counted").total(&JobState::ALL)
}

#[test]
fn a_draft_is_stored_as_given_exactly_where_the_limits_allow_it() {
    let seen = Seen::default();
    check_on_kit(1_200, any_asked(), async |kit, asked| {
        let jobs = kit.build(BackgroundJobs::builder(|options| options.use_in_memory().producer_only()));
        let manager = jobs.manager();
        match manager.submit_one(asked.draft()).await {
            Ok(enqueued) => {
                seen.saw("taken");
                prop_assert!(asked.is_allowed() && enqueued.is_new);
                prop_assert!(asked.id.is_none_or(|id| id == enqueued.id));
                let record = manager.get(enqueued.id).await.expect("answers");
                prop_assert_eq!(record, Some(asked.record(enqueued.id, kit.now())));
                let told = manager.explain(enqueued.id).await.expect("answers").to_string();
                prop_assert!(told.len() < MESSAGE, "{told}");
                let again = Asked { id: Some(enqueued.id), ..asked };
                let again = manager.submit_one(again.draft()).await.expect("the same once more");
                prop_assert_eq!((again.id, again.is_new), (enqueued.id, false));
                prop_assert_eq!(jobs_in(&jobs).await, 1);
            }
            Err(error) => {
                seen.saw(reason(&error));
                let told = error.to_string();
                prop_assert!(!asked.is_allowed(), "{told}");
                prop_assert!(told.len() < MESSAGE, "a message of {} bytes", told.len());
                prop_assert!(!told.chars().any(char::is_control), "{told:?}");
                prop_assert_eq!(jobs_in(&jobs).await, 0);
                prop_assert_eq!(
                    manager.get(asked.id.unwrap_or(JobId::from_uuid(Uuid::nil()))).await.ok(),
                    Some(None)
                );
            }
        }
        kit.finish().await;
        Ok(())
    });
    seen.expect(200, &["taken"]);
    seen.expect(15, &["name", "args", "metadata", "unique key"]);
}

/// In a word.
fn reason(error: &EnqueueError) -> &'static str {
    match error {
        EnqueueError::Name { .. } => "name",
        EnqueueError::ArgsTooLarge { .. } => "args",
        EnqueueError::MetadataTooLarge { .. } => "metadata",
        EnqueueError::UniqueKey { .. } => "unique key",
        EnqueueError::UnknownKind { .. } => "unknown kind",
        EnqueueError::UnknownQueue { .. } => "unknown queue",
        _ => "another",
    }
}

#[test]
fn a_batch_is_stored_whole_or_not_at_all_and_its_first_bad_job_is_named() {
    let seen = Seen::default();
    check_on_kit(400, proptest::collection::vec(any_asked(), 0..6), async |kit, batch| {
        let jobs = kit.build(BackgroundJobs::builder(|options| options.use_in_memory().producer_only()));
        let manager = jobs.manager();
        let bad = batch.iter().position(|asked| !asked.is_allowed());
        match manager.submit(batch.iter().map(Asked::draft).collect()).await {
            Ok(answers) => {
                seen.saw(if answers.len() < 2 { "taken" } else { "several taken" });
                prop_assert_eq!((bad, answers.len()), (None, batch.len()));
                let new = answers.iter().filter(|answer| answer.is_new).count();
                prop_assert_eq!(u64::try_from(new).ok(), Some(jobs_in(&jobs).await));
                for (asked, answer) in batch.iter().zip(answers).filter(|(_, answer)| answer.is_new) {
                    let record = manager.get(answer.id).await.expect("answers");
                    prop_assert_eq!(record, Some(asked.record(answer.id, kit.now())));
                }
            }
            Err(error) => {
                seen.saw("refused");
                prop_assert_eq!(bad, Some(error.index), "{}", error.source);
                prop_assert_eq!(jobs_in(&jobs).await, 0);
            }
        }
        // A key of a batch that was refused is free.
        if let (Some(_), Some(good)) = (bad, batch.iter().find(|asked| asked.is_allowed())) {
            prop_assert!(manager.submit_one(good.draft()).await.is_ok_and(|answer| answer.is_new));
        }
        kit.finish().await;
        Ok(())
    });
    seen.expect(20, &["several taken", "refused"]);
}

#[derive(Serialize, Deserialize)]
struct Work {
    text: String,
}

impl JobArgs for Work {
    const KIND: &'static str = "work";
}

/// Args that do not fit the type are a failed attempt, and what the job is for is done for every other.
#[test]
fn with_handlers_only_what_is_known_is_taken_and_then_it_runs() {
    let queues = proptest::collection::btree_set("[a-z]{1,8}|mail|work", 0..3);
    let seen = Seen::default();
    check_on_kit(800, (any_asked(), queues), async |kit, (asked, queues)| {
        let builder = BackgroundJobs::builder(|options| {
            let options = options.use_in_memory().queue("default", 2);
            queues
                .iter()
                .filter(|name| *name != "default")
                .fold(options, |options, name| options.queue(name, 1))
        });
        let jobs = kit.start(builder.register_fn(async |_: Work, _: JobContext| Ok(()))).await;
        let manager = jobs.manager();
        let is_known = asked.kind == "work" && (asked.queue() == "default" || queues.contains(asked.queue()));
        match manager.submit_one(asked.draft()).await {
            Ok(enqueued) => {
                prop_assert!(asked.is_allowed() && is_known);
                let report = kit.settle().await;
                let is_due = asked.run_at.instant(kit.now()) <= kit.now();
                let fits = asked.args.decode::<Work>().is_ok();
                seen.saw(if !is_due {
                    "later"
                } else if fits {
                    "done"
                } else {
                    "does not fit"
                });
                prop_assert_eq!(report.succeeded, u64::from(is_due && fits));
                let record = manager.get(enqueued.id).await.expect("answers").expect("kept");
                prop_assert_eq!(record.args, asked.args.clone());
                prop_assert_eq!(record.failures.len(), usize::from(is_due && !fits));
                let told = manager.explain(enqueued.id).await.expect("answers").to_string();
                prop_assert!(told.len() < MESSAGE + 8_192, "{told}");
            }
            Err(error) => {
                seen.saw(reason(&error));
                let told = error.to_string();
                prop_assert!(!asked.is_allowed() || !is_known, "{told}");
                prop_assert!(told.len() < MESSAGE, "a message of {} bytes", told.len());
                match error {
                    EnqueueError::UnknownKind { known, nearest, .. } => {
                        prop_assert!(asked.kind != "work" && known == ["work"]);
                        prop_assert!(nearest.is_none_or(|nearest| nearest == "work"));
                    }
                    EnqueueError::UnknownQueue { known, nearest, .. } => {
                        prop_assert!(!known.iter().any(|name| name == asked.queue()));
                        prop_assert!(nearest.is_none_or(|nearest| known.contains(&nearest)));
                    }
                    _ => prop_assert!(!asked.is_allowed(), "{told}"),
                }
                prop_assert_eq!(jobs_in(&jobs).await, 0);
            }
        }
        kit.finish().await;
        Ok(())
    });
    seen.expect(15, &["later", "done", "does not fit", "name", "unknown kind", "unknown queue"]);
}
