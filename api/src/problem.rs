//! Errors, as problem details for HTTP APIs (RFC 9457), `application/problem+json`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What went wrong with a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `urn:belljar:problem:<code>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What the code means, the same for every problem of that code.
    pub title: String,
    /// The HTTP status code, 400 to 599.
    pub status: u16,
    /// What is wrong this time and what to do about it, in sentences for people.
    pub detail: String,
    /// The path that was called.
    pub instance: String,
    /// For programs: one of a closed list.
    pub code: Code,
    /// Problems found in a document that was sent; empty where the problem is not in one.
    #[serde(default)]
    pub errors: Vec<Diagnostic>,
    /// The call's name in the server's log; the same as in the header `X-Request-Id`.
    pub request_id: String,
}

/// What kind of problem it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// 400: the call cannot be read: bad JSON, a bad name in the path, an unknown query field.
    BadRequest,
    /// 400: the cursor is not one that this list gave.
    BadCursor,
    /// 400: an executor speaks another version of the protocol.
    ProtocolVersion,
    /// 401: no token or session, or one that does not count (any more).
    Unauthenticated,
    /// 403: known, and not allowed to do this.
    Forbidden,
    /// 403: the call names a host or comes from an origin that is not allowed here.
    OriginRefused,
    /// 403: the owner of a dataset has not allowed this use of it.
    GrantMissing,
    /// 404: there is no such thing, or none that the caller may know of.
    NotFound,
    /// 405: the path is right and the method is not.
    MethodNotAllowed,
    /// 408: the body did not arrive in time.
    RequestTimeout,
    /// 409: it is there already, and differs; or its state does not allow this.
    Conflict,
    /// 409: a newer incarnation of the executor has registered.
    ExecutorFenced,
    /// 409: the executor has not registered with this leader.
    ExecutorUnknown,
    /// 409: the lease is not the current one.
    LeaseGone,
    /// 413: the body is larger than allowed.
    TooLarge,
    /// 415: the body's media type is not one that this route reads.
    UnsupportedMediaType,
    /// 422: the document was read and is wrong; see `errors`.
    Invalid,
    /// 422: the bytes do not hash to the digest that they were sent as.
    DigestMismatch,
    /// 422: the idempotency key was used for another submission.
    IdempotencyMismatch,
    /// 429: too many calls.
    TooManyRequests,
    /// 500: a fault of the server; the log has it under the request id.
    Internal,
    /// 500: stored bytes do not hash to their digest any more.
    Corrupt,
    /// 503: come back after `Retry-After` seconds.
    Unavailable,
    /// 503: another scheduler leads.
    NotLeader,
    /// 507: the server's disk is full.
    DiskFull,
}

impl Code {
    /// The status code that goes with it.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::BadRequest | Self::BadCursor | Self::ProtocolVersion => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden | Self::OriginRefused | Self::GrantMissing => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::RequestTimeout => 408,
            Self::Conflict | Self::ExecutorFenced | Self::ExecutorUnknown | Self::LeaseGone => 409,
            Self::TooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::Invalid | Self::DigestMismatch | Self::IdempotencyMismatch => 422,
            Self::TooManyRequests => 429,
            Self::Internal | Self::Corrupt => 500,
            Self::Unavailable | Self::NotLeader => 503,
            Self::DiskFull => 507,
        }
    }

    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::BadCursor => "bad_cursor",
            Self::ProtocolVersion => "protocol_version",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::OriginRefused => "origin_refused",
            Self::GrantMissing => "grant_missing",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::RequestTimeout => "request_timeout",
            Self::Conflict => "conflict",
            Self::ExecutorFenced => "executor_fenced",
            Self::ExecutorUnknown => "executor_unknown",
            Self::LeaseGone => "lease_gone",
            Self::TooLarge => "too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::Invalid => "invalid",
            Self::DigestMismatch => "digest_mismatch",
            Self::IdempotencyMismatch => "idempotency_mismatch",
            Self::TooManyRequests => "too_many_requests",
            Self::Internal => "internal",
            Self::Corrupt => "corrupt",
            Self::Unavailable => "unavailable",
            Self::NotLeader => "not_leader",
            Self::DiskFull => "disk_full",
        }
    }

    /// What it means, for people.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::BadRequest => "The call cannot be read",
            Self::BadCursor => "The cursor is not one of this list",
            Self::ProtocolVersion => "The protocol version is not spoken here",
            Self::Unauthenticated => "Sign in first",
            Self::Forbidden => "Not allowed",
            Self::OriginRefused => "This host or origin is not allowed",
            Self::GrantMissing => "The data's owner has not allowed this use",
            Self::NotFound => "Not found",
            Self::MethodNotAllowed => "The method is not allowed here",
            Self::RequestTimeout => "The body did not arrive in time",
            Self::Conflict => "It conflicts with what is there",
            Self::ExecutorFenced => "A newer incarnation of the executor has registered",
            Self::ExecutorUnknown => "The executor is not registered",
            Self::LeaseGone => "The lease is not the current one",
            Self::TooLarge => "The body is too large",
            Self::UnsupportedMediaType => "The media type is not read here",
            Self::Invalid => "The document is not valid",
            Self::DigestMismatch => "The bytes do not match their digest",
            Self::IdempotencyMismatch => "The idempotency key was used for another submission",
            Self::TooManyRequests => "Too many calls",
            Self::Internal => "A fault of the server",
            Self::Corrupt => "Stored bytes are damaged",
            Self::Unavailable => "Not available at the moment",
            Self::NotLeader => "Another scheduler leads",
            Self::DiskFull => "The server's disk is full",
        }
    }
}

/// How bad a diagnostic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The document is refused.
    Error,
    /// The document is accepted; somebody should look.
    Warning,
}

/// A range of a text. Lines and columns from 1, columns in Unicode scalar values, the end exclusive;
/// bytes are offsets into the UTF-8 text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Span {
    /// Line of the first character.
    pub line: u32,
    /// Column of the first character.
    pub col: u32,
    /// Line of the position after the last character.
    pub end_line: u32,
    /// Column after the last character.
    pub end_col: u32,
    /// Byte offset of the first character.
    pub start: u64,
    /// Byte offset after the last character.
    pub end: u64,
}

/// A second place that explains a diagnostic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// What is there.
    pub message: String,
}

/// One problem in a document that was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Diagnostic {
    /// The stable code, `BJ` and four digits.
    pub code: String,
    /// Error or warning.
    pub severity: Severity,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// The document's name; empty where it has none.
    #[serde(default)]
    pub file: String,
    /// JSON Pointer (RFC 6901) to the value; empty for the whole document.
    #[serde(default)]
    pub pointer: String,
    /// The place in the text, where a text was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<Span>,
    /// Other places that matter.
    #[serde(default)]
    pub labels: Vec<Label>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Where more is written about the code, relative to the documentation's root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docs_url: Option<String>,
}
