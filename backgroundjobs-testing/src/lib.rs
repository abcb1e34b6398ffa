//! Tests of background jobs on virtual time.
//!
//! - [`TestKit`] puts a program's real jobs, manager, worker and store, on a clock that stands still until the
//!   test moves it. When `advance` returns, everything that was due has happened.
//! - [`VirtualClock`] and [`StepScheduler`] are what it stands on: tasks run one at a time, timers fire one at a
//!   time, in an order that a seed decides.
//! - [`conformance`] checks any store against the clauses of the store contract.
//!
//! Nothing here needs a mock of the program: it gets its surroundings as an
//! [`Env`](backgroundjobs_core::Env).

pub mod conformance;

mod clock;
mod current;
mod history;
mod kit;
mod scheduler;

pub use clock::{Skew, VirtualClock};
pub use history::Attempt;
pub use kit::{
    KitReport, Limits, Node, NodeBuilder, Perform, Performed, RunningJob, TestKit, TestKitBuilder,
};
pub use scheduler::{Event, Report, StepScheduler, StepSchedulerBuilder, TaskPanic, TraceLog};
