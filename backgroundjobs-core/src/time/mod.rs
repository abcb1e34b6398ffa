//! Instants and the clock they come from.
//!
//! Two times exist and must not be mixed. *Caller time* is what [`Clock::now`] answers in this process: it
//! is for sleeping, logs and ids. *Store time* is what a store answers in its replies: it alone decides what
//! is due and whose lease is over (clause T-1 of [`JobStore`](crate::JobStore)).

mod clock;
mod timestamp;

pub use clock::{BoxFuture, Clock, SystemClock};
pub use timestamp::{ParseTimestampError, Timestamp};
