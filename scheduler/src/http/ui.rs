//! The web page's files, embedded in the program.
//!
//! Owns: serving `web/dist`, embedded in every build: the server's user may not be able to read the folder
//! it was built in.
//!
//! `index.html` is sent with a fresh nonce in place of every `__CSP_NONCE__`; the policy lets only
//! styles and scripts with it, and files of our own, work.

use super::error::ApiError;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use belljar_api::problem::Code;
use rust_embed::{EmbeddedFile, RustEmbed};

#[derive(RustEmbed)]
#[folder = "$BELLJAR_WEB_DIST"]
struct Files;

/// What stands for the nonce in `index.html`.
const NONCE: &str = "__CSP_NONCE__";

/// A file of the page, or the page itself where a browser asks for one of its own paths.
pub(super) async fn page(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return ApiError::new(
            Code::MethodNotAllowed,
            "this path does not take this method",
        )
        .into_response();
    }
    let path = uri.path().trim_start_matches('/');
    if path != "index.html"
        && let Some(file) = Files::get(path)
    {
        return asset(path, &file, &headers);
    }
    let reserved = ["api", "executor"].contains(&path.split('/').next().unwrap_or_default());
    if !reserved && wants_html(&headers) {
        return index();
    }
    ApiError::not_found("page", uri.path().escape_debug()).into_response()
}

fn wants_html(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT);
    accept
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"))
}

/// A file; one with a hash in its name never changes.
fn asset(path: &str, file: &EmbeddedFile, headers: &HeaderMap) -> Response {
    let tag = format!("\"{}\"", hex::encode(file.metadata.sha256_hash()));
    let cache = if path.starts_with("assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let fresh = headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut response = if fresh {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Body::from(file.data.to_vec()).into_response()
    };
    let media_type = mime_guess::from_path(path).first_or_octet_stream();
    let values = [
        (header::CACHE_CONTROL, HeaderValue::from_static(cache)),
        (
            header::CONTENT_TYPE,
            HeaderValue::try_from(media_type.as_ref())
                .unwrap_or(HeaderValue::from_static("application/octet-stream")),
        ),
        (
            header::ETAG,
            HeaderValue::try_from(tag).unwrap_or(HeaderValue::from_static("\"\"")),
        ),
    ];
    response.headers_mut().extend(values);
    response
}

/// The page, with a nonce of its own.
fn index() -> Response {
    let Some(file) = Files::get("index.html") else {
        return ApiError::new(
            Code::NotFound,
            "this program was built without its web page",
        )
        .into_response();
    };
    let nonce = hex::encode(rand::random::<[u8; 16]>());
    let html = String::from_utf8_lossy(&file.data).replace(NONCE, &nonce);
    let policy = format!(
        "default-src 'self'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'nonce-{nonce}'; \
         style-src-attr 'unsafe-inline'; img-src 'self' data: blob:; frame-src 'self' blob:; \
         object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    );
    let mut response = html.into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}
