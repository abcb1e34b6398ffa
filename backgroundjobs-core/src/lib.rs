//! wip
pub mod limits;
mod failure;
mod id;
mod name;
mod payload;
mod record;
mod state;
mod store;
mod time;
pub use failure::{ErrorText, Failure, FailureKind, RecordedFailure};
pub use id::{ClaimId, JobId, ParseJobIdError, WorkerId};
pub use name::{Kind, MAX_NAME_BYTES, NameError, QueueName};
pub use payload::{Metadata, Payload};
pub use record::{JobRecord, KeyHold, Lease, NewJob, Priority, RunAt, UniqueKey};
pub use state::{JobState, STEPS, Step, recovered_state};
pub use store::*;
pub use time::{BoxFuture, Clock, ParseTimestampError, SystemClock, Timestamp};
