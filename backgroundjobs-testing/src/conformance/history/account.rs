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
    /// From which moment on it was known to be held until when. No later call makes a lease end earlier.
    held: Vec<(u64, Timestamp)>,
    /// The outcome that was applied.
    settled: Option<Outcome>,
    /// An answer said that the claim is over.
    is_refused: bool,
}

impl Claim {
    /// Whether it was held for sure when a recover was made.
    fn is_held(&self, recovery: Recovery) -> bool {
        self.held.iter().any(|(since, until)| *since < recovery.sent && *until > recovery.now)
    }
}

#[derive(Clone, Copy, Debug)]
struct Recovery {
    now: Timestamp,
    sent: u64,
    answered: u64,
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
                let held = vec![(since, until)];
                let claim = Claim { of, held, settled: None, is_refused: false };
                claims.insert(lease.generation, claim);
            }
        }
    }

    /// A renew was answered: held until then, or no more.
    pub(super) fn renew(&mut self, lease: LeaseKey, until: Option<Timestamp>) {
        let since = self.moment();
        let claim = self.claim(lease);
        match until {
            Some(until) => claim.held.push((since, until)),
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
        let answered = self.moment();
        for id in ids {
            self.met.recoveries += 1;
            self.recoveries.entry(id).or_default().push(Recovery { now, sent, answered });
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
            faults.extend(records.get(id).and_then(|record| miscounted(claims, record)).map(|it| (*id, it)));
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
    } else if !can_have_ended(&open, recoveries) {
        let times: Vec<_> = recoveries.iter().map(|recovery| operations::at(recovery.now)).collect();
        faults.push(format!("was taken back while it was held, by a recover of {}", times.join(" or ")));
    }
    faults
}

/// Whether a record has counted what was answered: each claim and each retry.
fn miscounted(claims: &BTreeMap<u64, Claim>, record: &JobRecord) -> Option<String> {
    let latest = claims.keys().next_back().copied().unwrap_or_default();
    let is_retry = |claim: &&Claim| matches!(claim.settled, Some(Outcome::Retry { .. }));
    let retries = claims.values().filter(is_retry).count();
    let (generation, attempts) = (record.generation, record.attempts);
    (generation != latest || usize::from(attempts) != retries).then(|| {
        format!(
            "ends with generation {generation} and {attempts} attempts used up, after claims up to generation \
             {latest} and {retries} retries"
        )
    })
}

/// Whether the recoveries can have ended the open claims in turn, each one that was not held for sure. Of two
/// recoveries that were made at once either may have been the first.
fn can_have_ended(open: &[&Claim], recoveries: &[Recovery]) -> bool {
    let Some((claim, later)) = open.split_first() else { return true };
    (0..recoveries.len()).any(|index| {
        let mut others = recoveries.to_vec();
        let first = others.remove(index);
        let may_be_first = others.iter().all(|other| other.answered > first.sent);
        may_be_first && !claim.is_held(first) && can_have_ended(later, &others)
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use backgroundjobs_core::{Failure, FailureKind, Kind, NewJob, Payload, QueueName};

    use super::*;

    const ID: JobId = JobId::from_uuid(uuid::Uuid::from_u128(7));

    fn lease(generation: u64) -> LeaseKey {
        LeaseKey { id: ID, generation }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_micros(second * 1_000_000)
    }

    /// Offered, and handed out as generation 1 until the given second.
    fn handed(until: i64) -> Account {
        let mut account = Account::default();
        account.offer([ID]);
        hand(&mut account, 1, until);
        account
    }

    fn hand(account: &mut Account, generation: u64, until: i64) {
        let claim = ClaimId::from_uuid(uuid::Uuid::from_u128(generation.into()));
        account.hand(0, claim, lease(generation), at(until));
    }

    fn take_back(account: &mut Account, second: i64) {
        let sent = account.moment();
        account.recover(at(second), sent, [ID]);
    }

    fn retry() -> Outcome {
        Outcome::Retry { delay: Duration::ZERO, failure: Failure::new(FailureKind::Error, "no") }
    }

    /// What cannot be explained, given the counters that the record ends with.
    fn faults(account: &Account, generation: u64, attempts: u16) -> Vec<String> {
        let kind = Kind::new("task").expect("a kind");
        let job = NewJob::new(ID, kind, QueueName::new("work").expect("a queue"), Payload::from_store("{}"));
        let mut record = JobRecord::inserted(job, at(0));
        (record.state, record.generation, record.attempts) = (JobState::Succeeded, generation, attempts);
        account.faults(&BTreeMap::from([(ID, record)])).into_iter().map(|(_, fault)| fault).collect()
    }

    #[test]
    fn runs_that_follow_from_retries_and_lost_leases_are_explained() {
        let mut account = handed(30);
        account.settle(lease(1), &retry(), true);
        account.settle(lease(1), &retry(), true);
        hand(&mut account, 2, 60);
        account.renew(lease(2), Some(at(80)));
        take_back(&mut account, 80);
        hand(&mut account, 3, 120);
        account.settle(lease(1), &retry(), false);
        account.settle(lease(2), &Outcome::Complete, false);
        account.settle(lease(3), &Outcome::Complete, true);
        assert_eq!(faults(&account, 3, 1), Vec::<String>::new());
    }

    /// The recover came first, and was answered after the claim that it made possible.
    #[test]
    fn answers_may_come_in_another_order() {
        let mut account = handed(30);
        let sent = account.moment();
        hand(&mut account, 2, 90);
        account.recover(at(30), sent, [ID]);
        account.settle(lease(2), &Outcome::Complete, true);
        assert_eq!(faults(&account, 2, 0), Vec::<String>::new());
    }

    #[test]
    fn a_lease_taken_back_while_it_is_held_is_not_explained_by_one_that_ran_out_before() {
        let mut account = handed(30);
        take_back(&mut account, 30);
        hand(&mut account, 2, 90);
        take_back(&mut account, 80);
        hand(&mut account, 3, 120);
        account.settle(lease(3), &Outcome::Complete, true);
        let expected = "was taken back while it was held, by a recover of 1970-01-01T00:00:30Z or \
                        1970-01-01T00:01:20Z";
        assert_eq!(faults(&account, 3, 0), [expected]);
    }

    #[test]
    fn a_run_beside_another_a_run_after_the_end_and_a_late_outcome_are_not_explained() {
        let mut twice = handed(30);
        hand(&mut twice, 2, 30);
        twice.settle(lease(2), &Outcome::Complete, true);
        let expected = "had 1 claims that ended without an outcome, and was taken back 0 times";
        assert_eq!(faults(&twice, 2, 0), [expected]);

        let mut again = handed(30);
        again.settle(lease(1), &Outcome::Complete, true);
        hand(&mut again, 2, 60);
        again.settle(lease(2), &Outcome::Complete, true);
        assert_eq!(faults(&again, 2, 0), ["was handed out again after it had succeeded"]);

        let mut late = handed(30);
        late.renew(lease(1), None);
        late.settle(lease(1), &Outcome::Complete, true);
        let expected = "took an outcome of generation 1 after that was said to be lost";
        assert_eq!(faults(&late, 1, 0)[0], expected);
    }

    #[test]
    fn an_attempt_or_a_generation_that_nobody_was_told_of_is_not_explained() {
        let mut account = handed(30);
        account.settle(lease(1), &retry(), true);
        hand(&mut account, 2, 60);
        account.settle(lease(2), &Outcome::Complete, true);
        let expected =
            "ends with generation 3 and 0 attempts used up, after claims up to generation 2 and 1 retries";
        assert_eq!(faults(&account, 3, 0), [expected]);
    }
}
