//! Tests of background jobs on virtual time: a [`VirtualClock`] that stands still until the test moves it, and
//! a [`StepScheduler`] that runs a program's tasks one at a time, in an order that a seed decides.
//!
//! Nothing here needs a mock of the program: it gets its surroundings as an
//! [`Env`](backgroundjobs_core::Env), and [`StepScheduler::env`] makes one.

mod clock;
mod current;
mod scheduler;

pub use clock::VirtualClock;
pub use scheduler::{Event, Report, StepScheduler, StepSchedulerBuilder, TaskPanic, TraceLog};
