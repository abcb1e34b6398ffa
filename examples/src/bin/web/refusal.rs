//! [`Refusal`]: every answer that is none, as a status and a reason in JSON.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use backgroundjobs_core::hosting::{RefreshError, TaskQueueError};
use backgroundjobs_core::{EnqueueError, ParseJobIdError, StoreError, WaitError};
use serde::Serialize;

use crate::users::Trouble;

pub(crate) struct Refusal {
    status: StatusCode,
    reason: String,
}

#[derive(Serialize)]
struct Reason {
    error: String,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(Reason { error: self.reason })).into_response()
    }
}

impl From<JsonRejection> for Refusal {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl From<PathRejection> for Refusal {
    fn from(rejection: PathRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl From<ParseJobIdError> for Refusal {
    fn from(error: ParseJobIdError) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error.to_string())
    }
}

impl From<EnqueueError> for Refusal {
    fn from(error: EnqueueError) -> Self {
        let status = match error {
            EnqueueError::ArgsTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            // The program is on its way out, or its store is in trouble: the client may try again.
            EnqueueError::Stopped { .. } | EnqueueError::Store { .. } => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

impl From<TaskQueueError> for Refusal {
    /// The queue is full, or the program is on its way out: the client may try again.
    fn from(error: TaskQueueError) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

impl From<RefreshError> for Refusal {
    fn from(error: RefreshError) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

impl From<WaitError> for Refusal {
    fn from(error: WaitError) -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, error.to_string())
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

impl From<Trouble> for Refusal {
    fn from(trouble: Trouble) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, format!("the users cannot be read: {trouble}"))
    }
}
