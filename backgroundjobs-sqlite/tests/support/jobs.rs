//! Jobs as tests make them up.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use backgroundjobs_core::{
    ClaimId, ClaimJobs, InsertJobs, Inserted, JobId, JobStore, Kind, LeaseKey, NewJob, Payload, QueueDemand,
    QueueName, Timestamp, WorkerId,
};
use uuid::Uuid;

/// An id that no other test of this process has.
pub(crate) fn id() -> JobId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = u128::from(NEXT.fetch_add(1, Ordering::Relaxed));
    JobId::from_uuid(Uuid::from_u128(0x01b8_7a33_7c00_7000_8000_0000_0000_0000 + number))
}

pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_micros(1_893_456_000_000_000) + Duration::from_secs(seconds)
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

/// Claims so many at most, in one claim.
pub(crate) async fn claim(store: &dyn JobStore, now: Timestamp, limit: usize) -> Vec<LeaseKey> {
    let queues = vec![QueueDemand { queue: QueueName::default_queue(), limit }];
    let (claim, worker) = (ClaimId::from_uuid(id().as_uuid()), WorkerId::from_uuid(id().as_uuid()));
    let kinds = vec![Kind::new("task").expect("a kind")].into();
    let request = ClaimJobs::new(now, claim, worker, queues, kinds, Duration::from_secs(30));
    let reply = store.claim(&request).await.expect("claimed");
    reply.queues[0].jobs.iter().map(|job| LeaseKey { id: job.id, generation: job.generation }).collect()
}
