//! Reading calls: axum's extractors with our errors, and those of our own.

use super::error::ApiError;
use axum::extract::rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use belljar_api::IDEMPOTENCY_KEY_HEADER;
use belljar_api::problem::Code;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// A JSON body, in or out. A field that is not known is refused where the type says so.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let read = axum::Json::from_request(request, state).await;
        read.map(|axum::Json(value)| Self(value))
            .map_err(|rejection| {
                let code = match &rejection {
                    JsonRejection::MissingJsonContentType(_) => Code::UnsupportedMediaType,
                    JsonRejection::JsonDataError(_) => Code::Invalid,
                    JsonRejection::BytesRejection(bytes) => return body_error(bytes),
                    _ => Code::BadRequest,
                };
                ApiError::new(code, rejection.body_text())
            })
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// Why a body could not be read.
pub(super) fn body_error(rejection: &BytesRejection) -> ApiError {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::new(
            Code::TooLarge,
            "the body is larger than this call takes; a document may have 4 MiB, and data belong \
                 into a dataset",
        ),
        _ => ApiError::new(Code::BadRequest, rejection.body_text()),
    }
}

/// The parts of the path.
#[derive(Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        axum::extract::Path::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Path(value)| Self(value))
            .map_err(|rejection: PathRejection| {
                ApiError::new(Code::BadRequest, rejection.body_text())
            })
    }
}

/// The query.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        axum::extract::Query::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Query(value)| Self(value))
            .map_err(|rejection: QueryRejection| {
                ApiError::new(Code::BadRequest, rejection.body_text())
            })
    }
}

/// The header `Idempotency-Key`, where it was sent.
#[derive(Debug)]
pub struct IdempotencyKey(pub Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let mut values = parts.headers.get_all(IDEMPOTENCY_KEY_HEADER).iter();
        let Some(value) = values.next() else {
            return Ok(Self(None));
        };
        let text = value.to_str().unwrap_or_default();
        let visible = text.bytes().all(|b| b.is_ascii_graphic());
        if values.next().is_some() || !visible || text.is_empty() || text.len() > 255 {
            return Err(ApiError::new(
                Code::BadRequest,
                "Idempotency-Key must be sent once and be 1 to 255 visible ASCII characters",
            ));
        }
        Ok(Self(Some(text.to_owned())))
    }
}

/// A body that is YAML, or JSON with YAML in it, as UTF-8 text not yet checked.
#[derive(Debug)]
pub struct Source {
    /// The YAML.
    pub bytes: bytes::Bytes,
    /// The file's name, where the JSON gave one.
    pub file: Option<String>,
}

impl<S: Send + Sync> FromRequest<S> for Source {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let media_type = media_type(request.headers());
        match media_type.as_str() {
            "text/yaml" | "application/yaml" | "text/x-yaml" | "application/x-yaml" => {
                let bytes = bytes::Bytes::from_request(request, state).await;
                Ok(Self {
                    bytes: bytes.map_err(|rejection| body_error(&rejection))?,
                    file: None,
                })
            }
            "application/json" => {
                let Json(source) =
                    Json::<belljar_api::dags::DagSource>::from_request(request, state).await?;
                Ok(Self {
                    bytes: source.source.into(),
                    file: source.file,
                })
            }
            other => Err(ApiError::new(
                Code::UnsupportedMediaType,
                format!(
                    "send YAML as text/yaml, or JSON; not `{}`",
                    other.escape_debug()
                ),
            )),
        }
    }
}

fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE);
    let text = value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default();
    essence.trim().to_ascii_lowercase()
}

/// How long a text such as `30s` is; at most `max`.
pub(super) fn wait_time(text: Option<&str>, max: Duration) -> Result<Option<Duration>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    let split = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => 0,
    };
    let amount = digits.parse::<u32>().ok().filter(|_| millis > 0);
    let wrong = || {
        ApiError::new(
            Code::BadRequest,
            "a time to wait is a whole number with `ms`, `s` or `m`, for example 30s",
        )
    };
    let wait = Duration::from_millis(u64::from(amount.ok_or_else(wrong)?) * millis);
    Ok(Some(wait.min(max)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_to_wait() {
        let max = Duration::from_secs(60);
        let wait = |text| wait_time(Some(text), max).map(Option::unwrap);
        assert_eq!(wait("30s").unwrap(), Duration::from_secs(30));
        assert_eq!(wait("5ms").unwrap(), Duration::from_millis(5));
        assert_eq!(wait("9m").unwrap(), max);
        for text in ["", "30", "s", "-1s", "1.5s", "30 s", "99999999999s", "1h"] {
            assert!(wait(text).is_err(), "{text:?}");
        }
        assert_eq!(wait_time(None, max).unwrap(), None);
    }
}
