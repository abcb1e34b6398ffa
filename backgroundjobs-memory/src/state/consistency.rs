//! A long random walk over every operation, after each step of which the indexes are compared with the jobs.

use std::time::Duration;

use backgroundjobs_core::{
    Failure, FailureKind, InsertJobs, JobId, JobState, Keep, KeyHold, LeaseKey, NewJob, Outcome, Priority,
    PruneJobs, RecoverJobs, RenewLeases, Retention, RunAt, Timestamp, UniqueKey,
};

use super::fixture::{at, claim_of, id, job, kind, queue};
use super::job::Stage;
use super::moments::Moments;
use super::{Prepared, State};

const STEPS: u32 = 5_000;
const IDS: u64 = 40;

#[test]
fn the_indexes_agree_with_the_jobs_whatever_happens() {
    for seed in 1..=5 {
        let mut walk = Walk { state: State::default(), random: seed, now: at(0) };
        for _ in 0..STEPS {
            walk.step();
            check(&walk.state);
        }
        assert!(walk.state.len() > 0, "seed {seed} ended with nothing to check");
    }
}

struct Walk {
    state: State,
    random: u64,
    now: Timestamp,
}

impl Walk {
    /// A number below `end` (the generator is splitmix64).
    fn below(&mut self, end: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn some_id(&mut self) -> JobId {
        id(self.below(IDS))
    }

    fn step(&mut self) {
        // Store time goes on, and sometimes back (clause T-3).
        match self.below(10) {
            0 => self.now = self.now - Duration::from_secs(self.below(5)),
            1..=6 => self.now = self.now + Duration::from_secs(self.below(20)),
            _ => {}
        }
        let (now, some) = (self.now, self.some_id());
        match self.below(14) {
            0..=4 => self.insert(),
            5 | 6 => drop(self.state.claim(&claim_of(self.random, now, 3), now)),
            7 | 8 => self.settle(),
            9 => drop(self.state.recover(&RecoverJobs::new(now, 2, Duration::from_secs(3)), now)),
            10 => drop(self.state.cancel(&[some], now)),
            11 => drop(self.state.requeue(&[some], now)),
            12 if self.below(2) == 0 => drop(self.state.delete(&[some])),
            12 => self.pause_or_resume(),
            _ => self.renew_and_prune(),
        }
    }

    fn insert(&mut self) {
        let jobs = (0..=self.below(3)).map(|_| self.some_job()).collect();
        let request = InsertJobs::new(self.now, jobs);
        let before = self.state.len();
        if self.state.insert(&request, Prepared::of(&request, self.now), self.now).is_err() {
            assert_eq!(self.state.len(), before, "a conflict stores nothing");
        }
    }

    fn some_job(&mut self) -> NewJob {
        let mut job = job(self.below(IDS));
        job.kind = kind(["mail", "report", "unknown"][self.below(3) as usize]);
        job.queue = queue(["q", "r"][self.below(2) as usize]);
        job.priority = Priority::new(self.below(10) as u8).expect("0 to 9");
        job.run_at = RunAt::In(Duration::from_secs(self.below(10)));
        let hold = match self.below(5) {
            0 => KeyHold::UntilFinished,
            1 => KeyHold::UntilStarted,
            2 => KeyHold::For(Duration::from_secs(self.below(30))),
            _ => return job,
        };
        job.unique = Some(UniqueKey { key: self.below(5).to_string().into(), hold });
        job
    }

    fn settle(&mut self) {
        let failure = Failure::new(FailureKind::Error, "no route");
        let delay = Duration::from_secs(self.below(10));
        let outcome = match self.below(6) {
            0 => Outcome::Retry { delay, failure },
            1 => Outcome::Snooze { delay },
            2 => Outcome::Release,
            3 => Outcome::Fail { failure },
            4 => Outcome::Cancel { failure: Some(failure) },
            _ => Outcome::Complete,
        };
        let lease = self.some_lease();
        self.state.settle_with(lease.id, lease.generation, outcome, self.now);
    }

    /// A running job's lease if there is one, sometimes an older one of it.
    fn some_lease(&mut self) -> LeaseKey {
        let count = self.state.index.leases.len() as u64;
        let nth = self.below(count.max(1)) as usize;
        let id = self.state.index.leases.iter().nth(nth).map_or(id(0), |(_, id)| id);
        let generation = self.state.jobs.get(&id).map_or(0, |job| job.generation);
        LeaseKey { id, generation: generation.saturating_sub(u64::from(self.below(5) == 0)) }
    }

    fn pause_or_resume(&mut self) {
        let name = queue(["q", "r", "empty"][self.below(3) as usize]);
        match self.below(3) {
            0 => self.state.pause(&name, self.now),
            _ => self.state.resume(&name),
        }
    }

    fn renew_and_prune(&mut self) {
        let lease = self.some_lease();
        self.state.renew(&RenewLeases::new(self.now, Duration::from_secs(9), vec![lease]), self.now);
        let keep = Keep { max_age: Some(Duration::from_secs(60)), max_count: Some(4) };
        let retention = Retention { succeeded: keep, failed: keep, cancelled: Keep::latest(3) };
        self.state.prune(&PruneJobs::new(self.now, retention, 3), self.now);
    }
}

/// Every job is found once, where its stage says, and nothing else is.
fn check(state: &State) {
    let index = &state.index;
    let (mut waiting, mut running, mut over) = (0, 0, 0);
    for (id, job) in &state.jobs {
        let group = index.lanes.group(job.group);
        match &job.stage {
            Stage::Waiting => {
                waiting += 1;
                assert!(!job.cancel_requested, "{id} was flagged and waits");
                assert!(group.lane(job.priority).contains(&(job.run_at, *id)));
            }
            Stage::Running(lease) => {
                running += 1;
                assert!(index.leases.contains(&(lease.until, *id)));
            }
            Stage::Finished(state, at) => {
                over += 1;
                assert!(index.ended[*state as usize].contains(&(*at, *id)));
            }
        }
    }
    let in_state =
        |state: JobState| index.lanes.groups().map(|group| group.counts[state as usize]).sum::<u64>();
    let in_lanes = index.lanes.groups().map(|group| group.waiting()).sum::<usize>();
    assert_eq!((waiting, waiting), (in_state(JobState::Waiting), in_lanes as u64));
    assert_eq!((running, running), (in_state(JobState::Running), index.leases.len() as u64));
    let ended = index.ended.iter().map(Moments::len).sum::<usize>();
    let counted: u64 = JobState::ALL.into_iter().filter(|state| state.is_final()).map(in_state).sum();
    assert_eq!((over, over), (counted, ended as u64));
    assert!(index.lanes.groups().all(|group| group.counts.iter().sum::<u64>() > 0));
    index.keys.check(|holder| state.jobs.get(&holder).map(|job| job.state()));
}
