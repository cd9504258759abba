//! What a failed call is answered.
//!
//! Owns: the one mapping from errors to status codes. Database, disk and panic texts go to the log, never
//! into an answer.

use crate::blobs::BlobError;
use crate::leader::LeaderError;
use crate::service::logs::LogError;
use crate::service::{ServiceError, diagnostics};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use belljar_api::problem::{Code, Diagnostic, Problem};
use belljar_engine::command::Refusal;
use belljar_store::StoreError;

/// A failed call. The body is written by [`fill`], which knows the path and the request id.
#[derive(Debug, Clone)]
pub struct ApiError {
    pub(super) code: Code,
    pub(super) detail: String,
    pub(super) errors: Vec<Diagnostic>,
    pub(super) retry_after_secs: Option<u32>,
}

/// What a handler gives back.
pub type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    /// An error with a sentence for people.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let retry_after_secs = match code {
            Code::Unavailable | Code::NotLeader | Code::TooManyRequests => Some(1),
            Code::DiskFull => Some(30),
            _ => None,
        };
        Self {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after_secs,
        }
    }

    /// There is no such thing.
    #[must_use]
    pub fn not_found(kind: &str, name: impl std::fmt::Display) -> Self {
        Self::new(Code::NotFound, format!("there is no {kind} `{name}`"))
    }

    /// A fault of the server. `error` is logged, with what it came from, and not sent.
    #[must_use]
    pub fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        log_chain(error);
        Self::new(
            Code::Internal,
            "the server failed; its log has the reason under the request id",
        )
    }

    fn unavailable(error: &(dyn std::error::Error + 'static)) -> Self {
        log_chain(error);
        Self::new(
            Code::Unavailable,
            "the server cannot do this at the moment; try again",
        )
    }
}

fn log_chain(error: &(dyn std::error::Error + 'static)) {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    tracing::error!(error = %text, "a call failed");
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.status());
        let mut response = status
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            .into_response();
        if let Some(seconds) = self.retry_after_secs {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes the body of an error's response: problem details (RFC 9457).
#[must_use]
pub fn fill(mut response: Response, instance: &str, request_id: &str) -> Response {
    let Some(error) = response.extensions_mut().remove::<ApiError>() else {
        return response;
    };
    let problem = Problem {
        kind: format!("urn:belljar:problem:{}", error.code.as_str()),
        title: error.code.title().to_owned(),
        status: error.code.status(),
        detail: error.detail,
        instance: instance.to_owned(),
        code: error.code,
        errors: error.errors,
        request_id: request_id.to_owned(),
    };
    // The type has no value that cannot be written.
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    response.headers_mut().remove(header::CONTENT_LENGTH);
    *response.body_mut() = body.into();
    response
}

impl From<ServiceError> for ApiError {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::NotFound { kind, name } => Self::not_found(kind, name),
            ServiceError::Invalid { detail, problems } => Self {
                errors: diagnostics(problems),
                ..Self::new(Code::Invalid, detail)
            },
            ServiceError::Conflict(detail) => Self::new(Code::Conflict, detail),
            ServiceError::GrantMissing(detail) => Self::new(Code::GrantMissing, detail),
            ServiceError::IdempotencyMismatch => Self::new(
                Code::IdempotencyMismatch,
                Refusal::IdempotencyMismatch.to_string(),
            ),
            ServiceError::Busy => Self::new(
                Code::Unavailable,
                "too many plans are being made; try again",
            ),
            ServiceError::Store(error) => error.into(),
            ServiceError::Leader(error) => error.into(),
            ServiceError::Blob(error) => error.into(),
            ServiceError::Stored(_) => Self::internal(&error),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Cursor => Self::new(Code::BadCursor, "the cursor is not one of this list"),
            StoreError::Database(_) => Self::unavailable(&error),
            StoreError::Unreadable { .. } => Self::internal(&error),
        }
    }
}

impl From<BlobError> for ApiError {
    fn from(error: BlobError) -> Self {
        let code = match &error {
            BlobError::NotFound(_) => Code::NotFound,
            BlobError::Mismatch { .. } => Code::DigestMismatch,
            BlobError::Corrupt(_) => Code::Corrupt,
            BlobError::TooLarge(_) => Code::TooLarge,
            BlobError::BrokenOff(_) => Code::RequestTimeout,
            BlobError::DiskFull => Code::DiskFull,
            BlobError::Io { .. } => return Self::internal(&error),
        };
        Self::new(code, error.to_string())
    }
}

impl From<LogError> for ApiError {
    fn from(error: LogError) -> Self {
        let code = match &error {
            LogError::Gap { .. } => Code::Conflict,
            LogError::TooLarge(_) => Code::TooLarge,
            LogError::DiskFull => Code::DiskFull,
            LogError::Io(_) => return Self::internal(&error),
        };
        Self::new(code, error.to_string())
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let code = match &refusal {
            Refusal::NotFound { .. } => Code::NotFound,
            Refusal::Conflict(_) | Refusal::PlanOutdated(_) | Refusal::TokenExists(_) => {
                Code::Conflict
            }
            Refusal::IdempotencyMismatch => Code::IdempotencyMismatch,
            Refusal::NotOwner(_) => Code::Forbidden,
            Refusal::ExecutorFenced(_) => Code::ExecutorFenced,
            Refusal::ExecutorUnknown(_) => Code::ExecutorUnknown,
        };
        Self::new(code, refusal.to_string())
    }
}

impl From<LeaderError> for ApiError {
    fn from(error: LeaderError) -> Self {
        match error {
            LeaderError::Refused(refusal) => refusal.into(),
            LeaderError::Busy => Self::new(Code::Unavailable, error.to_string()),
            LeaderError::NotLeader => Self::new(Code::NotLeader, error.to_string()),
            LeaderError::Unavailable(_) => {
                log_chain(&error);
                Self::new(
                    Code::Unavailable,
                    "the scheduler cannot write to its database; try again when that is mended",
                )
            }
            LeaderError::Internal => Self::internal(&error),
        }
    }
}
