//! Why a call failed.

use crate::exit_code::ExitCode;
use belljar_api::{Code, Problem};
use std::io;

/// Why a call did not give what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nothing answered.
    #[error("{server} does not answer: {reason}")]
    Unreachable {
        /// The server's address.
        server: String,
        /// What the network said.
        reason: String,
        /// Whether the machine answered that nothing listens there.
        refused: bool,
    },
    /// The server said what is wrong.
    #[error("{}", .0.detail)]
    Problem(Box<Answered>),
    /// Something answered, but not as a Belljar server does.
    #[error("{server} does not answer as a Belljar server: {reason}")]
    NotBelljar {
        /// The server's address.
        server: String,
        /// What was wrong with the answer.
        reason: String,
    },
    /// An answer broke off, or is not what it says it is.
    #[error("the answer to {call} is not whole: {reason}")]
    Broken {
        /// Method and path.
        call: String,
        /// What is missing or wrong.
        reason: String,
    },
    /// A file here could not be read or written.
    #[error("failed to {what}: {source}")]
    Local {
        /// What was tried, with the file's name.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A file changed while it was being sent.
    #[error("{0} changed while it was being sent; try again")]
    Changed(String),
}

/// A server's answer that is a problem (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The HTTP status code.
    pub status: u16,
    /// The problem's code; none where this client does not know it, or it is not a Belljar problem.
    pub code: Option<Code>,
    /// What is wrong and what to do about it, hostile text.
    pub detail: String,
    /// Problems in a document that was sent.
    pub errors: Vec<belljar_api::problem::Diagnostic>,
    /// The call's name in the server's log; empty where unknown.
    pub request_id: String,
    /// After how many seconds to come back.
    pub retry_after_secs: Option<u64>,
}

impl Answered {
    /// Reads the body of an answer with an error status; none where it is no problem document.
    pub(crate) fn read(status: u16, body: &[u8], retry_after_secs: Option<u64>) -> Option<Self> {
        if let Ok(problem) = serde_json::from_slice::<Problem>(body) {
            return Some(Self {
                status,
                code: Some(problem.code),
                detail: problem.detail,
                errors: problem.errors,
                request_id: problem.request_id,
                retry_after_secs,
            });
        }
        // A newer server may have codes that are not known here.
        let value: serde_json::Value = serde_json::from_slice(body).ok()?;
        let text = |name: &str| value.get(name)?.as_str().map(str::to_owned);
        Some(Self {
            status,
            code: None,
            detail: text("detail").or_else(|| text("title"))?,
            errors: Vec::new(),
            request_id: text("request_id").unwrap_or_default(),
            retry_after_secs,
        })
    }
}

impl ClientError {
    /// The server's problem, if it is one.
    #[must_use]
    pub fn problem(&self) -> Option<&Answered> {
        match self {
            Self::Problem(answered) => Some(answered),
            _ => None,
        }
    }

    /// Whether the server said that there is no such thing.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.problem().is_some_and(|problem| problem.status == 404)
    }

    /// Whether the same call may succeed a little later without anybody doing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Broken { .. } => true,
            Self::Problem(answered) => matches!(answered.status, 408 | 429 | 502 | 503 | 504),
            Self::NotBelljar { .. } | Self::Local { .. } | Self::Changed(_) => false,
        }
    }

    /// What the process should end with.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Unreachable { .. } | Self::NotBelljar { .. } | Self::Broken { .. } => {
                ExitCode::Unreachable
            }
            Self::Local { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                ExitCode::NotFound
            }
            Self::Local { source, .. } if source.kind() == io::ErrorKind::InvalidInput => {
                ExitCode::Usage
            }
            Self::Local { .. } => ExitCode::Internal,
            Self::Changed(_) => ExitCode::Conflict,
            Self::Problem(answered) => answered
                .code
                .map_or_else(|| by_status(answered.status), by_code),
        }
    }
}

/// The exit code of each problem code.
const fn by_code(code: Code) -> ExitCode {
    match code {
        Code::BadRequest | Code::BadCursor => ExitCode::Usage,
        Code::Unauthenticated | Code::Forbidden | Code::OriginRefused | Code::GrantMissing => {
            ExitCode::Forbidden
        }
        Code::NotFound => ExitCode::NotFound,
        Code::Conflict
        | Code::ExecutorFenced
        | Code::ExecutorUnknown
        | Code::LeaseGone
        | Code::IdempotencyMismatch => ExitCode::Conflict,
        Code::TooLarge | Code::Invalid => ExitCode::SpecInvalid,
        Code::RequestTimeout
        | Code::TooManyRequests
        | Code::Unavailable
        | Code::NotLeader
        | Code::DiskFull => ExitCode::Unreachable,
        Code::ProtocolVersion
        | Code::MethodNotAllowed
        | Code::UnsupportedMediaType
        | Code::DigestMismatch
        | Code::Internal
        | Code::Corrupt => ExitCode::Internal,
    }
}

/// The exit code where only the HTTP status is known.
const fn by_status(status: u16) -> ExitCode {
    match status {
        400 => ExitCode::Usage,
        401 | 403 => ExitCode::Forbidden,
        404 => ExitCode::NotFound,
        409 | 412 | 428 => ExitCode::Conflict,
        413 | 422 => ExitCode::SpecInvalid,
        408 | 429 | 502..=504 | 507 => ExitCode::Unreachable,
        _ => ExitCode::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_read_and_an_unknown_code_is_too() {
        let body = br#"{"type":"urn:belljar:problem:not_found","title":"Not found","status":404,
            "detail":"there is no DAG `a`","instance":"/api/v1/dags/a","code":"not_found","request_id":"r1"}"#;
        let answered = Answered::read(404, body, None).unwrap();
        assert_eq!(answered.code, Some(Code::NotFound));
        assert_eq!(answered.detail, "there is no DAG `a`");
        let later = br#"{"title":"T","status":409,"code":"from_the_future","detail":"d"}"#;
        let answered = Answered::read(409, later, None).unwrap();
        assert_eq!(answered.code, None);
        assert_eq!(
            ClientError::Problem(Box::new(answered)).exit_code(),
            ExitCode::Conflict
        );
        assert_eq!(Answered::read(502, b"<html>bad gateway</html>", None), None);
    }

    #[test]
    fn code_and_status_agree() {
        // An unknown code is judged by its status; for the known ones that may only be coarser.
        for (code, status) in [
            (Code::Unauthenticated, 401),
            (Code::GrantMissing, 403),
            (Code::NotFound, 404),
            (Code::Conflict, 409),
            (Code::Invalid, 422),
            (Code::TooLarge, 413),
            (Code::Unavailable, 503),
            (Code::DiskFull, 507),
            (Code::Internal, 500),
        ] {
            assert_eq!(code.status(), status);
            assert_eq!(by_code(code), by_status(status), "{code:?}");
        }
    }
}
