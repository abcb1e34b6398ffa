//! A verb at work: it grants, fires timers and waits, until everything rests.

use std::sync::Arc;
use std::task::{Context, Poll};

use backgroundjobs_core::{Clock, Timestamp, step_aside};

use super::explain::explain;
use super::inhibitor::Inhibitor;
use super::real_time;
use super::report::Report;
use super::shared::Shared;
use super::state::{Asked, Step};
use crate::current;

/// Grants within one instant after which tasks are taken to wake each other without end.
const MAX_GRANTS: u64 = 2_000_000;

/// Grants after which a settling verb lets the runtime turn, so that its input, output and other tasks live.
const GRANTS_PER_TURN: u64 = 64;

/// A verb at work. Dropping it, in mid-way too, ends the work and leaves the scheduler for the next verb.
pub(super) struct Drive {
    shared: Arc<Shared>,
}

impl Drive {
    /// Begins `verb`.
    pub(super) fn begin(shared: &Arc<Shared>, verb: &str) -> Self {
        let inside = current::is_inside(shared.identity());
        assert!(
            !inside,
            "{verb} was called inside a task that the scheduler drives; only the test may drive"
        );
        let mut state = shared.state.lock();
        assert!(state.drive.is_none(), "{verb} was called while another verb drives the scheduler");
        state.drive = Some(Report::starting(shared.clock.now()));
        state.progress = shared.ticker.now();
        // What the test has done since may let a thread go on, and that takes it a moment.
        state.wait_for_threads_again(shared.ticker.now());
        drop(state);
        shared.verb_begins();
        Self { shared: shared.clone() }
    }

    /// Ends the work and answers what was seen.
    pub(super) fn finish(self) -> Report {
        let shared = self.shared.clone();
        drop(self);
        let last = shared.state.lock().last.clone();
        last.unwrap_or_else(|| Report::starting(shared.clock.now()))
    }

    /// Grants until nothing is ready and nobody waits for anything outside. `own` polls the verb's own future.
    pub(super) async fn settle(&self, own: &mut impl FnMut(&mut Context<'_>) -> Poll<()>) {
        let mut grants = 0;
        loop {
            let step = {
                let Shared { clock, ticker, trace, .. } = &*self.shared;
                self.shared.state.lock().next_step(ticker.now(), || clock.purpose(), trace)
            };
            match step {
                Step::Rest => return,
                Step::Wait => self.wait().await,
                Step::Grant(grant) => {
                    let outside = grant.asked != Asked::Turn;
                    self.shared.carry_out(grant, own);
                    grants += 1;
                    self.shared.state.lock().progress = self.shared.ticker.now();
                    assert!(grants < MAX_GRANTS, "{}", self.explain("tasks wake each other without end"));
                    // A task in a guard may wait by polling; what it waits for needs the runtime.
                    if outside || grants.is_multiple_of(GRANTS_PER_TURN) {
                        step_aside().await;
                    }
                }
            }
        }
    }

    /// Fires the next timer that is due at `until`; answers whether there was one.
    pub(super) fn fire(&self, until: Timestamp) -> bool {
        let Shared { clock, trace, .. } = &*self.shared;
        let waker = self.shared.state.lock().next_timer(clock, until, trace);
        let Some(waker) = waker else { return false };
        let scope = current::enter(self.shared.identity(), None);
        waker.wake();
        drop(scope);
        true
    }

    /// Counts again the guards that were given up; answers whether there was any.
    pub(super) fn take_patience(&self) -> bool {
        self.shared.state.lock().take_patience(self.shared.ticker.now())
    }

    /// What everybody is doing, under a headline.
    pub(super) fn explain(&self, headline: &str) -> String {
        explain(&self.shared, headline)
    }

    /// Waits for an answer from outside, or until patience is at its end.
    async fn wait(&self) {
        let inhibitor = self.shared.state.lock().waits_for_store().then(Inhibitor::start);
        self.shared.changed.notified().await;
        drop(inhibitor);
        let tick = self.shared.ticker.now();
        let asleep = self.shared.clock.purpose();
        let mut state = self.shared.state.lock();
        state.lose_patience(tick, &self.shared.limits.patience, asleep);
        let waited = tick.saturating_sub(state.progress);
        drop(state);
        let watchdog = self.shared.limits.watchdog;
        if waited >= real_time::ticks(watchdog) {
            panic!("{}", self.explain(&format!("nothing happened for {watchdog:?} of real time")));
        }
    }
}

impl Drop for Drive {
    fn drop(&mut self) {
        let next_timer = self.shared.clock.next_timer();
        let to = self.shared.clock.now();
        let mut state = self.shared.state.lock();
        state.last = state.drive.take().map(|report| Report { to, next_timer, ..report });
        state.keep_doubts();
        drop(state);
        self.shared.verb_ends();
    }
}

/// For verbs without a future of their own.
pub(super) const fn nothing(_: &mut Context<'_>) -> Poll<()> {
    Poll::Ready(())
}
