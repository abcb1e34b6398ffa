//! Short ways for the tests to say what they mean.

use std::time::Duration;

use backgroundjobs_core::{
    ClaimId, ClaimJobs, ClaimedQueue, InsertJobs, Inserted, JobId, JobRecord, Kind, LeaseKey, NewJob,
    Outcome, Payload, QueueDemand, QueueName, SettleJobs, Settled, Settlement, Timestamp, WorkerId,
};

use super::{Prepared, State};

/// How long the tests' claims hold a job.
pub(super) const LEASE: Duration = Duration::from_secs(30);

pub(super) fn id(number: u64) -> JobId {
    format!("{number:032x}").parse().expect("32 hexadecimal digits are a UUID")
}

/// This many seconds after the start of every test.
pub(super) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_micros(1_900_000_000_000_000) + Duration::from_secs(seconds)
}

pub(super) fn kind(name: &str) -> Kind {
    Kind::new(name).expect("a kind")
}

pub(super) fn queue(name: &str) -> QueueName {
    QueueName::new(name).expect("a queue")
}

/// A job of the kind `mail` in the queue `q`.
pub(super) fn job(number: u64) -> NewJob {
    NewJob::new(id(number), kind("mail"), queue("q"), Payload::from_store("{}"))
}

/// A claim of the queue `q` that knows the kinds `mail` and `report`.
pub(super) fn claim_of(number: u64, now: Timestamp, limit: usize) -> ClaimJobs {
    let uuid = id(number).as_uuid();
    let queues = vec![QueueDemand { queue: queue("q"), limit }];
    let kinds = [kind("mail"), kind("report")].into();
    ClaimJobs::new(now, ClaimId::from_uuid(uuid), WorkerId::from_uuid(uuid), queues, kinds, LEASE)
}

impl State {
    pub(super) fn insert_all(&mut self, jobs: Vec<NewJob>, now: Timestamp) -> Vec<Inserted> {
        let request = InsertJobs::new(now, jobs);
        self.insert(&request, Prepared::of(&request, now), now).expect("no conflict").jobs
    }

    pub(super) fn claim_some(&mut self, now: Timestamp, limit: usize) -> ClaimedQueue {
        let mut reply = self.claim(&claim_of(1, now, limit), now);
        reply.queues.pop().expect("one queue was asked for")
    }

    /// Claims the one job that is due and says how it ended.
    pub(super) fn run(&mut self, outcome: Outcome, now: Timestamp) -> Settled {
        let claimed = self.claim_some(now, 1).jobs.pop().expect("a due job");
        self.settle_with(claimed.id, claimed.generation, outcome, now)
    }

    pub(super) fn settle_with(
        &mut self,
        id: JobId,
        generation: u64,
        outcome: Outcome,
        now: Timestamp,
    ) -> Settled {
        let settlement = Settlement { lease: LeaseKey { id, generation }, outcome };
        self.settle(&SettleJobs::new(now, vec![settlement]), now).jobs[0]
    }

    pub(super) fn record(&self, number: u64) -> JobRecord {
        self.records(&[id(number)]).remove(0).expect("the job is there")
    }
}
