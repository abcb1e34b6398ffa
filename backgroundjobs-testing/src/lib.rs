//! Tests of background jobs on virtual time.
//!
//! - [`TestKit`] puts a program's real jobs, manager, worker and store, on a clock that stands still until the
//!   test moves it. When `advance` returns, everything that was due has happened.
//! - [`VirtualClock`] and [`StepScheduler`] are what it stands on: tasks run one at a time, timers fire one at a
//!   time, in an order that a seed decides.
//! - [`FaultyStore`] is any store with the faults of stores and networks, by a seed.
//! - [`conformance`] checks any store against the clauses of the store contract.
//!
//! Nothing here needs a mock of the program: it gets its surroundings as an
//! [`Env`](backgroundjobs_core::Env).

pub mod conformance;

mod caught;
mod check;
mod clock;
mod current;
mod explore;
mod faulty;
mod history;
mod kit;
mod layer;
mod ledger;
mod recording;
mod scheduler;

pub use check::{AssertEnqueued, AssertRan, FoundJob, FoundRun, KitJobs};
pub use clock::{Skew, VirtualClock};
pub use explore::{
    CrashReport, Exploration, Seeds, crash_everywhere, crash_everywhere_with, explore, explore_with,
};
pub use faulty::{Fault, FaultLog, Faults, FaultyLayer, FaultyStore, MetFault, Odds};
pub use history::Attempt;
pub use kit::{
    KitReport, Limits, Node, NodeBuilder, Perform, Performed, RunningJob, TestKit, TestKitBuilder,
};
pub use layer::{Exchange, LayeredStore, StoreLayer};
pub use ledger::Ledger;
pub use recording::RecordingManager;
pub use scheduler::{Event, Report, StepScheduler, StepSchedulerBuilder, TaskPanic, TraceLog};
