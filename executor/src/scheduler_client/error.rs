//! What can come back from a scheduler, by what the executor must do about it.

use reqwest::{Response, StatusCode};
use std::time::Duration;

/// Bytes of an error's body that are read at most.
const BODY_BYTES: usize = 16 << 10;

/// Why a call was not answered as hoped.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// 409 `executor_fenced`: a later incarnation of this executor is at work. This one must stop.
    #[error("another incarnation of this executor has taken over")]
    Fenced,
    /// 409 `executor_unknown`: this leader has not heard of us yet. Register, then ask again.
    #[error("{scheduler} does not know this executor yet")]
    Unknown {
        /// Who said so.
        scheduler: String,
    },
    /// 503: not the leader, or too busy. Ask again, perhaps elsewhere.
    #[error("{scheduler} takes no calls at the moment ({code})")]
    NotReady {
        /// Who said so.
        scheduler: String,
        /// `not_leader`, `busy` and the like.
        code: String,
        /// How long to wait, where it said that.
        retry_after: Option<Duration>,
    },
    /// 500: the scheduler failed at this call. It may fail at it again.
    #[error("{scheduler} failed: {detail} ({code})")]
    Failed {
        /// Who failed.
        scheduler: String,
        /// The problem's code.
        code: String,
        /// The problem's text.
        detail: String,
    },
    /// Nobody answered.
    #[error("{scheduler} cannot be reached: {detail}")]
    Unreachable {
        /// Whom we asked.
        scheduler: String,
        /// What the network said.
        detail: String,
    },
    /// The lease under which the call was made is not ours any more.
    #[error("the lease is not held any more")]
    LeaseGone,
    /// The scheduler understood and refused. Asking again will not help.
    #[error("{scheduler} refused: {detail} (status {status}, {code})")]
    Refused {
        /// Who refused.
        scheduler: String,
        /// The HTTP status.
        status: u16,
        /// The problem's code.
        code: String,
        /// The problem's text.
        detail: String,
    },
    /// The answer is not one of this protocol.
    #[error("{scheduler} gave an answer that is not understood: {detail}")]
    Protocol {
        /// Who answered.
        scheduler: String,
        /// What is wrong with it.
        detail: String,
    },
    /// A file of ours could not be read or written on the way.
    #[error("failed to {doing}: {source}")]
    Local {
        /// What was tried.
        doing: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// The bytes that came are not the ones that were named.
    #[error("the blob should be {wanted} and is {found}")]
    WrongBytes {
        /// Digest and size that were named.
        wanted: String,
        /// What came.
        found: String,
    },
}

impl ClientError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::NotReady { .. } | Self::Failed { .. } | Self::Unreachable { .. }
        )
    }

    /// How long the scheduler asks to wait, where it does.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::NotReady { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// What went wrong on the way to or from `scheduler`.
    pub(super) fn transport(scheduler: &str, error: &reqwest::Error) -> Self {
        Self::Unreachable {
            scheduler: scheduler.to_owned(),
            detail: with_causes(error),
        }
    }

    /// What a status other than success means.
    pub(super) async fn from_response(scheduler: &str, response: Response) -> Self {
        let status = response.status();
        let retry_after = response
            .headers()
            .get(reqwest::header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map(Duration::from_secs);
        let problem = Problem::read(response).await;
        Self::from_problem(scheduler, status, problem, retry_after)
    }

    fn from_problem(
        scheduler: &str,
        status: StatusCode,
        problem: Problem,
        retry_after: Option<Duration>,
    ) -> Self {
        let scheduler = scheduler.to_owned();
        let Problem { code, detail } = problem;
        match (status, code.as_str()) {
            (StatusCode::CONFLICT, "executor_fenced") => Self::Fenced,
            (StatusCode::CONFLICT, "executor_unknown") => Self::Unknown { scheduler },
            (_, "lease_gone" | "stale_fence") | (StatusCode::GONE, _) => Self::LeaseGone,
            (StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT, _) => Self::NotReady {
                scheduler,
                code,
                retry_after,
            },
            (StatusCode::INTERNAL_SERVER_ERROR, code) if code != "corrupt" => Self::Failed {
                scheduler,
                code: code.to_owned(),
                detail,
            },
            // Stored bytes that are not what they were do not come back.
            _ if status.is_server_error() && code != "corrupt" => Self::NotReady {
                scheduler,
                code,
                retry_after,
            },
            _ => Self::Refused {
                scheduler,
                status: status.as_u16(),
                code,
                detail,
            },
        }
    }
}

/// The two members of a problem document (RFC 9457) that are used here.
#[derive(Debug, Default)]
struct Problem {
    code: String,
    detail: String,
}

impl Problem {
    async fn read(mut response: Response) -> Self {
        let mut body = Vec::new();
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() > BODY_BYTES {
                break;
            }
        }
        Self::parse(&body)
    }

    fn parse(body: &[u8]) -> Self {
        let Ok(json) = serde_json::from_slice::<serde_json::Value>(body) else {
            let text = String::from_utf8_lossy(body);
            return Self {
                code: "no_code".to_owned(),
                detail: text
                    .chars()
                    .take(200)
                    .flat_map(char::escape_default)
                    .collect(),
            };
        };
        let member = |name: &str| json.get(name).and_then(|v| v.as_str()).map(str::to_owned);
        let code = member("code").or_else(|| {
            // A `type` that is a URL ends in the code.
            let kind = member("type")?;
            Some(kind.rsplit(['/', '#', ':']).next()?.to_owned())
        });
        Self {
            code: code.unwrap_or_else(|| "no_code".to_owned()),
            detail: member("detail")
                .or_else(|| member("title"))
                .unwrap_or_default(),
        }
    }
}

/// An error with what caused it: the outermost of `reqwest` says nothing by itself.
fn with_causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_and_codes_say_what_to_do() {
        let kind = |status: u16, body: &str| {
            let status = StatusCode::from_u16(status).unwrap();
            let error =
                ClientError::from_problem("s", status, Problem::parse(body.as_bytes()), None);
            match error {
                ClientError::Fenced => "fenced",
                ClientError::LeaseGone => "gone",
                ClientError::Unknown { .. } => "unknown",
                _ if error.is_transient() => "later",
                _ => "refused",
            }
        };
        for (status, body, wanted) in [
            (409, r#"{"code":"executor_fenced"}"#, "fenced"),
            (
                409,
                r#"{"type":"urn:belljar:problem:executor_fenced"}"#,
                "fenced",
            ),
            (409, r#"{"code":"something_else"}"#, "refused"),
            (403, r#"{"code":"lease_gone"}"#, "gone"),
            (409, r#"{"code":"lease_gone"}"#, "gone"),
            (409, r#"{"code":"executor_unknown"}"#, "unknown"),
            (410, "", "gone"),
            (503, r#"{"code":"not_leader"}"#, "later"),
            (503, "<html>", "later"),
            (500, "", "later"),
            (507, r#"{"code":"disk_full"}"#, "later"),
            (500, r#"{"code":"corrupt"}"#, "refused"),
            (429, "", "later"),
            (400, r#"{"code":"protocol_version"}"#, "refused"),
            (401, "\u{1b}[31m", "refused"),
            (404, "", "refused"),
        ] {
            assert_eq!(kind(status, body), wanted, "{status} {body}");
        }
        assert!(
            !Problem::parse("\u{1b}[31m".as_bytes())
                .detail
                .contains('\u{1b}')
        );
    }
}
