//! Jobs as tests make them up.

use std::sync::atomic::{AtomicU64, Ordering};

use backgroundjobs_core::{
    InsertJobs, Inserted, JobId, JobStore, Kind, NewJob, Payload, QueueName, Timestamp,
};
use uuid::Uuid;

/// An id that no other test of this process has.
pub(crate) fn id() -> JobId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = u128::from(NEXT.fetch_add(1, Ordering::Relaxed));
    JobId::from_uuid(Uuid::from_u128(0x01b8_7a33_7c00_7000_8000_0000_0000_0000 + number))
}

pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_micros(1_893_456_000_000_000) + std::time::Duration::from_secs(seconds)
}

pub(crate) fn job() -> NewJob {
    NewJob::new(
        id(),
        Kind::new("task").expect("a kind"),
        QueueName::default_queue(),
        Payload::from_store("{}"),
    )
}

/// Inserts a job of its own.
pub(crate) async fn insert_one(store: &dyn JobStore) -> JobId {
    let job = job();
    let id = job.id;
    let reply = store.insert(&InsertJobs::new(at(0), vec![job])).await.expect("stored");
    assert_eq!(reply.jobs, [Inserted::New]);
    id
}
