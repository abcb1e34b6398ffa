//! What several workers were answered by one store, and whether it can be explained.
//!
//! The account knows the replies that got lost on the way to whoever asked, too.

use std::collections::{BTreeMap, BTreeSet};

use super::super::operations;
use backgroundjobs_core::{ClaimId, JobId, JobRecord, JobState, LeaseKey, Outcome, Timestamp};

/// What was met: a history that met too little shows nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Met {
    pub(super) inserts_lost: u32,
    pub(super) claims_lost: u32,
    pub(super) settles_lost: u32,
    retries: u32,
    recoveries: u32,
}

/// All answers of a history. Moments are counted over all parties: what was answered before a request was sent is
/// earlier than it in every order.
#[derive(Debug, Default)]
pub(super) struct Account {
    moment: u64,
    offered: BTreeSet<JobId>,
    acknowledged: BTreeSet<JobId>,
    claims: BTreeMap<JobId, BTreeMap<u64, Claim>>,
    recoveries: BTreeMap<JobId, Vec<Recovery>>,
    workers: BTreeSet<usize>,
    met: Met,
    faults: Vec<Fault>,
}

/// What cannot be explained, of a job.
pub(super) type Fault = (JobId, String);

/// One claim of one job.
#[derive(Debug)]
struct Claim {
    of: ClaimId,
    /// Until when it is held for sure, and from which moment on that is known.
    until: Timestamp,
    since: u64,
    /// The outcome that was applied.
    settled: Option<Outcome>,
    /// An answer said that the claim is over.
    is_refused: bool,
}

#[derive(Clone, Copy, Debug)]
struct Recovery {
    now: Timestamp,
    sent: u64,
}

impl Account {
    /// A moment later than every one before.
    pub(super) fn moment(&mut self) -> u64 {
        self.moment += 1;
        self.moment
    }

    /// Somebody tries to insert these.
    pub(super) fn offer(&mut self, ids: impl IntoIterator<Item = JobId>) {
        self.offered.extend(ids);
    }

    /// Somebody was told that these are stored.
    pub(super) fn acknowledge(&mut self, ids: impl IntoIterator<Item = JobId>) {
        self.acknowledged.extend(ids);
    }

    /// All jobs that somebody tried to insert.
    pub(super) fn offered(&self) -> Vec<JobId> {
        self.offered.iter().copied().collect()
    }

    pub(super) fn meet(&mut self, what: impl FnOnce(&mut Met)) {
        what(&mut self.met);
    }

    /// A claim was answered with a job, held until then at least.
    pub(super) fn hand(&mut self, worker: usize, of: ClaimId, lease: LeaseKey, until: Timestamp) {
        self.workers.insert(worker);
        let (since, id) = (self.moment(), lease.id);
        if !self.offered.contains(&id) {
            self.faults.push((id, "was handed out, and nobody has inserted it".to_owned()));
        }
        let claims = self.claims.entry(id).or_default();
        match claims.get(&lease.generation) {
            // The same claim, repeated.
            Some(claim) if claim.of == of => {}
            Some(_) => {
                let generation = lease.generation;
                self.faults.push((id, format!("was handed to two claims as generation {generation}")));
            }
            None => {
                let claim = Claim { of, until, since, settled: None, is_refused: false };
                claims.insert(lease.generation, claim);
            }
        }
    }

    /// A renew was answered: held until then, or no more.
    pub(super) fn renew(&mut self, lease: LeaseKey, until: Option<Timestamp>) {
        let since = self.moment();
        let claim = self.claim(lease);
        match until {
            Some(until) => (claim.until, claim.since) = (until, since),
            None => claim.is_refused = true,
        }
    }

    /// A settle was answered.
    pub(super) fn settle(&mut self, lease: LeaseKey, outcome: &Outcome, is_applied: bool) {
        let claim = self.claim(lease);
        let is_known = claim.settled.is_some();
        match is_applied {
            true if claim.is_refused => {
                let generation = lease.generation;
                let fault =
                    format!("took an outcome of generation {generation} after that was said to be lost");
                self.faults.push((lease.id, fault));
            }
            true => claim.settled = Some(outcome.clone()),
            // A repeat is not known any more once a later claim was settled.
            false if is_known => {}
            false => claim.is_refused = true,
        }
        if is_applied && !is_known && matches!(outcome, Outcome::Retry { .. }) {
            self.met.retries += 1;
        }
    }

    /// A recover that was sent at that moment was answered with these jobs.
    pub(super) fn recover(&mut self, now: Timestamp, sent: u64, ids: impl IntoIterator<Item = JobId>) {
        for id in ids {
            self.met.recoveries += 1;
            self.recoveries.entry(id).or_default().push(Recovery { now, sent });
        }
    }

    fn claim(&mut self, lease: LeaseKey) -> &mut Claim {
        let of_job = self.claims.get_mut(&lease.id);
        of_job.and_then(|claims| claims.get_mut(&lease.generation)).expect("it was handed out before")
    }

    /// All that cannot be explained, given what the store has of each job once all is over.
    pub(super) fn faults(&self, records: &BTreeMap<JobId, JobRecord>) -> Vec<Fault> {
        let mut faults = self.faults.clone();
        for id in &self.acknowledged {
            let fault = match records.get(id).map(|record| record.state) {
                Some(JobState::Succeeded) => continue,
                Some(state) => format!("is lost: it is {state} once all is over"),
                None => "is lost: its insert was answered, and it is not there".to_owned(),
            };
            faults.push((*id, fault));
        }
        for (id, claims) in &self.claims {
            let recoveries = self.recoveries.get(id).map_or(&[][..], Vec::as_slice);
            faults.extend(unexplained(claims, recoveries).into_iter().map(|fault| (*id, fault)));
        }
        faults
    }

    /// What a history must have met that was not.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        let met = self.met;
        let wanted = [
            ("an insert whose reply was lost", met.inserts_lost),
            ("a claim whose reply was lost", met.claims_lost),
            ("a settle whose reply was lost", met.settles_lost),
            ("a retry", met.retries),
            ("a job that was taken back", met.recoveries),
            ("a second worker that was handed a job", (self.workers.len() as u32).saturating_sub(1)),
        ];
        wanted.into_iter().filter(|(_, count)| *count == 0).map(|(what, _)| what).collect()
    }
}

/// What cannot be explained of one job. Each claim of it ended by an outcome or was taken back; it is not claimed
/// after it has succeeded; and it was taken back only when a lease may have run out.
fn unexplained(claims: &BTreeMap<u64, Claim>, recoveries: &[Recovery]) -> Vec<String> {
    let mut faults = Vec::new();
    let is_success = |claim: &&Claim| matches!(claim.settled, Some(Outcome::Complete));
    let successes = claims.values().filter(is_success).count();
    let ends_with_one = claims.values().next_back().as_ref().is_some_and(is_success);
    if successes > usize::from(ends_with_one) {
        faults.push("was handed out again after it had succeeded".to_owned());
    }
    let open: Vec<_> = claims.values().filter(|claim| claim.settled.is_none()).collect();
    if open.len() != recoveries.len() {
        let (open, back) = (open.len(), recoveries.len());
        faults.push(format!(
            "had {open} claims that ended without an outcome, and was taken back {back} times"
        ));
    }
    for Recovery { now, sent } in recoveries {
        let is_held = |claim: &&Claim| claim.since < *sent && claim.until > *now;
        if open.iter().all(is_held) {
            faults
                .push(format!("was taken back at {}, when every claim of it was held", operations::at(*now)));
        }
    }
    faults
}
