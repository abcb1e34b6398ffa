//! One call of a made-up history: what is asked, in numbers that mean something in any history, so that steps can
//! be taken out of one.

use std::time::Duration;

use backgroundjobs_core::{
    ErrorText, Failure, FailureKind, Keep, KeyHold, Outcome, Priority, Retention, RunAt, UniqueKey,
};
use fastrand::Rng;

use super::super::context::at;

/// How many jobs there are to speak of: few, so that calls meet.
pub(super) const JOBS: u8 = 20;
/// The queues and kinds there are.
pub(super) const NAMES: [&str; 2] = ["a", "b"];

/// A call, and what goes before it.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// Time that passes before the call.
    pub(super) pass: Duration,
    /// Whether it is made on the second handle, where there is one.
    pub(super) is_on_second: bool,
    pub(super) call: Call,
}

#[derive(Clone, Debug)]
pub(super) enum Call {
    Insert(Vec<Offer>),
    Claim(Demand),
    Settle(Vec<(Holder, Outcome)>),
    Renew(Vec<Holder>, Duration),
    Recover(Duration),
    Cancel(Vec<Target>),
    Prune(Retention),
    Requeue(Vec<Target>),
    Delete(Vec<Target>),
    Pause(u8),
    Resume(u8),
    /// Closes the store and opens it again, where it lasts.
    Reopen,
}

/// A job to insert.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    pub(super) job: u8,
    pub(super) kind: u8,
    pub(super) queue: u8,
    pub(super) priority: Priority,
    pub(super) max_crashes: u16,
    pub(super) run_at: RunAt,
    pub(super) unique: Option<UniqueKey>,
}

/// A claim.
#[derive(Clone, Debug)]
pub(super) struct Demand {
    /// Which claim it is; one that was made before is repeated as it was.
    pub(super) number: u8,
    pub(super) limits: [usize; 2],
    /// Which kinds are asked for.
    pub(super) kinds: [bool; 2],
    pub(super) lease: Duration,
}

/// A job that was handed out: so many before the one that was handed out last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holder(pub(super) u8);

/// A job to do something to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    Job(u8),
    Handed(Holder),
}

/// The history of this seed.
pub(super) fn steps(seed: u64, count: usize) -> Vec<Step> {
    let mut rng = Rng::with_seed(seed);
    (0..count).map(|_| Step::draw(&mut rng)).collect()
}

impl Step {
    fn draw(rng: &mut Rng) -> Self {
        let pass = span(rng) / 2;
        Self { pass, is_on_second: rng.u8(0..4) == 0, call: Call::draw(rng) }
    }

    /// How many items its batch has.
    pub(super) fn items(&self) -> usize {
        match &self.call {
            Call::Insert(items) => items.len(),
            Call::Settle(items) => items.len(),
            Call::Renew(items, _) => items.len(),
            Call::Cancel(items) | Call::Requeue(items) | Call::Delete(items) => items.len(),
            _ => 0,
        }
    }

    /// Without one item of its batch.
    pub(super) fn without(&self, item: usize) -> Self {
        let mut step = self.clone();
        match &mut step.call {
            Call::Insert(items) => _ = items.remove(item),
            Call::Settle(items) => _ = items.remove(item),
            Call::Renew(items, _) => _ = items.remove(item),
            Call::Cancel(items) | Call::Requeue(items) | Call::Delete(items) => _ = items.remove(item),
            _ => {}
        }
        step
    }
}

impl Call {
    fn draw(rng: &mut Rng) -> Self {
        match rng.u8(0..42) {
            0..8 => Self::Insert(some(rng, Offer::draw)),
            8..16 => Self::Claim(Demand::draw(rng)),
            16..24 => Self::Settle(some(rng, |rng| (Holder::draw(rng), outcome(rng)))),
            24..26 => Self::Renew(some(rng, Holder::draw), span(rng)),
            26..29 => Self::Recover(span(rng)),
            29..32 => Self::Cancel(some(rng, Target::draw)),
            32 | 40 | 41 => {
                let failed = keep(rng);
                Self::Prune(Retention { succeeded: keep(rng), failed, cancelled: failed })
            }
            33..35 => Self::Requeue(some(rng, Target::draw)),
            35 => Self::Delete(some(rng, Target::draw)),
            36 => Self::Pause(rng.u8(0..2)),
            37 | 38 => Self::Resume(rng.u8(0..2)),
            _ => Self::Reopen,
        }
    }

    /// The clauses of the contract that its answer is about.
    pub(super) const fn clauses(&self) -> &'static str {
        match self {
            Self::Insert(_) => "clauses I-1 to I-5, U-1 to U-4",
            Self::Claim(_) => "clauses C-1 to C-9",
            Self::Settle(_) => "clauses S-1 to S-6, X-1, X-2",
            Self::Renew(..) => "clauses R-1, R-2",
            Self::Recover(_) => "clauses V-1 to V-5",
            Self::Cancel(_) => "clause X-3",
            Self::Prune(_) => "clauses P-1 to P-4",
            Self::Requeue(_) => "clauses O-1 to O-3",
            Self::Delete(_) => "clause O-4",
            Self::Pause(_) | Self::Resume(_) => "clauses O-5, O-6",
            Self::Reopen => "clause L-3",
        }
    }
}

impl Offer {
    fn draw(rng: &mut Rng) -> Self {
        let hold = match rng.u8(0..3) {
            0 => KeyHold::UntilFinished,
            1 => KeyHold::UntilStarted,
            _ => KeyHold::For(span(rng) * 3),
        };
        let key = ["k", "l", "m"][rng.usize(0..3)];
        let (job, other_kind) = (job(rng), rng.u8(0..30) == 0);
        Self {
            job,
            // The same each time, else most batches would fail by a conflict.
            kind: (job + u8::from(other_kind)) % 2,
            queue: rng.u8(0..2),
            priority: Priority::new(rng.u8(4..7)).expect("it is below 10"),
            max_crashes: rng.u16(1..4),
            run_at: match rng.u8(0..3) {
                0 => RunAt::Now,
                1 => RunAt::In(span(rng)),
                _ => RunAt::At(at(0) + span(rng) * 4),
            },
            unique: (rng.u8(0..2) == 0).then(|| UniqueKey { key: key.into(), hold }),
        }
    }
}

impl Demand {
    fn draw(rng: &mut Rng) -> Self {
        let kinds = [[true, false], [false, true], [true, true], [true, true]][rng.usize(0..4)];
        let limits = [rng.usize(0..4), rng.usize(0..4)];
        Self { number: rng.u8(0..30), limits, kinds, lease: span(rng) }
    }
}

impl Holder {
    /// Mostly one of the last few, which may still run.
    fn draw(rng: &mut Rng) -> Self {
        Self(if rng.u8(0..8) == 0 { rng.u8(0..40) } else { rng.u8(0..5) })
    }
}

impl Target {
    fn draw(rng: &mut Rng) -> Self {
        if rng.bool() { Self::Job(job(rng)) } else { Self::Handed(Holder::draw(rng)) }
    }
}

fn job(rng: &mut Rng) -> u8 {
    rng.u8(0..JOBS)
}

fn span(rng: &mut Rng) -> Duration {
    Duration::from_micros(rng.u64(0..12))
}

fn outcome(rng: &mut Rng) -> Outcome {
    let failure = Failure::new(FailureKind::Error, ErrorText::new("failed"));
    match rng.u8(0..7) {
        0 => Outcome::Complete,
        1 | 2 => Outcome::Retry { delay: span(rng), failure },
        3 => Outcome::Snooze { delay: span(rng) },
        4 => Outcome::Release,
        5 => Outcome::Fail { failure },
        _ => Outcome::Cancel { failure: (rng.u8(0..2) == 0).then_some(failure) },
    }
}

fn keep(rng: &mut Rng) -> Keep {
    Keep {
        max_age: (rng.u8(0..2) == 0).then(|| span(rng) * 4),
        max_count: (rng.u8(0..2) == 0).then(|| rng.u64(0..4)),
    }
}

fn some<T>(rng: &mut Rng, mut draw: impl FnMut(&mut Rng) -> T) -> Vec<T> {
    (0..rng.usize(1..5)).map(|_| draw(rng)).collect()
}
