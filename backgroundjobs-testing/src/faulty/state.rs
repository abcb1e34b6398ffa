//! What a faulty store draws, and what it is in.

use std::time::Duration;

use backgroundjobs_core::{Clock, StoreOperation, Timestamp};
use fastrand::Rng;
use parking_lot::Mutex;

use super::faults::{Faults, Odds};
use super::log::{Fault, MetFault};
use crate::{VirtualClock, current};

/// What a faulty store draws, and what it is in.
pub(super) struct State {
    pub(super) faults: Faults,
    clock: VirtualClock,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// For each operation and purpose its own, made at its first call.
    streams: Vec<((StoreOperation, &'static str), Rng)>,
    cut_off_until: Option<Timestamp>,
    /// Errors, lost replies, hangs and beginnings of partitions so far.
    met: u64,
}

/// What is to become of one call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) there: Duration,
    pub(super) back: Duration,
    pub(super) fault: Option<Fault>,
}

impl State {
    pub(super) fn new(clock: VirtualClock, faults: Faults) -> Self {
        Self { faults, clock, inner: Mutex::default() }
    }

    /// What is to become of the next call of this operation. Each takes as many draws as any other, so that odds
    /// which are changed change no other fault.
    pub(super) fn plan(&self, operation: StoreOperation) -> Plan {
        let [which, done, there, back] = self.draw(operation, "call");
        if self.is_quiet() {
            return Plan { there: Duration::ZERO, back: Duration::ZERO, fault: None };
        }
        let fault = pick(self.faults.odds(operation), which, done < 0.5);
        let (there, back) = (self.delay(there), self.delay(back));
        if !(there + back).is_zero() {
            self.note(operation, Fault::Delay);
        }
        if let Some(fault) = fault {
            self.inner.lock().met += 1;
            self.note(operation, fault);
        }
        if fault == Some(Fault::Partition) {
            let until = self.clock.now() + self.faults.partition_for;
            self.inner.lock().cut_off_until = Some(until);
        }
        Plan { there, back, fault }
    }

    /// Whether no call passes now.
    pub(super) fn is_cut_off(&self) -> bool {
        let now = self.clock.now();
        self.inner.lock().cut_off_until.is_some_and(|until| now < until) && !self.is_past_end(now)
    }

    /// The time that a request brings along.
    pub(super) fn skewed(&self, operation: StoreOperation, now: Timestamp) -> Timestamp {
        let [far, early, ..] = self.draw(operation, "now");
        if self.faults.skew.is_zero() || self.is_quiet() {
            return now;
        }
        self.note(operation, Fault::Skew);
        let by = self.faults.skew.mul_f64(far);
        if early < 0.5 { now - by } else { now + by }
    }

    /// Whether the next wake is dropped, doubled, or made up.
    pub(super) fn wake(&self) -> Option<Fault> {
        let [which, spurious, ..] = self.draw(StoreOperation::NextWake, "wake");
        if self.is_quiet() {
            return None;
        }
        let odds = self.faults.wakes;
        if spurious < odds.spurious {
            Some(Fault::SpuriousWake)
        } else if which < odds.dropped {
            Some(Fault::DroppedWake)
        } else if which < odds.dropped + odds.doubled {
            Some(Fault::DoubledWake)
        } else {
            None
        }
    }

    pub(super) fn note(&self, operation: StoreOperation, fault: Fault) {
        self.faults.log.note(MetFault { at: self.clock.now(), operation, fault });
    }

    /// Takes virtual time, where somebody moves the clock.
    pub(super) async fn take(&self, time: Duration) {
        // Outside every task, between two verbs, nobody does: a call that waited for it never came back.
        if !time.is_zero() && current::owner().is_some() {
            self.clock.sleep_until(self.clock.now() + time).await;
        }
    }

    fn is_quiet(&self) -> bool {
        self.is_past_end(self.clock.now()) || self.inner.lock().met >= self.faults.at_most
    }

    fn is_past_end(&self, now: Timestamp) -> bool {
        self.faults.quiet_from.is_some_and(|end| now >= end)
    }

    fn delay(&self, draw: f64) -> Duration {
        let Some(delay) = &self.faults.delay else { return Duration::ZERO };
        *delay.start() + delay.end().saturating_sub(*delay.start()).mul_f64(draw)
    }

    fn draw(&self, operation: StoreOperation, purpose: &'static str) -> [f64; 4] {
        let Inner { streams, .. } = &mut *self.inner.lock();
        let place = streams.iter().position(|(of, _)| *of == (operation, purpose));
        let place = place.unwrap_or_else(|| {
            streams.push(((operation, purpose), stream(self.faults.seed, operation, purpose)));
            streams.len() - 1
        });
        let rng = &mut streams[place].1;
        std::array::from_fn(|_| rng.f64())
    }
}

fn stream(seed: u64, operation: StoreOperation, purpose: &str) -> Rng {
    // FNV-1a, as in the hash of a trace: the same on every machine.
    let text = format!("{operation} {purpose}");
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64 ^ seed, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    Rng::with_seed(hash)
}

fn pick(odds: Odds, draw: f64, done: bool) -> Option<Fault> {
    let mut left = draw;
    let faults = [
        (odds.error, Fault::Error),
        (odds.lost_reply, Fault::LostReply),
        (odds.hang, Fault::Hang { done }),
        (odds.partition, Fault::Partition),
    ];
    for (part, fault) in faults {
        if left < part {
            return Some(fault);
        }
        left -= part;
    }
    None
}
