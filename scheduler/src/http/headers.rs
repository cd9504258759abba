//! What every answer carries, and what becomes of a panic.

use super::error::{self, ApiError};
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use belljar_api::REQUEST_ID_HEADER;
use belljar_api::problem::Code;
use std::any::Any;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument as _;

/// Names the call, logs it, and writes the body of an error. Outside of everything else.
pub(super) async fn outermost(request: Request, next: Next) -> Response {
    let id = uuid::Uuid::now_v7().simple().to_string();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let span = tracing::info_span!("call", id, %method, path);
    let started = std::time::Instant::now();
    let response = next.run(request).instrument(span.clone()).await;
    let status = response.status().as_u16();
    span.in_scope(|| tracing::debug!(status, ms = started.elapsed().as_millis(), "answered"));
    let mut response = error::fill(response, &path, &id);
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::try_from(id) {
        headers.insert(HeaderName::from_static(REQUEST_ID_HEADER), id);
    }
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
    ];
    for (name, value) in fixed {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static(
            "default-src 'none'; frame-ancestors 'none'",
        ));
    response
}

/// Nothing of the API is kept by a browser.
pub(super) async fn api(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response
        .headers_mut()
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

type OnPanic = fn(Box<dyn Any + Send>) -> Response;

/// A handler that panics answers 500; the panic's text is in the log.
pub(super) fn catch_panic() -> CatchPanicLayer<OnPanic> {
    CatchPanicLayer::custom(panicked as OnPanic)
}

fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::error!(panic = text.unwrap_or("?"), "a handler panicked");
    ApiError::new(
        Code::Internal,
        "the server failed; its log has the reason under the request id",
    )
    .into_response()
}
