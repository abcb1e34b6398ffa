//! An engine on a file of its own, for unit tests.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use backgroundjobs_core::{
    ClaimId, ClaimJobs, JobId, Kind, NewJob, Payload, QueueDemand, QueueName, Timestamp, WorkerId,
};
use uuid::Uuid;

use crate::engine::Engine;
use crate::options::{Durability, SqliteOptions};

pub(crate) struct TestFile {
    folder: PathBuf,
    pub(crate) engine: Engine,
}

impl TestFile {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder =
            std::env::temp_dir().join(format!("backgroundjobs-sqlite-unit-{}-{number}", std::process::id()));
        _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder can be made");
        let engine = Engine::new(SqliteOptions::new(folder.join("jobs.db")).durability(Durability::Test));
        engine.handle_opened();
        Self { folder, engine }
    }
}

impl Drop for TestFile {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.folder);
    }
}

pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_micros(1_893_456_000_000_000) + Duration::from_secs(seconds)
}

pub(crate) fn id(number: u64) -> JobId {
    JobId::from_uuid(Uuid::from_u128(0x01b8_7a33_7c00_7000_8000_0000_0000_0000 + u128::from(number)))
}

pub(crate) fn kind(name: &str) -> Kind {
    Kind::new(name).expect("a kind")
}

pub(crate) fn job(number: u64) -> NewJob {
    NewJob::new(id(number), kind("task"), QueueName::default_queue(), Payload::from_store("{}"))
}

pub(crate) fn claim(number: u128, now: Timestamp, limit: usize) -> ClaimJobs {
    let (claim, worker) =
        (ClaimId::from_uuid(Uuid::from_u128(number)), WorkerId::from_uuid(Uuid::from_u128(1)));
    let demand = vec![QueueDemand { queue: QueueName::default_queue(), limit }];
    ClaimJobs::new(now, claim, worker, demand, vec![kind("task")].into(), Duration::from_secs(30))
}
